// The scalar tier: the definition of every kernel, as the plainest possible loops. See kernels.h.
#include "engine/kernels/encoder.h"
#include "engine/kernels/kernels.h"

#include <math.h>
#include <string.h>

enum { LANES = 16 };

static float sum_lanes(float lanes[LANES]) {
    for (int width = LANES / 2; width > 0; width /= 2)
        for (int i = 0; i < width; i++) lanes[i] += lanes[i + width];
    return lanes[0];
}

// --- coded weights ---

// e of kernels.h for a block whose largest |x| is `max`.
static int block_exponent(float max) {
    const int exponent = (int)(qins_f32_bits(max) >> 23) - 127 - 12; // max < 8192 * 2^exponent where it is normal
    if (exponent < -126) return -126;
    return max > (float)QINS_MAX_X * ldexpf(1.0f, exponent) ? exponent + 1 : exponent;
}

static void quantize(int16_t *x_int, float *scale, const float *x, size_t cols) {
    for (size_t start = 0; start < cols; start += QINS_UNIT) {
        const size_t n = cols - start < QINS_UNIT ? cols - start : QINS_UNIT;
        const float max = qins_largest_magnitude(x + start, n);
        memset(x_int + start, 0, QINS_UNIT * sizeof *x_int);
        scale[start / QINS_UNIT] = NAN;
        if (!(max < INFINITY)) continue;
        const int exponent = block_exponent(max);
        scale[start / QINS_UNIT] = ldexpf(1.0f, exponent);
        for (size_t i = 0; i < n; i++)
            x_int[start + qins_x_place(i)] = (int16_t)rintf(x[start + i] * ldexpf(1.0f, -exponent));
    }
}

static void dot_coded(float *y, const qins_matrix *w, size_t panel, size_t n_panels, const int16_t *x_int,
                      const float *scale) {
    const qins_type_info *info = &qins_types[w->type];
    const size_t unit_bytes = qins_unit_bytes(w->type);
    for (size_t p = 0; p < n_panels; p++) {
        const uint8_t *data = qins_panel_at(w, panel + p);
        for (size_t row = 0; row < QINS_PANEL; row++) {
            float sum = 0.0f;
            for (size_t start = 0; start < w->cols; start += QINS_STRETCH) {
                const qins_stretch stretch = qins_stretch_at(data, unit_bytes, w->cols, start);
                for (size_t col = 0; col < stretch.n_cols; col += QINS_UNIT) {
                    int32_t products = 0;
                    for (size_t i = 0; i < QINS_UNIT; i++) {
                        const int code = info->get(stretch.codes + col / QINS_UNIT * unit_bytes, row, i);
                        const int k = stretch.scales[(col + i) / QINS_BLOCK * QINS_PANEL + row];
                        products += info->value(code, k) * x_int[start + col + qins_x_place(i)];
                    }
                    const float d = qins_f32_from_bf16(stretch.d[row]);
                    sum = fmaf(d * scale[(start + col) / QINS_UNIT], (float)products, sum);
                }
            }
            y[p * QINS_PANEL + row] = sum;
        }
    }
}

static void unpack(qins_type type, int16_t *v, const uint8_t *codes, const uint8_t *scales, size_t n_units) {
    const qins_type_info *info = &qins_types[type];
    const size_t unit_bytes = qins_unit_bytes(type);
    for (size_t i = 0; i < n_units * QINS_UNIT; i++) {
        for (size_t row = 0; row < QINS_PANEL; row++) {
            const int code = info->get(codes + i / QINS_UNIT * unit_bytes, row, i % QINS_UNIT);
            const size_t place = qins_x_place(i);
            v[(place / 2 * QINS_PANEL + row) * 2 + place % 2] =
                (int16_t)info->value(code, scales[i / QINS_BLOCK * QINS_PANEL + row]);
        }
    }
}

