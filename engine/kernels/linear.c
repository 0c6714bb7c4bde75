// linear(); see linear.h.
#include "engine/kernels/linear.h"

#include "engine/base/map.h"
#include "engine/kernels/blas.h"
#include "engine/kernels/tiers.h"

#include <string.h>

enum {
    ITEM_ROWS = QINS_TILE_PANELS * QINS_PANEL, // of a product with many tokens
    CHUNK_COLS = 256,                          // of W, unpacked at once: with ITEM_ROWS rows they stay in the L1 cache
    DOT_ITEMS = 8                              // per thread, of a product with one token: a late thread leaves some
};

// The distance between the activations of two tokens, in numbers: rows begin in different sets of the cache.
static size_t activations_stride(size_t cols) {
    return qins_round_up(cols, QINS_UNIT) + 32;
}

qins_status qins_compute_init(qins_compute *compute, size_t n_threads, qins_error *error) {
    *compute = (qins_compute){0};
    qins_pool *pool = qins_pool_create(n_threads, error);
    if (pool == NULL) return error->status;
    qins_compute_init_with(compute, pool, error);
    compute->owns_pool = true;
    return error->status;
}

qins_status qins_compute_init_with(qins_compute *compute, qins_pool *pool, qins_error *error) {
    *compute = (qins_compute){.pool = pool, .kernels = qins_kernels_get()};
    compute->tiles =
        qins_reserve(qins_pool_threads(pool) * QINS_TILE_FLOATS * sizeof(float), "tiles of decoded weights", error);
    compute->x = qins_reserve(QINS_X_VALUES * sizeof *compute->x, "activations", error);
    compute->x_scales = qins_reserve(QINS_X_VALUES / QINS_UNIT * sizeof(float), "activations", error);
    return error->status;
}

size_t qins_compute_reserved_bytes(size_t n_threads) {
    return n_threads * QINS_TILE_FLOATS * sizeof(float) + QINS_X_VALUES * sizeof(int16_t) +
           QINS_X_VALUES / QINS_UNIT * sizeof(float);
}

size_t qins_compute_bytes(size_t n_threads, size_t cols) {
    const size_t x_bytes = QINS_TILE_TOKENS * activations_stride(cols) * (sizeof(int16_t) + sizeof(float) / QINS_UNIT);
    return n_threads * QINS_TILE_FLOATS * sizeof(float) + x_bytes;
}

void qins_compute_free(qins_compute *compute) {
    if (compute->tiles != NULL)
        qins_unmap(compute->tiles, qins_pool_threads(compute->pool) * QINS_TILE_FLOATS * sizeof(float));
    qins_unmap(compute->x, QINS_X_VALUES * sizeof *compute->x);
    qins_unmap(compute->x_scales, QINS_X_VALUES / QINS_UNIT * sizeof(float));
    if (compute->owns_pool) qins_pool_free(compute->pool);
    *compute = (qins_compute){0};
}

qins_matmul qins_compute_matmul(const qins_compute *compute) {
    return compute->matmul == QINS_MATMUL_SGEMM ? QINS_MATMUL_SGEMM : QINS_MATMUL_EXACT;
}

struct linear_job {
    qins_compute *compute;
    float *y;       // [n, rows]
    const float *x; // [n, cols]
    size_t n;
    const qins_matrix *w;
    size_t n_panels, n_items;
    size_t x_stride, scale_stride; // of a token's activations in the compute
};

// --- one token: each item is a run of panels, each panel decoded and multiplied in one pass ---

static void dot_item(void *context, size_t item, size_t worker) {
    (void)worker;
    const struct linear_job *job = context;
    const qins_matrix *w = job->w;
    const qins_kernels *kernels = job->compute->kernels;
    const size_t first = item * job->n_panels / job->n_items, end = (item + 1) * job->n_panels / job->n_items;
    for (size_t panel = first; panel < end; panel++) {
        const size_t row = panel * QINS_PANEL, left = w->rows - row;
        float rest[QINS_PANEL], *y = left < QINS_PANEL ? rest : job->y + row;
        if (qins_type_is_coded(w->type))
            kernels->dot_coded[w->type](y, w, panel, 1, job->compute->x, job->compute->x_scales);
        else
            kernels->dot_values[w->type](y, qins_panel_at(w, panel), 1, w->cols, job->x);
        if (left < QINS_PANEL) memcpy(job->y + row, rest, left * sizeof *rest);
    }
}

// --- many tokens: an item is QINS_TILE_PANELS panels, whose columns are unpacked once for all tokens ---

