// Error feedback; see feedback.h. Matrices and sums are FP32: a sum of n products is off by about 1e-7 sqrt(n), far
// below the damping that H gets.
#include "convert/feedback.h"

#include "engine/base/memory.h"
#include "engine/kernels/blas.h"
#include "engine/kernels/encoder.h"
#include "engine/kernels/linear.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    BLOCK = QINS_BLOCK, // weights that share a scale byte
    PANEL = 64,         // columns that are factored at once
    TILE = 256,         // rows (and columns) of H that are an item of work
    LANES = 16,
    GROUP = 4, // blocks that receive the errors of later columns at once
    SCALES = 8 // scale bytes tried for each block, one a lane: those with the smallest errors without feedback
};

// Added to the diagonal of H, as a share of its mean: n inputs say little about directions in which they hardly vary.
static const double DAMPING = 0.02;

// Share of the change in its inputs that a matrix compensates for. Compensating for all of it would overfit the
// calibration text.
static const float CORRECTION = 0.5f;

// Room above the largest weight, which may grow when it compensates for others: d is larger than necessary by this
// factor.
static const float HEADROOM = 1.1f;

static size_t block_length(size_t cols, size_t start) {
    return cols - start < BLOCK ? cols - start : BLOCK;
}

// --- the order of columns ---

struct place {
    double size; // mean square of the inputs of the column or block
    size_t index;
};

// A size that is NaN comes last: a sort needs an order, and NaN is dealt with later.
static int by_size(const void *a, const void *b) {
    const struct place *x = a, *y = b;
    if (x->size < y->size || (isnan(y->size) && !isnan(x->size))) return -1;
    if (y->size < x->size || (isnan(x->size) && !isnan(y->size))) return 1;
    return (x->index > y->index) - (x->index < y->index);
}

// columns[cols] from the sums of squares of the inputs: blocks by their mean, and the columns within each.
static qins_status order_columns(size_t *columns, const double *squares, size_t cols, qins_error *error) {
    const size_t n_blocks = (cols + BLOCK - 1) / BLOCK;
    struct place *blocks = qins_alloc(n_blocks, sizeof *blocks, "order of columns", error);
    if (blocks == NULL) return error->status;
    for (size_t b = 0; b < n_blocks; b++) {
        const size_t n = block_length(cols, b * BLOCK);
        blocks[b].index = b;
        for (size_t i = 0; i < n; i++) blocks[b].size += squares[b * BLOCK + i] / (double)n;
    }
    qsort(blocks, n_blocks, sizeof *blocks, by_size);
    for (size_t b = 0; b < n_blocks; b++) {
        const size_t start = blocks[b].index * BLOCK, n = block_length(cols, start);
        struct place places[BLOCK];
        for (size_t i = 0; i < n; i++) places[i] = (struct place){squares[start + i], start + i};
        qsort(places, n, sizeof *places, by_size);
        for (size_t i = 0; i < n; i++) *columns++ = places[i].index;
    }
    free(blocks);
    return QINS_OK;
}

// --- H and its factor ---

struct factoring {
    float *h, *drift; // [cols, cols]; drift may be NULL
    size_t cols;
    const float *x, *moved; // [n, cols], columns in order: the inputs, and the original inputs minus these
    size_t n;
    size_t panel; // first column of the panel at work
};

// Rows, or columns, of the tile that begins at `row`.
static size_t tile_rows(const struct factoring *f, size_t row) {
    return f->cols - row < TILE ? f->cols - row : TILE;
}

// H = x^T x for one tile of the lower triangle: item i (i + 1) / 2 + j is tile (i, j), j <= i.
static void product_item(void *context, size_t item, size_t worker) {
    (void)worker;
    const struct factoring *f = context;
    size_t i = 0;
    while ((i + 1) * (i + 2) / 2 <= item) i++;
    const size_t row = i * TILE, col = (item - i * (i + 1) / 2) * TILE;
    qins_blas_sgemm(f->h + row * f->cols + col, f->cols, f->x + row, f->cols, f->x + col, f->cols, tile_rows(f, row),
                    tile_rows(f, col), f->n, (qins_blas_form){.a_is_transposed = true, .alpha = 1.0f / (float)f->n});
}

