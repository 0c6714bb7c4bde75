// linear(); see linear.h. The only user of BLAS.
#include "engine/kernels/linear.h"

#include "engine/base/half.h"
#include "engine/base/map.h"

#include <cblas.h>

// An item of a product is a number of rows of W. With one vector x it is small, for an even split. With more it is so
// tall that sgemm, which puts all of x into an order of its own for every call, spends little on that; and W is decoded
// in tiles narrow enough to stay in the cache.
enum { DOT_ROWS = 32, TILE_ROWS = QINS_TILE_ROWS, TILE_COLS = QINS_TILE_COLS, TILE_TOKENS = QINS_TILE_TOKENS };

// Each worker calls BLAS by itself, so BLAS must not start threads of its own. A build on OpenMP takes the number from
// the OpenMP runtime, which openblas_set_num_threads does not reach in threads that are not OpenMP's.
static qins_status limit_blas_threads(qins_error *error) {
    const int openmp_build = 2; // OpenBLAS: 0 sequential, 1 pthreads, 2 OpenMP
    openblas_set_num_threads(1);
    if (openblas_get_parallel() == openmp_build && openblas_get_num_threads() != 1)
        return qins_fail(
            error, QINS_FAILED,
            "this OpenBLAS is an OpenMP build that keeps its own threads; set OMP_NUM_THREADS=1 or install "
            "its pthread build (Debian: libopenblas0-pthread)");
    return QINS_OK;
}

qins_status qins_compute_init(qins_compute *compute, size_t n_threads, qins_error *error) {
    *compute = (qins_compute){.kernels = qins_kernels_get()};
    if (limit_blas_threads(error) != QINS_OK) return error->status;
    compute->pool = qins_pool_create(n_threads, error);
    if (compute->pool == NULL) return error->status;
    compute->tiles = qins_reserve(n_threads * QINS_TILE_FLOATS * sizeof(float), "tiles of decoded weights", error);
    return error->status;
}

void qins_compute_free(qins_compute *compute) {
    if (compute->tiles != NULL)
        qins_unmap(compute->tiles, qins_pool_threads(compute->pool) * QINS_TILE_FLOATS * sizeof(float));
    qins_pool_free(compute->pool);
    *compute = (qins_compute){0};
}

void qins_sgemm(float *c, size_t c_stride, const float *a, size_t a_stride, const float *b, size_t b_stride, size_t m,
                size_t n, size_t k, qins_sgemm_form form) {
    cblas_sgemm(CblasRowMajor, form.a_is_transposed ? CblasTrans : CblasNoTrans,
                form.b_is_transposed ? CblasTrans : CblasNoTrans, (blasint)m, (blasint)n, (blasint)k, form.alpha, a,
                (blasint)a_stride, b, (blasint)b_stride, form.beta, c, (blasint)c_stride);
}

struct linear_job {
    qins_compute *compute;
    float *y;
    const float *x;
    size_t n;
    const qins_matrix *w;
    size_t item_rows;
};

static size_t rows_of_item(const struct linear_job *job, size_t item) {
    size_t left = job->w->rows - item * job->item_rows;
    return left < job->item_rows ? left : job->item_rows;
}

static void dot_item(void *context, size_t item, size_t worker) {
    (void)worker;
    const struct linear_job *job = context;
    size_t row = item * job->item_rows;
    job->compute->kernels->dot_rows(job->y + row, job->w, row, rows_of_item(job, item), job->x);
}

// y[n, rows of the item] = x W^T, a tile of TILE_COLS columns of W after the other.
static void sgemm_item(void *context, size_t item, size_t worker) {
    const struct linear_job *job = context;
    const qins_matrix *w = job->w;
    const size_t row = item * job->item_rows, n_rows = rows_of_item(job, item);
    float *decoded = job->compute->tiles + worker * QINS_TILE_FLOATS;
    for (size_t col = 0; col < w->cols; col += TILE_COLS) {
        const size_t n_cols = w->cols - col < TILE_COLS ? w->cols - col : TILE_COLS;
        const float *tile = decoded;
        size_t tile_stride = n_cols;
        if (w->type == QINS_F32) {
            tile = (const float *)w->data + row * w->cols + col;
            tile_stride = w->cols;
        } else {
            job->compute->kernels->decode_tile(decoded, w, row, n_rows, col, n_cols);
        }
        qins_sgemm(job->y + row, w->rows, job->x + col, w->cols, tile, tile_stride, job->n, n_rows, n_cols,
                   (qins_sgemm_form){.b_is_transposed = true, .alpha = 1.0f, .beta = col == 0 ? 0.0f : 1.0f});
    }
}

