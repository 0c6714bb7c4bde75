// Takes the place of the compiler's header in the emulated build (Makefile): AVX-512 by way of SIMDe, for machines
// without it. Everything that SIMDe 0.7.4 lacks or simplifies is written here from the pseudo-code of Intel's Software
// Developer's Manual, volume 2: a masked load or store does not touch what its mask leaves out.
#ifndef QINS_TESTS_EMULATED_IMMINTRIN_H
#define QINS_TESTS_EMULATED_IMMINTRIN_H

#include_next <immintrin.h>

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>

#include <math.h>
#include <stdint.h>
#include <string.h>

// LANES of TYPE from p under a mask, `rest` in the others; and back.
#define EMULATED_LOAD(name, vector, lane, mask)                                                                        \
    static inline vector name(vector rest, mask k, const void *p) {                                                    \
        lane v[sizeof(vector) / sizeof(lane)];                                                                         \
        memcpy(v, &rest, sizeof v);                                                                                    \
        for (size_t i = 0; i < sizeof v / sizeof *v; i++)                                                              \
            if (k >> i & 1) memcpy(&v[i], (const lane *)p + i, sizeof *v);                                             \
        memcpy(&rest, v, sizeof v);                                                                                    \
        return rest;                                                                                                   \
    }
EMULATED_LOAD(emulated_mask_loadu_ps, __m512, float, __mmask16)

static inline void emulated_mask_storeu_ps(void *p, __mmask16 k, __m512 a) {
    float v[16];
    memcpy(v, &a, sizeof v);
    for (size_t i = 0; i < 16; i++)
        if (k >> i & 1) memcpy((float *)p + i, &v[i], sizeof *v);
}

static inline __m512 emulated_cvtph_ps(__m256i a) {
    __m256 halves[2] = {_mm256_cvtph_ps(_mm256_castsi256_si128(a)), _mm256_cvtph_ps(_mm256_extracti128_si256(a, 1))};
    __m512 v;
    memcpy(&v, halves, sizeof v);
    return v;
}

// Operations on halves of 256 bits: IN and OUT are the types of the whole.
#define EMULATED_HALVES(name, out, out_half, in, in_half, low, high)                                                   \
    static inline out name(in a) {                                                                                     \
        out_half halves[2] = {low, high};                                                                              \
        out v;                                                                                                         \
        memcpy(&v, halves, sizeof v);                                                                                  \
        return v;                                                                                                      \
    }
#define HALF_I(i) _mm512_extracti64x4_epi64(a, i)
#define HALF_F(i) _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(a), i))
EMULATED_HALVES(emulated_cvtepu16_epi32, __m512i, __m256i, __m256i, __m128i,
                _mm256_cvtepu16_epi32(_mm256_castsi256_si128(a)), _mm256_cvtepu16_epi32(_mm256_extracti128_si256(a, 1)))
EMULATED_HALVES(emulated_cvtepi8_epi32, __m512i, __m256i, __m128i, __m128i, _mm256_cvtepi8_epi32(a),
                _mm256_cvtepi8_epi32(_mm_srli_si128(a, 8)))
EMULATED_HALVES(emulated_cvtepu8_epi32, __m512i, __m256i, __m128i, __m128i, _mm256_cvtepu8_epi32(a),
                _mm256_cvtepu8_epi32(_mm_srli_si128(a, 8)))
EMULATED_HALVES(emulated_halve_epi32, __m512i, __m256i, __m512i, __m256i, _mm256_srai_epi32(HALF_I(0), 1),
                _mm256_srai_epi32(HALF_I(1), 1))
EMULATED_HALVES(emulated_cvtepi32_ps, __m512, __m256, __m512i, __m256i, _mm256_cvtepi32_ps(HALF_I(0)),
                _mm256_cvtepi32_ps(HALF_I(1)))
EMULATED_HALVES(emulated_cvtps_epi32, __m512i, __m256i, __m512, __m256, _mm256_cvtps_epi32(HALF_F(0)),
                _mm256_cvtps_epi32(HALF_F(1)))