static size_t panel_cols(const struct factoring *f) {
    return f->cols - f->panel < PANEL ? f->cols - f->panel : PANEL;
}

// Subtract the part that the factored columns explain from a tile of the panel.
static void update_item(void *context, size_t item, size_t worker) {
    (void)worker;
    const struct factoring *f = context;
    const size_t row = f->panel + item * TILE;
    qins_blas_sgemm(f->h + row * f->cols + f->panel, f->cols, f->h + row * f->cols, f->cols, f->h + f->panel * f->cols,
                    f->cols, tile_rows(f, row), panel_cols(f), f->panel,
                    (qins_blas_form){.b_is_transposed = true, .alpha = -1.0f, .beta = 1.0f});
}

// The panel's own triangle. False when H is not positive definite (its numbers are not finite, then).
static bool factor_triangle(const struct factoring *f) {
    const size_t n = panel_cols(f);
    float *triangle = f->h + f->panel * f->cols + f->panel;
    for (size_t j = 0; j < n; j++) {
        float *row = triangle + j * f->cols;
        for (size_t k = 0; k < j; k++) {
            const float *other = triangle + k * f->cols;
            double sum = (double)row[k];
            for (size_t i = 0; i < k; i++) sum -= (double)row[i] * (double)other[i];
            row[k] = (float)(sum / (double)other[k]);
        }
        double square = (double)row[j];
        for (size_t i = 0; i < j; i++) square -= (double)row[i] * (double)row[i];
        if (!(square > 0.0) || !isfinite(square)) return false;
        row[j] = (float)sqrt(square);
    }
    return true;
}

// The panel's columns in the rows of a tile below its triangle.
static void solve_item(void *context, size_t item, size_t worker) {
    (void)worker;
    const struct factoring *f = context;
    const size_t n = panel_cols(f), first = f->panel + n + item * TILE, n_rows = tile_rows(f, first);
    const float *triangle = f->h + f->panel * f->cols + f->panel;
    for (size_t r = 0; r < n_rows; r++) {
        float *row = f->h + (first + r) * f->cols + f->panel;
        for (size_t k = 0; k < n; k++) {
            const float *other = triangle + k * f->cols;
            float sum = row[k];
            for (size_t i = 0; i < k; i++) sum -= row[i] * other[i];
            row[k] = sum / other[k];
        }
    }
}

static size_t n_tiles(size_t n) {
    return (n + TILE - 1) / TILE;
}

// Cholesky factorization of H in place, a panel of columns at a time.
static bool factor(struct factoring *f, qins_pool *pool) {
    for (f->panel = 0; f->panel < f->cols; f->panel += PANEL) {
        if (f->panel > 0) qins_pool_run(pool, n_tiles(f->cols - f->panel), update_item, f);
        if (!factor_triangle(f)) return false;
        qins_pool_run(pool, n_tiles(f->cols - f->panel - panel_cols(f)), solve_item, f);
    }
    return true;
}

struct ordering {
    const qins_feedback *feedback;
    const float *x, *y;     // [n, cols]
    float *ordered, *moved; // [n, cols]: x, and y - x, in order
    size_t n;
};

static void put_in_order(const qins_feedback *feedback, float *ordered, const float *x, size_t n) {
    const size_t cols = feedback->cols;
    for (size_t t = 0; t < n; t++)
        for (size_t j = 0; j < cols; j++) ordered[t * cols + j] = x[t * cols + feedback->columns[j]];
}

static qins_status find_order(qins_feedback *feedback, const float *x, size_t n, qins_error *error) {
    const size_t cols = feedback->cols;
    double *squares = qins_alloc(cols, sizeof *squares, "sizes of inputs", error);
    if (squares == NULL) return error->status;
    for (size_t t = 0; t < n; t++)
        for (size_t j = 0; j < cols; j++) squares[j] += (double)x[t * cols + j] * (double)x[t * cols + j];
    order_columns(feedback->columns, squares, cols, error);
    free(squares);
    return error->status;
}

