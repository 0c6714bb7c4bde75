// Error feedback beside its definition, worked out column by column in double precision by elimination, without the
// factor that the encoder works with.
#include "convert/feedback.h"
#include "engine/kernels/kernels.h"
#include "tests/support.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { COLS = 170, INPUTS = 300, ROWS = 6 };
static const double DAMPING = 0.02, CORRECTION = 0.5;

static float random_value(uint32_t *state) {
    *state = *state * 1664525u + 1013904223u;
    return (float)(int32_t)*state / 2147483648.0f;
}

// x[n, COLS] with columns of different size that depend on each other; y: x with a little more of one column.
static void make_inputs(float *x, float *y) {
    uint32_t state = 7;
    for (size_t t = 0; t < INPUTS; t++) {
        const float common = random_value(&state);
        for (size_t j = 0; j < COLS; j++) {
            x[t * COLS + j] = (0.5f * common + random_value(&state)) * (float)(1 + j % 7);
            y[t * COLS + j] = x[t * COLS + j] + 0.1f * common + 0.05f * random_value(&state);
        }
    }
}

// product[COLS, COLS] = a^T b / n
static void multiply(double *product, const float *a, const float *b) {
    memset(product, 0, sizeof(double) * COLS * COLS);
    for (size_t t = 0; t < INPUTS; t++)
        for (size_t i = 0; i < COLS; i++)
            for (size_t j = 0; j < COLS; j++)
                product[i * COLS + j] += (double)a[t * COLS + i] * (double)b[t * COLS + j] / INPUTS;
}

// Solve A z = b for the n listed rows and columns of a symmetric A[COLS, COLS]; b[n] becomes z. Gauss-Jordan.
static void solve(const double *a, const size_t *list, size_t n, double *b) {
    double *m = malloc(n * n * sizeof *m);
    cr_assert_not_null(m);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) m[i * n + j] = a[list[i] * COLS + list[j]];
    for (size_t k = 0; k < n; k++) {
        for (size_t i = 0; i < n; i++) {
            const double share = m[i * n + k] / m[k * n + k];
            if (i == k || share == 0.0) continue;
            for (size_t j = k; j < n; j++) m[i * n + j] -= share * m[k * n + j];
            b[i] -= share * b[k];
        }
    }
    for (size_t k = 0; k < n; k++) b[k] /= m[k * n + k];
    free(m);
}

// The row that is encoded in place of w: w + CORRECTION w (y - x)^T x H^-1.
static void correct(double *wanted, const float *w, const double *h, const float *x, const float *y) {
    static float moved[INPUTS * COLS];
    static double drift[COLS * COLS];
    size_t all[COLS];
    for (size_t i = 0; i < INPUTS * COLS; i++) moved[i] = y[i] - x[i];
    multiply(drift, moved, x);
    for (size_t j = 0; j < COLS; j++) {
        all[j] = j;
        wanted[j] = 0.0;
        for (size_t i = 0; i < COLS; i++) wanted[j] += CORRECTION * (double)w[i] * drift[i * COLS + j];
    }
    solve(h, all, COLS, wanted);
    for (size_t j = 0; j < COLS; j++) wanted[j] += (double)w[j];
}

static double stored(const qins_coded_row *row, size_t col) {
    return (double)qins_f32_from_bf16(row->d[col / QINS_STRETCH]) *
           qins_types[QINS_QINS8].value(row->codes[col], row->scales[col / QINS_BLOCK]);
}

// The code under the column's scales that is nearest to a target: any that is as near.
static bool is_nearest(const qins_coded_row *row, size_t col, double target) {
    const qins_type_info *info = &qins_types[QINS_QINS8];
    const double d = qins_f32_from_bf16(row->d[col / QINS_STRETCH]);
    const int scale = row->scales[col / QINS_BLOCK];
    double best = INFINITY;
    for (int code = info->min_code; code <= info->max_code; code++)
        best = fmin(best, fabs(target - d * info->value(code, scale)));
    return fabs(target - stored(row, col)) <= best + 1.01 * d; // v is rounded, and so is the inverse of T
}

// Walk through the columns as the encoder does, and check that each code is the nearest to its target: what the errors
// so far require when the columns that are still free compensate for as much as they can. Returns how many are not.
static size_t wrong_codes(const qins_feedback *feedback, const double *h, const double *wanted,
                          const qins_coded_row *row) {
    double errors[COLS] = {0};
    size_t n_wrong = 0;
    for (size_t place = COLS; place-- > 0;) {
        const size_t *free_columns = feedback->columns, col = free_columns[place];
        double asked[COLS]; // of the free columns' errors, this column's the last
        for (size_t i = 0; i <= place; i++) {
            asked[i] = 0.0;
            for (size_t later = place + 1; later < COLS; later++) {
                const size_t other = feedback->columns[later];
                asked[i] -= h[free_columns[i] * COLS + other] * errors[other];
            }
        }
        solve(h, free_columns, place + 1, asked);
        n_wrong += !is_nearest(row, col, wanted[col] - asked[place]);
        errors[col] = wanted[col] - stored(row, col);
    }
    return n_wrong;
}