static void round_to_bf16(float *out, const float *x, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = qins_f32_from_bf16(qins_bf16_from_f32(x[i]));
}

// sgemm_item with activations rounded to BF16: for the numbers, where no instruction makes it fast.
static void rounded_item(void *context, size_t item, size_t worker) {
    const struct linear_job *job = context;
    const qins_matrix *w = job->w;
    const size_t row = item * job->item_rows, n_rows = rows_of_item(job, item);
    float *tile = job->compute->tiles + worker * QINS_TILE_FLOATS; // [n_rows, n_cols]
    float *x = tile + TILE_ROWS * TILE_COLS;                       // [TILE_TOKENS, n_cols]
    for (size_t col = 0; col < w->cols; col += TILE_COLS) {
        const size_t n_cols = w->cols - col < TILE_COLS ? w->cols - col : TILE_COLS;
        job->compute->kernels->decode_tile(tile, w, row, n_rows, col, n_cols);
        for (size_t token = 0; token < job->n; token += TILE_TOKENS) {
            const size_t n = job->n - token < TILE_TOKENS ? job->n - token : TILE_TOKENS;
            for (size_t i = 0; i < n; i++) round_to_bf16(x + i * n_cols, job->x + (token + i) * w->cols + col, n_cols);
            qins_sgemm(job->y + token * w->rows + row, w->rows, x, n_cols, tile, n_cols, n, n_rows, n_cols,
                       (qins_sgemm_form){.b_is_transposed = true, .alpha = 1.0f, .beta = col == 0 ? 0.0f : 1.0f});
        }
    }
}

// y[n, rows of the item] = x W^T by the tier's BF16 instructions.
static void bf16_item(void *context, size_t item, size_t worker) {
    const struct linear_job *job = context;
    const qins_matrix *w = job->w;
    const qins_kernels *kernels = job->compute->kernels;
    const size_t row = item * job->item_rows, n_rows = rows_of_item(job, item);
    float *packed = job->compute->tiles + worker * QINS_TILE_FLOATS;
    uint16_t *rounded = (uint16_t *)(packed + TILE_ROWS * TILE_COLS); // [TILE_TOKENS, n_cols]
    for (size_t col = 0; col < w->cols; col += TILE_COLS) {
        const size_t n_cols = w->cols - col < TILE_COLS ? w->cols - col : TILE_COLS;
        kernels->pack_bf16(packed, w, row, n_rows, col, n_cols);
        for (size_t token = 0; token < job->n; token += TILE_TOKENS) {
            const size_t n = job->n - token < TILE_TOKENS ? job->n - token : TILE_TOKENS;
            kernels->multiply_bf16(job->y + token * w->rows + row, w->rows, job->x + token * w->cols + col, w->cols, n,
                                   rounded, packed, n_rows, n_cols, col > 0);
        }
    }
}

qins_matmul qins_compute_matmul(const qins_compute *compute) {
    if (compute->matmul != QINS_MATMUL_AUTO) return compute->matmul;
    return compute->kernels->multiply_bf16 != NULL ? QINS_MATMUL_BF16 : QINS_MATMUL_SGEMM;
}

static qins_pool_job *item_of(const qins_compute *compute, size_t n, const qins_matrix *w) {
    if (n == 1) return dot_item;
    if (!qins_type_is_coded(w->type) || qins_compute_matmul(compute) == QINS_MATMUL_SGEMM) return sgemm_item;
    return compute->kernels->multiply_bf16 != NULL ? bf16_item : rounded_item;
}

void qins_linear(qins_compute *compute, float *y, const float *x, size_t n, const qins_matrix *w) {
    struct linear_job job = {compute, y, x, n, w, n == 1 ? DOT_ROWS : TILE_ROWS};
    if (n == 1) job.x = qins_arranged(compute->kernels, compute->tiles, w, x); // tiles are not needed otherwise
    size_t n_items = (w->rows + job.item_rows - 1) / job.item_rows;
    qins_pool_run(compute->pool, n_items, item_of(compute, n, w), &job);
}

void qins_cholesky_solve(float *y, size_t n, const float *factor, size_t cols) {
    const CBLAS_TRANSPOSE order[] = {CblasTrans, CblasNoTrans}; // y = y L^-T, then y = y L^-1
    for (int i = 0; i < 2; i++)
        cblas_strsm(CblasRowMajor, CblasRight, CblasLower, order[i], CblasNonUnit, (blasint)n, (blasint)cols, 1.0f,
                    factor, (blasint)cols, y, (blasint)cols);
}
