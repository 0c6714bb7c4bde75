// Encoding of one tensor; see encode.h. A piece of rows is read and encoded by all threads while one of them hands the
// piece before it to the hash and to the sink, so there are two sets of buffers.
#include "convert/encode.h"

#include "engine/base/file.h"
#include "engine/base/half.h"
#include "engine/base/memory.h"
#include "engine/kernels/kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum {
    PIECE_BYTES = 1 << 22,   // of the source, read and written at a time
    ITEM_BYTES = 1 << 16,    // of the source, what a thread takes of a piece
    FEEDBACK_ITEMS = 16,     // of QINS_FEEDBACK_ROWS rows, in a piece that is encoded with feedback
    SAMPLE_VALUES = 1 << 16, // numbers that a curve is fitted to, in whole rows
    SUM_LANES = 8
};

// Rows in flight: their source bytes, their payload, and what each cost.
struct piece {
    uint8_t *input;  // [piece_rows, input_row_bytes]
    uint8_t *output; // [piece_rows, output_row_bytes]
    double *squares; // [piece_rows]
    double *errors;  // [piece_rows]
    size_t *bad_col; // [piece_rows]: first column that cannot be converted, `cols` if none
    size_t first_row, n_rows;
};

struct encoder {
    const qins_rows *source;
    qins_type type;
    const qins_codebook *book;
    const qins_feedback *feedback; // NULL: none
    const qins_kernels *kernels;
    size_t input_row_bytes, output_row_bytes;
    size_t piece_rows, item_rows;
    struct piece pieces[2];
    struct piece *current, *previous; // being encoded; being written (NULL: none)
    uint16_t *scales;                 // [rows, blocks]
    float *floats;                    // [n_threads, worker_floats]
    size_t worker_floats;             // a row; with feedback, three times the rows of an item
    qins_error *worker_errors;        // [n_threads]
    XXH3_state_t *hash;
    qins_sink *sink;
    void *sink_context;
    qins_error *sink_error;
    qins_encoded *result;
};

// values[cols] = the row, as FP32 (exact).
static void widen(float *values, const uint8_t *row, qins_type type, size_t cols) {
    if (type == QINS_F32) {
        memcpy(values, row, cols * sizeof *values);
        return;
    }
    for (size_t i = 0; i < cols; i++) {
        uint16_t half;
        memcpy(&half, row + 2 * i, sizeof half);
        values[i] = type == QINS_BF16 ? qins_f32_from_bf16(half) : qins_f32_from_f16(half);
    }
}

static bool finite_bits(float value) {
    return (qins_f32_bits(value) & 0x7F800000u) != 0x7F800000u;
}

// First column that is NaN or infinite; cols if there is none.
static size_t first_not_finite(const float *values, size_t cols) {
    unsigned bad = 0;
    for (size_t i = 0; i < cols; i++) bad |= !finite_bits(values[i]);
    if (!bad) return cols;
    size_t i = 0;
    while (finite_bits(values[i])) i++;
    return i;
}

// Sum of squares in a fixed order that vectorizes: lane i % 8 takes values[i], then the lanes in order.
static double sum_squares(const float *values, size_t cols) {
    double lanes[SUM_LANES] = {0};
    size_t i = 0;
    for (; i + SUM_LANES <= cols; i += SUM_LANES) {
        for (size_t lane = 0; lane < SUM_LANES; lane++)
            lanes[lane] += (double)values[i + lane] * (double)values[i + lane];
    }
    for (size_t lane = 0; i < cols; i++, lane++) lanes[lane] += (double)values[i] * (double)values[i];
    double sum = 0.0;
    for (size_t lane = 0; lane < SUM_LANES; lane++) sum += lanes[lane];
    return sum;
}

