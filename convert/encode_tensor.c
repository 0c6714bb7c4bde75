// Encoding of one tensor; see encode_tensor.h. A piece of rows is read and encoded by all threads while one of them
// hands the piece before it to the hash and to the sink, so there are two sets of buffers.
#include "convert/encode_tensor.h"

#include "engine/base/half.h"
#include "engine/base/memory.h"
#include "engine/kernels/encoder.h"
#include "engine/kernels/tiers.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum {
    PIECE_BYTES = 1 << 22, // of the source, read and written at a time
    ITEM_BYTES = 1 << 16,  // of the source, a thread's share of a piece
    FEEDBACK_ITEMS = 16,   // of QINS_FEEDBACK_ROWS rows, in a piece that is encoded with feedback
    SUM_LANES = 8
};

// Rows in flight: their source bytes, their payload, and their errors.
struct piece {
    uint8_t *input;  // [piece_rows, input_row_bytes]
    uint8_t *output; // [payload_bytes(piece_rows)]
    double *squares; // [piece_rows]
    double *errors;  // [piece_rows]
    size_t *bad_col; // [piece_rows]: first column that cannot be converted, `cols` if none
    size_t first_row, n_rows;
};

// The buffers of one thread.
struct bench {
    float *values;  // of a row, of a whole item with feedback, and then twice as much again
    uint8_t *bytes; // a row in 16 bits; or coded rows, as many as there are rows of values
};

struct encoder {
    const qins_rows *source;
    qins_type type;
    qins_layout layout;
    qins_input_costs costs;
    qins_encoder *coder; // owned; NULL: the type is not coded
    size_t input_row_bytes;
    size_t piece_rows, item_rows; // multiples of QINS_PANEL where the payload is in panels, but for the last ones
    struct piece pieces[2];
    struct piece *current, *previous; // being encoded; being written (NULL: none)
    struct bench *benches;            // [n_threads]
    float *floats;                    // of all benches
    uint8_t *bytes;
    qins_error *worker_errors; // [n_threads]
    XXH3_state_t *hash;
    qins_sink *sink;
    void *sink_context;
    qins_error *sink_error;
    qins_encoded *result;
};

// Bytes of the payload of n rows, the first of which begins a panel where there are panels.
static size_t payload_bytes(const struct encoder *encoder, size_t n) {
    const size_t cols = encoder->source->cols;
    if (encoder->layout == QINS_ROWS) return n * qins_row_bytes(encoder->type, cols);
    return qins_panels(n) * qins_panel_bytes(encoder->type, cols);
}

// A coded row takes its d, then its codes, then its scale bytes.
static size_t coded_row_bytes(size_t cols) {
    const size_t padded = qins_round_up(cols, QINS_UNIT), n_d = (cols + QINS_STRETCH - 1) / QINS_STRETCH;
    return qins_round_up(n_d * sizeof(uint16_t) + padded + padded / QINS_BLOCK, 64);
}

static qins_coded_row coded_row_at(uint8_t *bytes, size_t cols) {
    const size_t padded = qins_round_up(cols, QINS_UNIT), n_d = (cols + QINS_STRETCH - 1) / QINS_STRETCH;
    uint8_t *codes = bytes + n_d * sizeof(uint16_t);
    return (qins_coded_row){(int8_t *)codes, codes + padded, (uint16_t *)(void *)bytes};
}

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

// Put the row in slot `slot` of the piece where it belongs; `row` are its values or its codes.
static void place_values(const struct encoder *encoder, struct piece *piece, size_t slot, const void *row) {
    const size_t cols = encoder->source->cols, in_panel = slot % QINS_PANEL;
    if (encoder->layout == QINS_ROWS)
        memcpy(piece->output + payload_bytes(encoder, slot), row, qins_row_bytes(encoder->type, cols));
    else
        qins_pack_values(piece->output + payload_bytes(encoder, slot - in_panel), encoder->type, cols, in_panel, row);
}

static void place_coded(const struct encoder *encoder, struct piece *piece, size_t slot, const qins_coded_row *row) {
    const size_t in_panel = slot % QINS_PANEL;
    qins_pack_coded(piece->output + payload_bytes(encoder, slot - in_panel), encoder->type, encoder->source->cols,
                    in_panel, row);
}

static void encode_row(struct encoder *encoder, struct piece *piece, size_t slot, const struct bench *bench) {
    const size_t cols = encoder->source->cols;
    if (!read_row(encoder, piece, slot, bench->values)) return;
    if (encoder->type == encoder->source->type) {
        place_values(encoder, piece, slot, piece->input + slot * encoder->input_row_bytes);
    } else if (encoder->type == QINS_F32) {
        place_values(encoder, piece, slot, bench->values);
    } else if (encoder->type == QINS_BF16) {
        piece->errors[slot] = narrow(bench->bytes, bench->values, cols, &piece->bad_col[slot]);
        place_values(encoder, piece, slot, bench->bytes);
    } else if (qins_type_is_coded(encoder->type)) {
        const qins_coded_row row = coded_row_at(bench->bytes, cols);
        piece->errors[slot] = qins_encode_row(encoder->coder, bench->values, encoder->costs.importance, cols, &row);
        place_coded(encoder, piece, slot, &row);
    }
}

// All rows of an item at once: they share the walk through the factor.
static void encode_rows_with_feedback(struct encoder *encoder, struct piece *piece, size_t slot, size_t n,
                                      const struct bench *bench) {
    const size_t cols = encoder->source->cols;
    qins_coded_row rows[QINS_FEEDBACK_ROWS] = {0};
    bool usable = true;
    for (size_t i = 0; i < n; i++) {
        usable &= read_row(encoder, piece, slot + i, bench->values + i * cols);
        rows[i] = coded_row_at(bench->bytes + i * coded_row_bytes(cols), cols);
    }
    if (!usable) return;
    qins_feedback_encode(encoder->costs.feedback, encoder->coder, bench->values, n, rows, piece->errors + slot,
                         bench->values + encoder->item_rows * cols);
    for (size_t i = 0; i < n; i++) place_coded(encoder, piece, slot + i, &rows[i]);
}