static void multiply(const qins_product *product) {
    for (size_t t = 0; t < product->n_tokens; t++) {
        for (size_t row = 0; row < QINS_TILE_PANELS * QINS_PANEL; row++) {
            const int16_t *v = product->v + (row / QINS_PANEL * product->n_cols * QINS_PANEL) + row % QINS_PANEL * 2;
            const int16_t *x = product->x + t * product->x_stride;
            float *y = &product->y[t * product->y_stride + row];
            for (size_t col = 0; col < product->n_cols; col += QINS_UNIT) {
                int32_t products = 0;
                for (size_t i = col; i < col + QINS_UNIT; i++) products += v[i / 2 * 2 * QINS_PANEL + i % 2] * x[i];
                const float scale = product->scale[t * product->scale_stride + col / QINS_UNIT];
                *y = fmaf(product->d[row] * scale, (float)products, *y);
            }
        }
    }
}

static double integer_rounds(size_t rounds) {
    static volatile int32_t sink;
    int32_t sum = 0;
    for (size_t i = 0; i < rounds; i++) sum += (int32_t)(i & 4095) * (int32_t)(i & 8191);
    sink = sum;
    (void)sink;
    return 2.0 * (double)rounds;
}

// --- numbers in floating point ---

static void gemm(const qins_gemm *g) {
    for (size_t i = 0; i < g->m; i++) {
        for (size_t j = 0; j < g->n; j++) {
            const float *a = g->a + i * g->a_stride, *b = g->b + j / LANES * g->b_panel + j % LANES;
            float *c = &g->c[i * g->c_stride + j];
            for (size_t start = 0; start < g->k; start += QINS_UNIT) {
                float chain = 0.0f;
                for (size_t l = start; l < g->k && l < start + QINS_UNIT; l++)
                    chain = fmaf(a[l], b[l * g->b_row], chain);
                *c += chain;
            }
        }
    }
}

static void dot_numbers(float *y, qins_type type, const void *panels, size_t n_panels, size_t cols, const float *x) {
    const size_t size = qins_types[type].bits / 8;
    for (size_t row = 0; row < n_panels * QINS_PANEL; row++) {
        const uint8_t *values =
            (const uint8_t *)panels + (row / QINS_PANEL * cols * QINS_PANEL + row % QINS_PANEL) * size;
        y[row] = 0.0f;
        for (size_t start = 0; start < cols; start += QINS_UNIT) {
            float chain = 0.0f;
            for (size_t i = start; i < cols && i < start + QINS_UNIT; i++)
                chain = fmaf(qins_types[type].number(values + i * QINS_PANEL * size), x[i], chain);
            y[row] += chain;
        }
    }
}

#define DOT(name, type)                                                                                                \
    static void name(float *y, const void *panels, size_t n_panels, size_t cols, const float *x) {                     \
        dot_numbers(y, type, panels, n_panels, cols, x);                                                               \
    }
DOT(dot_f32, QINS_F32)
DOT(dot_f16, QINS_F16)
DOT(dot_bf16, QINS_BF16)

static void dot_keys_qins8(float *y, const void *panels, size_t n_panels, size_t cols, const float *x) {
    for (size_t row = 0; row < n_panels * QINS_PANEL; row++) {
        const int8_t *codes = (const int8_t *)panels + row / QINS_PANEL * cols * QINS_PANEL + row % QINS_PANEL;
        y[row] = 0.0f;
        for (size_t start = 0; start < cols; start += QINS_UNIT) {
            float chain = 0.0f;
            for (size_t i = start; i < cols && i < start + QINS_UNIT; i++)
                chain = fmaf(qins_t_value(codes[i * QINS_PANEL]), x[i], chain);
            y[row] += chain;
        }
    }
}

static void widen_f32(float *out, const void *in, size_t n) {
    memcpy(out, in, n * sizeof *out);
}

static void widen_f16(float *out, const void *in, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = qins_f32_from_f16(((const uint16_t *)in)[i]);
}