// The row rounded to BF16; returns its squared error. *bad_col: first value that became infinite.
static double narrow(uint8_t *row, const float *values, size_t cols, size_t *bad_col) {
    double squared_error = 0.0;
    for (size_t i = 0; i < cols; i++) {
        uint16_t half = qins_bf16_from_f32(values[i]);
        float stored = qins_f32_from_bf16(half);
        if (!finite_bits(stored) && *bad_col == cols) *bad_col = i;
        double error = (double)values[i] - (double)stored;
        squared_error += error * error;
        memcpy(row + 2 * i, &half, sizeof half);
    }
    return squared_error;
}

// values[cols] = row `slot` of the piece; false when it cannot be encoded.
static bool read_row(struct encoder *encoder, struct piece *piece, size_t slot, float *values) {
    const size_t cols = encoder->source->cols;
    widen(values, piece->input + slot * encoder->input_row_bytes, encoder->source->type, cols);
    piece->bad_col[slot] = first_not_finite(values, cols);
    if (piece->bad_col[slot] != cols) return false;
    piece->squares[slot] = sum_squares(values, cols);
    piece->errors[slot] = 0.0;
    return true;
}

static uint16_t *scales_of_row(const struct encoder *encoder, size_t row) {
    return encoder->scales + row * qins_blocks(encoder->type, encoder->source->cols);
}

// Row `row` of the tensor, which is row `slot` of the piece.
static void encode_row(struct encoder *encoder, struct piece *piece, size_t row, size_t slot, float *values) {
    const size_t cols = encoder->source->cols;
    uint8_t *output = piece->output + slot * encoder->output_row_bytes;
    if (!read_row(encoder, piece, slot, values)) return;
    if (encoder->type == encoder->source->type)
        memcpy(output, piece->input + slot * encoder->input_row_bytes, encoder->output_row_bytes);
    else if (encoder->type == QINS_F32)
        memcpy(output, values, encoder->output_row_bytes);
    else if (encoder->type == QINS_BF16)
        piece->errors[slot] = narrow(output, values, cols, &piece->bad_col[slot]);
    else
        piece->errors[slot] =
            encoder->kernels->encode_row(encoder->book, values, cols, output, scales_of_row(encoder, row));
}

// All rows of an item at once: they share the walk through the factor.
static void encode_rows_with_feedback(struct encoder *encoder, struct piece *piece, size_t row, size_t slot, size_t n,
                                      float *values) {
    const size_t cols = encoder->source->cols;
    bool usable = true;
    for (size_t i = 0; i < n; i++) usable &= read_row(encoder, piece, slot + i, values + i * cols);
    if (usable)
        qins_feedback_encode(encoder->feedback, encoder->book, values, n,
                             piece->output + slot * encoder->output_row_bytes, scales_of_row(encoder, row),
                             piece->errors + slot, values + encoder->item_rows * cols);
}

// Hash the piece before the current one and pass it on: one thread does this while the others encode.
static void write_piece(struct encoder *encoder, const struct piece *piece) {
    if (encoder->sink_error->status != QINS_OK) return;
    XXH3_64bits_update(encoder->hash, piece->input, piece->n_rows * encoder->input_row_bytes);
    encoder->sink(encoder->sink_context, piece->output, piece->n_rows * encoder->output_row_bytes, encoder->sink_error);
}

static void run_item(void *context, size_t item, size_t worker) {
    struct encoder *encoder = context;
    if (encoder->previous != NULL) { // then item 0 is its writing
        if (item == 0) {
            write_piece(encoder, encoder->previous);
            return;
        }
        item--;
    }
    struct piece *piece = encoder->current;
    qins_error *error = &encoder->worker_errors[worker];
    size_t first = item * encoder->item_rows, n = piece->n_rows - first;
    if (n > encoder->item_rows) n = encoder->item_rows;
    size_t row = piece->first_row + first;
    if (error->status != QINS_OK) return;
    if (qins_file_read_at(encoder->source->fd, encoder->source->path, piece->input + first * encoder->input_row_bytes,
                          n * encoder->input_row_bytes,
                          encoder->source->offset + (uint64_t)row * encoder->input_row_bytes, error) != QINS_OK)
        return;
    float *values = encoder->floats + worker * encoder->worker_floats;
    if (encoder->feedback != NULL)
        encode_rows_with_feedback(encoder, piece, row, first, n, values);
    else
        for (size_t i = 0; i < n; i++) encode_row(encoder, piece, row + i, first + i, values);
}

