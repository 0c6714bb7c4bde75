// The codec's definition in scalar C; see codec.h. No FMA contraction, no libm call that decides a code: exp appears
// only in the table of the log curve, where rounding to BF16 hides the differences between libraries (a test checks
// that no value is near a rounding boundary).
#include "engine/kernels/codec.h"

#include "engine/base/half.h"
#include "engine/base/memory.h"

#include <math.h>
#include <string.h>

const qins_type_info qins_types[QINS_TYPE_COUNT] = {
    [QINS_F32] = {"f32", 32, 0, 0},
    [QINS_F16] = {"f16", 16, 0, 0},
    [QINS_BF16] = {"bf16", 16, 0, 0},
    [QINS_QINS8] = {"qins8", 8, 64, QINS_LEVELS},
};

static const char *const curve_names[] = {[QINS_PROJECTIVE] = "projective", [QINS_LOG] = "log"};

bool qins_type_from_name(const char *name, qins_type *type) {
    for (int i = 0; i < QINS_TYPE_COUNT; i++) {
        if (strcmp(name, qins_types[i].name) != 0) continue;
        *type = (qins_type)i;
        return true;
    }
    return false;
}

const char *qins_curve_name(qins_curve curve) {
    return curve_names[curve];
}

bool qins_curve_from_name(const char *name, qins_curve *curve) {
    for (int i = QINS_PROJECTIVE; i <= QINS_LOG; i++) {
        if (strcmp(name, curve_names[i]) != 0) continue;
        *curve = (qins_curve)i;
        return true;
    }
    return false;
}

static void codebook_derive(qins_codebook *book) {
    for (int s = 0; s < QINS_LEVELS; s++) {
        book->value[s] = qins_f32_from_bf16(book->magnitude[s]);
        book->value[s | 0x80] = -book->value[s];
    }
    for (int s = 0; s + 1 < QINS_LEVELS; s++) book->boundary[s] = 0.5f * (book->value[s] + book->value[s + 1]);
    book->boundary[QINS_ZERO_CODE] = 0.0f;
    int s = QINS_ZERO_CODE; // from small magnitudes up: a search starts at the smallest code that its bin can hold
    for (int bin = 0; bin < QINS_START_BINS; bin++) {
        while (s > 0 && qins_start_bin(book->boundary[s - 1]) <= (unsigned)bin) s--;
        book->start[bin] = (uint8_t)s;
    }
}

void qins_codebook_make(qins_codebook *book, qins_curve curve, double parameter) {
    for (int s = 0; s < QINS_LEVELS; s++) {
        double below = (double)s / (QINS_LEVELS - 1); // 1 - u
        double t = curve == QINS_LOG ? exp(-parameter * below) : (1.0 - below) / (1.0 + parameter * below);
        book->magnitude[s] = qins_bf16_from_f32((float)t);
    }
    book->magnitude[QINS_ZERO_CODE] = 0;
    codebook_derive(book);
}

bool qins_codebook_load(qins_codebook *book, const uint16_t magnitude[QINS_LEVELS]) {
    const uint16_t one = 0x3F80;
    for (int s = 0; s < QINS_LEVELS; s++) { // non-negative BF16 numbers are ordered like their bits
        if (magnitude[s] > (s == 0 ? one : magnitude[s - 1])) return false;
    }
    if (magnitude[QINS_ZERO_CODE] != 0) return false;
    memcpy(book->magnitude, magnitude, sizeof book->magnitude);
    codebook_derive(book);
    return true;
}

size_t qins_blocks(qins_type type, size_t cols) {
    size_t block = qins_types[type].block;
    return block == 0 ? 0 : cols / block + (cols % block != 0);
}

size_t qins_row_bytes(qins_type type, size_t cols) {
    size_t stored = qins_types[type].block == 0 ? cols : qins_blocks(type, cols) * qins_types[type].block;
    return stored * (qins_types[type].bits / 8);
}

bool qins_tensor_bytes(qins_type type, size_t rows, size_t cols, size_t *bytes) {
    if (cols > SIZE_MAX / 8) return false;
    return qins_multiply(rows, qins_row_bytes(type, cols) + qins_blocks(type, cols) * sizeof(uint16_t), bytes);
}

// `largest` rounded up to BF16, at most the largest finite BF16.
static uint16_t scale_for(float largest) {
    uint32_t up = (qins_f32_bits(largest) + 0xFFFFu) >> 16;
    return up > QINS_BF16_MAX ? QINS_BF16_MAX : (uint16_t)up;
}

uint8_t qins_encode_value(const qins_codebook *book, float value, float d) {
    if (d == 0.0f) return QINS_ZERO_CODE;
    const unsigned s = qins_nearest_code(book, fabsf(value) / d);
    const unsigned sign = s == QINS_ZERO_CODE ? 0 : qins_f32_bits(value) >> 31;
    return (uint8_t)(s | sign << 7);
}

double qins_encode_with_scale(const qins_codebook *book, const float *x, size_t n, uint16_t scale, double limit,
                              uint8_t *codes) {
    const float d = qins_f32_from_bf16(scale);
    double squared_error = 0.0;
    for (size_t i = 0; i < n && !(squared_error > limit);) {
        for (const size_t end = n - i < 16 ? n : i + 16; i < end; i++) {
            codes[i] = qins_encode_value(book, x[i], d);
            double error = (double)x[i] - (double)(d * book->value[codes[i]]);
            squared_error += error * error;
        }
    }
    return squared_error;
}

uint16_t qins_smallest_scale(const float *x, size_t n) {
    float largest = 0.0f;
    for (size_t i = 0; i < n; i++) largest = fabsf(x[i]) > largest ? fabsf(x[i]) : largest;
    return scale_for(largest);
}

double qins_encode_block(const qins_codebook *book, const float *x, size_t n, int n_scales, uint8_t *codes,
                         uint16_t *scale) {
    const uint16_t smallest = qins_smallest_scale(x, n);
    uint16_t tried = smallest;
    double best = qins_encode_with_scale(book, x, n, smallest, INFINITY, codes);
    *scale = smallest;
    for (int step = 1; step < n_scales && best > 0.0 && smallest + step <= QINS_BF16_MAX; step++) {
        tried = (uint16_t)(smallest + step);
        double squared_error = qins_encode_with_scale(book, x, n, tried, best, codes);
        if (squared_error >= best) continue;
        best = squared_error;
        *scale = tried;
    }
    if (tried != *scale) qins_encode_with_scale(book, x, n, *scale, INFINITY, codes);
    return best;
}

double qins_encode_row(const qins_codebook *book, const float *x, size_t cols, uint8_t *codes, uint16_t *scales) {
    const size_t block = qins_types[QINS_QINS8].block;
    double squared_error = 0.0;
    for (size_t start = 0; start < cols; start += block) {
        size_t n = cols - start < block ? cols - start : block;
        squared_error +=
            qins_encode_block(book, x + start, n, QINS_SCALE_CHOICES, codes + start, &scales[start / block]);
        memset(codes + start + n, QINS_ZERO_CODE, block - n);
    }
    return squared_error;
}

void qins_decode_block(float *values, const qins_codebook *book, const uint8_t *codes, uint16_t scale, size_t n) {
    float d = qins_f32_from_bf16(scale);
    for (size_t i = 0; i < n; i++) values[i] = d * book->value[codes[i]];
}
