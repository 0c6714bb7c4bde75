// Takes the place of the compiler's header in the emulated build (Makefile): AVX-512 by way of SIMDe, for machines
// without it. What SIMDe 0.7.4 lacks or simplifies is written here from the pseudo-code of Intel's Software Developer's
// Manual, volume 2: a masked load or store does not touch what its mask leaves out; BF16 instructions take and make
// zeros in place of subnormal numbers and round to nearest even.
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
EMULATED_LOAD(emulated_mask_loadu_epi8, __m512i, uint8_t, __mmask64)
EMULATED_LOAD(emulated_mask_loadu_epi16, __m256i, uint16_t, __mmask16)

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

static inline __m512i emulated_cvtepu16_epi32(__m256i a) {
    __m256i halves[2] = {_mm256_cvtepu16_epi32(_mm256_castsi256_si128(a)),
                         _mm256_cvtepu16_epi32(_mm256_extracti128_si256(a, 1))};
    __m512i v;
    memcpy(&v, halves, sizeof v);
    return v;
}

static inline __m512 emulated_scalef_ps(__m512 a, __m512 b) {
    float v[16], n[16];
    memcpy(v, &a, sizeof v);
    memcpy(n, &b, sizeof n);
    for (int i = 0; i < 16; i++) // NaN comes from a here
        if (!isnan(n[i])) v[i] = ldexpf(v[i], (int)floorf(fminf(fmaxf(n[i], -1000.0f), 1000.0f)));
    memcpy(&a, v, sizeof v);
    return a;
}

static inline float emulated_flushed(float x) {
    return fpclassify(x) == FP_SUBNORMAL ? copysignf(0.0f, x) : x;
}

static inline float emulated_from_bf16(uint16_t bits) {
    const uint32_t wide = (uint32_t)bits << 16;
    float x;
    memcpy(&x, &wide, sizeof x);
    return emulated_flushed(x);
}

static inline __m256bh emulated_cvtneps_pbh(__m512 a) {
    float v[16];
    uint16_t out[16];
    __m256bh result;
    memcpy(v, &a, sizeof v);
    for (int i = 0; i < 16; i++) {
        uint32_t bits;
        v[i] = emulated_flushed(v[i]);
        memcpy(&bits, &v[i], sizeof bits);
        out[i] = (uint16_t)(isnan(v[i]) ? bits >> 16 | 0x40 : (bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
    }
    memcpy(&result, out, sizeof result);
    return result;
}

static inline __m512 emulated_dpbf16_ps(__m512 sum, __m512bh a, __m512bh b) {
    float s[16];
    uint16_t x[32], y[32];
    memcpy(s, &sum, sizeof s);
    memcpy(x, &a, sizeof x);
    memcpy(y, &b, sizeof y);
    for (int i = 0; i < 16; i++) {
        s[i] = emulated_flushed(s[i]);
        for (int k = 2 * i + 1; k >= 2 * i; k--)
            s[i] = emulated_flushed(fmaf(emulated_from_bf16(x[k]), emulated_from_bf16(y[k]), s[i]));
    }
    memcpy(&sum, s, sizeof s);
    return sum;
}

#undef _mm512_mask_loadu_epi8
#undef _mm512_scalef_ps
#undef _mm512_dpbf16_ps
#define _mm512_maskz_loadu_ps(k, p) emulated_mask_loadu_ps(_mm512_setzero_ps(), k, p)
#define _mm512_mask_loadu_epi8 emulated_mask_loadu_epi8
#define _mm256_maskz_loadu_epi16(k, p) emulated_mask_loadu_epi16(_mm256_setzero_si256(), k, p)
#define _mm512_mask_storeu_ps emulated_mask_storeu_ps
#define _mm512_cvtph_ps emulated_cvtph_ps
#define _mm512_cvtepu16_epi32 emulated_cvtepu16_epi32
#define _mm512_scalef_ps emulated_scalef_ps
#define _mm512_cvtneps_pbh emulated_cvtneps_pbh
#define _mm512_dpbf16_ps emulated_dpbf16_ps

#endif
