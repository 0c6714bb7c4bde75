// The table of kernels: numbers in, numbers out, one thread. Every sum has an order that is specified here, or is an
// exact sum of integers, so every tier gives the same bits as the scalar one, which is the definition.
//
// "A chain" is acc = fma(a[i], b[i], acc) for i in order, from acc = 0. A chained sum over n terms is cut into chains
// of QINS_UNIT terms, which are added up in order: y = 0; y += chain; y += chain; ...
//
// A sum over the elements of a vector runs in 16 lanes, element i in lane i mod 16, and the lanes are halved: lane i +=
// lane i + 8, then 4, 2, 1.
#ifndef QINS_KERNELS_H
#define QINS_KERNELS_H

#include "engine/kernels/matrix.h"

// An activation vector x[cols] in block floating point, as it is multiplied by coded weights: blocks of QINS_UNIT
// columns, padded with zeros; x[i] is about X[i] * scale of its block. scale = 2^e with the smallest e >= -126 for
// which |x| <= QINS_MAX_X * 2^e in the whole block, X = x / 2^e rounded to nearest even. A block with a non-finite
// value has X = 0 and scale = NaN.
//
// In memory, four columns 0 1 2 3 are in the order 0 2 1 3: kernels take columns in pairs, and these are the pairs that
// result when the even and the odd bytes of four bytes of codes are separated.
enum { QINS_MAX_X = 8191 };
static inline size_t qins_x_place(size_t col) {
    const size_t swapped = (col & 1) << 1 | (col & 2) >> 1;
    return (col & ~(size_t)3) | swapped;
}

// A product of matrices in FP32: c[m, n] += a[m, k] b[k, n]; c += each chain over k in turn. n is a multiple of 16.
// b is stored in panels of 16 columns: b[i, j] is b[j / 16 * b_panel + i * b_row + j % 16]. Strides in floats.
typedef struct qins_gemm {
    float *c;
    const float *a, *b;
    size_t c_stride, a_stride, b_row, b_panel;
    size_t m, n, k;
} qins_gemm;

// Integer weights against the block floating point of some tokens, over n_cols columns, a multiple of QINS_UNIT:
// for each of QINS_TILE_PANELS * 16 rows r and each token t, block after block of QINS_UNIT columns,
//     y[t, r] = fma(d[r] * scale[t, block], (float)(sum over the block of v * X), y[t, r])
// The sum of integers is exact: 64 * 4032 * 8191 < 2^31.
enum { QINS_TILE_PANELS = 2 };
typedef struct qins_product {
    float *y;           // [n_tokens, y_stride]
    const int16_t *v;   // [panels][n_cols / 2][16 rows][2 columns], in the order of X
    const float *d;     // [panels][16]
    const int16_t *x;   // [n_tokens, x_stride]
    const float *scale; // [n_tokens, scale_stride]
    size_t y_stride, x_stride, scale_stride;
    size_t n_tokens, n_cols;
    const uint8_t *next[QINS_TILE_PANELS]; // the codes that will be unpacked next, to be prefetched meanwhile
    size_t next_bytes;                     // of a column of a panel
} qins_product;

// Values at rest in the cache, one token's after another, without the token's d: uncompressed numbers; of qins8, codes
// that stand for T(s), s > -128; of qins4, for every 32 values (n is a multiple of that) 16 bytes, value i in the low
// half and value i + 16 in the high half of byte i, and their scale byte, which stand for v.
enum { QINS_NIBBLE_BYTES = 17 };
static inline size_t qins_values_bytes(qins_type type, size_t n) {
    return type == QINS_QINS4 ? n / QINS_BLOCK * QINS_NIBBLE_BYTES : n * qins_types[type].bits / 8;
}

typedef struct qins_kernels {
    // Activations to block floating point: X[cols rounded up to QINS_UNIT], scale[those / QINS_UNIT]
    void (*quantize)(int16_t *x_int, float *scale, const float *x, size_t cols);
    // One token and coded weights: y[16 rows of each panel] as qins_product defines it, from 0, d of each block's
    // columns
    void (*dot_coded[QINS_TYPE_COUNT])(float *y, const qins_matrix *w, size_t panel, size_t n_panels,
                                       const int16_t *x_int, const float *scale);
    // One token and uncompressed weights in panels: y[16 n_panels], y[r] = the chained sum over cols of W[r, i] x[i].
    // Also scores of keys, which are stored in panels of 16 positions, with T(s) in place of W for codes of qins8.
    void (*dot_values[QINS_TYPE_COUNT])(float *y, const void *panels, size_t n_panels, size_t cols, const float *x);
    // v of n_units units of codes, under their scale bytes [2 n_units][16]: v[n_units * 32 pairs][16 rows][2 columns]
    void (*unpack[QINS_TYPE_COUNT])(int16_t *v, const uint8_t *codes, const uint8_t *scales, size_t n_units);
    void (*multiply)(const qins_product *product);
    void (*gemm)(const qins_gemm *gemm);

    // out[n] in FP32 from numbers or values at rest
    void (*widen[QINS_TYPE_COUNT])(float *out, const void *in, size_t n);
    // out[cols] += the chain over i < n, n <= QINS_UNIT, of weights[i] * values[i, cols], values being those of widen;
    // rows of `values` are contiguous, cols is a multiple of 16 (qins4: of 32)
    void (*add_values[QINS_TYPE_COUNT])(float *out, const void *values, size_t cols, size_t n, const float *weights);
    // FP16 with values beyond +-65504 clamped; returns how many were clamped. NaN stays NaN
    size_t (*narrow)(uint16_t *out, const float *x, size_t n);
    // Codes of x[n] under d > 0: the s with T(s) nearest to x / d. Returns sum (x - d T(s))^2, by fma in lanes
    float (*value_codes)(int8_t *codes, float d, const float *x, size_t n);

    // out[n] = x * (1 / sqrt(mean(x^2) + eps)) * weight (HF Phi3RMSNorm), squares summed by fma; out may be x
    void (*rmsnorm)(float *out, const float *x, const float *weight, size_t n, float eps);
    // out[n] = up * (gate / (1 + exp(-gate))) (HF Phi3MLP)
    void (*swiglu)(float *out, const float *gate, const float *up, size_t n);
    // x[n] *= factor; returns the largest, ignoring NaN; -infinity if there is none
    float (*scale_max)(float *x, size_t n, float factor);
    // x[n] = exp(x - max) * factors (NULL: 1); returns the sum of the exponentials
    float (*exp_sum)(float *x, size_t n, float max, const float *factors);

    // For u[16], each under its own scale byte: the nearest code, up to rounding, and v
    void (*nearest[QINS_TYPE_COUNT])(int8_t *codes, float *v, const float *u, const uint8_t *scales);
    // Exact products of integers, `rounds` times in independent chains: the machine's peak; returns operations
    double (*integer_rounds)(size_t rounds);
} qins_kernels;

// exp(x) as all tiers compute it: 0 below -87.3, at most 2^127. NaN stays NaN.
float qins_exp(float x);

// The scalar tier: every slot is filled.
extern const qins_kernels qins_kernels_scalar;

#endif
