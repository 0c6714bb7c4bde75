// The machine's limits: the baselines of qinsrun bench. Every rate is measured with the threads of the model's own pool
// in several ways; the best of them is the machine's figure.
#ifndef QINS_MEASURE_MACHINE_H
#define QINS_MEASURE_MACHINE_H

#include "engine/base/pool.h"
#include "engine/kernels/kernels.h"

enum { QINS_READ_PATTERNS = 7, QINS_SGEMM_SPLITS = 3 };

// Bytes per second at which the threads read data[bytes] (all of it, repeated while that takes less than 20 ms), by
// access pattern.
void qins_machine_read(qins_pool *pool, const void *data, size_t bytes, double rates[QINS_READ_PATTERNS]);

// The matrix products of a prompt: y[n, rows] = x[n, cols] W^T for the shapes [rows, cols] of W, all of them FP32 and
// already in memory.
typedef struct qins_sgemm_shape {
    size_t rows, cols;
} qins_sgemm_shape;

enum { QINS_MAX_SGEMM_SHAPES = 4 };

typedef struct qins_sgemm_gauge {
    qins_pool *pool; // not owned
    size_t n, n_shapes;
    qins_sgemm_shape shapes[QINS_MAX_SGEMM_SHAPES];
    size_t x_floats, w_floats, y_floats; // enough for any shape
    float *block;                        // owned: x, W, y
} qins_sgemm_gauge;

// Create the operands; rows beyond QINS_SGEMM_MAX_ROWS are left out, which saves memory and does not change the rate.
// Release with qins_sgemm_gauge_free, also after a failure.
enum { QINS_SGEMM_MAX_ROWS = 4096 };
qins_status qins_sgemm_gauge_init(qins_sgemm_gauge *gauge, qins_pool *pool, size_t n, const qins_sgemm_shape *shapes,
                                  size_t n_shapes, qins_error *error);
void qins_sgemm_gauge_free(qins_sgemm_gauge *gauge);
size_t qins_sgemm_gauge_bytes(const qins_sgemm_gauge *gauge);

// FLOP/s over one product of each shape (repeated while one takes less than 20 ms), with single-threaded sgemm called
// by each thread for its part of the rows, for each way of splitting the rows.
void qins_sgemm_gauge_run(const qins_sgemm_gauge *gauge, double rates[QINS_SGEMM_SPLITS]);

// The peak of the tier's exact products of 16-bit integers on all threads, from registers: operations per second,
// counting a product and its addition as two.
double qins_machine_integer(qins_pool *pool, const qins_kernels *kernels);

// Name and kernels of the BLAS library, for reports.
const char *qins_blas_name(void);

#endif
