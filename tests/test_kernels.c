// Every tier of kernels against plain loops in double: all types, odd sizes, pointers without alignment, memory that
// ends at a guard page.
#include "engine/base/half.h"
#include "tests/support.h"

#include <float.h>
#include <math.h>
#include <string.h>

// A sum of n products in FP32, whatever its order and with or without FMA, is off by at most about n * 2^-24 * sum
// |a||b| (Higham 2002, section 3.1); lanes and blocks make it far less in practice. The 16 leave
// room for a scale that a tier applies after its block and for the sums of lanes.
static double dot_tolerance(size_t n, double absolute) {
    return (double)(n + 16) * 0x1p-24 * absolute;
}

static const qins_type types[] = {QINS_F32, QINS_F16, QINS_BF16, QINS_QINS8};
enum { N_TYPES = 4 };

static const size_t sizes[] = {1,  2,  3,  5,  7,   8,   15,  16,  17,  31,  32,  33,  47,  48,  63, 64,
                               65, 79, 96, 97, 100, 127, 128, 129, 191, 192, 193, 200, 512, 513, 700};
enum { N_SIZES = sizeof sizes / sizeof sizes[0] };

// The matrix with its arrays in front of guard pages, so that one byte read too far ends the test.
static qins_matrix guarded_matrix(test_guards *guards, const qins_matrix *matrix) {
    qins_matrix copy = *matrix;
    copy.data = guarded_copy(guards, matrix->data, matrix_data_bytes(matrix));
    copy.scales = matrix->scales == NULL ? NULL : guarded_copy(guards, matrix->scales, matrix_scale_bytes(matrix));
    return copy;
}

static void check_decode(const qins_kernels *tier, const test_matrix *made, const qins_matrix *matrix) {
    const size_t cols = matrix->cols;
    for (size_t row = 0; row < matrix->rows; row++) {
        for (size_t n_rows = 0; row + n_rows <= matrix->rows; n_rows++) {
            test_guards guards = {0};
            float *out = guarded(&guards, n_rows * cols * sizeof *out);
            qins_decode_rows(tier, out, matrix, row, n_rows);
            for (size_t i = 0; i < n_rows * cols; i++) // exact: decoded values are the same on every tier
                cr_assert_eq(out[i], made->values[row * cols + i], "%s %s: %zu rows of %zu, value %zu", tier->name,
                             qins_types[matrix->type].name, n_rows, cols, i);
            guards_free(&guards);
        }
    }
}

static void dot(const qins_kernels *tier, float *out, const qins_matrix *w, size_t row, size_t n_rows, const float *x) {
    test_guards guards = {0};
    float *arranged = guarded(&guards, (w->cols + 63) / 64 * 64 * sizeof *arranged);
    tier->dot_rows(out, w, row, n_rows, qins_arranged(tier, arranged, w, x));
    guards_free(&guards);
}

static void check_dot(const qins_kernels *tier, const test_matrix *made, const qins_matrix *matrix, const float *x) {
    const size_t cols = matrix->cols;
    if (matrix->block != 0 && matrix->block != 64) return; // not offered
    for (size_t row = 0; row < matrix->rows; row++) {
        test_guards guards = {0};
        const size_t n_rows = matrix->rows - row;
        float *out = guarded(&guards, n_rows * sizeof *out);
        dot(tier, out, matrix, row, n_rows, x);
        for (size_t r = 0; r < n_rows; r++) {
            double sum = 0, absolute = 0;
            for (size_t i = 0; i < cols; i++) {
                double product = made->values[(row + r) * cols + i] * (double)x[i];
                sum += product;
                absolute += fabs(product);
            }
            cr_assert_leq(fabs(out[r] - sum),
                          dot_tolerance(cols, absolute) + split_error(tier, matrix->type, cols, absolute),
                          "%s %s: %zu columns: %g instead of %g", tier->name, qins_types[matrix->type].name, cols,
                          (double)out[r], sum);
        }
        guards_free(&guards);
    }
}

