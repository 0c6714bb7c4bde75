// Errors of types estimated from a sample of rows, next to the errors that encoding the whole tensor reports.
#include "convert/estimate.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const qins_type targets[] = {QINS_F32, QINS_BF16, QINS_QINS8, QINS_QINS6, QINS_QINS5, QINS_QINS4};
enum { N_TARGETS = sizeof targets / sizeof targets[0] };

// W[rows, cols] of the type in an open file; the larger its number, the larger a row's weights.
static qins_rows make_rows(qins_type type, size_t rows, size_t cols, size_t bad_row) {
    char path[] = "/tmp/qins_rows_XXXXXX";
    const int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    unlink(path);
    uint32_t state = 1;
    for (size_t i = 0; i < rows * cols; i++) {
        state = state * 1664525u + 1013904223u;
        float value = ((float)(state >> 8) / 16777216.0f - 0.5f) * (1.0f + (float)(i / cols));
        if (i == bad_row * cols + 3) value = INFINITY;
        const uint16_t half = type == QINS_BF16 ? qins_bf16_from_f32(value) : qins_f16_from_f32(value);
        const ssize_t size = type == QINS_F32 ? 4 : 2;
        cr_assert_eq(write(fd, type == QINS_F32 ? (void *)&value : (void *)&half, (size_t)size), size);
    }
    return qins_rows_of(&(qins_stored){.fd = fd, .path = "test file", .name = "w", .type = type}, rows, cols);
}

static qins_status drop(void *context, const void *bytes, size_t size, qins_error *error) {
    (void)context, (void)bytes, (void)size;
    return error->status;
}

static qins_encoded encode(const qins_rows *rows, qins_type type, qins_pool *pool) {
    qins_encoded encoded;
    qins_error error = {0};
    qins_encode_tensor(pool, rows, type, QINS_PANELS, NULL, drop, NULL, &encoded, &error);
    cr_assert_eq(error.status, QINS_OK, "%s", error.message);
    return encoded;
}

static void expect_close(double value, double expected, double tolerance, const char *what) {
    cr_expect_leq(fabs(value - expected), tolerance * expected, "%s: %g instead of %g", what, value, expected);
}

Test(estimate, is_exact_for_few_rows_and_close_for_many) {
    const qins_type sources[] = {QINS_F32, QINS_F16, QINS_BF16};
    qins_error error = {0};
    qins_pool *pool = qins_pool_create(2, &error);
    for (int i = 0; i < 3; i++) {
        for (int k = 0; k < 2; k++) {
            const qins_rows rows = make_rows(sources[i], k == 0 ? 19 : 1000, 70, SIZE_MAX / 80);
            qins_rows tensors[N_TARGETS];
            qins_encoded estimates[N_TARGETS];
            for (int t = 0; t < N_TARGETS; t++) tensors[t] = rows;
            cr_assert_eq(qins_estimate(pool, tensors, targets, N_TARGETS, estimates, &error), QINS_OK);
            for (int t = 0; t < N_TARGETS; t++) {
                const qins_encoded encoded = encode(&rows, targets[t], pool);
                const char *name = qins_types[targets[t]].name;
                expect_close(estimates[t].squares, encoded.squares, k == 0 ? 1e-12 : 0.1, name);
                expect_close(estimates[t].error, encoded.error, k == 0 ? 1e-12 : 0.15, name);
            }
            close(rows.pieces[0].weights.fd);
        }
    }
    qins_pool_free(pool);
}

Test(estimate, is_the_same_for_any_number_of_threads_and_names_the_first_bad_row) {
    enum { N = 7 };
    qins_rows tensors[N];
    qins_type types[N];
    qins_encoded first[N], again[N];
    for (size_t i = 0; i < N; i++) {
        tensors[i] = make_rows(QINS_BF16, 20 + 30 * i, 64 + i, SIZE_MAX / 80);
        types[i] = targets[i % N_TARGETS];
    }
    for (size_t n_threads = 1; n_threads <= 4; n_threads++) {
        qins_error error = {0};
        qins_pool *pool = qins_pool_create(n_threads, &error);
        cr_assert_eq(qins_estimate(pool, tensors, types, N, n_threads == 1 ? first : again, &error), QINS_OK);
        if (n_threads > 1) cr_expect(memcmp(first, again, sizeof first) == 0, "%zu threads", n_threads);
        qins_rows damaged[N];
        memcpy(damaged, tensors, sizeof tensors);
        damaged[2] = make_rows(QINS_BF16, 30, 64, 7);
        damaged[5] = make_rows(QINS_BF16, 30, 64, 9);
        cr_expect_eq(qins_estimate(pool, damaged, types, N, again, &error), QINS_BAD_MODEL);
        cr_expect_not_null(strstr(error.message, "test file: tensor w: row 7 has a value that is NaN or infinite"),
                           "%s", error.message);
        close(damaged[2].pieces[0].weights.fd);
        close(damaged[5].pieces[0].weights.fd);
        qins_pool_free(pool);
    }
    for (size_t i = 0; i < N; i++) close(tensors[i].pieces[0].weights.fd);
}