// Add up the rows in order, whoever encoded them; an error for the first value that cannot be converted.
static qins_status collect(struct encoder *encoder, const struct piece *piece, qins_error *error) {
    const qins_rows *source = encoder->source;
    for (size_t i = 0; i < piece->n_rows; i++) {
        size_t col = piece->bad_col[i];
        if (col == source->cols) {
            encoder->result->squares += piece->squares[i];
            encoder->result->error += piece->errors[i];
            continue;
        }
        float value;
        widen(&value, piece->input + i * encoder->input_row_bytes + col * (qins_types[source->type].bits / 8),
              source->type, 1);
        return qins_fail(error, QINS_BAD_MODEL, "row %zu, column %zu: %s", piece->first_row + i, col,
                         isnan(value) ? "the value is NaN; the checkpoint is damaged"
                         : isinf(value)
                             ? "the value is infinite; the checkpoint is damaged"
                             : "the value is too large for bf16; convert with --type f32 (lm_head: --lm-head qins8)");
    }
    return QINS_OK;
}

static void free_encoder(struct encoder *encoder) {
    for (int i = 0; i < 2; i++) {
        free(encoder->pieces[i].input);
        free(encoder->pieces[i].output);
        free(encoder->pieces[i].squares);
        free(encoder->pieces[i].errors);
        free(encoder->pieces[i].bad_col);
    }
    free(encoder->scales);
    free(encoder->floats);
    free(encoder->worker_errors);
    XXH3_freeState(encoder->hash);
}

static void allocate(struct encoder *encoder, size_t n_threads, qins_error *error) {
    const qins_rows *source = encoder->source;
    const size_t rows = encoder->piece_rows, blocks = qins_blocks(encoder->type, source->cols);
    for (int i = 0; i < 2; i++) {
        struct piece *piece = &encoder->pieces[i];
        piece->input = qins_alloc(rows, encoder->input_row_bytes, "rows of a tensor", error);
        piece->output = qins_alloc(rows, encoder->output_row_bytes, "encoded rows of a tensor", error);
        piece->squares = qins_alloc(rows, sizeof(double), "rows of a tensor", error);
        piece->errors = qins_alloc(rows, sizeof(double), "rows of a tensor", error);
        piece->bad_col = qins_alloc(rows, sizeof(size_t), "rows of a tensor", error);
    }
    encoder->scales = qins_alloc(source->rows, blocks * sizeof(uint16_t), "scales of a tensor", error);
    encoder->floats = qins_alloc(n_threads, encoder->worker_floats * sizeof(float), "rows of a tensor", error);
    encoder->worker_errors = qins_alloc(n_threads, sizeof(qins_error), "errors of threads", error);
    encoder->hash = XXH3_createState();
    if (encoder->hash == NULL || XXH3_64bits_reset(encoder->hash) != XXH_OK)
        qins_fail(error, QINS_FAILED, "out of memory for a hash");
}

// Encode the rows from *row on into the free piece while the one before it is written.
static qins_status step(struct encoder *encoder, qins_pool *pool, size_t *row, qins_error *error) {
    const qins_rows *source = encoder->source;
    struct piece *piece = encoder->previous == &encoder->pieces[0] ? &encoder->pieces[1] : &encoder->pieces[0];
    piece->first_row = *row;
    piece->n_rows = source->rows - *row < encoder->piece_rows ? source->rows - *row : encoder->piece_rows;
    encoder->current = piece;
    size_t n_items = (piece->n_rows + encoder->item_rows - 1) / encoder->item_rows;
    qins_pool_run(pool, n_items + (encoder->previous != NULL), run_item, encoder);
    for (size_t i = 0; i < qins_pool_threads(pool) && error->status == QINS_OK; i++) *error = encoder->worker_errors[i];
    if (error->status != QINS_OK) return error->status;
    *row += piece->n_rows;
    encoder->previous = piece;
    return collect(encoder, piece, error);
}