static void check_add(const qins_kernels *tier, const test_matrix *made, const qins_matrix *matrix, const float *x) {
    const size_t cols = matrix->cols;
    test_random random = {cols};
    for (size_t row = 0; row < matrix->rows; row++) {
        test_guards guards = {0};
        const size_t n_rows = matrix->rows - row;
        float *out = guarded_copy(&guards, x, cols * sizeof *out); // something to add to
        float *weights = guarded(&guards, n_rows * sizeof *weights);
        random_fill(&random, weights, n_rows);
        tier->add_rows(out, matrix, row, n_rows, weights);
        for (size_t i = 0; i < cols; i++) {
            double sum = x[i], absolute = fabs(sum);
            for (size_t r = 0; r < n_rows; r++) {
                double product = (double)weights[r] * made->values[(row + r) * cols + i];
                sum += product;
                absolute += fabs(product);
            }
            cr_assert_leq(fabs(out[i] - sum), dot_tolerance(n_rows, absolute), "%s %s: %zu rows of %zu, value %zu",
                          tier->name, qins_types[matrix->type].name, n_rows, cols, i);
        }
        guards_free(&guards);
    }
}

typedef void check_matrix(const qins_kernels *tier, const test_matrix *made, const qins_matrix *matrix, const float *x);

// Every tier, type and size; coded types with blocks of 64 and with one block a row, as the KV cache has them.
static void each_matrix(check_matrix *check) {
    size_t n_tiers;
    const qins_kernels *const *tiers = kernel_tiers(&n_tiers);
    for (size_t t = 0; t < n_tiers * N_TYPES; t++) {
        const qins_kernels *tier = tiers[t / N_TYPES];
        const qins_type type = types[t % N_TYPES];
        for (size_t s = 0; s < N_SIZES; s++) {
            for (int row_blocks = 0; row_blocks <= qins_type_is_coded(type); row_blocks++) {
                test_guards guards = {0};
                test_random random = {s};
                test_matrix *made = matrix_make(type, 5, sizes[s], row_blocks ? sizes[s] : 0, s * N_TYPES + t);
                qins_matrix matrix = guarded_matrix(&guards, &made->matrix);
                float *x = guarded(&guards, sizes[s] * sizeof *x);
                random_fill(&random, x, sizes[s]);
                check(tier, made, &matrix, x);
                guards_free(&guards);
                matrix_free(made);
            }
        }
    }
}

static void decode_case(const qins_kernels *tier, const test_matrix *made, const qins_matrix *matrix, const float *x) {
    (void)x;
    check_decode(tier, made, matrix);
}

Test(kernels, decode_rows) {
    each_matrix(decode_case);
}

Test(kernels, dot_rows) {
    each_matrix(check_dot);
}

Test(kernels, add_rows) {
    each_matrix(check_add);
}

// Values of a type need no more alignment than their own size, and codes none at all: a head of the KV cache may begin
// anywhere. A large block places each array at every offset within 64 bytes.
Test(kernels, pointers_of_any_alignment) {
    enum { ROWS = 2, COLS = 100 };
    static _Alignas(64) uint8_t data[ROWS * COLS * 4 + 256], scales[256];
    static _Alignas(64) float xs[COLS + 16];
    size_t n_tiers;
    const qins_kernels *const *tiers = kernel_tiers(&n_tiers);
    for (size_t t = 0; t < n_tiers * N_TYPES; t++) {
        test_matrix *made = matrix_make(types[t % N_TYPES], ROWS, COLS, 0, t);
        const size_t step = types[t % N_TYPES] == QINS_QINS8 ? 1 : qins_types[types[t % N_TYPES]].bits / 8;
        for (size_t offset = 0; offset < 64; offset += step) {
            qins_matrix matrix = made->matrix;
            test_random random = {offset};
            float *x = xs + offset % 16;
            matrix.data = memcpy(data + offset, made->data, matrix_data_bytes(&matrix));
            if (matrix.block > 0)
                matrix.scales = memcpy(scales + offset / 2 * 2, made->scales, matrix_scale_bytes(&matrix));
            random_fill(&random, x, COLS);
            check_decode(tiers[t / N_TYPES], made, &matrix);
            check_dot(tiers[t / N_TYPES], made, &matrix, x);
            check_add(tiers[t / N_TYPES], made, &matrix, x);
        }
        matrix_free(made);
    }
}