static void check(size_t rows_of_matrix) {
    static float x[INPUTS * COLS], y[INPUTS * COLS], w[ROWS * COLS], scratch[ROWS * (2 * COLS + INPUTS)];
    static double h[COLS * COLS], wanted[COLS];
    static test_row rooms[ROWS];
    qins_coded_row rows[ROWS];
    double squared_errors[ROWS], trace = 0.0;
    uint32_t state = 3;
    qins_error error = {0};
    for (size_t r = 0; r < ROWS; r++) rows[r] = coded_row(&rooms[r]);
    make_inputs(x, y);
    for (size_t i = 0; i < ROWS * COLS; i++) w[i] = 0.02f * random_value(&state);
    multiply(h, x, x);
    for (size_t j = 0; j < COLS; j++) trace += h[j * COLS + j];
    for (size_t j = 0; j < COLS; j++) h[j * COLS + j] += DAMPING * trace / COLS;

    qins_feedback feedback;
    qins_pool *pool = qins_pool_create(2, &error);
    qins_feedback_init(&feedback, pool, x, y, INPUTS, rows_of_matrix, COLS, &error);
    cr_assert_eq(error.status, QINS_OK, "%s", error.message);
    cr_expect_eq(feedback.drift != NULL, rows_of_matrix >= COLS);
    cr_expect_eq(feedback.is_solved, rows_of_matrix > COLS);
    cr_assert_leq(qins_feedback_scratch(&feedback, ROWS), sizeof scratch / sizeof *scratch);
    qins_feedback_encode(&feedback, scalar_encoder(QINS_QINS8), w, ROWS, rows, squared_errors, scratch);
    size_t n_wrong = 0;
    for (size_t r = 0; r < ROWS; r++) {
        double square = 0.0;
        correct(wanted, w + r * COLS, h, x, y);
        n_wrong += wrong_codes(&feedback, h, wanted, &rows[r]);
        for (size_t j = 0; j < COLS; j++) square += pow((double)w[r * COLS + j] - stored(&rows[r], j), 2);
        cr_expect_float_eq(squared_errors[r], square, 1e-12);
        for (size_t j = COLS; j < 192; j++) cr_expect_eq(rows[r].codes[j], qins_types[QINS_QINS8].padding_code);
    }
    // FP32 sums put a target to the other side of a boundary between codes once in a while: 1 in 200 at most.
    cr_expect_leq(n_wrong, ROWS * COLS / 200, "%zu codes are not the nearest", n_wrong);
    qins_feedback_free(&feedback);
    qins_pool_free(pool);
}

Test(feedback, each_code_is_the_best_for_the_output_row_by_row) {
    check(ROWS);
}

Test(feedback, each_code_is_the_best_for_the_output_by_the_products_of_inputs) {
    check(COLS);
}

Test(feedback, each_code_is_the_best_for_the_output_solved_in_advance) {
    check(10 * COLS);
}

Test(feedback, columns_with_large_inputs_are_rounded_first) {
    static float x[INPUTS * COLS], y[INPUTS * COLS];
    bool seen[COLS] = {false};
    qins_error error = {0};
    qins_feedback feedback;
    qins_pool *pool = qins_pool_create(1, &error);
    make_inputs(x, y);
    qins_feedback_init(&feedback, pool, x, x, INPUTS, COLS, COLS, &error);
    cr_assert_eq(error.status, QINS_OK);
    for (size_t place = 0; place < COLS; place++) seen[feedback.columns[place]] = true;
    for (size_t j = 0; j < COLS; j++) cr_expect(seen[j], "column %zu is missing", j);
    cr_expect_eq(feedback.columns[COLS - 1] % 7, 6);                                // the largest of its block
    for (size_t i = 0; i < COLS * COLS; i++) cr_assert_eq(feedback.drift[i], 0.0f); // y is x
    qins_feedback_free(&feedback);
    qins_pool_free(pool);
}

Test(feedback, activations_that_are_not_finite_are_an_error) {
    static float x[INPUTS * COLS], y[INPUTS * COLS];
    for (int i = 0; i < 2; i++) {
        qins_error error = {0};
        qins_feedback feedback;
        qins_pool *pool = qins_pool_create(1, &error);
        make_inputs(x, y);
        for (size_t j = 0; j < COLS; j += 3) (i == 0 ? x : y)[j] = NAN;
        cr_expect_eq(qins_feedback_init(&feedback, pool, x, y, INPUTS, COLS, COLS, &error), QINS_BAD_MODEL);
        for (size_t place = COLS - 3; place < COLS && i == 0; place++) // they are ordered all the same
            cr_expect_eq(feedback.columns[place] % 3, 0, "column %zu is at place %zu", feedback.columns[place], place);
        qins_feedback_free(&feedback);
        qins_pool_free(pool);
    }
}
