// What the files of the AVX-512 tier share; for them alone. The functions are those of the table in kernels.h.
#ifndef QINS_KERNELS_AVX512_H
#define QINS_KERNELS_AVX512_H

#include "engine/kernels/kernels.h"

#include <immintrin.h>

void qins_avx512_decode_tile(float *out, const qins_matrix *w, size_t row, size_t n_rows, size_t col, size_t n_cols);
void qins_avx512_arrange(float *arranged, const float *x, size_t cols);
void qins_avx512_dot_rows(float *out, const qins_matrix *w, size_t row, size_t n_rows, const float *x);
void qins_avx512_add_rows(float *out, const qins_matrix *w, size_t row, size_t n_rows, const float *weights);

// arrange and dot_rows on a machine with AVX512_BF16: FP32 activations as sums of two BF16 numbers.
void qins_avx512_arrange_bf16(float *arranged, const float *x, size_t cols);
void qins_avx512_dot_rows_bf16(float *out, const qins_matrix *w, size_t row, size_t n_rows, const float *x);

// The BF16 products of kernels.h.
void qins_avx512_pack_bf16(void *packed, const qins_matrix *w, size_t row, size_t n_rows, size_t col, size_t n_cols);
void qins_avx512_multiply_bf16(float *y, size_t y_stride, const float *x, size_t x_stride, size_t n, uint16_t *rounded,
                               const void *packed, size_t n_rows, size_t n_cols, bool add);
double qins_avx512_bf16_rounds(size_t rounds);

// Lanes of a register of 16 that the first n numbers fill.
static inline __mmask16 qins_avx512_lanes(size_t n) {
    return n < 16 ? (__mmask16)((1u << n) - 1) : (__mmask16)0xFFFF;
}

static inline __m256 qins_avx512_upper(__m512 v) {
    return _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(v), 1));
}

static inline float qins_avx512_sum(__m512 v) {
    __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(v), qins_avx512_upper(v));
    __m128 sum = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
    return _mm_cvtss_f32(_mm_add_ss(sum, _mm_movehdup_ps(sum)));
}

#endif
