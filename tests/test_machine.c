// The baselines: they do the work that they time. No rate is judged.
#include "engine/kernels/linear.h"
#include "engine/measure/machine.h"
#include "tests/support.h"

#include <math.h>

static qins_compute start(size_t n_threads) {
    qins_compute compute;
    qins_error error = {0};
    qins_compute_init(&compute, n_threads, &error);
    expect_ok(&error);
    return compute;
}

static void expect_rates(const double *rates, size_t n) {
    for (size_t i = 0; i < n; i++) cr_expect(isfinite(rates[i]) && rates[i] > 0, "variant %zu: %g", i, rates[i]);
}

// A guard page after odd sizes: nothing beyond the data is read.
Test(machine, reads_within_the_data) {
    static const size_t sizes[] = {8, 200, 4096, (2 << 20) + 24, (5 << 20) + 8};
    for (size_t threads = 1; threads <= 3; threads++) {
        qins_compute compute = start(threads);
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            test_guards guards = {0};
            double rates[QINS_READ_PATTERNS] = {0};
            qins_machine_read(compute.pool, guarded(&guards, sizes[i]), sizes[i], rates);
            expect_rates(rates, QINS_READ_PATTERNS);
            guards_free(&guards);
        }
        qins_compute_free(&compute);
    }
}

// Every y of the last shape against sums in double; the operands are multiples of 2^-8 below 1, so that each sum of
// products is a multiple of 2^-16 below 2^8 in magnitude: exact in FP32 in any order.
static void expect_product(const qins_sgemm_gauge *gauge, qins_sgemm_shape shape) {
    const float *x = gauge->block, *w = x + gauge->x_floats, *y = w + gauge->w_floats;
    for (size_t t = 0; t < gauge->n; t++) {
        for (size_t row = 0; row < shape.rows; row++) {
            double sum = 0;
            for (size_t i = 0; i < shape.cols; i++)
                sum += (double)x[t * shape.cols + i] * (double)w[row * shape.cols + i];
            cr_assert_eq(y[t * shape.rows + row], sum, "token %zu, row %zu", t, row);
        }
    }
}

Test(machine, sgemm_computes_the_whole_product) {
    const qins_sgemm_shape shapes[] = {{40, 24}, {1100, 96}};
    for (size_t threads = 1; threads <= 3; threads++) {
        qins_compute compute = start(threads);
        qins_sgemm_gauge gauge;
        qins_error error = {0};
        double rates[QINS_SGEMM_SPLITS] = {0};
        qins_sgemm_gauge_init(&gauge, compute.pool, 7, shapes, 2, &error);
        expect_ok(&error);
        qins_sgemm_gauge_run(&gauge, rates);
        expect_rates(rates, QINS_SGEMM_SPLITS);
        expect_product(&gauge, shapes[1]);
        qins_sgemm_gauge_free(&gauge);
        qins_compute_free(&compute);
    }
}
