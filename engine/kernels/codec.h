// The weight types and the QINS codec: its definition. Values at rest are encoded; decoding gives floating point right
// before the product. Everything here is scalar C whose result does not depend on compiler, CPU or threads; faster
// kernels must agree with it bit by bit.
//
// qins8, one byte a weight: bit 7 is the sign, bits 0..6 the coordinate s. With u = 1 - s/127 and a curve t(u),
//
//     w = (sign ? -1 : +1) * d * T[s],    T[s] = round_to_bf16(t(u)),    d: BF16 scale of the weight's block
//
// A small s means a large magnitude; s = 127 is zero. The table T is stored with every tensor, so decoding needs no
// curve. d and T[s] have 8 significant bits each: their product is exact in FP32.
#ifndef QINS_KERNELS_CODEC_H
#define QINS_KERNELS_CODEC_H

#include "engine/base/error.h"
#include "engine/base/half.h"

#include <stddef.h>
#include <stdint.h>

// Numbers of this enumeration never leave the process: files name types by qins_type_info.name.
typedef enum qins_type { QINS_F32, QINS_F16, QINS_BF16, QINS_QINS8, QINS_TYPE_COUNT } qins_type;

// One row per type; a narrower code is a new row.
typedef struct qins_type_info {
    const char *name; // as in files and on the command line
    size_t bits;      // per stored value, without scales
    size_t block;     // values that share a BF16 scale; 0: no scales
    size_t levels;    // magnitudes of the code's table; 0: no table
} qins_type_info;

extern const qins_type_info qins_types[QINS_TYPE_COUNT];

bool qins_type_from_name(const char *name, qins_type *type);
static inline bool qins_type_is_coded(qins_type type) {
    return qins_types[type].levels != 0;
}

enum {
    QINS_LEVELS = 128,
    QINS_ZERO_CODE = 127,
    QINS_SCALE_CHOICES = 17,
    QINS_START_BINS = 1281,
    QINS_BF16_MAX = 0x7F7F // bits of the largest finite BF16
};

typedef enum qins_curve {
    QINS_PROJECTIVE, // t(u) = u / (1 + alpha (1 - u)), parameter alpha >= 0; alpha = 0 is the linear code
    QINS_LOG         // t(u) = exp(-R (1 - u)) for s < 127 and 0 for s = 127, parameter R > 0 in nats
} qins_curve;

const char *qins_curve_name(qins_curve curve); // "projective", "log"
bool qins_curve_from_name(const char *name, qins_curve *curve);

// A table of magnitudes and what is derived from it. `magnitude` is all that a file stores.
typedef struct qins_codebook {
    uint16_t magnitude[QINS_LEVELS]; // T[s], BF16, not increasing, T[127] = 0
    float value[256];                // signed value of every code byte, for d = 1
    float boundary[QINS_LEVELS];     // (T[s] + T[s+1]) / 2, exact: the smallest magnitude that takes code s; last: 0
    uint8_t start[QINS_START_BINS];  // where the search for a magnitude's code may begin
} qins_codebook;

// Index into `start`: magnitudes from 2^-20 to 1 fall into bins of 64 an octave, by the bits of the FP32; what is below
// shares bin 0, what is above the last one.
static inline unsigned qins_start_bin(float magnitude) {
    const int lowest = (127 - 20) * 64;
    int bin = (int)(qins_f32_bits(magnitude) >> 17) - lowest;
    return bin < 0 ? 0 : bin >= QINS_START_BINS ? QINS_START_BINS - 1 : (unsigned)bin;
}

// The code, without its sign, of a magnitude under d = 1: the nearest table entry, ties to the larger one.
static inline unsigned qins_nearest_code(const qins_codebook *book, float magnitude) {
    unsigned s = book->start[qins_start_bin(magnitude)];
    s += magnitude < book->boundary[s]; // the curves have at most two boundaries in a bin: no branch for these
    s += magnitude < book->boundary[s];
    while (magnitude < book->boundary[s]) s++;
    return s;
}

// Codebook of a curve.
void qins_codebook_make(qins_codebook *book, qins_curve curve, double parameter);
// Codebook from stored magnitudes; false when they are not finite, not in [0, 1], increase anywhere, or T[127] != 0.
bool qins_codebook_load(qins_codebook *book, const uint16_t magnitude[QINS_LEVELS]);

// A matrix W[rows, cols] at rest, row-major: weights, or a head's keys or values in the KV cache. Nothing is owned.
typedef struct qins_matrix {
    qins_type type;
    size_t rows, cols;
    size_t block;              // coded types: values that share a scale (weights: 64, cached V: the head)
    const void *data;          // values [rows, cols] of F32, F16, BF16; codes [rows, cols rounded up to block]
    const uint16_t *scales;    // coded types: [rows, blocks] BF16
    const qins_codebook *book; // coded types
    // What the caller reads next, a matrix with as many columns of ahead_width bytes (0: nothing): with each part of a
    // row, dot_rows and add_rows fetch the same part of that matrix into the cache. Any address may be given.
    uintptr_t ahead;
    size_t ahead_width;
} qins_matrix;

size_t qins_blocks(qins_type type, size_t cols);    // blocks of a row
size_t qins_row_bytes(qins_type type, size_t cols); // of values or codes, padding included, scales not
// Bytes of a whole tensor: values, or codes followed by scales. False when that overflows.
bool qins_tensor_bytes(qins_type type, size_t rows, size_t cols, size_t *bytes);

// Code of one value under scale d (as FP32): the nearest table entry, ties to the larger magnitude. Zero and what is
// nearest to zero become QINS_ZERO_CODE, whatever the sign.
uint8_t qins_encode_value(const qins_codebook *book, float value, float d);

// Encode one block x[n], all finite, n <= 65536: codes[n] and the BF16 scale d. Of the n_scales >= 1 scales from the
// largest |x| rounded up, one BF16 step (0.4 to 0.8 %) apart, it takes the first with the smallest error: the largest
// value need not sit exactly at T[0]. Returns sum (x - decoded)^2, accumulated in double in order.
double qins_encode_block(const qins_codebook *book, const float *x, size_t n, int n_scales, uint8_t *codes,
                         uint16_t *scale);

// The parts of that search. The first scale: the largest |x| rounded up to BF16, at most QINS_BF16_MAX. And the block
// under a given scale: returns the squared error as qins_encode_block does, or, as soon as that is certain, some value
// above `limit`.
uint16_t qins_smallest_scale(const float *x, size_t n);
double qins_encode_with_scale(const qins_codebook *book, const float *x, size_t n, uint16_t scale, double limit,
                              uint8_t *codes);

// Encode one row x[cols] of a QINS8 tensor into codes[padded cols] and scales[blocks], each block with the best of
// QINS_SCALE_CHOICES scales; returns the squared error.
double qins_encode_row(const qins_codebook *book, const float *x, size_t cols, uint8_t *codes, uint16_t *scales);

// values[i] = d * T, i < n: the decoder that defines the format.
void qins_decode_block(float *values, const qins_codebook *book, const uint8_t *codes, uint16_t scale, size_t n);

// The curve's parameter with the smallest squared error of qins_encode_row over the sample x[rows, cols], cols <= 65536
// * 64: a search over multiples of 1/32 in [0, 8] (projective) or [1, 12] (log), coarse to fine.
double qins_fit_parameter(qins_curve curve, const float *x, size_t rows, size_t cols);

#endif