static void widen_bf16(float *out, const void *in, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = qins_f32_from_bf16(((const uint16_t *)in)[i]);
}

static void widen_qins8(float *out, const void *in, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = qins_t_value(((const int8_t *)in)[i]);
}

static void widen_qins4(float *out, const void *in, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const uint8_t *block = (const uint8_t *)in + i / QINS_BLOCK * QINS_NIBBLE_BYTES;
        const int code = block[i % 16] >> (i % QINS_BLOCK < 16 ? 0 : 4) & 15, scale = block[QINS_NIBBLE_BYTES - 1];
        out[i] = (float)(qins4_table[code] + 3 * (scale & 1)) * (float)qins_types[QINS_QINS4].k(scale);
    }
}

static void add_widened(float *out, void (*widen)(float *, const void *, size_t), const void *values, size_t row_bytes,
                        size_t cols, size_t n, const float *weights) {
    float row[QINS_BLOCK];
    for (size_t col = 0; col < cols; col += QINS_BLOCK) {
        const size_t width = cols - col < QINS_BLOCK ? cols - col : QINS_BLOCK;
        float chain[QINS_BLOCK] = {0};
        for (size_t i = 0; i < n; i++) {
            widen(row, (const uint8_t *)values + i * row_bytes + col * row_bytes / cols, width);
            for (size_t lane = 0; lane < width; lane++) chain[lane] = fmaf(weights[i], row[lane], chain[lane]);
        }
        for (size_t lane = 0; lane < width; lane++) out[col + lane] += chain[lane];
    }
}

#define ADD(name, type)                                                                                                \
    static void add_##name(float *out, const void *values, size_t cols, size_t n, const float *weights) {              \
        add_widened(out, widen_##name, values, qins_values_bytes(type, cols), cols, n, weights);                       \
    }
ADD(f32, QINS_F32)
ADD(f16, QINS_F16)
ADD(qins8, QINS_QINS8)
ADD(qins4, QINS_QINS4)

static size_t narrow(uint16_t *out, const float *x, size_t n) {
    const float largest = 65504.0f;
    size_t n_clamped = 0;
    for (size_t i = 0; i < n; i++) {
        const bool beyond = fabsf(x[i]) > largest;
        n_clamped += beyond;
        out[i] = qins_f16_from_f32(beyond ? copysignf(largest, x[i]) : x[i]);
    }
    return n_clamped;
}

static float value_codes(int8_t *codes, float d, const float *x, size_t n) {
    float lanes[LANES] = {0};
    for (size_t i = 0; i < n; i++) {
        codes[i] = (int8_t)qins_nearest_t(x[i] / d);
        const float error = x[i] - d * qins_t_value(codes[i]);
        lanes[i % LANES] = fmaf(error, error, lanes[i % LANES]);
    }
    return sum_lanes(lanes);
}

// --- norms and activation functions ---

// exp(x) = 2^n exp(r) with n = round(x / ln 2) and |r| <= ln 2 / 2, ln 2 in two parts of which the first times n is
// exact; exp(r) is its Taylor polynomial of degree 7, whose remainder is below 2^-27. Adding and subtracting 1.5 * 2^23
// rounds to an integer, which stands in the lowest bits of the sum.
float qins_exp(float x) {
    static const float taylor[] = {1.0f / 5040, 1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f};
    if (x < -87.3f) return 0.0f;
    x = x > 88.02f ? 88.02f : x;
    const float shifted = fmaf(x, 0x1.715476p+0f, 0x1.8p23f), n = shifted - 0x1.8p23f;
    float r = fmaf(n, -0x1.62e4p-1f, x);
    r = fmaf(n, -0x1.7f7d1cp-20f, r);
    float y = taylor[0];
    for (size_t i = 1; i < sizeof taylor / sizeof *taylor; i++) y = fmaf(y, r, taylor[i]);
    return y * qins_f32_from_bits((qins_f32_bits(shifted) << 23) + (127u << 23));
}

