// Defines the types of stored numbers and the QINS codes. Values at rest are encoded; they become numbers just before
// each product. Everything here is scalar C whose result does not depend on compiler, CPU or threads; faster kernels
// must match it bit for bit.
//
// A coded weight is w = d * v. d is a BF16 scale of QINS_STRETCH consecutive weights of a row. v is an exact integer,
// |v| <= QINS_MAX_V, computed from the weight's code and a scale byte that QINS_BLOCK consecutive weights share:
//
//     type     code         T                       v
//     qins8    -127 .. 127  s (|s| + 128)           (T k + 1024) >> 11    k = byte, 0 .. 255
//     qins6    -32 .. 31    s (|s| + 48) + 24 t     (T k + 32) >> 6       k = byte >> 1, -63 .. 63, of the signed byte
//     qins5    0 .. 31      table B + 3 t           (T k + 1) >> 1        t = byte & 1
//     qins4    0 .. 15      table A + 3 t           T k
//
// (>> is the arithmetic shift.) All codes are nonlinear: steps are small where weights are frequent. The sign of k
// mirrors the asymmetric tables, and t shifts them by half their smallest step. d is 0 or a normal number, at least
// 2^-126. It has 8 significant bits and v has 12, so d * v is exact in FP32.
#ifndef QINS_KERNELS_CODE_H
#define QINS_KERNELS_CODE_H

#include "engine/base/error.h"
#include "engine/base/half.h"

#include <stddef.h>
#include <stdint.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "weights are used as they lie in files, little-endian; on a big-endian machine they would be other numbers"
#endif

enum {
    QINS_PANEL = 16,    // rows of a panel
    QINS_BLOCK = 32,    // weights of a row that share a scale byte
    QINS_UNIT = 64,     // columns of a panel come in whole units
    QINS_STRETCH = 512, // weights of a row that share d
    QINS_MAX_V = 4032,
    QINS_BF16_MIN = 0x0080, // bits of the smallest normal BF16, 2^-126
    QINS_BF16_MAX = 0x7F7F  // bits of the largest finite BF16
};

// One row per type; another code is a new row. Fields that do not apply to a type are NULL or 0.
typedef struct qins_type_info {
    const char *name; // as in files and on the command line
    size_t bits;      // per value, without scales
    // Uncompressed types: the number at `bytes`.
    float (*number)(const void *bytes);
    // Coded types:
    int min_code, max_code, padding_code; // codes that a writer uses; the code whose packed bits are zero
    int max_k;                            // a writer uses |k| <= max_k
    float reach;                          // |v| of the code with the largest T is reach * |k|, up to rounding
    int (*k)(int scale);                  // of a scale byte
    int n_forms;                          // of T: 2 if the lowest bit of the scale byte shifts it
    int (*t)(int code, int scale);        // T of a code, in the form of that scale byte
    int shift;                            // v is T k / 2^shift, rounded to the nearest integer, halves upwards
    // v of any code that the packing can hold, under any scale byte.
    int (*value)(int code, int scale);
    // Code of row 0 .. 15, column 0 .. QINS_UNIT - 1 of a unit [16 rows][QINS_UNIT columns] of packed codes.
    int (*get)(const uint8_t *unit, size_t row, size_t col);
    void (*put)(uint8_t *unit, size_t row, size_t col, int code);
    // The code whose value under a scale byte is nearest to v, up to rounding; used by encoders only.
    int (*nearest)(float v, int scale);
} qins_type_info;

extern const qins_type_info qins_types[QINS_TYPE_COUNT];

bool qins_type_from_name(const char *name, qins_type *type);
static inline bool qins_type_is_coded(qins_type type) {
    return qins_types[type].value != NULL;
}

// The largest |x[n]|; not below infinity if one of them is infinite or NaN.
float qins_largest_magnitude(const float *x, size_t n);

// The scale of finite numbers up to `magnitude` >= 0: 0, or the smallest normal BF16 that is at least magnitude /
// largest, or the one below it where `largest` times that is not finite.
uint16_t qins_smallest_scale(float magnitude, float largest);

// T(s) of qins8 for every byte s, in FP32; and the code whose T is nearest to t, up to rounding. V in the cache is d
// T(s).
enum { QINS_MAX_T = 127 * (127 + 128) };
static inline float qins_t_value(int8_t s) {
    const int magnitude = s < 0 ? -s : s;
    return (float)(s * (magnitude | 128)); // "or" instead of "+" decides -128, which no writer uses
}
int qins_nearest_t(float t);

// Tables A and B. They are part of the file format.
extern const int8_t qins4_table[16], qins5_table[32];

#endif
