// Tensors of an ONNX model's data file; see onnx_weights.h.
#include "convert/onnx_weights.h"

#include "engine/base/file.h"
#include "engine/base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64, PIECE_BYTES = 8 << 20 };

// --- the plan ---

static size_t padded_cols(size_t cols) {
    return qins_round_up(cols, QINS_UNIT);
}

// Columns that share d.
static size_t cols_of_d(size_t cols) {
    return padded_cols(cols) % QINS_STRETCH == 0 ? QINS_STRETCH : QINS_BLOCK;
}

static qins_onnx_type type_of_values(const qins_onnx_weight *weight) {
    if (weight->spec.role == QINS_ROLE_NORM || weight->type == QINS_F32) return QINS_ONNX_FLOAT;
    return weight->type == QINS_F16 ? QINS_ONNX_FLOAT16 : QINS_ONNX_BFLOAT16;
}

static void add_part(qins_onnx_weight *weight, const char *suffix, qins_onnx_type type, size_t rank,
                     const size_t *dims) {
    const qins_tensor_spec spec = weight->spec;
    qins_onnx_tensor *part = &weight->parts[weight->n_parts++];
    *part = (qins_onnx_tensor){.type = type, .rank = rank};
    snprintf(part->name, sizeof part->name, "%s%s", spec.name, suffix);
    memcpy(part->dims, dims, rank * sizeof *dims);
}

static void add_coded_parts(qins_onnx_weight *weight) {
    const size_t rows = weight->spec.rows, cols = padded_cols(weight->spec.cols), of_d = cols_of_d(weight->spec.cols);
    const size_t n_d = cols / of_d, blocks = of_d / QINS_BLOCK;
    const qins_onnx_type k_type = qins_types[weight->type].max_k > INT8_MAX ? QINS_ONNX_UINT8 : QINS_ONNX_INT8;
    add_part(weight, ".codes", QINS_ONNX_UINT8, 4, (size_t[]){rows, n_d, blocks, QINS_BLOCK});
    add_part(weight, ".k", k_type, 4, (size_t[]){rows, n_d, blocks, 1});
    add_part(weight, ".d", QINS_ONNX_FLOAT, 4, (size_t[]){rows, n_d, 1, 1});
}

// FP32 values are the weight itself; others become it by a node.
static void add_values(qins_onnx_weight *weight) {
    const qins_onnx_type type = type_of_values(weight);
    const size_t dims[] = {weight->spec.rows, weight->spec.cols};
    const bool is_vector = weight->spec.role == QINS_ROLE_NORM;
    add_part(weight, type == QINS_ONNX_FLOAT ? "" : ".values", type, is_vector ? 1 : 2, dims + is_vector);
}

// The next part of the data file.
static void place(qins_onnx_weights *weights, qins_onnx_tensor *part, qins_error *error) {
    size_t bytes = qins_onnx_type_bytes(part->type), end;
    bool fits = true;
    for (size_t i = 0; i < part->rank; i++) fits = fits && qins_multiply(bytes, part->dims[i], &bytes);
    part->offset = qins_align_up((size_t)weights->bytes, ALIGNMENT);
    part->bytes = bytes;
    if (!fits || !qins_add((size_t)part->offset, bytes, &end) || end > SIZE_MAX - ALIGNMENT)
        qins_fail(error, QINS_FAILED, "%s is too large for this machine", part->name);
    else
        weights->bytes = end;
}

qins_status qins_onnx_weights_plan(qins_onnx_weights *weights, const qins_header *header, qins_error *error) {
    *weights = (qins_onnx_weights){
        .n = header->n_tensors,
        .weights = qins_alloc(header->n_tensors, sizeof *weights->weights, "list of tensors", error)};
    for (size_t i = 0; i < weights->n && error->status == QINS_OK; i++) {
        qins_onnx_weight *weight = &weights->weights[i];
        *weight = (qins_onnx_weight){.spec = header->tensors[i].spec, .type = header->tensors[i].type};
        if (qins_type_is_coded(weight->type))
            add_coded_parts(weight);
        else
            add_values(weight);
        for (size_t p = 0; p < weight->n_parts; p++) place(weights, &weight->parts[p], error);
    }
    return error->status;
}

void qins_onnx_weights_free(qins_onnx_weights *weights) {
    free(weights->weights);
    *weights = (qins_onnx_weights){0};
}

// --- codes ---

// A code's index in its part of the table: its packed bits.
static int packed_bits(const qins_type_info *info, int code) {
    return (code - info->padding_code) & ((1 << info->bits) - 1);
}

size_t qins_onnx_table(qins_type type, float table[QINS_ONNX_TABLE]) {
    const qins_type_info *info = &qins_types[type];
    const int n_codes = 1 << info->bits, first = info->min_code;
    for (int form = 0; form < info->n_forms; form++)
        for (int i = 0; i < n_codes; i++)
            table[form * n_codes + packed_bits(info, first + i)] =
                (float)info->t(first + i, form) / (float)(1 << info->shift);
    return (size_t)(info->n_forms * n_codes);
}

// --- writing ---

struct piece {
    int fd;
    const char *path;
    qins_pool *pool;
    // The rows at work.
    const qins_onnx_weight *weight;
    qins_matrix matrix;
    size_t first_row, n_rows;
    void *parts[QINS_ONNX_PARTS]; // owned, [rows of a piece, row_bytes]
    uint16_t *d;                  // owned, [rows of a piece, stretches]
    float *values;                // owned, [rows of a piece, cols]
};