static void rmsnorm(float *out, const float *x, const float *weight, size_t n, float eps) {
    float lanes[LANES] = {0};
    for (size_t i = 0; i < n; i++) lanes[i % LANES] = fmaf(x[i], x[i], lanes[i % LANES]);
    const float factor = 1.0f / sqrtf(sum_lanes(lanes) / (float)n + eps);
    for (size_t i = 0; i < n; i++) out[i] = x[i] * factor * weight[i];
}

static void swiglu(float *out, const float *gate, const float *up, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = up[i] * (gate[i] / (1.0f + qins_exp(-gate[i])));
}

static float scale_max(float *x, size_t n, float factor) {
    float largest = -INFINITY;
    for (size_t i = 0; i < n; i++) {
        x[i] *= factor;
        largest = x[i] > largest ? x[i] : largest;
    }
    return largest;
}

static float exp_sum(float *x, size_t n, float max, const float *factors) {
    float lanes[LANES] = {0};
    for (size_t i = 0; i < n; i++) {
        const float exponential = qins_exp(x[i] - max);
        lanes[i % LANES] += exponential;
        x[i] = factors == NULL ? exponential : exponential * factors[i];
    }
    return sum_lanes(lanes);
}

static void nearest(qins_type type, int8_t *codes, float *v, const float *u, const uint8_t *scales) {
    for (int i = 0; i < LANES; i++) {
        codes[i] = (int8_t)qins_types[type].nearest(u[i], scales[i]);
        v[i] = (float)qins_types[type].value(codes[i], scales[i]);
    }
}

// The slots of a coded type.
#define CODED(name, type)                                                                                              \
    static void unpack_##name(int16_t *v, const uint8_t *codes, const uint8_t *scales, size_t n_units) {               \
        unpack(type, v, codes, scales, n_units);                                                                       \
    }                                                                                                                  \
    static void nearest_##name(int8_t *codes, float *v, const float *u, const uint8_t *scales) {                       \
        nearest(type, codes, v, u, scales);                                                                            \
    }
CODED(qins8, QINS_QINS8)
CODED(qins6, QINS_QINS6)
CODED(qins5, QINS_QINS5)
CODED(qins4, QINS_QINS4)
#define EACH_CODE(slot)                                                                                                \
    {                                                                                                                  \
        [QINS_QINS8] = slot##_qins8, [QINS_QINS6] = slot##_qins6, [QINS_QINS5] = slot##_qins5,                         \
        [QINS_QINS4] = slot##_qins4                                                                                    \
    }

const qins_kernels qins_kernels_scalar = {
    .quantize = quantize,
    .dot_coded =
        {[QINS_QINS8] = dot_coded, [QINS_QINS6] = dot_coded, [QINS_QINS5] = dot_coded, [QINS_QINS4] = dot_coded},
    .dot_values = {[QINS_F32] = dot_f32, [QINS_F16] = dot_f16, [QINS_BF16] = dot_bf16, [QINS_QINS8] = dot_keys_qins8},
    .unpack = EACH_CODE(unpack),
    .multiply = multiply,
    .gemm = gemm,
    .widen = {[QINS_F32] = widen_f32,
              [QINS_F16] = widen_f16,
              [QINS_BF16] = widen_bf16,
              [QINS_QINS8] = widen_qins8,
              [QINS_QINS4] = widen_qins4},
    .add_values = {[QINS_F32] = add_f32, [QINS_F16] = add_f16, [QINS_QINS8] = add_qins8, [QINS_QINS4] = add_qins4},
    .narrow = narrow,
    .value_codes = value_codes,
    .rmsnorm = rmsnorm,
    .swiglu = swiglu,
    .scale_max = scale_max,
    .exp_sum = exp_sum,
    .nearest = EACH_CODE(nearest),
    .integer_rounds = integer_rounds,
};