// Subnormals are numbers: no tier may flush them to zero where they matter, and zeros stay zeros.
Test(kernels, zeros_subnormals_and_the_largest_codes) {
    enum { COLS = 64 };
    size_t n_tiers;
    const qins_kernels *const *tiers = kernel_tiers(&n_tiers);
    qins_codebook book;
    qins_codebook_make(&book, QINS_PROJECTIVE, 0);
    for (size_t t = 0; t < n_tiers; t++) {
        float values[COLS] = {0x1p-140f, -0x1p-149f, 0x1p-126f, 0.0f, -0.0f}, x[COLS], out[COLS], sum;
        qins_matrix plain = {.type = QINS_F32, .rows = 1, .cols = COLS, .data = values};
        qins_decode_rows(tiers[t], out, &plain, 0, 1);
        cr_expect_eq(memcmp(out, values, sizeof values), 0, "%s", tiers[t]->name);
        for (int i = 0; i < COLS; i++) x[i] = 0x1p120f;
        dot(tiers[t], &sum, &plain, 0, 1, x);
        cr_expect_eq(sum, 0x1p-20f - 0x1p-29f + 0x1p-6f, "%s: %a", tiers[t]->name, (double)sum);

        uint16_t halves[COLS] = {0x0001, 0x8001, 0x03FF, 0x0000, 0x8000}; // subnormal in FP16 and in BF16
        qins_matrix f16 = {.type = QINS_F16, .rows = 1, .cols = COLS, .data = halves}, bf16 = f16;
        bf16.type = QINS_BF16;
        qins_decode_rows(tiers[t], out, &f16, 0, 1);
        for (int i = 0; i < 5; i++) cr_expect_eq(out[i], qins_f32_from_f16(halves[i]));
        qins_decode_rows(tiers[t], out, &bf16, 0, 1);
        for (int i = 0; i < 5; i++) cr_expect_eq(out[i], qins_f32_from_bf16(halves[i]));

        uint8_t codes[COLS] = {0x00, 0x80, 0x7F, 0xFF, 0x7E};
        const uint16_t scales[] = {0x7F7F, 0x0001, 0x0000}; // largest, smallest, zero
        for (int i = 0; i < 3; i++) {
            const qins_matrix coded = {.type = QINS_QINS8,
                                       .rows = 1,
                                       .cols = COLS,
                                       .block = 64,
                                       .data = codes,
                                       .scales = &scales[i],
                                       .book = &book};
            float d = qins_f32_from_bf16(scales[i]);
            qins_decode_rows(tiers[t], out, &coded, 0, 1);
            cr_expect(out[0] == d && out[1] == -d && out[2] == 0 && out[3] == 0, "%s", tiers[t]->name);
            cr_expect_eq(out[4], d * book.value[0x7E]);
        }
    }
}

// NaN and infinity in x must not vanish: the session's check of the logits relies on it.
Test(kernels, what_is_not_finite_stays_so) {
    size_t n_tiers;
    const qins_kernels *const *tiers = kernel_tiers(&n_tiers);
    for (size_t t = 0; t < n_tiers * N_TYPES; t++) {
        test_matrix *made = matrix_make(types[t % N_TYPES], 1, 97, 0, t);
        const qins_kernels *tier = tiers[t / N_TYPES];
        for (int at = 0; at < 97; at += 8) {
            float x[97] = {0}, sum;
            x[at] = NAN;
            dot(tier, &sum, &made->matrix, 0, 1, x);
            cr_expect(isnan(sum), "%s %s: NaN at %d", tier->name, qins_types[made->matrix.type].name, at);
            cr_expect(isnan(tier->exp_sum(x, 97, 0)), "%s", tier->name);
        }
        matrix_free(made);
    }
}

// One rounding a step: square, sum, mean, eps, root, division, two products; the sum as for dot_rows, halved by the
// root.
Test(kernels, rmsnorm) {
    size_t n_tiers;
    const qins_kernels *const *tiers = kernel_tiers(&n_tiers);
    for (size_t t = 0; t < n_tiers * N_SIZES; t++) {
        const size_t n = sizes[t % N_SIZES];
        const qins_kernels *tier = tiers[t / N_SIZES];
        test_guards guards = {0};
        test_random random = {t};
        float *x = guarded(&guards, n * sizeof *x), *weight = guarded(&guards, n * sizeof *weight);
        float *out = guarded(&guards, n * sizeof *out);
        random_fill(&random, x, n);
        random_fill(&random, weight, n);
        tier->rmsnorm(out, x, weight, n, 1e-5f);
        double squares = 0;
        for (size_t i = 0; i < n; i++) squares += (double)x[i] * (double)x[i];
        const double factor = 1 / sqrt(squares / (double)n + (double)1e-5f);
        for (size_t i = 0; i < n; i++) {
            double expected = (double)x[i] * factor * (double)weight[i];
            cr_assert_leq(fabs(out[i] - expected), ((double)n / 2 + 8) * 0x1p-24 * fabs(expected), "%s: %zu of %zu",
                          tier->name, i, n);
        }
        tier->rmsnorm(x, x, weight, n, 1e-5f); // in place
        cr_assert_eq(memcmp(x, out, n * sizeof *x), 0, "%s: in place", tier->name);
        memset(x, 0, n * sizeof *x);
        tier->rmsnorm(out, x, weight, n, 1e-5f);
        for (size_t i = 0; i < n; i++) cr_assert_eq(out[i], 0, "%s: zeros", tier->name);
        guards_free(&guards);
    }
}

