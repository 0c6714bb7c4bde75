// The product of generation with BF16 dot products, for machines with AVX512_BF16. The table's magnitudes are BF16
// numbers, so weights are taken as they are; an activation x becomes hi + lo, hi = BF16(x) and lo = BF16(x - hi).
//
// |x - hi| <= 2^-9 of the power of two above |x|, and rounding that to the 8 bits of lo leaves |x - hi - lo| <=
// 2^-17 |x|. The instruction's products are exact and its sums round to nearest; a product passes at most 6 roundings
// in its block, one a block and 4 between lanes. For n weights:
//
//     |error| <= (2^-17 + (n / 64 + 16) 2^-24) sum |w||x| + 2^-126 sum (|w| + d + d |x|)
//
// The last term: conversion and product take subnormal numbers, below 2^-126, as 0, both those that come in and those
// that come out. It matters to nothing that is computed here: no curve has magnitudes below 2^-126 but 0, and lo gets
// there when |x| is below 2^-109. What is beyond the largest BF16 number, 3.39e38, becomes NaN, as hi is infinite then.
#ifdef __x86_64__
#include "engine/kernels/kernels_avx512.h"
#include "engine/kernels/kernels_avx512_lookup.h"
#include "engine/kernels/matrix.h"

enum { BLOCK = 64, PREFETCH_BYTES = 3072 };

// The halves of 16 activations go where lookup_codes leaves their weights: 8 into the first register, 8 into the
// second.
static inline void store_halves(__m128i *registers, __m256bh halves) {
    _mm_storeu_si128(registers, _mm256_castsi256_si128((__m256i)halves));
    _mm_storeu_si128(registers + 4, _mm256_extracti128_si256((__m256i)halves, 1));
}

// A block is four registers of 32 BF16: two of hi, two of lo.
void qins_avx512_arrange_bf16(float *arranged, const float *x, size_t cols) {
    for (size_t start = 0; start < cols; start += BLOCK, arranged += BLOCK) {
        for (size_t i = 0; i < BLOCK / 16; i++) {
            const size_t first = start + 16 * i;
            __m512 v = _mm512_maskz_loadu_ps(first < cols ? qins_avx512_lanes(cols - first) : 0, x + first);
            __m256bh hi = _mm512_cvtneps_pbh(v);
            __m512i wide = _mm512_slli_epi32(_mm512_cvtepu16_epi32((__m256i)hi), 16);
            __m128i *hi_registers = (__m128i *)arranged + i, *lo_registers = hi_registers + 8;
            store_halves(hi_registers, hi);
            store_halves(lo_registers, _mm512_cvtneps_pbh(_mm512_sub_ps(v, _mm512_castsi512_ps(wide))));
        }
    }
}

static inline __m512 add_dot(__m512 sum, __m512i weights, const float *halves) {
    return _mm512_dpbf16_ps(sum, (__m512bh)weights, (__m512bh)_mm512_loadu_si512(halves));
}

static float dot_row(const struct lookup *lookup, const uint8_t *codes, const uint16_t *scales, size_t blocks,
                     const float *x) {
    __m512 sum = _mm512_setzero_ps();
    for (size_t b = 0; b < blocks; b++, codes += BLOCK, x += BLOCK) {
        __m512i pairs[2];
        _mm_prefetch((const char *)codes + PREFETCH_BYTES, _MM_HINT_T0);
        lookup_codes(pairs, lookup, _mm512_loadu_si512(codes));
        __m512 first = add_dot(_mm512_setzero_ps(), pairs[0], x + 32), second = // lo first: it is small
                                                                       add_dot(_mm512_setzero_ps(), pairs[1], x + 48);
        first = add_dot(first, pairs[0], x);
        second = add_dot(second, pairs[1], x + 16);
        sum = _mm512_fmadd_ps(broadcast_scale(scales[b]), _mm512_add_ps(first, second), sum);
    }
    return qins_avx512_sum(sum);
}

void qins_avx512_dot_rows_bf16(float *out, const qins_matrix *w, size_t row, size_t n_rows, const float *x) {
    if (!qins_type_is_coded(w->type)) {
        qins_avx512_dot_rows(out, w, row, n_rows, x);
        return;
    }
    const size_t blocks = qins_first_block(w, 1);
    const struct lookup lookup = lookup_make(w->book);
    for (size_t r = row; r < row + n_rows; r++)
        *out++ = dot_row(&lookup, qins_codes_at(w, r, 0), w->scales + r * blocks, blocks, x);
}
#endif
