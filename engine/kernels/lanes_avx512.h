// Sixteen lanes on AVX-512 (F, BW, VL), and with LANES_VNNI defined on its VNNI: the primitives that kernels_lanes.h is
// written in.
#ifndef QINS_KERNELS_LANES_AVX512_H
#define QINS_KERNELS_LANES_AVX512_H

#include <immintrin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef __m512 lanes;   // 16 FP32
typedef __m512i ilanes; // 16 int32, or 32 int16 in pairs, or 64 bytes: 4 in each of 16 rows

enum { PRODUCT_TOKENS = 12, PRODUCT_PANELS = 2, GEMM_ROWS = 12, GEMM_LANES = 2 }; // registers: 24 sums

// Primitives that are one instruction each.
#define lanes_load _mm512_loadu_ps
#define lanes_store _mm512_storeu_ps
#define lanes_set _mm512_set1_ps
#define lanes_add _mm512_add_ps
#define lanes_sub _mm512_sub_ps
#define lanes_mul _mm512_mul_ps
#define lanes_div _mm512_div_ps
#define lanes_fma _mm512_fmadd_ps
#define lanes_sqrt _mm512_sqrt_ps
#define lanes_max _mm512_max_ps // a > b ? a : b; where one is NaN: b
#define lanes_min _mm512_min_ps // a < b ? a : b; where one is NaN: b
#define lanes_abs _mm512_abs_ps
#define lanes_largest _mm512_reduce_max_ps
#define lanes_bits _mm512_castps_si512
#define lanes_from_bits _mm512_castsi512_ps
#define lanes_from_int _mm512_cvtepi32_ps
#define lanes_to_int _mm512_cvtps_epi32 // to nearest even
#define ilanes_load _mm512_loadu_si512
#define ilanes_store _mm512_storeu_si512
#define ilanes_set _mm512_set1_epi32
#define ilanes_add _mm512_add_epi32
#define ilanes_sub _mm512_sub_epi32
#define ilanes_mul _mm512_mullo_epi32
#define ilanes_and _mm512_and_si512
#define ilanes_or _mm512_or_si512
#define ilanes_and_not _mm512_andnot_si512 // ~a & b
#define pairs_add _mm512_add_epi16
#define pairs_mulhrs _mm512_mulhrs_epi16
#define pairs_maddubs _mm512_maddubs_epi16
#define bytes_set _mm512_set1_epi8
#define bytes_abs _mm512_abs_epi8
#define bytes_add _mm512_add_epi8
#define bytes_sub _mm512_sub_epi8
#define bytes_lookup _mm512_shuffle_epi8
#define lanes_lookup(table, index) _mm512_permutexvar_ps(index, table) // of 16 numbers, by the index's low 4 bits
#define lanes_lookup_of_two(low, high, index) _mm512_permutex2var_ps(low, index, high) // of 32, by 5 bits

// x[n], n <= 16, and zeros after it.
static inline lanes lanes_load_n(const float *x, size_t n) {
    return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), x);
}
static inline void lanes_store_n(float *x, lanes v, size_t n) {
    _mm512_mask_storeu_ps(x, (__mmask16)((1u << n) - 1), v);
}
static inline lanes lanes_round(lanes a) { // to nearest even
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
static inline lanes lanes_floor(lanes a) {
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
}
// |a| with the sign of b, for a >= 0.
static inline lanes lanes_with_sign(lanes a, lanes b) {
    const __m512i sign = _mm512_and_si512(_mm512_castps_si512(b), _mm512_set1_epi32(INT32_MIN));
    return _mm512_castsi512_ps(_mm512_or_si512(_mm512_castps_si512(a), sign));
}
// a where not x < limit, 0 elsewhere.
static inline lanes lanes_unless_below(lanes a, lanes x, float limit) {
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, _mm512_set1_ps(limit), _CMP_NLT_UQ), a);
}
static inline float lanes_sum(lanes v) {
    const __m256 high = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(v), 1));
    const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(v), high);
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

static inline ilanes ilanes_shift_left(ilanes a, int bits) {
    return _mm512_slli_epi32(a, (unsigned)bits);
}
// floor(a / 2)
static inline ilanes ilanes_halve(ilanes a) {
    return _mm512_srai_epi32(a, 1);
}
static inline bool lanes_all_finite(ilanes bits) {
    const ilanes exponent = _mm512_set1_epi32(0x7F800000);
    return _mm512_cmpeq_epi32_mask(_mm512_and_si512(bits, exponent), exponent) == 0;
}

