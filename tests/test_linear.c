// linear(): against plain loops in double, one token against many, and the same bits for any number of threads.
#include "engine/base/half.h"
#include "engine/kernels/linear.h"
#include "tests/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const qins_type types[] = {QINS_F32, QINS_F16, QINS_BF16, QINS_QINS8};
enum { N_TYPES = 4, MAX_THREADS = 4 };

static qins_compute start(size_t n_threads, qins_matmul matmul) {
    qins_compute compute;
    qins_error error = {0};
    qins_compute_init(&compute, n_threads, &error);
    expect_ok(&error);
    compute.matmul = matmul;
    return compute;
}

// Sums of `cols` products in FP32 in any order: see dot_tolerance in test_kernels.c.
static void expect_product(const float *y, const float *x, size_t n, const test_matrix *made) {
    const size_t rows = made->matrix.rows, cols = made->matrix.cols;
    for (size_t t = 0; t < n; t++) {
        for (size_t r = 0; r < rows; r++) {
            double sum = 0, absolute = 0;
            for (size_t i = 0; i < cols; i++) {
                double product = made->values[r * cols + i] * (double)x[t * cols + i];
                sum += product;
                absolute += fabs(product);
            }
            double split = n == 1 ? split_error(qins_kernels_get(), made->matrix.type, cols, absolute) : 0.0;
            cr_assert_leq(fabs(y[t * rows + r] - sum), (double)(cols + 16) * 0x1p-24 * absolute + split,
                          "%s [%zu, %zu], token %zu of %zu, row %zu: %g instead of %g",
                          qins_types[made->matrix.type].name, rows, cols, t, n, r, (double)y[t * rows + r], sum);
        }
    }
}

// y for 1..MAX_THREADS threads: the same bits; the first one is checked against the definition.
static void check_shape(qins_compute computes[MAX_THREADS], qins_type type, size_t rows, size_t cols, size_t n) {
    test_random random = {rows * 1000 + cols};
    test_matrix *made = matrix_make(type, rows, cols, 0, rows + cols);
    test_guards guards = {0};
    float *x = guarded(&guards, n * cols * sizeof *x), *y = guarded(&guards, n * rows * sizeof *y);
    float *first = malloc(n * rows * sizeof *first);
    cr_assert_not_null(first);
    random_fill(&random, x, n * cols);
    for (size_t t = 0; t < MAX_THREADS; t++) {
        memset(y, 0xFF, n * rows * sizeof *y); // NaN: whatever is not written shows
        qins_linear(&computes[t], y, x, n, &made->matrix);
        if (t == 0) memcpy(first, y, n * rows * sizeof *y);
        cr_assert_eq(memcmp(y, first, n * rows * sizeof *y), 0, "%s [%zu, %zu], %zu tokens: %zu threads differ",
                     qins_types[type].name, rows, cols, n, t + 1);
    }
    if (computes[0].matmul == QINS_MATMUL_BF16 && qins_type_is_coded(type) && n > 1)
        for (size_t i = 0; i < n * cols; i++) x[i] = qins_f32_from_bf16(qins_bf16_from_f32(x[i]));
    expect_product(first, x, n, made);
    free(first);
    guards_free(&guards);
    matrix_free(made);
}

static void each_type(qins_matmul matmul, const size_t shapes[][2], size_t n_shapes, const size_t *tokens,
                      size_t n_tokens) {
    qins_compute computes[MAX_THREADS];
    for (size_t t = 0; t < MAX_THREADS; t++) computes[t] = start(t + 1, matmul);
    for (size_t s = 0; s < n_shapes * N_TYPES; s++) {
        for (size_t i = 0; i < n_tokens; i++)
            check_shape(computes, types[s % N_TYPES], shapes[s / N_TYPES][0], shapes[s / N_TYPES][1], tokens[i]);
    }
    for (size_t t = 0; t < MAX_THREADS; t++) qins_compute_free(&computes[t]);
}

Test(linear, small_and_odd_shapes) {
    static const size_t shapes[][2] = {{1, 1}, {1, 200}, {200, 1}, {31, 33}, {32, 64}, {33, 65}, {65, 127}, {97, 129}};
    static const size_t tokens[] = {1, 2, 3, 17};
    each_type(QINS_MATMUL_SGEMM, shapes, 8, tokens, 4);
}

// Shapes that take several tiles, the last of them a part, and tokens that take several blocks.
static const size_t large_shapes[][2] = {{385, 40}, {800, 20}, {131, 4096}, {5, 30000}};
static const size_t some_tokens[] = {1, 2, 5, 130};

Test(linear, more_than_one_tile) {
    each_type(QINS_MATMUL_SGEMM, large_shapes, 4, some_tokens, 4);
}

// Activations of coded products are rounded, and nothing else is.
Test(linear, bf16_rounds_activations) {
    static const size_t shapes[][2] = {{1, 1}, {31, 33}, {32, 64}, {33, 65}, {65, 127}, {97, 129}};
    each_type(QINS_MATMUL_BF16, shapes, 6, some_tokens, 4);
    each_type(QINS_MATMUL_BF16, large_shapes, 4, some_tokens, 4);
}

// The longest row that fits a tile.
Test(linear, a_row_as_long_as_a_tile) {
    static const size_t shapes[][2] = {{3, QINS_TILE_FLOATS}};
    static const size_t tokens[] = {1, 2};
    each_type(QINS_MATMUL_SGEMM, shapes, 1, tokens, 2);
}

// One token alone and the same token among others: other sums (dot against sgemm), the same numbers within rounding.
Test(linear, one_token_equals_the_same_token_among_many) {
    enum { ROWS = 300, COLS = 500, N = 20 };
    qins_compute compute = start(3, QINS_MATMUL_SGEMM);
    for (size_t i = 0; i < N_TYPES; i++) {
        test_random random = {i};
        test_matrix *made = matrix_make(types[i], ROWS, COLS, 0, i);
        static float x[N * COLS], all[N * ROWS], one[ROWS];
        random_fill(&random, x, N * COLS);
        qins_linear(&compute, all, x, N, &made->matrix);
        for (size_t t = 0; t < N; t++) {
            qins_linear(&compute, one, x + t * COLS, 1, &made->matrix);
            for (size_t r = 0; r < ROWS; r++) { // both within the tolerance of the exact sum
                double absolute = 0;
                for (size_t c = 0; c < COLS; c++)
                    absolute += fabs(made->values[r * COLS + c] * (double)x[t * COLS + c]);
                cr_assert_leq(fabsf(one[r] - all[t * ROWS + r]), 2 * (COLS + 16) * 0x1p-24 * absolute);
            }
        }
        matrix_free(made);
    }
    qins_compute_free(&compute);
}

Test(linear, a_compute_that_was_never_made_can_be_freed) {
    qins_compute compute = {0};
    qins_compute_free(&compute);
    qins_error error = {0};
    cr_expect_neq(qins_compute_init(&compute, 0, &error), QINS_OK);
    expect_error(&error, QINS_USAGE, "threads cannot be started");
    qins_compute_free(&compute);
}
