// The reference tier in plain C. Sums run over LANES interleaved partial sums: shorter chains of additions than one
// running sum, so smaller rounding errors, and a compiler may keep them in vector registers without reordering.
#include "engine/base/half.h"
#include "engine/kernels/kernels.h"

#include <math.h>
#include <string.h>

enum { LANES = 16, CHUNK = 512 };

// The n values W[row, start .. start + n]: in place where they are FP32, otherwise decoded into values[n]. For coded
// types the range lies within one block.
static const float *load(float *values, const qins_matrix *w, size_t row, size_t start, size_t n) {
    const size_t index = row * w->cols + start;
    switch (w->type) {
    case QINS_F32:
        return (const float *)w->data + index;
    case QINS_F16:
        for (size_t i = 0; i < n; i++) values[i] = qins_f32_from_f16(((const uint16_t *)w->data)[index + i]);
        break;
    case QINS_BF16:
        for (size_t i = 0; i < n; i++) values[i] = qins_f32_from_bf16(((const uint16_t *)w->data)[index + i]);
        break;
    case QINS_QINS8: {
        const size_t blocks = (w->cols + w->block - 1) / w->block, block = row * blocks + start / w->block;
        const uint8_t *codes = (const uint8_t *)w->data + block * w->block + start % w->block;
        qins_decode_block(values, w->book, codes, w->scales[block], n);
        break;
    }
    case QINS_TYPE_COUNT:
        break;
    }
    return values;
}

// Length of the piece of a row that starts at column `start`, `end` at most: what `load` takes at once.
static size_t piece(const qins_matrix *w, size_t start, size_t end) {
    size_t limit = w->block != 0 && w->block < CHUNK ? w->block : CHUNK;
    size_t left = end - start;
    return left < limit ? left : limit;
}

static float sum_lanes(float lanes[LANES]) {
    for (int width = LANES / 2; width > 0; width /= 2) {
        for (int i = 0; i < width; i++) lanes[i] += lanes[i + width];
    }
    return lanes[0];
}

static void add_products(float lanes[LANES], const float *a, const float *b, size_t n) {
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        for (int lane = 0; lane < LANES; lane++) lanes[lane] += a[i + (size_t)lane] * b[i + (size_t)lane];
    }
    for (; i < n; i++) lanes[i % LANES] += a[i] * b[i];
}

static void decode_tile(float *out, const qins_matrix *w, size_t row, size_t n_rows, size_t col, size_t n_cols) {
    for (size_t r = 0; r < n_rows; r++) {
        for (size_t start = col, n; start < col + n_cols; start += n, out += n) {
            n = piece(w, start, col + n_cols);
            const float *values = load(out, w, row + r, start, n);
            if (values != out) memcpy(out, values, n * sizeof *out);
        }
    }
}

static void arrange(float *arranged, const float *x, size_t cols) {
    memcpy(arranged, x, cols * sizeof *x);
}

static void dot_rows(float *out, const qins_matrix *w, size_t row, size_t n_rows, const float *x) {
    for (size_t r = 0; r < n_rows; r++) {
        float lanes[LANES] = {0}, values[CHUNK];
        for (size_t start = 0, n; start < w->cols; start += n) {
            n = piece(w, start, w->cols);
            add_products(lanes, load(values, w, row + r, start, n), x + start, n);
        }
        out[r] = sum_lanes(lanes);
    }
}

static void add_rows(float *out, const qins_matrix *w, size_t row, size_t n_rows, const float *weights) {
    for (size_t r = 0; r < n_rows; r++) {
        float values[CHUNK];
        for (size_t start = 0, n; start < w->cols; start += n) {
            n = piece(w, start, w->cols);
            const float *v = load(values, w, row + r, start, n);
            for (size_t i = 0; i < n; i++) out[start + i] += weights[r] * v[i];
        }
    }
}

static void rmsnorm(float *out, const float *x, const float *weight, size_t n, float eps) {
    float lanes[LANES] = {0};
    add_products(lanes, x, x, n);
    float factor = 1.0f / sqrtf(sum_lanes(lanes) / (float)n + eps);
    for (size_t i = 0; i < n; i++) out[i] = x[i] * factor * weight[i];
}

static void swiglu(float *out, const float *gate, const float *up, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = up[i] * (gate[i] / (1.0f + expf(-gate[i])));
}

static float max(const float *x, size_t n) {
    float largest = -INFINITY;
    for (size_t i = 0; i < n; i++) largest = x[i] > largest ? x[i] : largest;
    return largest;
}

static float exp_sum(float *x, size_t n, float max) {
    float lanes[LANES] = {0};
    for (size_t i = 0; i < n; i++) {
        x[i] = expf(x[i] - max);
        lanes[i % LANES] += x[i];
    }
    return sum_lanes(lanes);
}

const qins_kernels qins_kernels_scalar = {.name = "scalar",
                                          .decode_tile = decode_tile,
                                          .arrange = arrange,
                                          .dot_rows = dot_rows,
                                          .add_rows = add_rows,
                                          .rmsnorm = rmsnorm,
                                          .swiglu = swiglu,
                                          .max = max,
                                          .exp_sum = exp_sum,
                                          .encode_row = qins_encode_row};
