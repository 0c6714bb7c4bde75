// linear(): the only access to the weights, with the threads and scratch memory it uses.
#ifndef QINS_KERNELS_LINEAR_H
#define QINS_KERNELS_LINEAR_H

#include "engine/base/pool.h"
#include "engine/kernels/kernels.h"

// Called before a product of x[n, cols] with W is computed. It may substitute another matrix of that shape; if it
// returns false, y stays as it is.
typedef bool qins_on_linear(void *context, const qins_matrix *w, const float *x, size_t n);

// The resources of a forward pass: threads, kernels, and scratch memory.
typedef struct qins_compute {
    qins_pool *pool;
    bool owns_pool;
    const qins_kernels *kernels; // the tier
    qins_matmul matmul;          // QINS_MATMUL_AUTO unless its owner sets another; qins_blas_open comes before SGEMM
    float *tiles;                // reserved, [threads, QINS_TILE_FLOATS]: decoded weights and unfinished outputs
    int16_t *x;                  // reserved, [QINS_X_VALUES]: activations in block floating point
    float *x_scales;             // reserved, [QINS_X_VALUES / QINS_UNIT]
    qins_on_linear *on_linear;   // observes from outside; NULL: no observer
    void *context;               // of on_linear
} qins_compute;

enum {
    QINS_TILE_ROWS = 384, // of a tile for sgemm, 1.1 MiB: it stays in a core's share of the caches
    QINS_TILE_COLS = 768,
    QINS_TILE_FLOATS = QINS_TILE_ROWS * QINS_TILE_COLS,
    QINS_TILE_TOKENS = 512, // most tokens whose activations are held at once
    QINS_X_VALUES = QINS_TILE_TOKENS << 14
};

// Start the threads, or use those of a pool, which must outlive it. Release with qins_compute_free, also after a
// failure.
qins_status qins_compute_init(qins_compute *compute, size_t n_threads, qins_error *error);
qins_status qins_compute_init_with(qins_compute *compute, qins_pool *pool, qins_error *error);
void qins_compute_free(qins_compute *compute);

// Bytes that it reserves, touched or not.
size_t qins_compute_reserved_bytes(size_t n_threads);

// Bytes of that which products with up to `cols` columns touch.
size_t qins_compute_bytes(size_t n_threads, size_t cols);

// The method that compute->matmul resolves to: exact or sgemm.
qins_matmul qins_compute_matmul(const qins_compute *compute);

// y[n, rows] = x[n, cols] W^T for W[rows, cols] in panels, cols <= QINS_X_VALUES. No result depends on the thread
// count, and with exact products no row of y depends on n.
void qins_linear(qins_compute *compute, float *y, const float *x, size_t n, const qins_matrix *w);

#endif
