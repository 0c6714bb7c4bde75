// OpenBLAS, which only some work needs (--matmul sgemm, calibration, the benchmark's baseline), so it is loaded only
// when that begins: loading it starts its threads and takes its memory, and under a memory limit it may hang. Each call
// runs in the calling thread.
#ifndef QINS_KERNELS_BLAS_H
#define QINS_KERNELS_BLAS_H

#include "engine/base/error.h"

#include <stddef.h>

// Load it, once, from the main thread, for calls by the given number of threads. QINS_FAILED if there is no OpenBLAS,
// it keeps its own threads, or there is no room for its buffers, for which it would wait forever. Call it before the
// functions below.
qins_status qins_blas_open(size_t n_threads, qins_error *error);

const char *qins_blas_config(void); // its version and kernels

// The orientations of a and b in qins_blas_sgemm, and its factors.
typedef struct qins_blas_form {
    bool a_is_transposed; // a[k, m]; otherwise a[m, k]
    bool b_is_transposed; // b[n, k]; otherwise b[k, n]
    float alpha, beta;
} qins_blas_form;

// c[m, n] = alpha a b + beta c, for rows that are a_stride, b_stride and c_stride floats apart; with beta = 0, c may
// hold anything.
void qins_blas_sgemm(float *c, size_t c_stride, const float *a, size_t a_stride, const float *b, size_t b_stride,
                     size_t m, size_t n, size_t k, qins_blas_form form);

// y[n, cols] = y (L L^T)^-1, for the lower triangle of factor[cols, cols], rows cols floats apart.
void qins_blas_cholesky_solve(float *y, size_t n, const float *factor, size_t cols);

#endif