// Hash the piece before the current one and pass it on: one thread does this while the others encode.
static void write_piece(struct encoder *encoder, const struct piece *piece) {
    if (encoder->sink_error->status != QINS_OK) return;
    XXH3_64bits_update(encoder->hash, piece->input, piece->n_rows * encoder->input_row_bytes);
    encoder->sink(encoder->sink_context, piece->output, payload_bytes(encoder, piece->n_rows), encoder->sink_error);
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
    if (qins_rows_read(encoder->source, row, n, piece->input + first * encoder->input_row_bytes, error) != QINS_OK)
        return;
    const struct bench *bench = &encoder->benches[worker];
    memset(piece->output + payload_bytes(encoder, first), 0, payload_bytes(encoder, n)); // padding stays zero
    if (encoder->costs.feedback != NULL)
        encode_rows_with_feedback(encoder, piece, first, n, bench);
    else
        for (size_t i = 0; i < n; i++) encode_row(encoder, piece, first + i, bench);
}

// Add up the rows in order, whichever thread encoded them; an error for the first value that cannot be converted.
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
        size_t row = piece->first_row + i;
        const qins_stored *stored = &qins_rows_locate(source, &row)->weights;
        return qins_fail(
            error, QINS_BAD_MODEL, "%s: tensor %s: row %zu, column %zu: %s", stored->path, stored->name, row, col,
            isnan(value)   ? "the value is NaN; the checkpoint is damaged"
            : isinf(value) ? "the value is infinite; the checkpoint is damaged"
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
    free(encoder->coder);
    free(encoder->benches);
    free(encoder->floats);
    free(encoder->bytes);
    free(encoder->worker_errors);
    XXH3_freeState(encoder->hash);
}

static void allocate_benches(struct encoder *encoder, size_t n_threads, qins_error *error) {
    const size_t cols = encoder->source->cols, rows = encoder->costs.feedback != NULL ? encoder->item_rows : 1;
    const qins_feedback *feedback = encoder->costs.feedback;
    const size_t n_floats = rows * cols + (feedback != NULL ? qins_feedback_scratch(feedback, rows) : 0);
    const size_t narrowed = qins_round_up(cols * sizeof(uint16_t), 64), coded = rows * coded_row_bytes(cols);
    const size_t n_bytes = coded > narrowed ? coded : narrowed;
    encoder->benches = qins_alloc(n_threads, sizeof *encoder->benches, "rows of a tensor", error);
    encoder->floats = qins_alloc(n_threads, n_floats * sizeof(float), "rows of a tensor", error);
    encoder->bytes = qins_alloc(n_threads, n_bytes, "rows of a tensor", error);
    for (size_t i = 0; i < n_threads && error->status == QINS_OK; i++)
        encoder->benches[i] = (struct bench){encoder->floats + i * n_floats, encoder->bytes + i * n_bytes};
}

static void allocate(struct encoder *encoder, size_t n_threads, qins_error *error) {
    const size_t rows = encoder->piece_rows;
    for (int i = 0; i < 2; i++) {
        struct piece *piece = &encoder->pieces[i];
        piece->input = qins_alloc(rows, encoder->input_row_bytes, "rows of a tensor", error);
        piece->output = qins_alloc(1, payload_bytes(encoder, rows), "encoded rows of a tensor", error);
        piece->squares = qins_alloc(rows, sizeof(double), "rows of a tensor", error);
        piece->errors = qins_alloc(rows, sizeof(double), "rows of a tensor", error);
        piece->bad_col = qins_alloc(rows, sizeof(size_t), "rows of a tensor", error);
    }
    allocate_benches(encoder, n_threads, error);
    if (qins_type_is_coded(encoder->type)) encoder->coder = qins_alloc(1, sizeof *encoder->coder, "an encoder", error);
    if (encoder->coder != NULL) qins_encoder_init(encoder->coder, qins_kernels_get(), encoder->type);
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

// Choose how many rows a thread takes at a time and how many are in flight.
static void divide(struct encoder *encoder) {
    const size_t rows = encoder->source->rows, row_bytes = encoder->input_row_bytes;
    size_t item_rows = ITEM_BYTES / row_bytes, piece_rows = PIECE_BYTES / row_bytes;
    if (encoder->costs.feedback != NULL) {
        item_rows = QINS_FEEDBACK_ROWS;
        piece_rows = FEEDBACK_ITEMS * QINS_FEEDBACK_ROWS;
    }
    encoder->item_rows = qins_round_up(item_rows == 0 ? 1 : item_rows, QINS_PANEL);
    encoder->piece_rows = qins_round_up(piece_rows == 0 ? 1 : piece_rows, encoder->item_rows);
    if (encoder->piece_rows > rows) encoder->piece_rows = rows;
}

qins_status qins_encode_tensor(qins_pool *pool, const qins_rows *source, qins_type type, qins_layout layout,
                               const qins_input_costs *costs, qins_sink *sink, void *context, qins_encoded *result,
                               qins_error *error) {
    qins_error sink_error = {0};
    struct encoder encoder = {.source = source,
                              .type = type,
                              .layout = layout,
                              .costs = costs != NULL ? *costs : (qins_input_costs){0},
                              .input_row_bytes = qins_row_bytes(source->type, source->cols),
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
    if (error->status == QINS_OK) result->source_hash = XXH3_64bits_digest(encoder.hash);
    free_encoder(&encoder);
    return error->status;
}
