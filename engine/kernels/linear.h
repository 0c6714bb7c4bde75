// linear(): the only door to the weights, and the threads and scratch it works with.
#ifndef QINS_KERNELS_LINEAR_H
#define QINS_KERNELS_LINEAR_H

#include "engine/base/pool.h"
#include "engine/kernels/kernels.h"

// How prompts are multiplied with coded weights; others always take sgemm.
typedef enum qins_matmul {
    QINS_MATMUL_AUTO,  // bf16 where the tier has instructions for it, sgemm elsewhere
    QINS_MATMUL_SGEMM, // everything in FP32
    QINS_MATMUL_BF16   // activations rounded to BF16; weights keep their values, sums are in FP32
} qins_matmul;

// What a forward pass computes with: threads, kernels, and room for one decoded tile of weights per thread.
typedef struct qins_compute {
    qins_pool *pool;             // owned
    const qins_kernels *kernels; // the tier
    float *tiles;                // [threads, QINS_TILE_FLOATS], reserved
    qins_matmul matmul;          // QINS_MATMUL_AUTO unless its owner sets another
} qins_compute;

// A decoded tile of weights, 1.1 MiB, stays in a core's share of the caches; rounded activations lie behind it.
enum { QINS_TILE_ROWS = 384, QINS_TILE_COLS = 768, QINS_TILE_TOKENS = 128 };
enum { QINS_TILE_FLOATS = (QINS_TILE_ROWS + QINS_TILE_TOKENS) * QINS_TILE_COLS };

// Start the threads and set the BLAS library to one thread per call, refusing one that cannot be. Release with
// qins_compute_free, also after a failure.
qins_status qins_compute_init(qins_compute *compute, size_t n_threads, qins_error *error);
void qins_compute_free(qins_compute *compute);

// What compute->matmul comes to on this machine: sgemm or bf16.
qins_matmul qins_compute_matmul(const qins_compute *compute);

// y[n, rows] = x[n, cols] W^T for W[rows, cols], cols <= QINS_TILE_FLOATS. Rows of W are split over the threads in
// tiles whose size depends on W's shape alone, so y does not depend on the number of threads.
// n = 1: fused decode and dot. n > 1: decode a tile, then sgemm or a product of BF16 numbers.
void qins_linear(qins_compute *compute, float *y, const float *x, size_t n, const qins_matrix *w);

// How qins_sgemm reads a and b, and its factors.
typedef struct qins_sgemm_form {
    bool a_is_transposed; // a[k, m]; otherwise a[m, k]
    bool b_is_transposed; // b[n, k]; otherwise b[k, n]
    float alpha, beta;
} qins_sgemm_form;

// c[m, n] = alpha a b + beta c in the calling thread, for rows that lie a_stride, b_stride and c_stride floats
// apart; with beta = 0 c may hold anything.
void qins_sgemm(float *c, size_t c_stride, const float *a, size_t a_stride, const float *b, size_t b_stride, size_t m,
                size_t n, size_t k, qins_sgemm_form form);

// y[n, cols] = y (L L^T)^-1 in the calling thread, for the lower triangle of factor[cols, cols], rows cols floats
// apart.
void qins_cholesky_solve(float *y, size_t n, const float *factor, size_t cols);

#endif
