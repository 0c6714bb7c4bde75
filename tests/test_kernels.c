// The scalar tier against plain arithmetic in double, or in integers, that shares nothing with it.
#include "engine/base/half.h"
#include "engine/kernels/encoder.h"
#include "tests/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// A sum of n products in FP32 is off by at most about n * 2^-24 * sum |a||b| (Higham 2002, section 3.1); chains of 64
// that are added up make it far less.
static double sum_tolerance(size_t n, double absolute) {
    return (double)(n + 16) * 0x1p-24 * absolute;
}

// X and its exponent by definition: e is the smallest from -126 on with |x| <= 8191 * 2^e.
Test(kernels, quantize) {
    enum { N = 200, PADDED = 256 };
    static const double magnitudes[] = {1, 1e-3, 8191, 8191.5, 8192, 1e30, 3e38, 1e-36, 1e-42, 0};
    for (size_t i = 0; i < sizeof magnitudes / sizeof magnitudes[0]; i++) {
        test_random random = {i};
        float x[N], scale[PADDED / QINS_UNIT];
        int16_t x_int[PADDED];
        for (size_t j = 0; j < N; j++) x[j] = (float)(magnitudes[i] * (double)random_uniform(&random));
        x[7] = (float)magnitudes[i];
        qins_kernels_scalar.quantize(x_int, scale, x, N);
        for (size_t block = 0; block * QINS_UNIT < N; block++) {
            double max = 0;
            for (size_t j = block * QINS_UNIT; j < N && j < (block + 1) * QINS_UNIT; j++)
                max = fmax(max, fabs((double)x[j]));
            int exponent = -126;
            while (max > 8191 * ldexp(1, exponent)) exponent++;
            cr_assert_eq(scale[block], ldexp(1, exponent), "%g: %g", max, (double)scale[block]);
            for (size_t j = 0; j < QINS_UNIT; j++) {
                const size_t col = block * QINS_UNIT + j, swapped[] = {0, 2, 1, 3};
                const double value = col < N ? (double)x[col] : 0;
                cr_assert_eq(x_int[col / 4 * 4 + swapped[col % 4]], nearbyint(value / ldexp(1, exponent)));
            }
        }
    }
}

Test(kernels, quantize_marks_what_is_not_finite) {
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 3; i++) {
        float x[130] = {1.0f}, scale[3];
        int16_t x_int[192];
        x[100] = bad[i];
        qins_kernels_scalar.quantize(x_int, scale, x, 130);
        cr_expect(isnan(scale[1]) && !isnan(scale[0]) && !isnan(scale[2]));
        for (int j = 64; j < 128; j++) cr_expect_eq(x_int[j], 0);
    }
}

// Exact sums of a block by 64-bit integers, then one fma a block.
static void check_dot_coded(qins_type type, size_t rows, size_t cols) {
    test_random random = {rows + cols};
    test_matrix *made = matrix_make(type, QINS_PANELS, rows, cols, rows * cols);
    const size_t padded = qins_round_up(cols, QINS_UNIT);
    float *x = calloc(padded, sizeof *x), *scale = malloc(padded / QINS_UNIT * sizeof *scale);
    int16_t *x_int = malloc(padded * sizeof *x_int);
    float *y = malloc(qins_panels(rows) * QINS_PANEL * sizeof *y);
    cr_assert(x != NULL && scale != NULL && x_int != NULL && y != NULL);
    random_fill(&random, x, cols);
    qins_kernels_scalar.quantize(x_int, scale, x, cols);
    qins_kernels_scalar.dot_coded[type](y, &made->matrix, 0, qins_panels(rows), x_int, scale);
    for (size_t row = 0; row < rows; row++) {
        float expected = 0;
        double exact = 0, absolute = 0;
        for (size_t start = 0; start < cols; start += QINS_UNIT) {
            double products = 0, d = 0; // sums of integers below 2^53: exact
            for (size_t i = start; i < cols && i < start + QINS_UNIT; i++) {
                const uint8_t *panel = qins_panel_at(&made->matrix, row / QINS_PANEL);
                const qins_stretch stretch =
                    qins_stretch_at(panel, qins_unit_bytes(type), cols, i / QINS_STRETCH * QINS_STRETCH);
                d = qins_f32_from_bf16(stretch.d[row % QINS_PANEL]);
                const double v = made->values[row * cols + i] / d,
                             rounded = nearbyint((double)x[i] / (double)scale[start / 64]);
                cr_assert_eq(v, nearbyint(v));
                products += v * rounded;
                exact += made->values[row * cols + i] * (double)x[i];
                absolute += fabs(made->values[row * cols + i] * (double)x[i]);
            }
            expected = fmaf((float)d * scale[start / QINS_UNIT], (float)products, expected);
        }
        cr_assert_eq(y[row], expected, "%zu x %zu, row %zu: %a, not %a", rows, cols, row, (double)y[row],
                     (double)expected);
        cr_expect_leq(fabs(y[row] - exact), 1e-3 * absolute + 1e-30, "activations have 13 bits and a sign");
    }
    free(x);
    free(scale);
    free(x_int);
    free(y);
    matrix_free(made);
}

