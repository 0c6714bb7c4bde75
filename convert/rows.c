// Reading of rows; see rows.h.
#include "convert/rows.h"

#include "engine/base/file.h"
#include "engine/base/half.h"
#include "engine/base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { LANES = 16 }; // columns that are summed at a time: the compiler keeps them in registers

qins_rows qins_rows_of(const qins_stored *weights, size_t rows, size_t cols) {
    return (qins_rows){.pieces = {{.weights = *weights, .rows = rows}},
                       .n_pieces = 1,
                       .type = weights->type,
                       .rows = rows,
                       .cols = cols};
}

enum { COMPARED_BYTES = 1 << 20 }; // at a time

bool qins_stored_equal(const qins_stored *a, const qins_stored *b, uint64_t bytes, qins_error *error) {
    bool is_equal = a->type == b->type;
    uint8_t *data = qins_alloc(2, COMPARED_BYTES, "part of a tensor", error);
    for (uint64_t at = 0; is_equal && at < bytes && data != NULL; at += COMPARED_BYTES) {
        const size_t n = bytes - at < COMPARED_BYTES ? (size_t)(bytes - at) : COMPARED_BYTES;
        is_equal = qins_file_read_at(a->fd, a->path, data, n, a->offset + at, error) == QINS_OK &&
                   qins_file_read_at(b->fd, b->path, data + n, n, b->offset + at, error) == QINS_OK &&
                   memcmp(data, data + n, n) == 0;
    }
    free(data);
    return is_equal;
}

uint64_t qins_rows_stored_bytes(const qins_rows *rows) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < rows->n_pieces; i++)
        bytes += (uint64_t)rows->pieces[i].rows * qins_row_bytes(rows->pieces[i].weights.type, rows->cols);
    return bytes;
}

static qins_status read_values(const qins_stored *stored, uint64_t first, size_t n, void *values, qins_error *error) {
    const size_t size = qins_types[stored->type].bits / 8;
    return qins_file_read_at(stored->fd, stored->path, values, n * size, stored->offset + first * size, error);
}

// values[n] = the matrix's values from `first` on, as FP32 (exact). Halves are read into the second half of the memory,
// where no value overwrites one that is still to be widened.
static qins_status read_floats(const qins_stored *stored, uint64_t first, size_t n, float *values, qins_error *error) {
    if (stored->type == QINS_F32) return read_values(stored, first, n, values, error);
    const uint8_t *halves = (const uint8_t *)values + n * sizeof(uint16_t);
    if (read_values(stored, first, n, (uint8_t *)values + n * sizeof(uint16_t), error) != QINS_OK) return error->status;
    for (size_t i = 0; i < n; i++) {
        uint16_t half;
        memcpy(&half, halves + i * sizeof half, sizeof half);
        values[i] = stored->type == QINS_BF16 ? qins_f32_from_bf16(half) : qins_f32_from_f16(half);
    }
    return QINS_OK;
}

// row[cols] += scale * b[rank] A[rank, stride]
static void update_row(float *row, const float *b, const float *a, size_t rank, size_t cols, size_t stride,
                       double scale) {
    for (size_t j = 0; j < cols; j += LANES) {
        double sums[LANES] = {0};
        for (size_t k = 0; k < rank; k++)
            for (size_t lane = 0; lane < LANES; lane++) sums[lane] += (double)b[k] * (double)a[k * stride + j + lane];
        for (size_t lane = 0; lane < LANES && j + lane < cols; lane++)
            row[j + lane] = (float)((double)row[j + lane] + scale * sums[lane]);
    }
}

// values[n, cols] += the update of the n rows from the piece's row `first` on.
static void apply_update(const qins_update *update, size_t first, size_t n, size_t cols, float *values,
                         qins_error *error) {
    const size_t stride = qins_round_up(cols, LANES), rank = update->rank;
    float *a = qins_alloc(rank, stride * sizeof *a, "an adapter's matrix", error);
    float *b = qins_alloc(n, rank * sizeof *b, "an adapter's matrix", error);
    for (size_t k = 0; k < rank && error->status == QINS_OK; k++)
        read_floats(&update->a, (uint64_t)k * cols, cols, a + k * stride, error);
    if (error->status == QINS_OK) read_floats(&update->b, (uint64_t)(update->first + first) * rank, n * rank, b, error);
    for (size_t i = 0; i < n && error->status == QINS_OK; i++)
        update_row(values + i * cols, b + i * rank, a, rank, cols, stride, update->scale);
    free(a);
    free(b);
}

static qins_status read_piece(const qins_rows *rows, const qins_piece *piece, size_t first, size_t n, void *values,
                              qins_error *error) {
    const uint64_t at = (uint64_t)(piece->first + first) * rows->cols;
    if (piece->weights.type == rows->type)
        read_values(&piece->weights, at, n * rows->cols, values, error);
    else
        read_floats(&piece->weights, at, n * rows->cols, values, error);
    if (error->status == QINS_OK && piece->update.rank > 0)
        apply_update(&piece->update, first, n, rows->cols, values, error);
    return error->status;
}

qins_status qins_rows_read(const qins_rows *rows, size_t first, size_t n, void *values, qins_error *error) {
    uint8_t *to = values;
    for (size_t i = 0; i < rows->n_pieces && n > 0 && error->status == QINS_OK; i++) {
        const qins_piece *piece = &rows->pieces[i];
        if (first >= piece->rows) {
            first -= piece->rows;
            continue;
        }
        const size_t left = piece->rows - first, n_here = n < left ? n : left;
        read_piece(rows, piece, first, n_here, to, error);
        to += n_here * qins_row_bytes(rows->type, rows->cols);
        n -= n_here;
        first = 0;
    }
    return error->status;
}

const qins_piece *qins_rows_locate(const qins_rows *rows, size_t *row) {
    const qins_piece *piece = rows->pieces;
    while (*row >= piece->rows) *row -= piece++->rows;
    *row += piece->first;
    return piece;
}
