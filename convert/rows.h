// The rows of a tensor as a checkpoint holds them: in one place of a file or, where a model's tensor comes from
// several, in pieces one after another; with or without an adapter's update. Knows nothing of tensor names or folders.
#ifndef QINS_CONVERT_ROWS_H
#define QINS_CONVERT_ROWS_H

#include "engine/format/header.h"

// A matrix in an open file, row-major.
typedef struct qins_stored {
    int fd;
    const char *path; // for messages, as is the name
    const char *name; // in the file
    uint64_t offset;  // of the first value in the file, bytes
    qins_type type;   // F32, F16 or BF16
    size_t source;    // of the file: its place in the header's list
} qins_stored;

// The update that an adapter adds to rows: scale * B[rows, rank] A[rank, cols].
typedef struct qins_update {
    qins_stored a, b;
    size_t first; // row of `b` for the first row of the piece
    size_t rank;  // 0: there is no update
    double scale;
} qins_update;

typedef struct qins_piece {
    qins_stored weights;
    size_t first; // row of `weights` that the piece begins with
    size_t rows;
    qins_update update;
} qins_piece;

enum {
    QINS_MAX_PIECES = 3, // q, k and v
    QINS_MAX_RANK = 4096 // of an update
};

// W[rows, cols]
typedef struct qins_rows {
    qins_piece pieces[QINS_MAX_PIECES]; // [n_pieces]: its rows, in order
    size_t n_pieces;
    qins_type type; // of the values that qins_rows_read gives: that of the pieces, F32 if they differ or have updates
    size_t rows, cols;
} qins_rows;

// Do two places hold the same `bytes` of values of the same type?
bool qins_stored_equal(const qins_stored *a, const qins_stored *b, uint64_t bytes, qins_error *error);

// Bytes of the checkpoint's files that the rows take.
uint64_t qins_rows_stored_bytes(const qins_rows *rows);

// The whole of one matrix.
qins_rows qins_rows_of(const qins_stored *weights, size_t rows, size_t cols);

// values[n, cols] of rows->type = the rows from `first` on. An update is summed in double precision in the order of its
// ranks, added and rounded once, so it gives the same bits on every machine.
qins_status qins_rows_read(const qins_rows *rows, size_t first, size_t n, void *values, qins_error *error);

// The piece with this row; *row becomes its row in the file's matrix.
const qins_piece *qins_rows_locate(const qins_rows *rows, size_t *row);

#endif