static size_t row_bytes(const qins_onnx_weight *weight, size_t part) {
    return (size_t)weight->parts[part].bytes / weight->spec.rows;
}

static void *row_of(const struct piece *piece, size_t part, size_t item) {
    return (uint8_t *)piece->parts[part] + item * row_bytes(piece->weight, part);
}

static void code_row(void *context, size_t item, size_t worker) {
    (void)worker;
    const struct piece *piece = context;
    const qins_type_info *info = &qins_types[piece->weight->type];
    const size_t cols = padded_cols(piece->matrix.cols), of_d = cols_of_d(piece->matrix.cols);
    const qins_coded_row row = {.codes = row_of(piece, QINS_ONNX_CODES, item),
                                .scales = row_of(piece, QINS_ONNX_K, item),
                                .d = piece->d + item * (cols / QINS_STRETCH + 1)};
    float *d = row_of(piece, QINS_ONNX_D, item);
    qins_unpack_coded(&row, &piece->matrix, piece->first_row + item);
    for (size_t i = 0; i < cols; i++) {
        const int form = row.scales[i / QINS_BLOCK] % info->n_forms;
        row.codes[i] = (int8_t)(form << info->bits | packed_bits(info, row.codes[i]));
    }
    for (size_t i = 0; i < cols / QINS_BLOCK; i++) row.scales[i] = (uint8_t)info->k(row.scales[i]);
    for (size_t i = 0; i < cols / of_d; i++) d[i] = qins_f32_from_bf16(row.d[i * of_d / QINS_STRETCH]);
}

static void value_row(void *context, size_t item, size_t worker) {
    (void)worker;
    const struct piece *piece = context;
    const size_t cols = piece->matrix.cols;
    const qins_onnx_type type = piece->weight->parts[QINS_ONNX_VALUES].type;
    float *values = piece->values + item * cols;
    uint16_t *halves = row_of(piece, QINS_ONNX_VALUES, item);
    qins_decode_rows(values, &piece->matrix, piece->first_row + item, 1);
    if (type == QINS_ONNX_FLOAT)
        memcpy(halves, values, cols * sizeof *values);
    else if (type == QINS_ONNX_FLOAT16)
        for (size_t i = 0; i < cols; i++) halves[i] = qins_f16_from_f32(values[i]);
    else
        for (size_t i = 0; i < cols; i++) halves[i] = qins_bf16_from_f32(values[i]);
}

// Room for `rows` rows of the weight.
static void piece_alloc(struct piece *piece, size_t rows, qins_error *error) {
    const size_t cols = piece->matrix.cols;
    for (size_t p = 0; p < piece->weight->n_parts; p++)
        piece->parts[p] = qins_alloc(rows, row_bytes(piece->weight, p), "rows of a tensor", error);
    if (qins_type_is_coded(piece->weight->type))
        piece->d = qins_alloc(rows, (padded_cols(cols) / QINS_STRETCH + 1) * sizeof *piece->d, "scales", error);
    else
        piece->values = qins_alloc(rows, cols * sizeof *piece->values, "rows of a tensor", error);
}

static void piece_free(struct piece *piece) {
    for (size_t p = 0; p < QINS_ONNX_PARTS; p++) {
        free(piece->parts[p]);
        piece->parts[p] = NULL;
    }
    free(piece->d);
    free(piece->values);
    piece->d = NULL;
    piece->values = NULL;
}

static void write_piece(struct piece *piece, qins_error *error) {
    const bool is_coded = qins_type_is_coded(piece->weight->type);
    qins_pool_run(piece->pool, piece->n_rows, is_coded ? code_row : value_row, piece);
    for (size_t p = 0; p < piece->weight->n_parts; p++) {
        const size_t bytes = row_bytes(piece->weight, p);
        qins_file_write_at(piece->fd, piece->path, piece->parts[p], piece->n_rows * bytes,
                           piece->weight->parts[p].offset + piece->first_row * bytes, error);
    }
}

qins_status qins_onnx_weights_write(const qins_onnx_weights *weights, const qins_image *image, int fd, const char *path,
                                    qins_pool *pool, qins_progress *progress, void *context, qins_error *error) {
    struct piece piece = {.fd = fd, .path = path, .pool = pool};
    uint64_t done = 0;
    for (size_t i = 0; i < weights->n && error->status == QINS_OK; i++) {
        const qins_onnx_weight *weight = piece.weight = &weights->weights[i];
        piece.matrix = qins_image_matrix(image, i);
        const size_t rows = piece.matrix.rows, most = PIECE_BYTES / (piece.matrix.cols * sizeof(float)) + 1;
        piece_alloc(&piece, most < rows ? most : rows, error);
        for (size_t row = 0; row < rows && error->status == QINS_OK; row += piece.n_rows) {
            piece.first_row = row;
            piece.n_rows = rows - row < most ? rows - row : most;
            write_piece(&piece, error);
            for (size_t p = 0; p < weight->n_parts; p++) done += piece.n_rows * row_bytes(weight, p);
            if (progress != NULL && !progress(context, done, weights->bytes))
                qins_fail(error, QINS_INTERRUPTED, "interrupted");
        }
        piece_free(&piece);
    }
    return error->status;
}
