// linear(): against plain loops in double, one token against many, and the same bits for any number of threads.
#include "engine/base/memory.h"
#include "engine/kernels/blas.h"
#include "engine/kernels/linear.h"
#include "tests/support.h"

#include <math.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_THREADS = 4 };

static qins_compute start(size_t n_threads, qins_matmul matmul) {
    qins_compute compute;
    qins_error error = {0};
    qins_blas_open(n_threads, &error);
    qins_compute_init(&compute, n_threads, &error);
    expect_ok(&error);
    compute.matmul = matmul;
    return compute;
}

// Sums of `cols` products in FP32 in any order: see sum_tolerance in test_kernels.c. rounded: what the rounding of
// activations may add, as a share of sum |a||b|.
static void expect_product(const float *y, const float *x, size_t n, const test_matrix *made, double rounded) {
    const size_t rows = made->matrix.rows, cols = made->matrix.cols;
    for (size_t t = 0; t < n; t++) {
        for (size_t r = 0; r < rows; r++) {
            double sum = 0, absolute = 0;
            for (size_t i = 0; i < cols; i++) {
                double product = made->values[r * cols + i] * (double)x[t * cols + i];
                sum += product;
                absolute += fabs(product);
            }
            cr_assert_leq(fabs(y[t * rows + r] - sum), (double)(cols + 16) * 0x1p-24 * absolute + rounded * absolute,
                          "%s [%zu, %zu], token %zu of %zu, row %zu: %g instead of %g",
                          qins_types[made->matrix.type].name, rows, cols, t, n, r, (double)y[t * rows + r], sum);
        }
    }
}

// Activations in blocks have 13 bits and a sign, relative to the block's largest: here far less than 1 % of each.
static double rounding(qins_matmul matmul, qins_type type) {
    return matmul == QINS_MATMUL_SGEMM || !qins_type_is_coded(type) ? 0.0 : 5e-3;
}

// y for 1..MAX_THREADS threads: the same bits; the first one is checked against the definition.
static void check_shape(qins_compute computes[MAX_THREADS], qins_type type, size_t rows, size_t cols, size_t n) {
    test_random random = {rows * 1000 + cols};
    test_matrix *made = matrix_make(type, QINS_PANELS, rows, cols, rows + cols);
    test_guards guards = {0};
    float *x = guarded(&guards, n * cols * sizeof *x), *y = guarded(&guards, n * rows * sizeof *y);
    float *first = malloc(n * rows * sizeof *first);
    cr_assert_not_null(first);
    for (size_t i = 0; i < n * cols; i++) x[i] = 1.0f + random_uniform(&random) * 0.9f;
    for (size_t t = 0; t < MAX_THREADS; t++) {
        memset(y, 0xFF, n * rows * sizeof *y); // NaN: whatever is not written shows
        qins_linear(&computes[t], y, x, n, &made->matrix);
        if (t == 0) memcpy(first, y, n * rows * sizeof *y);
        cr_assert_eq(memcmp(y, first, n * rows * sizeof *y), 0, "%s [%zu, %zu], %zu tokens: %zu threads differ",
                     qins_types[type].name, rows, cols, n, t + 1);
    }
    expect_product(first, x, n, made, rounding(computes[0].matmul, type));
    free(first);
    guards_free(&guards);
    matrix_free(made);
}

static void each_type(qins_matmul matmul, const size_t shapes[][2], size_t n_shapes, const size_t *tokens,
                      size_t n_tokens) {
    qins_compute computes[MAX_THREADS];
    for (size_t t = 0; t < MAX_THREADS; t++) computes[t] = start(t + 1, matmul);
    for (size_t s = 0; s < n_shapes * QINS_TYPE_COUNT; s++) {
        for (size_t i = 0; i < n_tokens; i++)
            check_shape(computes, (qins_type)(s % QINS_TYPE_COUNT), shapes[s / QINS_TYPE_COUNT][0],
                        shapes[s / QINS_TYPE_COUNT][1], tokens[i]);
    }
    for (size_t t = 0; t < MAX_THREADS; t++) qins_compute_free(&computes[t]);
}

static const size_t small_shapes[][2] = {{1, 1},   {1, 200}, {200, 1},  {31, 33},
                                         {32, 64}, {33, 65}, {65, 127}, {96, 129}};
static const size_t few_tokens[] = {1, 2, 3, 17};