EMULATED_HALVES(emulated_cvtps_ph, __m256i, __m128i, __m512, __m256, _mm256_cvtps_ph(HALF_F(0), 0),
                _mm256_cvtps_ph(HALF_F(1), 0))

static inline __m512 emulated_join(__m256 low, __m256 high) {
    const __m256 halves[2] = {low, high};
    __m512 v;
    memcpy(&v, halves, sizeof v);
    return v;
}

static inline __m256 emulated_half(__m512 a, int i) {
    __m256 halves[2];
    memcpy(halves, &a, sizeof halves);
    return halves[i];
}

static inline float emulated_reduce_max_ps(__m512 a) {
    float v[16], largest = -INFINITY;
    memcpy(v, &a, sizeof v);
    for (int i = 0; i < 16; i++) largest = v[i] > largest ? v[i] : largest;
    return largest;
}

// Each int32 cut to its lowest 16 or 8 bits.
#define EMULATED_NARROW(name, out, lane)                                                                               \
    static inline out name(__m512i a) {                                                                                \
        int32_t v[16];                                                                                                 \
        lane n[16];                                                                                                    \
        out result;                                                                                                    \
        memcpy(v, &a, sizeof v);                                                                                       \
        for (int i = 0; i < 16; i++) n[i] = (lane)v[i];                                                                \
        memcpy(&result, n, sizeof n);                                                                                  \
        return result;                                                                                                 \
    }
EMULATED_NARROW(emulated_cvtepi32_epi16, __m256i, uint16_t)
EMULATED_NARROW(emulated_cvtepi32_epi8, __m128i, uint8_t)

// Two products of int16 and their sum in each int32, added to `sum`: VNNI's vpdpwssd; with sum = 0 vpmaddwd.
static inline __m512i emulated_dpwssd(__m512i sum, __m512i a, __m512i b) {
    int32_t s[16];
    int16_t x[32], y[32];
    memcpy(s, &sum, sizeof s);
    memcpy(x, &a, sizeof x);
    memcpy(y, &b, sizeof y);
    for (int i = 0; i < 16; i++) s[i] += x[2 * i] * y[2 * i] + x[2 * i + 1] * y[2 * i + 1];
    memcpy(&sum, s, sizeof s);
    return sum;
}

#undef _mm512_madd_epi16
#undef _mm512_dpwssd_epi32
#undef _mm512_srai_epi32
#define _mm512_srai_epi32(a, one) emulated_halve_epi32(a) // the only shift in use is by one
#define _mm512_maskz_loadu_ps(k, p) emulated_mask_loadu_ps(_mm512_setzero_ps(), k, p)
#define _mm512_mask_storeu_ps emulated_mask_storeu_ps
#define _mm512_cvtph_ps emulated_cvtph_ps
#define _mm512_cvtepu16_epi32 emulated_cvtepu16_epi32
#undef _mm512_cvtepi8_epi32
#undef _mm512_cvtepi32_ps
#undef _mm512_cvtps_epi32
#define _mm512_cvtepi8_epi32 emulated_cvtepi8_epi32
#define _mm512_cvtepu8_epi32 emulated_cvtepu8_epi32
#define _mm512_cvtepi32_ps emulated_cvtepi32_ps
#define _mm512_cvtps_epi32 emulated_cvtps_epi32
#define _mm512_cvtps_ph(a, rounding) emulated_cvtps_ph(a)
#define _mm512_cvtepi32_epi16 emulated_cvtepi32_epi16
#define _mm512_cvtepi32_epi8 emulated_cvtepi32_epi8
#define _mm512_reduce_max_ps emulated_reduce_max_ps
#undef _mm512_roundscale_ps
#define _mm512_roundscale_ps(a, rounding)                                                                              \
    emulated_join(_mm256_round_ps(emulated_half(a, 0), rounding), _mm256_round_ps(emulated_half(a, 1), rounding))
#define _mm512_madd_epi16(a, b) emulated_dpwssd(_mm512_setzero_si512(), a, b)
#define _mm512_dpwssd_epi32 emulated_dpwssd

#endif
