// The types of stored numbers and the QINS codes: their definition. Values at rest are encoded; they become numbers
// just before each product. Everything here is scalar C whose result does not depend on compiler, CPU or threads;
// faster kernels must agree with it bit by bit.
//
// A coded weight is w = d * v. d is a BF16 scale of QINS_STRETCH consecutive weights of a row. v is an exact integer,
// |v| <= QINS_MAX_V, made of the weight's code and of a scale byte k that QINS_BLOCK consecutive weights share:
//
//     qins8    code s = -127 .. 127    T(s) = s (|s| + 128)    v = (T(s) k + 1024) >> 11    k = 0 .. 255
//
// (>> is the arithmetic shift.) The coordinate s is nonlinear: steps are small where weights are many. d is 0 or a
// normal number, at least 2^-126. It has 8 significant bits and v has 12, so d * v is exact in FP32.
#ifndef QINS_KERNELS_CODE_H
#define QINS_KERNELS_CODE_H

#include "engine/base/error.h"
#include "engine/base/half.h"

#include <stddef.h>
#include <stdint.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "weights are used as they lie in files, little-endian; on a big-endian machine they would be other numbers"
#endif

// Numbers of this enumeration never leave the process: files name types by qins_type_info.name.
typedef enum qins_type { QINS_F32, QINS_F16, QINS_BF16, QINS_QINS8, QINS_TYPE_COUNT } qins_type;

enum {
    QINS_PANEL = 16,    // rows of a panel
    QINS_BLOCK = 32,    // weights of a row that share a scale byte
    QINS_UNIT = 64,     // columns of a panel come in whole units
    QINS_STRETCH = 512, // weights of a row that share d
    QINS_MAX_V = 4032,
    QINS_BF16_MIN = 0x0080, // bits of the smallest normal BF16, 2^-126
    QINS_BF16_MAX = 0x7F7F  // bits of the largest finite BF16
};

// One row per type; a narrower code is a new row. What does not concern a type is NULL or 0.
typedef struct qins_type_info {
    const char *name; // as in files and on the command line
    size_t bits;      // per value, without scales
    // Uncompressed types: the number at `bytes`.
    float (*number)(const void *bytes);
    // Coded types:
    int min_code, max_code, zero_code; // codes that a writer uses; the one that stands for 0
    int max_scale;                     // largest scale byte
    int max_t;                         // v = max_t * k / 2^t_bits for the largest code, up to rounding
    int t_bits;
    // v of any code that the packing can hold, under any scale byte.
    int (*value)(int code, int scale);
    // Code of row 0 .. 15, column 0 .. QINS_UNIT - 1 of a unit [16 rows][QINS_UNIT columns] of packed codes.
    int (*get)(const uint8_t *unit, size_t row, size_t col);
    void (*put)(uint8_t *unit, size_t row, size_t col, int code);
    // The code whose value under scale byte k >= 1 is nearest to v, up to rounding; used by encoders only.
    int (*nearest)(float v, int scale);
} qins_type_info;

extern const qins_type_info qins_types[QINS_TYPE_COUNT];

bool qins_type_from_name(const char *name, qins_type *type);
static inline bool qins_type_is_coded(qins_type type) {
    return qins_types[type].value != NULL;
}

// How a matrix lies in memory.
//
// QINS_ROWS: row after row, uncompressed.
//
// QINS_PANELS: panels of 16 rows, so that a vector's lanes are rows; rows padded to 16 with zeros. Uncompressed:
// [cols][16 rows]. Coded: columns padded to QINS_UNIT; for every QINS_STRETCH columns, or what is left of them, n
// columns:
//     d [16 rows] BF16, scale bytes [n / QINS_BLOCK][16 rows], zeros up to 64 bytes,
//     codes [n / QINS_UNIT] units; a unit of qins8: [QINS_UNIT / 4][16 rows][4 columns] bytes
// (Scales that lie further from their codes, 1024 columns together, halve the rate at which a Zen 4 reads.)
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

// One coded row before it is packed, and where it goes. cols is any number; codes, scales and d cover the padded row.
typedef struct qins_coded_row {
    int8_t *codes;   // [cols rounded up to QINS_UNIT], the padding being the zero code
    uint8_t *scales; // [those / QINS_BLOCK], of the padding 0
    uint16_t *d;     // [cols / QINS_STRETCH rounded up] BF16
} qins_coded_row;

// Put a row into row 0 .. 15 of a panel; rows that are not put must be zero bytes, which decode to zeros.
void qins_pack_coded(void *panel, qins_type type, size_t cols, size_t row, const qins_coded_row *coded);
// As above for uncompressed values[cols] of qins_types[type].bits each.
void qins_pack_values(void *panel, qins_type type, size_t cols, size_t row, const void *values);

// out[cols] = d * v of a coded row.
void qins_decode_coded(float *out, qins_type type, size_t cols, const qins_coded_row *coded);

// The largest |x[n]|; not below infinity where one is infinite or NaN.
float qins_largest_magnitude(const float *x, size_t n);

// The scale of finite numbers up to `magnitude` >= 0: 0, or the smallest normal BF16 that is at least magnitude /
// largest, at most QINS_BF16_MAX.
uint16_t qins_smallest_scale(float magnitude, float largest);

// T(s) of qins8 for every byte s, in FP32; and the code whose T is nearest to t, up to rounding. V in the cache is d
// T(s).
enum { QINS_MAX_T = 127 * (127 + 128) };
static inline float qins_t_value(int8_t s) {
    const int magnitude = s < 0 ? -s : s;
    return (float)(s * (magnitude | 128)); // "or" instead of "+" decides -128, which no writer uses
}
int qins_nearest_t(float t);

#endif
