// linear(): the only door to the weights, and the threads and scratch it works with.
#ifndef QINS_KERNELS_LINEAR_H
#define QINS_KERNELS_LINEAR_H

#include "engine/base/pool.h"
#include "engine/kernels/kernels.h"

// What a forward pass computes with: threads, kernels, and room for one decoded tile of weights per thread.
typedef struct qins_compute {
    qins_pool *pool;             // owned
    const qins_kernels *kernels; // the tier
    float *tiles;                // [threads, QINS_TILE_FLOATS], reserved
} qins_compute;

enum { QINS_TILE_FLOATS = 384 * 768 }; // 1.1 MiB: a decoded tile stays in a core's share of the caches

// Start the threads and set the BLAS library to one thread per call, refusing one that cannot be. Release with
// qins_compute_free, also after a failure.
qins_status qins_compute_init(qins_compute *compute, size_t n_threads, qins_error *error);
void qins_compute_free(qins_compute *compute);

// y[n, rows] = x[n, cols] W^T for W[rows, cols], cols <= QINS_TILE_FLOATS. Rows of W are split over the threads in
// tiles whose size depends on W's shape alone, so y does not depend on the number of threads.
// n = 1: fused decode and dot. n > 1: decode a tile to FP32, then sgemm.
void qins_linear(qins_compute *compute, float *y, const float *x, size_t n, const qins_matrix *w);

// How qins_sgemm reads b, and its factors.
typedef struct qins_sgemm_form {
    bool b_is_transposed; // b[n, k]; otherwise b[k, n]
    float alpha, beta;
} qins_sgemm_form;

// c[m, n] = alpha a[m, k] b + beta c in the calling thread, for rows that lie a_stride, b_stride and c_stride floats
// apart; with beta = 0 c may hold anything.
void qins_sgemm(float *c, size_t c_stride, const float *a, size_t a_stride, const float *b, size_t b_stride, size_t m,
                size_t n, size_t k, qins_sgemm_form form);

#endif