Test(kernels, dot_coded) {
    static const size_t cols[] = {1, 63, 64, 65, 512, 513, 1100};
    for (int type = 0; type < QINS_TYPE_COUNT; type++)
        for (size_t i = 0; i < 7 && qins_type_is_coded((qins_type)type); i++)
            check_dot_coded((qins_type)type, 1 + 9 * i, cols[i]);
}

static void check_values(qins_type type, size_t rows, size_t cols) {
    test_random random = {rows + cols};
    test_matrix *made = matrix_make(type, QINS_PANELS, rows, cols, rows * cols);
    float *x = malloc(cols * sizeof *x), *y = malloc(qins_panels(rows) * QINS_PANEL * sizeof *y);
    cr_assert(x != NULL && y != NULL);
    random_fill(&random, x, cols);
    qins_kernels_scalar.dot_values[type](y, made->data, qins_panels(rows), cols, x);
    for (size_t row = 0; row < rows; row++) {
        double sum = 0, absolute = 0;
        for (size_t i = 0; i < cols; i++) {
            sum += made->values[row * cols + i] * (double)x[i];
            absolute += fabs(made->values[row * cols + i] * (double)x[i]);
        }
        cr_assert_leq(fabs((double)y[row] - sum), sum_tolerance(cols, absolute));
    }
    free(x);
    free(y);
    matrix_free(made);
}

Test(kernels, dot_values) {
    static const size_t cols[] = {1, 63, 64, 65, 300};
    for (int type = 0; type < QINS_TYPE_COUNT; type++)
        for (size_t i = 0; i < 5 && !qins_type_is_coded((qins_type)type); i++)
            check_values((qins_type)type, 1 + 9 * i, cols[i]);
}

Test(kernels, gemm_and_add_values) {
    enum { M = 5, N = 32, K = 150 };
    test_random random = {3};
    static float a[M * K], b[K * N], c[M * N], before[M * N], out[N];
    random_fill(&random, a, M * K);
    random_fill(&random, b, K * N);
    random_fill(&random, c, M * N);
    memcpy(before, c, sizeof c);
    memcpy(out, c, sizeof out);
    qins_kernels_scalar.gemm(&(qins_gemm){c, a, b, N, K, N, 16, M, N, K});
    qins_kernels_scalar.add_values[QINS_F32](out, b, N, QINS_UNIT, a);
    for (size_t i = 0; i < M; i++) {
        for (size_t j = 0; j < N; j++) {
            double sum = before[i * N + j], absolute = fabs(sum), part = sum;
            for (size_t k = 0; k < K; k++) {
                sum += (double)a[i * K + k] * (double)b[k * N + j];
                if (k < QINS_UNIT) part += (double)a[k] * (double)b[k * N + j];
                absolute += fabs((double)a[i * K + k] * (double)b[k * N + j]);
            }
            cr_assert_leq(fabs((double)c[i * N + j] - sum), sum_tolerance(K, absolute));
            if (i == 0) cr_assert_leq(fabs((double)out[j] - part), sum_tolerance(K, absolute));
        }
    }
}