// How many rows a thread takes at a time, and how many are in flight.
static void divide(struct encoder *encoder) {
    const size_t rows = encoder->source->rows, row_bytes = encoder->input_row_bytes;
    size_t item_rows = ITEM_BYTES / row_bytes, piece_rows = PIECE_BYTES / row_bytes;
    if (encoder->feedback != NULL) {
        item_rows = QINS_FEEDBACK_ROWS;
        piece_rows = FEEDBACK_ITEMS * QINS_FEEDBACK_ROWS;
    }
    encoder->item_rows = item_rows == 0 ? 1 : item_rows;
    encoder->piece_rows = piece_rows == 0 ? 1 : piece_rows > rows ? rows : piece_rows;
    encoder->worker_floats = encoder->source->cols * (encoder->feedback != NULL ? 3 * encoder->item_rows : 1);
}

qins_status qins_encode_tensor(qins_pool *pool, const qins_rows *source, qins_type type, const qins_codebook *book,
                               const qins_feedback *feedback, qins_sink *sink, void *context, qins_encoded *result,
                               qins_error *error) {
    qins_error sink_error = {0};
    struct encoder encoder = {.source = source,
                              .type = type,
                              .book = book,
                              .feedback = feedback,
                              .kernels = qins_kernels_get(),
                              .input_row_bytes = qins_row_bytes(source->type, source->cols),
                              .output_row_bytes = qins_row_bytes(type, source->cols),
                              .sink = sink,
                              .sink_context = context,
                              .sink_error = &sink_error,
                              .result = result};
    *result = (qins_encoded){0};
    divide(&encoder);
    allocate(&encoder, qins_pool_threads(pool), error);
    for (size_t row = 0; row < source->rows && error->status == QINS_OK;) {
        step(&encoder, pool, &row, error);
        if (error->status == QINS_OK) *error = sink_error;
    }
    if (error->status == QINS_OK) write_piece(&encoder, encoder.previous);
    if (error->status == QINS_OK) *error = sink_error;
    size_t scale_bytes = source->rows * qins_blocks(type, source->cols) * sizeof(uint16_t);
    if (error->status == QINS_OK && scale_bytes > 0) sink(context, encoder.scales, scale_bytes, error);
    if (error->status == QINS_OK) result->source_hash = XXH3_64bits_digest(encoder.hash);
    free_encoder(&encoder);
    return error->status;
}

qins_status qins_fit_code(qins_code *code, qins_curve curve, const qins_rows *source, qins_error *error) {
    const size_t cols = source->cols, row_bytes = qins_row_bytes(source->type, cols);
    size_t rows = SAMPLE_VALUES / cols;
    if (rows > source->rows) rows = source->rows;
    if (rows == 0) rows = 1;
    uint8_t *bytes = qins_alloc(1, row_bytes, "row of a tensor", error);
    float *sample = qins_alloc(rows, cols * sizeof *sample, "sample of a tensor", error);
    for (size_t i = 0; i < rows && error->status == QINS_OK; i++) {
        uint64_t row = (uint64_t)(i * source->rows / rows);
        if (qins_file_read_at(source->fd, source->path, bytes, row_bytes, source->offset + row * row_bytes, error) ==
            QINS_OK)
            widen(sample + i * cols, bytes, source->type, cols);
    }
    if (error->status == QINS_OK) {
        code->curve = curve;
        code->parameter = qins_fit_parameter(curve, sample, rows, cols);
        qins_codebook_make(&code->book, curve, code->parameter);
    }
    free(sample);
    free(bytes);
    return error->status;
}