// drift[cols, cols] = CORRECTION (y - x)^T x / n, a tile of rows an item.
static void drift_item(void *context, size_t item, size_t worker) {
    (void)worker;
    const struct factoring *f = context;
    const size_t row = item * TILE;
    qins_blas_sgemm(f->drift + row * f->cols, f->cols, f->moved + row, f->cols, f->x, f->cols, tile_rows(f, row),
                    f->cols, f->n, (qins_blas_form){.a_is_transposed = true, .alpha = CORRECTION / (float)f->n});
}

// Solve the drift for all rows of the matrix in advance, a tile of its rows an item.
static void solve_drift_item(void *context, size_t item, size_t worker) {
    (void)worker;
    const struct factoring *f = context;
    const size_t row = item * TILE;
    qins_blas_cholesky_solve(f->drift + row * f->cols, tile_rows(f, row), f->h, f->cols);
}

// Put a tile of the tokens' inputs in order.
static void order_item(void *context, size_t item, size_t worker) {
    (void)worker;
    const struct ordering *o = context;
    const size_t cols = o->feedback->cols, first = item * TILE, n = o->n - first < TILE ? o->n - first : TILE;
    float *ordered = o->ordered + first * cols, *moved = o->moved + first * cols;
    put_in_order(o->feedback, ordered, o->x + first * cols, n);
    put_in_order(o->feedback, moved, o->y + first * cols, n);
    for (size_t i = 0; i < n * cols; i++) moved[i] -= ordered[i];
}

static bool are_finite(const float *values, size_t n) {
    bool are = true;
    for (size_t i = 0; i < n; i++) are &= isfinite(values[i]) != 0;
    return are;
}

static void multiply_inputs(qins_feedback *feedback, qins_pool *pool, const float *x, const float *y,
                            qins_error *error) {
    const size_t cols = feedback->cols, n = feedback->n, tiles = n_tiles(cols);
    struct ordering o = {feedback, x, y, feedback->x, feedback->moved, n};
    struct factoring f = {.h = feedback->factor,
                          .drift = feedback->drift,
                          .cols = cols,
                          .x = feedback->x,
                          .moved = feedback->moved,
                          .n = n};
    double trace = 0.0;
    qins_pool_run(pool, n_tiles(n), order_item, &o);
    if (f.drift != NULL) qins_pool_run(pool, tiles, drift_item, &f);
    qins_pool_run(pool, tiles * (tiles + 1) / 2, product_item, &f);
    const bool is_finite = f.drift != NULL ? are_finite(f.drift, cols * cols) : are_finite(f.moved, n * cols);
    for (size_t i = 0; i < cols; i++) trace += (double)f.h[i * cols + i];
    for (size_t i = 0; i < cols; i++) f.h[i * cols + i] += (float)(DAMPING * trace / (double)cols + 1e-30);
    if (!is_finite || !factor(&f, pool)) {
        qins_fail(error, QINS_BAD_MODEL, "the calibration text causes non-finite activations");
        return;
    }
    if (feedback->is_solved) qins_pool_run(pool, tiles, solve_drift_item, &f);
}

// Is it less work to compute (y - x)^T x, [cols, cols], once and multiply each row by it than by y - x and by x?
static bool has_drift(size_t n, size_t rows, size_t cols) {
    return ((double)n + (double)rows) * (double)cols < 2.0 * (double)n * (double)rows;
}

static void free_inputs(qins_feedback *feedback) {
    free(feedback->x);
    free(feedback->moved);
    feedback->x = feedback->moved = NULL;
}

