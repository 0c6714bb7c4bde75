// Sixteen lanes on AVX2, FMA and F16C, as two halves: the primitives that kernels_lanes.h is written in.
#ifndef QINS_KERNELS_LANES_AVX2_H
#define QINS_KERNELS_LANES_AVX2_H

#include <immintrin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct lanes {
    __m256 low, high; // 16 FP32
} lanes;
typedef struct ilanes {
    __m256i low, high; // 16 int32, or 32 int16 in pairs, or 64 bytes: 4 in each of 16 rows
} ilanes;

enum { PRODUCT_TOKENS = 6, PRODUCT_PANELS = 1, GEMM_ROWS = 6, GEMM_LANES = 1 }; // registers: 12 sums

// Primitives that are one instruction for each half, with one operand or two.
#define WORD(result, name, type, f)                                                                                    \
    static inline result name(type a) {                                                                                \
        return (result){f(a.low), f(a.high)};                                                                          \
    }
#define WORD_OF_TWO(type, name, f)                                                                                     \
    static inline type name(type a, type b) {                                                                          \
        return (type){f(a.low, b.low), f(a.high, b.high)};                                                             \
    }
WORD(lanes, lanes_sqrt, lanes, _mm256_sqrt_ps)
WORD(lanes, lanes_floor, lanes, _mm256_floor_ps)
WORD(ilanes, lanes_bits, lanes, _mm256_castps_si256)
WORD(lanes, lanes_from_bits, ilanes, _mm256_castsi256_ps)
WORD(lanes, lanes_from_int, ilanes, _mm256_cvtepi32_ps)
WORD(ilanes, lanes_to_int, lanes, _mm256_cvtps_epi32) // to nearest even
WORD(ilanes, bytes_abs, ilanes, _mm256_abs_epi8)
WORD_OF_TWO(lanes, lanes_add, _mm256_add_ps)
WORD_OF_TWO(lanes, lanes_sub, _mm256_sub_ps)
WORD_OF_TWO(lanes, lanes_mul, _mm256_mul_ps)
WORD_OF_TWO(lanes, lanes_div, _mm256_div_ps)
WORD_OF_TWO(lanes, lanes_max, _mm256_max_ps) // a > b ? a : b; where one is NaN: b
WORD_OF_TWO(lanes, lanes_min, _mm256_min_ps) // a < b ? a : b; where one is NaN: b
WORD_OF_TWO(ilanes, ilanes_add, _mm256_add_epi32)
WORD_OF_TWO(ilanes, ilanes_sub, _mm256_sub_epi32)
WORD_OF_TWO(ilanes, ilanes_mul, _mm256_mullo_epi32)
WORD_OF_TWO(ilanes, ilanes_and, _mm256_and_si256)
WORD_OF_TWO(ilanes, ilanes_or, _mm256_or_si256)
WORD_OF_TWO(ilanes, ilanes_and_not, _mm256_andnot_si256) // ~a & b
WORD_OF_TWO(ilanes, pairs_add, _mm256_add_epi16)
WORD_OF_TWO(ilanes, pairs_mulhrs, _mm256_mulhrs_epi16)
WORD_OF_TWO(ilanes, pairs_maddubs, _mm256_maddubs_epi16)
WORD_OF_TWO(ilanes, bytes_add, _mm256_add_epi8)
WORD_OF_TWO(ilanes, bytes_sub, _mm256_sub_epi8)
WORD_OF_TWO(ilanes, bytes_lookup, _mm256_shuffle_epi8)
WORD_OF_TWO(lanes, lanes_and, _mm256_and_ps)
WORD_OF_TWO(lanes, lanes_or, _mm256_or_ps)
WORD_OF_TWO(lanes, lanes_and_not, _mm256_andnot_ps) // ~a & b
#undef WORD
#undef WORD_OF_TWO

