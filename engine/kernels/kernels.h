// The table of kernels: numbers in, numbers out, one thread. Filled by kernels_scalar.c; a faster tier overrides
// entries in a file of its own. Decoded values are bit-exact on every tier; sums may differ in their order within a
// tier's written tolerance. Encoding gives the same bytes on every tier.
#ifndef QINS_KERNELS_H
#define QINS_KERNELS_H

#include "engine/kernels/codec.h"

typedef struct qins_kernels {
    const char *name; // begins with the tier's: "scalar", ...

    // out[n_rows, n_cols] = W[row .. row + n_rows, col .. col + n_cols] in FP32; col begins a block of coded types
    void (*decode_tile)(float *out, const qins_matrix *w, size_t row, size_t n_rows, size_t col, size_t n_cols);
    // x[cols] in the form in which this tier's dot_rows reads it beside coded weights; arranged: cols rounded up to 64
    void (*arrange)(float *arranged, const float *x, size_t cols);
    // out[i] = W[row + i, :] . x, i < n_rows; decoding and product in one pass. x as qins_arranged hands it over; coded
    // matrices have blocks of 64 here
    void (*dot_rows)(float *out, const qins_matrix *w, size_t row, size_t n_rows, const float *x);
    // Prompts with coded weights on BF16 instructions; all three NULL where the processor has none.
    // packed: the tile of W as decode_tile takes it, in multiply_bf16's order; 4 bytes a weight suffice, for rows
    // rounded up to 32 and columns to 64
    void (*pack_bf16)(void *packed, const qins_matrix *w, size_t row, size_t n_rows, size_t col, size_t n_cols);
    // y[n, n_rows] = x[n, n_cols] tile^T, added to y if `add`; rows of y and x lie y_stride and x_stride floats apart.
    // x is rounded to BF16 into rounded[n, n_cols rounded up to 64]
    void (*multiply_bf16)(float *y, size_t y_stride, const float *x, size_t x_stride, size_t n, uint16_t *rounded,
                          const void *packed, size_t n_rows, size_t n_cols, bool add);
    // The instruction alone, `rounds` times in each of 12 chains; returns how many floating-point operations that were
    double (*bf16_rounds)(size_t rounds);

    // out[cols] += sum over i < n_rows of weights[i] * W[row + i, :]
    void (*add_rows)(float *out, const qins_matrix *w, size_t row, size_t n_rows, const float *weights);

    // out[n] = x / sqrt(mean(x^2) + eps) * weight (HF Phi3RMSNorm); out may be x
    void (*rmsnorm)(float *out, const float *x, const float *weight, size_t n, float eps);
    // out[n] = up * gate / (1 + exp(-gate)) (HF Phi3MLP)
    void (*swiglu)(float *out, const float *gate, const float *up, size_t n);
    // the largest of x[n], NaN passed over; -infinity where there is none
    float (*max)(const float *x, size_t n);
    // x[n] = exp(x - max); returns the sum of the new x
    float (*exp_sum)(float *x, size_t n, float max);

    // qins_encode_row of codec.h, bit by bit: codes, scales and the returned error
    double (*encode_row)(const qins_codebook *book, const float *x, size_t cols, uint8_t *codes, uint16_t *scales);
} qins_kernels;

// out[n_rows, cols] = W[row .. row + n_rows, :] in FP32
static inline void qins_decode_rows(const qins_kernels *kernels, float *out, const qins_matrix *w, size_t row,
                                    size_t n_rows) {
    kernels->decode_tile(out, w, row, n_rows, 0, w->cols);
}

// What dot_rows takes for the vector x[w->cols]: itself, or for coded weights what it was arranged into.
static inline const float *qins_arranged(const qins_kernels *kernels, float *arranged, const qins_matrix *w,
                                         const float *x) {
    if (!qins_type_is_coded(w->type)) return x;
    kernels->arrange(arranged, x, w->cols);
    return arranged;
}

extern const qins_kernels qins_kernels_scalar;
#ifdef __x86_64__
extern const qins_kernels qins_kernels_avx2;        // runs where qins_cpu_has(QINS_CPU_AVX2)
extern const qins_kernels qins_kernels_avx512;      // QINS_CPU_AVX512
extern const qins_kernels qins_kernels_avx512_bf16; // likewise, and the machine has AVX512_BF16
#endif

// The tier that qins_cpu_tier (cpu.h) names.
const qins_kernels *qins_kernels_get(void);

#endif