// `value` where a > b, 0 elsewhere.
static inline ilanes ilanes_if_above(lanes a, lanes b, int32_t value) {
    return _mm512_maskz_set1_epi32(_mm512_cmp_ps_mask(a, b, _CMP_GT_OQ), value);
}

// 16 numbers or bytes from memory.
static inline lanes lanes_from_bf16(const void *x) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(x)), 16));
}
static inline lanes lanes_from_f16(const void *x) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(x));
}
static inline ilanes ilanes_from_int8(const void *x) {
    return _mm512_cvtepi8_epi32(_mm_loadu_si128(x));
}
static inline ilanes ilanes_from_uint8(const void *x) {
    return _mm512_cvtepu8_epi32(_mm_loadu_si128(x));
}
static inline lanes lanes_from_int8(const void *x) {
    return _mm512_cvtepi32_ps(ilanes_from_int8(x));
}
static inline lanes lanes_from_uint8(const void *x) {
    return _mm512_cvtepi32_ps(ilanes_from_uint8(x));
}
// Entries of a table of 16 for the low or the high halves of 16 bytes.
static inline lanes lanes_from_nibbles(const void *x, bool high, const int8_t *table) {
    const __m128i bytes = _mm_loadu_si128(x), halves = high ? _mm_srli_epi16(bytes, 4) : bytes;
    const __m128i entries =
        _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)table), _mm_and_si128(halves, _mm_set1_epi8(15)));
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(entries));
}
static inline void lanes_store_f16(void *out, lanes a) {
    _mm256_storeu_si256(out, _mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
static inline void ilanes_store_int16(void *out, ilanes a) {
    _mm256_storeu_si256(out, _mm512_cvtepi32_epi16(a));
}
static inline void ilanes_store_int8(void *out, ilanes a) {
    _mm_storeu_si128(out, _mm512_cvtepi32_epi8(a));
}

// A pair of int16 for all rows.
static inline ilanes pairs_set(const int16_t *pair) {
    int32_t both;
    memcpy(&both, pair, sizeof both);
    return _mm512_set1_epi32(both);
}
// sums + a pair of rows times a pair of x, in int32.
static inline ilanes pairs_dot(ilanes sums, ilanes a, ilanes b) {
#ifdef LANES_VNNI
    return _mm512_dpwssd_epi32(sums, a, b);
#else
    return _mm512_add_epi32(sums, _mm512_madd_epi16(a, b));
#endif
}
// The sum of 32 int16.
static inline int32_t pairs_sum(ilanes a) {
    const __m512i sums = _mm512_madd_epi16(a, _mm512_set1_epi16(1));
    const __m256i eight = _mm256_add_epi32(_mm512_castsi512_si256(sums), _mm512_extracti64x4_epi64(sums, 1));
    const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
    const __m128i two = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
    return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 1)));
}
// The low halves of 16 int32 in both int16 of each pair.
static inline ilanes pairs_of_int(ilanes a) {
    return _mm512_or_si512(_mm512_and_si512(a, _mm512_set1_epi32(0xFFFF)), _mm512_slli_epi32(a, 16));
}
// Every int16 shifted left, or right by -bits, with zeros coming in. `bits` is a constant wherever this is called.
static inline ilanes pairs_shift(ilanes a, int bits) {
    return bits >= 0 ? _mm512_slli_epi16(a, (unsigned)bits) : _mm512_srli_epi16(a, (unsigned)-bits);
}
static inline ilanes pairs_low_bytes(void) {
    return _mm512_set1_epi16(0x00FF);
}
// A table of 16 bytes, and its entries for 64 indices below 16.
static inline ilanes bytes_table(const int8_t *table) {
    return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)table));
}
// The same for a table of 32, the fifth bit of an index being bit `bit` of its byte in `fifth`.
static inline ilanes bytes_lookup_of_two(ilanes low, ilanes high, ilanes index, ilanes fifth, size_t bit) {
    const __mmask64 is_high = _mm512_test_epi8_mask(fifth, _mm512_set1_epi8((char)(1u << bit)));
    return _mm512_mask_shuffle_epi8(bytes_lookup(low, index), is_high, high, index);
}

// Fix the values of two sums at this point: otherwise GCC computes all of a loop's products first, and runs out of
// registers.
static inline void keep_order(ilanes *a, ilanes *b) {
#ifdef __AVX512F__ // not defined where AVX-512 is emulated
    __asm__("" : "+v"(*a), "+v"(*b));
#else
    (void)a, (void)b;
#endif
}

#endif