Test(kernels, exp_is_near_exp) {
    for (double x = -87.2; x < 88.0; x += 0.0137) {
        const double expected = exp((float)x);
        cr_assert_leq(fabs(qins_exp((float)x) - expected), 2.5 * 0x1p-24 * expected, "%g", x);
    }
    cr_expect_eq(qins_exp(0), 1.0f);
    cr_expect_eq(qins_exp(-INFINITY), 0.0f);
    cr_expect_eq(qins_exp(-88), 0.0f);
    cr_expect(isfinite(qins_exp(INFINITY)) && qins_exp(INFINITY) > 1e38f);
    cr_expect(isnan(qins_exp(NAN)));
}

Test(kernels, norm_activation_and_softmax) {
    enum { N = 333 };
    test_random random = {5};
    float x[N], y[N], out[N];
    random_fill(&random, x, N);
    random_fill(&random, y, N);
    double squares = 0;
    for (int i = 0; i < N; i++) squares += (double)x[i] * (double)x[i];
    qins_kernels_scalar.rmsnorm(out, x, y, N, 1e-5f);
    for (int i = 0; i < N; i++) {
        const double expected = (double)x[i] / sqrt(squares / N + 1e-5) * (double)y[i];
        cr_assert_leq(fabs((double)out[i] - expected), 1e-6 * fabs(expected));
    }
    qins_kernels_scalar.swiglu(out, x, y, N);
    for (int i = 0; i < N; i++) {
        const double expected = (double)y[i] * (double)x[i] / (1 + exp(-(double)x[i]));
        cr_assert_leq(fabs((double)out[i] - expected), 1e-6 * fabs(expected));
    }
    memcpy(out, x, sizeof out);
    const float max = qins_kernels_scalar.scale_max(out, N, 0.5f);
    double largest = -INFINITY, sum = 0;
    for (int i = 0; i < N; i++) largest = fmax(largest, 0.5 * (double)x[i]);
    cr_assert_eq((double)max, largest);
    for (int i = 0; i < N; i++) sum += exp(0.5 * (double)x[i] - largest);
    cr_assert_leq(fabs((double)qins_kernels_scalar.exp_sum(out, N, max, y) - sum), 1e-6 * sum);
    for (int i = 0; i < N; i++) {
        const double expected = exp(0.5 * (double)x[i] - largest) * (double)y[i];
        cr_assert_leq(fabs((double)out[i] - expected), 1e-6 * fabs(expected));
    }
    cr_expect_eq(qins_kernels_scalar.scale_max(out, 0, 1.0f), -INFINITY);
    out[0] = NAN, out[1] = 3.0f;
    cr_expect_eq(qins_kernels_scalar.scale_max(out, 2, 1.0f), 3.0f, "NaN is ignored");
}

Test(kernels, narrow_clamps_and_counts) {
    const float x[] = {65504.0f, -65504.0f, 65505.0f, 65520.0f, 1e30f, -INFINITY, NAN, 1.0f, 1e-8f};
    const float expected[] = {65504, -65504, 65504, 65504, 65504, -65504, NAN, 1, 0};
    uint16_t halves[9];
    cr_expect_eq(qins_kernels_scalar.narrow(halves, x, 9), 4);
    for (int i = 0; i < 9; i++) {
        const float read = qins_f32_from_f16(halves[i]);
        cr_expect(isnan(expected[i]) ? isnan(read) : read == expected[i], "%d: %g", i, (double)read);
    }
}