qins_status qins_feedback_init(qins_feedback *feedback, qins_pool *pool, const float *x, const float *y, size_t n,
                               size_t rows, size_t cols, qins_error *error) {
    *feedback = (qins_feedback){.cols = cols, .n = n};
    if (qins_blas_open(qins_pool_threads(pool), error) != QINS_OK) return error->status;
    feedback->columns = qins_alloc(cols, sizeof *feedback->columns, "order of columns", error);
    feedback->factor = qins_alloc(cols, cols * sizeof(float), "products of inputs", error);
    feedback->x = qins_alloc(n, cols * sizeof(float), "inputs in order", error);
    feedback->moved = qins_alloc(n, cols * sizeof(float), "inputs in order", error);
    if (has_drift(n, rows, cols)) {
        feedback->drift = qins_alloc(cols, cols * sizeof(float), "products of inputs", error);
        feedback->is_solved = rows > cols;
    }
    if (error->status == QINS_OK && find_order(feedback, x, n, error) == QINS_OK)
        multiply_inputs(feedback, pool, x, y, error);
    if (feedback->drift != NULL) free_inputs(feedback);
    return error->status;
}

void qins_feedback_free(qins_feedback *feedback) {
    free_inputs(feedback);
    free(feedback->columns);
    free(feedback->factor);
    free(feedback->drift);
    *feedback = (qins_feedback){0};
}

// --- encoding ---

// The same block of some rows, each under SCALES scale bytes. Places 0 .. n - 1 are the block's columns in order.
struct lanes {
    uint8_t scales[LANES];
    float d[LANES];
    float w[BLOCK][LANES];
    float feedback[BLOCK][LANES]; // sum over later columns of e_i L_ij
    float error[BLOCK][LANES];    // w - stored
    float cost[LANES];            // sum of squares of (e L)_j
    int8_t codes[BLOCK][LANES];
};

static inline void add_scaled(float *restrict sums, const float *restrict values, float factor) {
    for (size_t lane = 0; lane < LANES; lane++) sums[lane] += values[lane] * factor;
}

// Shared by all blocks of an item.
struct coding {
    const qins_feedback *feedback;
    const qins_encoder *encoder;
};

// `triangle`: the block's part of L, rows cols floats apart. Loops over lanes have no branches, for the compiler.
static void try_scales(const struct coding *coding, struct lanes *lanes, size_t n, const float *triangle) {
    const qins_encoder *encoder = coding->encoder;
    float inverse[LANES];
    for (size_t lane = 0; lane < LANES; lane++) inverse[lane] = 1.0f / lanes->d[lane];
    for (size_t j = n; j-- > 0;) {
        const float *l = triangle + j * coding->feedback->cols;
        float wanted[LANES], ratio[LANES], v[LANES];
        for (size_t lane = 0; lane < LANES; lane++) {
            wanted[lane] = lanes->w[j][lane] + lanes->feedback[j][lane] / l[j];
            ratio[lane] = wanted[lane] * inverse[lane];
        }
        encoder->kernels->nearest[encoder->type](lanes->codes[j], v, ratio, lanes->scales);
        for (size_t lane = 0; lane < LANES; lane++) {
            const float left = (wanted[lane] - lanes->d[lane] * v[lane]) * l[j];
            lanes->error[j][lane] = lanes->w[j][lane] - lanes->d[lane] * v[lane];
            lanes->cost[lane] += left * left;
        }
        for (size_t i = 0; i < j; i++) add_scaled(lanes->feedback[i], lanes->error[j], l[i]);
    }
}

// A block of one row in progress.
struct row_block {
    float *w;           // [n], which becomes its error
    const float *asked; // [n]: the sums over the columns after the block
    float d;
    int8_t *codes;  // of the whole row, by column
    uint8_t *scale; // of the block
};

// Put a row into SCALES lanes from `first` on: under the scale bytes with the smallest errors, given the compensation
// that the columns after the block ask for. A column's error is weighted by the part that the others cannot compensate
// for.
static void begin_lanes(const struct coding *coding, struct lanes *lanes, size_t first, const struct row_block *row,
                        size_t n, const float *triangle) {
    float wanted[BLOCK] = {0}, importance[BLOCK] = {0}, error;
    for (size_t j = 0; j < n; j++) {
        const float l = triangle[j * (coding->feedback->cols + 1)];
        wanted[j] = row->w[j] + row->asked[j] / l;
        importance[j] = l * l;
    }
    uint8_t *scales = lanes->scales + first;
    const size_t n_scales = qins_rank_scales(coding->encoder, scales, SCALES, wanted, row->d, importance, &error);
    for (size_t i = 0; i < SCALES; i++) {
        if (i >= n_scales) scales[i] = scales[0];
        lanes->d[first + i] = row->d;
        lanes->cost[first + i] = 0.0f;
        for (size_t j = 0; j < n; j++) {
            lanes->w[j][first + i] = row->w[j];
            lanes->feedback[j][first + i] = row->asked[j];
        }
    }
}