// expf is good to 1 or 2 units in the last place (4 for a tier's own), and its argument is rounded, which moves the
// result by |argument| * 2^-24.
static double exp_tolerance(double argument) {
    return (8 + fabs(argument)) * 0x1p-24;
}

Test(kernels, swiglu) {
    size_t n_tiers;
    const qins_kernels *const *tiers = kernel_tiers(&n_tiers);
    const float extremes[] = {0.0f, -0.0f, 100.0f, -100.0f, 1e30f, -1e30f, 0x1p-140f, -88.5f, 88.5f, -104.0f};
    for (size_t t = 0; t < n_tiers * N_SIZES; t++) {
        const size_t n = sizes[t % N_SIZES];
        const qins_kernels *tier = tiers[t / N_SIZES];
        test_guards guards = {0};
        test_random random = {t};
        float *gate = guarded(&guards, n * sizeof *gate), *up = guarded(&guards, n * sizeof *up);
        float *out = guarded(&guards, n * sizeof *out);
        random_fill(&random, gate, n);
        random_fill(&random, up, n);
        for (size_t i = 0; i < n; i++) gate[i] = i % 3 == 0 ? extremes[i / 3 % 10] : gate[i] * 5;
        tier->swiglu(out, gate, up, n);
        for (size_t i = 0; i < n; i++) {
            double g = gate[i], expected = (double)up[i] * (g / (1 + exp(-g)));
            double tolerance = exp_tolerance(g) * fabs(expected) + (double)FLT_MIN * fabs((double)up[i]); // underflow
            cr_assert_leq(fabs(out[i] - expected), tolerance, "%s: gate %g: %g instead of %g", tier->name, g,
                          (double)out[i], expected);
        }
        guards_free(&guards);
    }
}

Test(kernels, exp_sum) {
    size_t n_tiers;
    const qins_kernels *const *tiers = kernel_tiers(&n_tiers);
    for (size_t t = 0; t < n_tiers * N_SIZES; t++) {
        const size_t n = sizes[t % N_SIZES];
        const qins_kernels *tier = tiers[t / N_SIZES];
        test_guards guards = {0};
        test_random random = {t};
        float *x = guarded(&guards, n * sizeof *x), original[700], max = -INFINITY;
        for (size_t i = 0; i < n; i++) {
            x[i] = original[i] = random_bell(&random) * (i % 7 == 0 ? 60 : 3);
            max = original[i] > max ? original[i] : max;
        }
        if (n > 2) x[1] = original[1] = -INFINITY;
        const float sum = tier->exp_sum(x, n, max);
        double expected_sum = 0;
        for (size_t i = 0; i < n; i++) {
            double argument = (double)original[i] - (double)max, expected = exp(argument);
            double tolerance = expected == 0 ? 0 : exp_tolerance(argument) * expected + (double)FLT_MIN;
            expected_sum += expected;
            cr_assert_leq(fabs(x[i] - expected), tolerance, "%s: exp(%g) is %g", tier->name, argument, (double)x[i]);
        }
        cr_assert_leq(fabs(sum - expected_sum), ((double)n + 16) * 0x1p-24 * expected_sum, "%s", tier->name);
        guards_free(&guards);
    }
}

Test(kernels, the_chosen_tier_is_one_of_those_tested) {
    size_t n_tiers, found = 0;
    const qins_kernels *const *tiers = kernel_tiers(&n_tiers);
    for (size_t t = 0; t < n_tiers; t++) found += tiers[t] == qins_kernels_get();
    cr_expect_eq(found, 1);
}