// Shapes that take several tiles, the last of them a part, and tokens that take several blocks.
static const size_t large_shapes[][2] = {{385, 40}, {800, 20}, {132, 4096}, {5, 1600}};
static const size_t some_tokens[] = {1, 2, 5, 130};

Test(linear, exact) {
    each_type(QINS_MATMUL_EXACT, small_shapes, 8, few_tokens, 4);
    each_type(QINS_MATMUL_AUTO, large_shapes, 4, some_tokens, 4);
}

Test(linear, sgemm) {
    each_type(QINS_MATMUL_SGEMM, small_shapes, 8, few_tokens, 4);
    each_type(QINS_MATMUL_SGEMM, large_shapes, 4, some_tokens, 4);
}

// More tokens than have their activations held at once.
Test(linear, many_tokens) {
    static const size_t shapes[][2] = {{33, 70}};
    static const size_t tokens[] = {QINS_TILE_TOKENS + 1};
    each_type(QINS_MATMUL_EXACT, shapes, 1, tokens, 1);
}

// With exact products a token has the same bits alone and among others.
Test(linear, one_token_equals_the_same_token_among_many) {
    enum { ROWS = 300, COLS = 700, N = 20 };
    qins_compute compute = start(3, QINS_MATMUL_EXACT);
    for (int type = 0; type < QINS_TYPE_COUNT; type++) {
        test_random random = {(uint64_t)type};
        test_matrix *made = matrix_make((qins_type)type, QINS_PANELS, ROWS, COLS, (uint64_t)type);
        static float x[N * COLS], all[N * ROWS], some[N * ROWS];
        random_fill(&random, x, N * COLS);
        x[3 * COLS + 5] = NAN;
        qins_linear(&compute, all, x, N, &made->matrix);
        for (size_t n = 1; n <= 7; n += 3) {
            for (size_t t = 0; t + n <= N; t += n)
                qins_linear(&compute, some + t * ROWS, x + t * COLS, n, &made->matrix);
            cr_expect_eq(memcmp(some, all, N / n * n * ROWS * sizeof *all), 0, "%s, %zu at a time",
                         qins_types[type].name, n);
        }
        for (size_t r = 0; r < ROWS; r++) cr_assert(isnan(all[3 * ROWS + r]) && isfinite(all[4 * ROWS + r]));
        matrix_free(made);
    }
    qins_compute_free(&compute);
}

// More threads than OpenBLAS has buffers for where it is built for 64, and calls that take longer than a time slice.
enum { CROWD = 700, SIDE = 320, ROUNDS = 3 };

struct crowd {
    atomic_size_t n_ready;
    const float *a; // [SIDE, SIDE]
    float *y;       // [CROWD, SIDE, SIDE]
};

static void multiply_all_at_once(void *context, size_t item, size_t worker) {
    (void)worker;
    struct crowd *crowd = context;
    crowd->n_ready++;
    while (crowd->n_ready < CROWD) sched_yield();
    for (int i = 0; i < ROUNDS; i++)
        qins_blas_sgemm(crowd->y + item * SIDE * SIDE, SIDE, crowd->a, SIDE, crowd->a, SIDE, SIDE, SIDE, SIDE,
                        (qins_blas_form){.alpha = 1.0f});
}

Test(linear, sgemm_by_more_threads_than_openblas_has_buffers_for) {
    qins_error error = {0};
    float *a = qins_alloc((size_t)(CROWD + 1) * SIDE * SIDE, sizeof *a, "matrices", &error);
    struct crowd crowd = {.a = a, .y = a + SIDE * SIDE};
    qins_blas_open(CROWD, &error);
    qins_pool *pool = qins_pool_create(CROWD, &error);
    expect_ok(&error);
    for (size_t i = 0; i < SIDE; i++) a[i * SIDE + (i + 1) % SIDE] = 1.0f; // shifts columns by one
    qins_pool_run(pool, CROWD, multiply_all_at_once, &crowd);
    for (size_t item = 0; item < CROWD; item++)
        for (size_t i = 0; i < SIDE; i++) cr_assert_eq(crowd.y[(item * SIDE + i) * SIDE + (i + 2) % SIDE], 1.0f);
    qins_pool_free(pool);
    free(a);
}

Test(linear, a_compute_that_was_never_made_can_be_freed) {
    qins_compute compute = {0};
    qins_compute_free(&compute);
    qins_error error = {0};
    cr_expect_neq(qins_compute_init(&compute, 0, &error), QINS_OK);
    expect_error(&error, QINS_USAGE, "threads cannot be started");
    qins_compute_free(&compute);
}