// Take the best of a row's lanes. columns[n]: where the block's places lie in the row.
static void end_lanes(const struct coding *coding, const struct lanes *lanes, size_t first, const struct row_block *row,
                      size_t n, const size_t *columns) {
    size_t best = first;
    for (size_t lane = first + 1; lane < first + SCALES; lane++)
        best = lanes->cost[lane] < lanes->cost[best] ? lane : best;
    const bool is_zero = lanes->scales[best] == 0; // then codes have no meaning
    for (size_t j = 0; j < n; j++) {
        const int padding = qins_types[coding->encoder->type].padding_code;
        row->codes[columns[j]] = is_zero ? (int8_t)padding : lanes->codes[j][best];
        row->w[j] = lanes->error[j][best];
    }
    *row->scale = lanes->scales[best];
}

// Encode the block of columns start .. start + n - 1, in order, in as many rows as there are lanes for.
static void encode_block(const struct coding *coding, const struct row_block *rows, size_t n_rows, size_t start,
                         size_t n) {
    const qins_feedback *feedback = coding->feedback;
    const float *triangle = feedback->factor + start * feedback->cols + start;
    struct lanes lanes;
    for (size_t r = 0; r < LANES / SCALES; r++)
        begin_lanes(coding, &lanes, r * SCALES, &rows[r < n_rows ? r : 0], n, triangle);
    try_scales(coding, &lanes, n, triangle);
    for (size_t r = 0; r < n_rows; r++) end_lanes(coding, &lanes, r * SCALES, &rows[r], n, feedback->columns + start);
}

size_t qins_feedback_scratch(const qins_feedback *feedback, size_t n_rows) {
    return n_rows * (2 * feedback->cols + (feedback->drift != NULL ? 0 : feedback->n));
}

// change[n_rows, cols] = CORRECTION w (y - x)^T x / n; outputs: scratch [n_rows, n]
static void find_change(const qins_feedback *feedback, float *change, const float *w, size_t n_rows, float *outputs) {
    const size_t cols = feedback->cols, n = feedback->n;
    if (feedback->drift != NULL) {
        qins_blas_sgemm(change, cols, w, cols, feedback->drift, cols, n_rows, cols, cols,
                        (qins_blas_form){.alpha = 1.0f});
        return;
    }
    qins_blas_sgemm(outputs, n, w, cols, feedback->moved, cols, n_rows, n, cols,
                    (qins_blas_form){.b_is_transposed = true, .alpha = CORRECTION / (float)n});
    qins_blas_sgemm(change, cols, outputs, n, feedback->x, cols, n_rows, cols, n, (qins_blas_form){.alpha = 1.0f});
}

// ordered[n_rows, cols] = w in order, plus the compensation for the drift of the inputs. change: scratch after it
static void take_rows(const qins_feedback *feedback, float *ordered, const float *w, size_t n_rows, float *change) {
    const size_t cols = feedback->cols;
    put_in_order(feedback, ordered, w, n_rows);
    find_change(feedback, change, ordered, n_rows, change + n_rows * cols);
    if (!feedback->is_solved) qins_blas_cholesky_solve(change, n_rows, feedback->factor, cols);
    for (size_t i = 0; i < n_rows * cols; i++) ordered[i] += change[i];
}