// v[n_cols / 2][16][2] and d[16] of a coded panel's columns from `col` on, whole units of one stretch. Returns the
// approximate place of the columns after them.
static const uint8_t *unpack(const qins_kernels *kernels, int16_t *v, float *d, const qins_matrix *w, size_t panel,
                             size_t col, size_t n_cols) {
    const size_t unit_bytes = qins_unit_bytes(w->type), in_stretch = col % QINS_STRETCH;
    const qins_stretch stretch = qins_stretch_at(qins_panel_at(w, panel), unit_bytes, w->cols, col - in_stretch);
    kernels->unpack[w->type](v, stretch.codes + in_stretch / QINS_UNIT * unit_bytes,
                             stretch.scales + in_stretch / QINS_BLOCK * QINS_PANEL, n_cols / QINS_UNIT);
    for (size_t row = 0; row < QINS_PANEL; row++) d[row] = qins_f32_from_bf16(stretch.d[row]);
    return stretch.codes + (in_stretch + n_cols) / QINS_UNIT * unit_bytes;
}

// The panels of a tile; those beyond the matrix's last one read as zeros.
static size_t panels_of_item(const struct linear_job *job, size_t item) {
    const size_t left = job->n_panels - item * QINS_TILE_PANELS;
    return left < QINS_TILE_PANELS ? left : QINS_TILE_PANELS;
}

static void multiply_coded(const struct linear_job *job, size_t item, float *y, void *unpacked) {
    const qins_matrix *w = job->w;
    const size_t padded = qins_round_up(w->cols, QINS_UNIT);
    float d[ITEM_ROWS] = {0};
    memset(unpacked, 0, ITEM_ROWS * CHUNK_COLS * sizeof(int16_t));
    for (size_t col = 0; col < padded; col += CHUNK_COLS) {
        const size_t n_cols = padded - col < CHUNK_COLS ? padded - col : CHUNK_COLS;
        qins_product product = {.y = y,
                                .v = unpacked,
                                .d = d,
                                .x = job->compute->x + col,
                                .scale = job->compute->x_scales + col / QINS_UNIT,
                                .y_stride = ITEM_ROWS,
                                .x_stride = job->x_stride,
                                .scale_stride = job->scale_stride,
                                .n_tokens = job->n,
                                .n_cols = n_cols,
                                .next_bytes = qins_unit_bytes(w->type) / QINS_UNIT};
        for (size_t panel = 0; panel < panels_of_item(job, item); panel++)
            product.next[panel] = unpack(job->compute->kernels, (int16_t *)unpacked + panel * n_cols * QINS_PANEL,
                                         d + panel * QINS_PANEL, w, item * QINS_TILE_PANELS + panel, col, n_cols);
        job->compute->kernels->multiply(&product);
    }
}

static void multiply_values(const struct linear_job *job, size_t item, float *y, void *widened) {
    const qins_matrix *w = job->w;
    const size_t n_panels = panels_of_item(job, item), value_bytes = qins_types[w->type].bits / 8;
    for (size_t col = 0; col < w->cols; col += CHUNK_COLS) {
        const size_t n_cols = w->cols - col < CHUNK_COLS ? w->cols - col : CHUNK_COLS;
        for (size_t panel = 0; panel < n_panels; panel++)
            job->compute->kernels->widen[w->type]((float *)widened + panel * CHUNK_COLS * QINS_PANEL,
                                                  qins_panel_at(w, item * QINS_TILE_PANELS + panel) +
                                                      col * QINS_PANEL * value_bytes,
                                                  n_cols * QINS_PANEL);
        job->compute->kernels->gemm(&(qins_gemm){.c = y,
                                                 .a = job->x + col,
                                                 .b = widened,
                                                 .c_stride = ITEM_ROWS,
                                                 .a_stride = w->cols,
                                                 .b_row = QINS_PANEL,
                                                 .b_panel = CHUNK_COLS * QINS_PANEL,
                                                 .m = job->n,
                                                 .n = n_panels * QINS_PANEL,
                                                 .k = n_cols});
    }
}

static void multiply_item(void *context, size_t item, size_t worker) {
    const struct linear_job *job = context;
    const size_t row = item * ITEM_ROWS, left = job->w->rows - row, n_rows = left < ITEM_ROWS ? left : ITEM_ROWS;
    float *y = job->compute->tiles + worker * QINS_TILE_FLOATS; // [n, ITEM_ROWS], and a chunk of W after it
    memset(y, 0, job->n * ITEM_ROWS * sizeof *y);
    if (qins_type_is_coded(job->w->type))
        multiply_coded(job, item, y, y + QINS_TILE_TOKENS * ITEM_ROWS);
    else
        multiply_values(job, item, y, y + QINS_TILE_TOKENS * ITEM_ROWS);
    for (size_t token = 0; token < job->n; token++)
        memcpy(job->y + token * job->w->rows + row, y + token * ITEM_ROWS, n_rows * sizeof *y);
}

// --- sgemm ---

