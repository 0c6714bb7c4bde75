// Codes to BF16 and FP32 in AVX-512 registers, for the files of this tier alone. T has 128 entries of two bytes, that
// is two tables of 128 bytes, and a VBMI permutation of two registers looks up 64 codes in one of them.
#ifndef QINS_KERNELS_AVX512_LOOKUP_H
#define QINS_KERNELS_AVX512_LOOKUP_H

#include "engine/kernels/codec.h"

#include <immintrin.h>

#define ALWAYS_INLINE static inline __attribute__((always_inline))

struct lookup {
    __m512i low[2], high[2]; // bytes of T
};

static inline struct lookup lookup_make(const qins_codebook *book) {
    uint8_t low[QINS_LEVELS], high[QINS_LEVELS];
    for (size_t s = 0; s < QINS_LEVELS; s += 32) {
        __m512i magnitude = _mm512_loadu_si512(book->magnitude + s);
        _mm256_storeu_si256((__m256i *)(low + s), _mm512_cvtepi16_epi8(magnitude));
        _mm256_storeu_si256((__m256i *)(high + s), _mm512_cvtepi16_epi8(_mm512_srli_epi16(magnitude, 8)));
    }
    return (struct lookup){{_mm512_loadu_si512(low), _mm512_loadu_si512(low + 64)},
                           {_mm512_loadu_si512(high), _mm512_loadu_si512(high + 64)}};
}

// 64 codes as signed BF16: pairs[0] holds bytes 0..7 of each 16, pairs[1] the others.
ALWAYS_INLINE void lookup_codes(__m512i pairs[2], const struct lookup *lookup, __m512i codes) {
    const __m512i sign = _mm512_set1_epi8((char)0x80);
    enum { A_OR_BOTH_B_AND_C = 0xF8 };
    __m512i low = _mm512_permutex2var_epi8(lookup->low[0], codes, lookup->low[1]); // bit 7 of an index is ignored
    __m512i high = _mm512_permutex2var_epi8(lookup->high[0], codes, lookup->high[1]);
    high = _mm512_ternarylogic_epi32(high, codes, sign, A_OR_BOTH_B_AND_C);
    pairs[0] = _mm512_unpacklo_epi8(low, high);
    pairs[1] = _mm512_unpackhi_epi8(low, high);
}

// 64 codes as FP32 in their order. Even and odd places of the two pairs widen apart, so the codes are dealt out first:
// register r takes 16 r .. 16 r + 15.
ALWAYS_INLINE void lookup_floats(__m512 v[4], const struct lookup *lookup, __m512i codes) {
    static const uint8_t dealt[64] = {0,  16, 1,  17, 2,  18, 3,  19, 32, 48, 33, 49, 34, 50, 35, 51,
                                      4,  20, 5,  21, 6,  22, 7,  23, 36, 52, 37, 53, 38, 54, 39, 55,
                                      8,  24, 9,  25, 10, 26, 11, 27, 40, 56, 41, 57, 42, 58, 43, 59,
                                      12, 28, 13, 29, 14, 30, 15, 31, 44, 60, 45, 61, 46, 62, 47, 63};
    const __m512i odd = _mm512_set1_epi32((int)0xFFFF0000);
    __m512i pairs[2];
    lookup_codes(pairs, lookup, _mm512_permutexvar_epi8(_mm512_loadu_si512(dealt), codes));
    for (int i = 0; i < 2; i++) {
        v[2 * i] = _mm512_castsi512_ps(_mm512_slli_epi32(pairs[i], 16));
        v[2 * i + 1] = _mm512_castsi512_ps(_mm512_and_si512(pairs[i], odd));
    }
}

// A BF16 scale in every lane of FP32: broadcast to the upper halves.
ALWAYS_INLINE __m512 broadcast_scale(uint16_t scale) {
    const __mmask32 upper_halves = 0xAAAAAAAA;
    return _mm512_castsi512_ps(_mm512_maskz_set1_epi16(upper_halves, (short)scale));
}

#endif