static inline lanes lanes_load(const float *x) {
    return (lanes){_mm256_loadu_ps(x), _mm256_loadu_ps(x + 8)};
}
static inline void lanes_store(float *x, lanes v) {
    _mm256_storeu_ps(x, v.low);
    _mm256_storeu_ps(x + 8, v.high);
}
// x[n], n <= 16, and zeros after it.
static inline lanes lanes_load_n(const float *x, size_t n) {
    if (n == 16) return lanes_load(x);
    float padded[16] = {0};
    return lanes_load(memcpy(padded, x, n * sizeof *x));
}
static inline void lanes_store_n(float *x, lanes v, size_t n) {
    float padded[16];
    lanes_store(n < 16 ? padded : x, v);
    if (n < 16) memcpy(x, padded, n * sizeof *x);
}
static inline lanes lanes_set(float x) {
    return (lanes){_mm256_set1_ps(x), _mm256_set1_ps(x)};
}
static inline lanes lanes_fma(lanes a, lanes b, lanes c) {
    return (lanes){_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}
static inline lanes lanes_round(lanes a) { // to nearest even
    enum { nearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC };
    return (lanes){_mm256_round_ps(a.low, nearest), _mm256_round_ps(a.high, nearest)};
}
static inline lanes lanes_abs(lanes a) {
    return lanes_and_not(lanes_set(-0.0f), a);
}
// |a| with the sign of b, for a >= 0.
static inline lanes lanes_with_sign(lanes a, lanes b) {
    return lanes_or(a, lanes_and(lanes_set(-0.0f), b));
}
// a where not x < limit, 0 elsewhere.
static inline lanes lanes_unless_below(lanes a, lanes x, float limit) {
    const __m256 bound = _mm256_set1_ps(limit);
    return (lanes){_mm256_and_ps(_mm256_cmp_ps(x.low, bound, _CMP_NLT_UQ), a.low),
                   _mm256_and_ps(_mm256_cmp_ps(x.high, bound, _CMP_NLT_UQ), a.high)};
}
static inline float lanes_sum(lanes v) {
    const __m256 eight = _mm256_add_ps(v.low, v.high);
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
static inline float lanes_largest(lanes v) {
    const __m256 eight = _mm256_max_ps(v.low, v.high);
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

static inline ilanes ilanes_set(int32_t x) {
    return (ilanes){_mm256_set1_epi32(x), _mm256_set1_epi32(x)};
}
static inline ilanes ilanes_shift_left(ilanes a, int bits) {
    return (ilanes){_mm256_slli_epi32(a.low, bits), _mm256_slli_epi32(a.high, bits)};
}
// floor(a / 2)
static inline ilanes ilanes_halve(ilanes a) {
    return (ilanes){_mm256_srai_epi32(a.low, 1), _mm256_srai_epi32(a.high, 1)};
}
static inline bool lanes_all_finite(ilanes bits) {
    const __m256i exponent = _mm256_set1_epi32(0x7F800000);
    const __m256i low = _mm256_cmpeq_epi32(_mm256_and_si256(bits.low, exponent), exponent);
    const __m256i high = _mm256_cmpeq_epi32(_mm256_and_si256(bits.high, exponent), exponent);
    return _mm256_testz_si256(_mm256_or_si256(low, high), _mm256_set1_epi32(-1));
}

// `value` where a > b, 0 elsewhere.
static inline ilanes ilanes_if_above(lanes a, lanes b, int32_t value) {
    const __m256i all = _mm256_set1_epi32(value);
    return (ilanes){_mm256_and_si256(_mm256_castps_si256(_mm256_cmp_ps(a.low, b.low, _CMP_GT_OQ)), all),
                    _mm256_and_si256(_mm256_castps_si256(_mm256_cmp_ps(a.high, b.high, _CMP_GT_OQ)), all)};
}
static inline __m256 half_lookup(lanes table, __m256i index) {
    const __m256 is_high = _mm256_castsi256_ps(_mm256_slli_epi32(index, 28));
    return _mm256_blendv_ps(_mm256_permutevar8x32_ps(table.low, index), _mm256_permutevar8x32_ps(table.high, index),
                            is_high);
}
// Entries of a table of 16 numbers, by the low 4 bits of the index; and of 32, by 5 bits.
static inline lanes lanes_lookup(lanes table, ilanes index) {
    return (lanes){half_lookup(table, index.low), half_lookup(table, index.high)};
}
static inline lanes lanes_lookup_of_two(lanes low, lanes high, ilanes index) {
    const lanes a = lanes_lookup(low, index), b = lanes_lookup(high, index);
    const lanes is_high = lanes_from_bits(ilanes_shift_left(index, 27));
    return (lanes){_mm256_blendv_ps(a.low, b.low, is_high.low), _mm256_blendv_ps(a.high, b.high, is_high.high)};
}

// 16 numbers or bytes from memory.
static inline lanes lanes_from_bf16(const void *x) {
    const __m256i both = _mm256_loadu_si256(x);
    const __m256i low = _mm256_cvtepu16_epi32(_mm256_castsi256_si128(both));
    const __m256i high = _mm256_cvtepu16_epi32(_mm256_extracti128_si256(both, 1));
    return lanes_from_bits((ilanes){_mm256_slli_epi32(low, 16), _mm256_slli_epi32(high, 16)});
}
static inline lanes lanes_from_f16(const void *x) {
    const __m128i *halves = x;
    return (lanes){_mm256_cvtph_ps(_mm_loadu_si128(halves)), _mm256_cvtph_ps(_mm_loadu_si128(halves + 1))};
}
static inline ilanes ilanes_from_int8(const void *x) {
    const __m128i bytes = _mm_loadu_si128(x);
    return (ilanes){_mm256_cvtepi8_epi32(bytes), _mm256_cvtepi8_epi32(_mm_srli_si128(bytes, 8))};
}
static inline ilanes ilanes_from_uint8(const void *x) {
    const __m128i bytes = _mm_loadu_si128(x);
    return (ilanes){_mm256_cvtepu8_epi32(bytes), _mm256_cvtepu8_epi32(_mm_srli_si128(bytes, 8))};
}
static inline lanes lanes_from_int8(const void *x) {
    return lanes_from_int(ilanes_from_int8(x));
}
static inline lanes lanes_from_uint8(const void *x) {
    return lanes_from_int(ilanes_from_uint8(x));
}
// Entries of a table of 16 for the low or the high halves of 16 bytes.
static inline lanes lanes_from_nibbles(const void *x, bool high, const int8_t *table) {
    const __m128i bytes = _mm_loadu_si128(x), halves = high ? _mm_srli_epi16(bytes, 4) : bytes;
    const __m128i entries =
        _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)table), _mm_and_si128(halves, _mm_set1_epi8(15)));
    return lanes_from_int((ilanes){_mm256_cvtepi8_epi32(entries), _mm256_cvtepi8_epi32(_mm_srli_si128(entries, 8))});
}
static inline void lanes_store_f16(void *out, lanes a) {
    __m128i *halves = out;
    _mm_storeu_si128(halves, _mm256_cvtps_ph(a.low, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
    _mm_storeu_si128(halves + 1, _mm256_cvtps_ph(a.high, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
static inline __m256i int16_in_order(ilanes a) {
    return _mm256_permute4x64_epi64(_mm256_packs_epi32(a.low, a.high), 0xD8);
}
static inline void ilanes_store_int16(void *out, ilanes a) {
    _mm256_storeu_si256(out, int16_in_order(a));
}
static inline void ilanes_store_int8(void *out, ilanes a) {
    const __m256i words = int16_in_order(a);
    _mm_storeu_si128(out, _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1)));
}

static inline ilanes ilanes_load(const void *x) {
    const __m256i *halves = x;
    return (ilanes){_mm256_loadu_si256(halves), _mm256_loadu_si256(halves + 1)};
}
static inline void ilanes_store(void *x, ilanes a) {
    __m256i *halves = x;
    _mm256_storeu_si256(halves, a.low);
    _mm256_storeu_si256(halves + 1, a.high);
}
// A pair of int16 for all rows.
static inline ilanes pairs_set(const int16_t *pair) {
    int32_t both;
    memcpy(&both, pair, sizeof both);
    return ilanes_set(both);
}
// sums + a pair of rows times a pair of x, in int32.
static inline ilanes pairs_dot(ilanes sums, ilanes a, ilanes b) {
    return (ilanes){_mm256_add_epi32(sums.low, _mm256_madd_epi16(a.low, b.low)),
                    _mm256_add_epi32(sums.high, _mm256_madd_epi16(a.high, b.high))};
}
// The sum of 32 int16.
static inline int32_t pairs_sum(ilanes a) {
    const __m256i ones = _mm256_set1_epi16(1);
    const __m256i eight = _mm256_add_epi32(_mm256_madd_epi16(a.low, ones), _mm256_madd_epi16(a.high, ones));
    const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
    const __m128i two = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
    return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 1)));
}
// The low halves of 16 int32 in both int16 of each pair.
static inline ilanes pairs_of_int(ilanes a) {
    const __m256i low_half = _mm256_set1_epi32(0xFFFF);
    return (ilanes){_mm256_or_si256(_mm256_and_si256(a.low, low_half), _mm256_slli_epi32(a.low, 16)),
                    _mm256_or_si256(_mm256_and_si256(a.high, low_half), _mm256_slli_epi32(a.high, 16))};
}
// Every int16 shifted left, or right by -bits, with zeros coming in. `bits` is a constant wherever this is called.
static inline ilanes pairs_shift(ilanes a, int bits) {
    return bits >= 0 ? (ilanes){_mm256_slli_epi16(a.low, bits), _mm256_slli_epi16(a.high, bits)}
                     : (ilanes){_mm256_srli_epi16(a.low, -bits), _mm256_srli_epi16(a.high, -bits)};
}
static inline ilanes pairs_low_bytes(void) {
    return (ilanes){_mm256_set1_epi16(0x00FF), _mm256_set1_epi16(0x00FF)};
}
static inline ilanes bytes_set(int8_t x) {
    return (ilanes){_mm256_set1_epi8(x), _mm256_set1_epi8(x)};
}
// A table of 16 bytes, and its entries for 64 indices below 16.
static inline ilanes bytes_table(const int8_t *table) {
    const __m256i entries = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)table));
    return (ilanes){entries, entries};
}
// The same for a table of 32, the fifth bit of an index being bit `bit` of its byte in `fifth`.
static inline ilanes bytes_lookup_of_two(ilanes low, ilanes high, ilanes index, ilanes fifth, size_t bit) {
    const ilanes is_high = pairs_shift(fifth, 7 - (int)bit), a = bytes_lookup(low, index),
                 b = bytes_lookup(high, index);
    return (ilanes){_mm256_blendv_epi8(a.low, b.low, is_high.low), _mm256_blendv_epi8(a.high, b.high, is_high.high)};
}

// Fix the values of two sums at this point: otherwise GCC computes all of a loop's products first, and runs out of
// registers.
static inline void keep_order(ilanes *a, ilanes *b) {
    __asm__("" : "+x"(a->low), "+x"(a->high), "+x"(b->low), "+x"(b->high));
}

#endif
