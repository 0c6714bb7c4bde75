// linear(): the only door to the weights, and the threads and scratch it works with.
#ifndef QINS_KERNELS_LINEAR_H
#define QINS_KERNELS_LINEAR_H

#include "engine/base/pool.h"
#include "engine/kernels/kernels.h"

// What a forward pass computes with: threads, kernels, and scratch.
typedef struct qins_compute {
    qins_pool *pool;             // owned
    const qins_kernels *kernels; // the tier
    qins_matmul matmul;          // QINS_MATMUL_AUTO unless its owner sets another; qins_blas_open comes before SGEMM
    float *tiles;                // reserved, [threads, QINS_TILE_FLOATS]: decoded weights and unfinished outputs
    int16_t *x;                  // reserved, [QINS_X_VALUES]: activations in block floating point
    float *x_scales;             // reserved, [QINS_X_VALUES / QINS_UNIT]
} qins_compute;

enum {
    QINS_TILE_ROWS = 384, // of a tile for sgemm, 1.1 MiB: it stays in a core's share of the caches
    QINS_TILE_COLS = 768,
    QINS_TILE_FLOATS = QINS_TILE_ROWS * QINS_TILE_COLS,
    QINS_TILE_TOKENS = 512, // most tokens whose activations are held at once
    QINS_X_VALUES = QINS_TILE_TOKENS << 14
};

// Start the threads. Release with qins_compute_free, also after a failure.
qins_status qins_compute_init(qins_compute *compute, size_t n_threads, qins_error *error);
void qins_compute_free(qins_compute *compute);

// Bytes that it reserves, touched or not.
size_t qins_compute_reserved_bytes(size_t n_threads);

// Bytes of that which products with up to `cols` columns touch.
size_t qins_compute_bytes(size_t n_threads, size_t cols);

// What compute->matmul comes to: exact or sgemm.
qins_matmul qins_compute_matmul(const qins_compute *compute);

// y[n, rows] = x[n, cols] W^T for W[rows, cols] in panels, cols <= QINS_X_VALUES. No result depends on the number of
// threads, and with exact products no row of y depends on n.
void qins_linear(qins_compute *compute, float *y, const float *x, size_t n, const qins_matrix *w);

// How qins_sgemm reads a and b, and its factors.
typedef struct qins_sgemm_form {
    bool a_is_transposed; // a[k, m]; otherwise a[m, k]
    bool b_is_transposed; // b[n, k]; otherwise b[k, n]
    float alpha, beta;
} qins_sgemm_form;

// Both after qins_blas_open. c[m, n] = alpha a b + beta c in the calling thread, for rows that lie a_stride, b_stride
// and c_stride floats apart; with beta = 0 c may hold anything.
void qins_sgemm(float *c, size_t c_stride, const float *a, size_t a_stride, const float *b, size_t b_stride, size_t m,
                size_t n, size_t k, qins_sgemm_form form);

// y[n, cols] = y (L L^T)^-1 in the calling thread, for the lower triangle of factor[cols, cols], rows cols floats
// apart.
void qins_cholesky_solve(float *y, size_t n, const float *factor, size_t cols);

#endif