// Values in the cache: every d tried is worse, and each code is the best or as good as the best one.
Test(kernels, encode_cached_qins8) {
    enum { N = 96 };
    for (uint64_t seed = 0; seed < 20; seed++) {
        test_random random = {seed};
        float x[N];
        int8_t codes[N];
        uint16_t d;
        random_fill(&random, x, N);
        qins_encode_cached_qins8(&qins_kernels_scalar, codes, &d, x, N);
        const double scale = qins_f32_from_bf16(d);
        double error = 0, squares = 0;
        for (int i = 0; i < N; i++) {
            double best = INFINITY;
            for (int s = -127; s <= 127; s++) best = fmin(best, fabs((double)x[i] - scale * s * (abs(s) + 128)));
            const double own = fabs((double)x[i] - scale * codes[i] * (abs(codes[i]) + 128));
            cr_assert_leq(own, best + 0.6 * scale, "a quarter of T beside the middle of two codes, at most");
            error += own * own;
            squares += (double)x[i] * (double)x[i];
        }
        cr_expect_lt(error, squares * 4e-5);
    }
    int8_t codes[3];
    uint16_t d;
    qins_encode_cached_qins8(&qins_kernels_scalar, codes, &d, (float[]){0, 0, 0}, 3);
    cr_expect(d == 0 && codes[0] == 0 && codes[2] == 0);
    qins_encode_cached_qins8(&qins_kernels_scalar, codes, &d, (float[]){1, NAN, 0}, 3);
    cr_expect(isnan(qins_f32_from_bf16(d)));
}

// Squared error of a block under a scale byte, each value taking the code that is nearest of all.
static double error_of_scale(const float *x, double d, int scale) {
    double error = 0;
    for (int i = 0; i < QINS_BLOCK; i++) {
        double best = INFINITY;
        for (int code = 0; code < 16; code++)
            best = fmin(best, fabs((double)x[i] - d * qins_types[QINS_QINS4].value(code, scale)));
        error += best * best;
    }
    return error;
}

// Values in the cache in four bits: a scale byte is nearly as good as the best of all 256.
Test(kernels, encode_cached_qins4) {
    enum { N = 96 };
    double error = 0, least = 0, squares = 0;
    for (uint64_t seed = 0; seed < 40; seed++) {
        test_random random = {seed};
        float x[N], v[N];
        uint8_t bytes[N / QINS_BLOCK * QINS_NIBBLE_BYTES];
        uint16_t d;
        for (int i = 0; i < N; i++) x[i] = random_bell(&random);
        qins_encode_cached_qins4(scalar_encoder(QINS_QINS4), bytes, &d, x, N);
        qins_kernels_scalar.widen[QINS_QINS4](v, bytes, N);
        const double scale = (double)qins_f32_from_bf16(d);
        for (int start = 0; start < N; start += QINS_BLOCK) {
            double own = 0, best = INFINITY;
            for (int byte = 0; byte < 256; byte++) best = fmin(best, error_of_scale(x + start, scale, byte));
            for (int i = start; i < start + QINS_BLOCK; i++) own += pow((double)x[i] - scale * (double)v[i], 2);
            cr_assert_leq(own, 1.5 * best, "seed %d, block at %d: %g, %g is possible", (int)seed, start, own, best);
            error += own;
            least += best;
        }
        for (int i = 0; i < N; i++) squares += (double)x[i] * (double)x[i];
    }
    cr_expect_leq(error, 1.03 * least, "%g times the least error", error / least);
    cr_expect_leq(error, 5.5e-3 * squares, "%g of the squares", error / squares);
}

Test(kernels, nibbles_of_what_is_not_a_block_or_not_a_number) {
    const qins_encoder *encoder = scalar_encoder(QINS_QINS4);
    const float few[] = {1.0f, -2.0f, 0.5f}, bad[] = {NAN, INFINITY, -INFINITY};
    uint8_t bytes[QINS_NIBBLE_BYTES];
    float v[QINS_BLOCK];
    uint16_t d;
    qins_encode_cached_qins4(encoder, bytes, &d, few, 3);
    qins_kernels_scalar.widen[QINS_QINS4](v, bytes, QINS_BLOCK);
    for (int i = 0; i < 3; i++) cr_expect_float_eq(qins_f32_from_bf16(d) * v[i], few[i], 0.2f);
    qins_encode_cached_qins4(encoder, bytes, &d, (float[]){0, 0, 0}, 3);
    cr_expect_eq(d, 0);
    for (size_t i = 0; i < 3; i++) {
        qins_encode_cached_qins4(encoder, bytes, &d, (float[]){1, bad[i], 0}, 3);
        cr_expect(isnan(qins_f32_from_bf16(d)));
    }
}