// d of every QINS_STRETCH columns, by the weights that are to be coded; the padding of codes and scale bytes.
static void begin_row(const struct coding *coding, const float *ordered, const qins_coded_row *row) {
    const size_t cols = coding->feedback->cols, padded = qins_round_up(cols, QINS_UNIT);
    memset(row->codes, qins_types[coding->encoder->type].padding_code, padded);
    memset(row->scales, 0, padded / BLOCK);
    memset(row->d, 0, (cols + QINS_STRETCH - 1) / QINS_STRETCH * sizeof *row->d);
    for (size_t j = 0; j < cols; j++) {
        const float magnitude = HEADROOM * ordered[j];
        const uint16_t needed = qins_first_d(coding->encoder->type, &magnitude, 1);
        uint16_t *d = &row->d[coding->feedback->columns[j] / QINS_STRETCH];
        *d = needed > *d ? needed : *d; // BF16 numbers that are not negative are ordered like their bits
    }
}

static double squared_error(qins_type type, const float *w, size_t cols, const qins_coded_row *row, float *decoded) {
    double sum = 0.0;
    qins_decode_coded(decoded, type, cols, row);
    for (size_t j = 0; j < cols; j++) {
        const double error = (double)w[j] - (double)decoded[j];
        sum += error * error;
    }
    return sum;
}

// The first column of a group of blocks that ends before `end`.
static size_t group_begin(const qins_feedback *feedback, size_t end) {
    for (int i = 0; i < GROUP && end > 0; i++)
        end -= block_length(feedback->cols, feedback->columns[end - 1] / BLOCK * BLOCK);
    return end;
}

// asked[n_rows, cols] of columns begin .. end - 1 += errors[n_rows, cols] of columns from .. to - 1 times L.
static void ask(const qins_feedback *feedback, float *asked, const float *errors, size_t n_rows, size_t begin,
                size_t end, size_t from, size_t to) {
    const size_t cols = feedback->cols;
    if (from == to) return;
    qins_blas_sgemm(asked + begin, cols, errors + from, cols, feedback->factor + from * cols + begin, cols, n_rows,
                    end - begin, to - from, (qins_blas_form){.alpha = 1.0f, .beta = 1.0f});
}

void qins_feedback_encode(const qins_feedback *feedback, const qins_encoder *encoder, const float *w, size_t n_rows,
                          const qins_coded_row *rows, double *errors, float *scratch) {
    const struct coding coding = {feedback, encoder};
    const size_t cols = feedback->cols;
    float *asked = scratch + n_rows * cols; // [n_rows, cols]
    take_rows(feedback, scratch, w, n_rows, asked);
    memset(asked, 0, n_rows * cols * sizeof *asked);
    for (size_t r = 0; r < n_rows; r++) begin_row(&coding, scratch + r * cols, &rows[r]);
    for (size_t end = cols, start, group_end = cols, group_start = cols; end > 0; end = start) {
        const size_t block = feedback->columns[end - 1] / BLOCK, n = block_length(cols, block * BLOCK);
        start = end - n;
        if (start < group_start) { // the next group: the sums over the columns after it, for all of its blocks
            group_end = end;
            group_start = group_begin(feedback, end);
            ask(feedback, asked, scratch, n_rows, group_start, group_end, group_end, cols);
        }
        ask(feedback, asked, scratch, n_rows, start, end, end, group_end);
        struct row_block parts[LANES / SCALES];
        size_t n_parts = 0;
        for (size_t r = 0; r < n_rows; r++) {
            const float d = qins_f32_from_bf16(rows[r].d[block * BLOCK / QINS_STRETCH]);
            float *part = scratch + r * cols + start;
            rows[r].scales[block] = 0; // of zeros, whose codes are set; they compensate for nothing
            if (d > 0.0f && qins_largest_magnitude(part, n) > 0.0f)
                parts[n_parts++] =
                    (struct row_block){part, asked + r * cols + start, d, rows[r].codes, &rows[r].scales[block]};
            if (n_parts == LANES / SCALES || (r + 1 == n_rows && n_parts > 0)) {
                encode_block(&coding, parts, n_parts, start, n);
                n_parts = 0;
            }
        }
    }
    for (size_t r = 0; r < n_rows; r++) errors[r] = squared_error(encoder->type, w + r * cols, cols, &rows[r], scratch);
}
