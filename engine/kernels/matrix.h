// Matrices at rest: the layout of values and packed codes, and the definition of decoding.
#ifndef QINS_KERNELS_MATRIX_H
#define QINS_KERNELS_MATRIX_H

#include "engine/kernels/code.h"

// The layout of a matrix in memory.
//
// QINS_ROWS: row after row, uncompressed.
//
// QINS_PANELS: panels of 16 rows, so a vector's lanes are rows; rows padded to 16 with zeros. Uncompressed: [cols][16
// rows]. Coded: columns padded to QINS_UNIT; for every QINS_STRETCH columns, or what is left of them, n columns:
//     d [16 rows] BF16, scale bytes [n / QINS_BLOCK][16 rows], zeros up to 64 bytes,
//     codes [n / QINS_UNIT] units
// A unit of qins8 is [QINS_UNIT / 4][16 rows][4 columns] bytes. A unit of a narrower code is two blocks of 32 columns,
// each consisting of 8 groups [16 rows][4 columns]: a plane of nibbles, the codes' low 4 bits, [4][16 rows][4] bytes
// with group 2 i in the low and group 2 i + 1 in the high halves of bytes i; then a plane of the e = 1 or 2 further
// bits, [e][16 rows][4] bytes, each with 8 / e groups from its low bits on. (qins6: the code's bits are those of s +
// 32.) (Scales further from their codes, 1024 columns together, halve the rate at which a Zen 4 reads.)
typedef enum qins_layout { QINS_ROWS, QINS_PANELS } qins_layout;

// A matrix W[rows, cols] at rest. Nothing is owned.
typedef struct qins_matrix {
    qins_type type;
    qins_layout layout;
    size_t rows, cols;
    const void *data;
} qins_matrix;

static inline size_t qins_round_up(size_t n, size_t multiple) {
    return (n + multiple - 1) / multiple * multiple;
}

// Bytes of a row of an uncompressed matrix in QINS_ROWS, of a panel, and of a whole matrix; the last is false when that
// overflows or the layout cannot hold the type.
size_t qins_row_bytes(qins_type type, size_t cols);
size_t qins_panel_bytes(qins_type type, size_t cols);
bool qins_matrix_bytes(qins_type type, qins_layout layout, size_t rows, size_t cols, size_t *bytes);

// The parts of the stretch of a coded panel that begins at column `col`, a multiple of QINS_STRETCH below the padded
// cols.
typedef struct qins_stretch {
    size_t n_cols;         // padded
    const uint16_t *d;     // [16]
    const uint8_t *scales; // [n_cols / QINS_BLOCK][16]
    const uint8_t *codes;  // [n_cols / QINS_UNIT] units of qins_unit_bytes
} qins_stretch;

static inline size_t qins_unit_bytes(qins_type type) {
    return QINS_PANEL * QINS_UNIT * qins_types[type].bits / 8;
}

// Bytes of scales before a stretch's codes; 0 for no columns.
static inline size_t qins_scale_bytes(size_t n_cols) {
    return n_cols == 0 ? 0 : qins_round_up(QINS_PANEL * (sizeof(uint16_t) + n_cols / QINS_BLOCK), 64);
}

static inline qins_stretch qins_stretch_at(const void *panel, size_t unit_bytes, size_t cols, size_t col) {
    const size_t stretch_bytes = qins_scale_bytes(QINS_STRETCH) + QINS_STRETCH / QINS_UNIT * unit_bytes;
    const size_t left = qins_round_up(cols, QINS_UNIT) - col, n_cols = left < QINS_STRETCH ? left : QINS_STRETCH;
    const uint8_t *start = (const uint8_t *)panel + col / QINS_STRETCH * stretch_bytes;
    return (qins_stretch){n_cols, (const uint16_t *)(const void *)start, start + QINS_PANEL * sizeof(uint16_t),
                          start + qins_scale_bytes(n_cols)};
}

static inline const uint8_t *qins_panel_at(const qins_matrix *w, size_t panel) {
    return (const uint8_t *)w->data + panel * qins_panel_bytes(w->type, w->cols);
}

static inline size_t qins_panels(size_t rows) {
    return (rows + QINS_PANEL - 1) / QINS_PANEL;
}

// out[n_rows, cols] = W[row .. row + n_rows, :] in FP32, for any type and layout: the definition of decoding.
void qins_decode_rows(float *out, const qins_matrix *w, size_t row, size_t n_rows);

// One coded row before it is packed, or after it is unpacked. cols is any number; codes, scales and d cover the padded
// row.
typedef struct qins_coded_row {
    int8_t *codes;   // [cols rounded up to QINS_UNIT], the padding being the padding code
    uint8_t *scales; // [those / QINS_BLOCK], of the padding 0
    uint16_t *d;     // [cols / QINS_STRETCH rounded up] BF16
} qins_coded_row;

// Store a row as row 0 .. 15 of a panel; rows that are not stored must be zero bytes, which decode to zeros.
void qins_pack_coded(void *panel, qins_type type, size_t cols, size_t row, const qins_coded_row *coded);
// The other way: row 0 .. rows - 1 of a coded matrix.
void qins_unpack_coded(const qins_coded_row *coded, const qins_matrix *w, size_t row);

// As qins_pack_coded for uncompressed values[cols] of qins_types[type].bits each.
void qins_pack_values(void *panel, qins_type type, size_t cols, size_t row, const void *values);

// out[cols] = d * v of a coded row.
void qins_decode_coded(float *out, qins_type type, size_t cols, const qins_coded_row *coded);

#endif