// out[n_cols, n_rows] = W[row .. row + n_rows, col .. col + n_cols]^T for whole panels of rows and a col that is a
// multiple of QINS_UNIT.
static void decode_tile(const qins_kernels *kernels, float *out, const qins_matrix *w, size_t row, size_t n_rows,
                        size_t col, size_t n_cols) {
    for (size_t r = 0; r < n_rows; r += QINS_PANEL) {
        for (size_t c = col; c < col + n_cols; c += QINS_UNIT) {
            const size_t n = col + n_cols - c < QINS_UNIT ? col + n_cols - c : QINS_UNIT;
            float values[QINS_UNIT * QINS_PANEL];
            if (qins_type_is_coded(w->type)) {
                int16_t v[QINS_UNIT * QINS_PANEL];
                float d[QINS_PANEL];
                unpack(kernels, v, d, w, (row + r) / QINS_PANEL, c, QINS_UNIT);
                for (size_t i = 0; i < QINS_UNIT; i++) { // qins_x_place is its own inverse
                    const int16_t *pairs = v + i / 2 * 2 * QINS_PANEL + i % 2;
                    float *column = values + qins_x_place(i) * QINS_PANEL;
                    for (size_t lane = 0; lane < QINS_PANEL; lane++) column[lane] = d[lane] * (float)pairs[2 * lane];
                }
            } else {
                const uint8_t *panel = qins_panel_at(w, (row + r) / QINS_PANEL);
                kernels->widen[w->type](values, panel + c * QINS_PANEL * (qins_types[w->type].bits / 8),
                                        n * QINS_PANEL);
            }
            for (size_t i = 0; i < n; i++)
                memcpy(out + (c - col + i) * n_rows + r, values + i * QINS_PANEL, QINS_PANEL * sizeof *out);
        }
    }
}

// y[n, rows of the item] = x W^T, a tile of QINS_TILE_COLS columns of W after the other.
static void sgemm_item(void *context, size_t item, size_t worker) {
    const struct linear_job *job = context;
    const qins_matrix *w = job->w;
    const size_t row = item * QINS_TILE_ROWS, left = w->rows - row;
    const size_t n_rows = left < QINS_TILE_ROWS ? left : QINS_TILE_ROWS, padded = qins_round_up(n_rows, QINS_PANEL);
    float *tile = job->compute->tiles + worker * QINS_TILE_FLOATS;
    for (size_t col = 0; col < w->cols; col += QINS_TILE_COLS) {
        const size_t n_cols = w->cols - col < QINS_TILE_COLS ? w->cols - col : QINS_TILE_COLS;
        decode_tile(job->compute->kernels, tile, w, row, padded, col, n_cols);
        qins_blas_sgemm(job->y + row, w->rows, job->x + col, w->cols, tile, padded, job->n, n_rows, n_cols,
                        (qins_blas_form){.alpha = 1.0f, .beta = col == 0 ? 0.0f : 1.0f});
    }
}

// --- all of them ---

static void quantize_token(void *context, size_t token, size_t worker) {
    (void)worker;
    const struct linear_job *job = context;
    const qins_compute *compute = job->compute;
    compute->kernels->quantize(compute->x + token * job->x_stride, compute->x_scales + token * job->scale_stride,
                               job->x + token * job->w->cols, job->w->cols);
}

// A run of at most QINS_TILE_TOKENS tokens.
static void multiply_exactly(struct linear_job *job) {
    qins_pool *pool = job->compute->pool;
    if (qins_type_is_coded(job->w->type)) qins_pool_run(pool, job->n, quantize_token, job);
    job->n_items = qins_pool_threads(pool) * DOT_ITEMS;
    if (job->n_items > job->n_panels) job->n_items = job->n_panels;
    if (job->n == 1)
        qins_pool_run(pool, job->n_items, dot_item, job);
    else
        qins_pool_run(pool, (job->n_panels + QINS_TILE_PANELS - 1) / QINS_TILE_PANELS, multiply_item, job);
}

void qins_linear(qins_compute *compute, float *y, const float *x, size_t n, const qins_matrix *w) {
    if (compute->on_linear != NULL && !compute->on_linear(compute->context, w, x, n)) return;
    struct linear_job job = {.compute = compute, .w = w, .x = x, .y = y, .n = n, .n_panels = qins_panels(w->rows)};
    if (qins_compute_matmul(compute) == QINS_MATMUL_SGEMM) {
        qins_pool_run(compute->pool, (w->rows + QINS_TILE_ROWS - 1) / QINS_TILE_ROWS, sgemm_item, &job);
        return;
    }
    job.x_stride = activations_stride(w->cols);
    job.scale_stride = job.x_stride / QINS_UNIT;
    const size_t fitting = QINS_X_VALUES / job.x_stride, most = fitting < QINS_TILE_TOKENS ? fitting : QINS_TILE_TOKENS;
    for (size_t done = 0; done < n; done += job.n) {
        job.n = n - done < most ? n - done : most;
        job.x = x + done * w->cols;
        job.y = y + done * w->rows;
        multiply_exactly(&job);
    }
}
