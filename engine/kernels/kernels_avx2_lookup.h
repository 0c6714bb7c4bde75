// Codes to BF16 in AVX2 registers, for the files of this tier alone. T has 128 entries of two bytes, that is two tables
// of 128 bytes, and a byte shuffle looks up 16.
#ifndef QINS_KERNELS_AVX2_LOOKUP_H
#define QINS_KERNELS_AVX2_LOOKUP_H

#include "engine/kernels/codec.h"

#include <immintrin.h>

#define ALWAYS_INLINE static inline __attribute__((always_inline))

enum { FIRST_TAIL_CODE = 112 }; // where the last of the 8 tables of 16 entries begins

// The low bytes of T have no pattern: 8 shuffles and a tree of blends. The high bytes (exponents without their last
// bit) fall slowly: up to code 112 they take three values at most, each one below the one before it, for the curves
// that weights are fitted with. Then they are a table for the last 16 codes and two comparisons.
struct lookup {
    __m256i low[8], high[8];
    __m256i tail;           // high[7] with what the comparisons subtract added
    __m256i last_of_first;  // the last codes of the first and of the second value; 127: of all
    __m256i last_of_second; //
    bool is_smooth;         // the high bytes fall as described; otherwise they take 8 shuffles too
};

static inline __m256i lookup_repeat(const uint8_t table[16]) {
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)table));
}

// The last code of the run of equal bytes that begins at `first`, FIRST_TAIL_CODE at most: 127 then, there is no next.
static inline uint8_t last_of_run(const uint8_t *bytes, int first) {
    int last = first;
    while (last < FIRST_TAIL_CODE && bytes[last + 1] == bytes[first]) last++;
    return last < FIRST_TAIL_CODE ? (uint8_t)last : QINS_ZERO_CODE;
}

static inline void lookup_make_high(struct lookup *lookup, const uint8_t high[QINS_LEVELS]) {
    const uint8_t last1 = last_of_run(high, 0);
    const uint8_t last2 = last1 == QINS_ZERO_CODE ? QINS_ZERO_CODE : last_of_run(high, last1 + 1);
    uint8_t tail[16];
    for (int i = 0; i < 16; i++) {
        int code = FIRST_TAIL_CODE + i;
        tail[i] = (uint8_t)(high[i == 0 ? 0 : code] + (i != 0 && code > last1) + (i != 0 && code > last2));
    }
    lookup->tail = lookup_repeat(tail);
    lookup->last_of_first = _mm256_set1_epi8((char)last1);
    lookup->last_of_second = _mm256_set1_epi8((char)last2);
    lookup->is_smooth = true;
    for (int s = 0; s < QINS_LEVELS; s++) {
        uint8_t made = (uint8_t)(tail[s < FIRST_TAIL_CODE ? 0 : s - FIRST_TAIL_CODE] - (s > last1) - (s > last2));
        if (made != high[s]) lookup->is_smooth = false;
    }
}

static inline void lookup_make(struct lookup *lookup, const qins_codebook *book) {
    uint8_t low[QINS_LEVELS], high[QINS_LEVELS];
    for (int s = 0; s < QINS_LEVELS; s++) {
        low[s] = (uint8_t)book->magnitude[s];
        high[s] = (uint8_t)(book->magnitude[s] >> 8);
    }
    for (int k = 0; k < 8; k++) {
        lookup->low[k] = lookup_repeat(low + 16 * k);
        lookup->high[k] = lookup_repeat(high + 16 * k);
    }
    lookup_make_high(lookup, high);
}

// Codes are looked up a register of 32, or two, at a time: then both share the loads of the tables. A blend looks at
// the top bit of each byte: bits 6, 5 and 4 of the codes, moved there, choose one of 8 tables.
enum { MOST_REGISTERS = 2 };

struct lookup_index {
    __m256i magnitude[MOST_REGISTERS], bit6[MOST_REGISTERS], bit5[MOST_REGISTERS], bit4[MOST_REGISTERS];
};

// out = table[code % 16] of tables 0, 2, 4 and 6, as bits 6 and 5 say.
ALWAYS_INLINE void lookup_every_other(__m256i *out, const __m256i *table, const struct lookup_index *index, int n) {
    __m256i other[MOST_REGISTERS];
    for (int r = 0; r < n; r++) out[r] = _mm256_shuffle_epi8(table[0], index->magnitude[r]);
    for (int r = 0; r < n; r++)
        out[r] = _mm256_blendv_epi8(out[r], _mm256_shuffle_epi8(table[4], index->magnitude[r]), index->bit6[r]);
    for (int r = 0; r < n; r++) other[r] = _mm256_shuffle_epi8(table[2], index->magnitude[r]);
    for (int r = 0; r < n; r++)
        other[r] = _mm256_blendv_epi8(other[r], _mm256_shuffle_epi8(table[6], index->magnitude[r]), index->bit6[r]);
    for (int r = 0; r < n; r++) out[r] = _mm256_blendv_epi8(out[r], other[r], index->bit5[r]);
}

ALWAYS_INLINE void lookup_bytes(__m256i *out, const __m256i *table, const struct lookup_index *index, int n) {
    __m256i odd[MOST_REGISTERS];
    lookup_every_other(out, table, index, n);
    lookup_every_other(odd, table + 1, index, n);
    for (int r = 0; r < n; r++) out[r] = _mm256_blendv_epi8(out[r], odd[r], index->bit4[r]);
}

ALWAYS_INLINE __m256i lookup_smooth_high(const struct lookup *lookup, __m256i magnitude) {
    __m256i in_tail = _mm256_max_epu8(magnitude, _mm256_set1_epi8(FIRST_TAIL_CODE)); // shuffles take its low 4 bits
    __m256i high = _mm256_shuffle_epi8(lookup->tail, in_tail);
    high = _mm256_add_epi8(high, _mm256_cmpgt_epi8(magnitude, lookup->last_of_first)); // adds -1 or 0
    return _mm256_add_epi8(high, _mm256_cmpgt_epi8(magnitude, lookup->last_of_second));
}

ALWAYS_INLINE __m256i load_codes(const uint8_t *codes) {
    return _mm256_loadu_si256((const __m256i *)codes);
}

// n registers of 32 codes, `stride` bytes apart, as signed BF16: pairs[2r] holds codes 0..7 and 16..23 of register r,
// pairs[2r + 1] the others.
ALWAYS_INLINE void lookup_codes(__m256i *pairs, const struct lookup *lookup, const uint8_t *codes, size_t stride,
                                int n) {
    struct lookup_index index;
    __m256i low[MOST_REGISTERS], high[MOST_REGISTERS];
    for (int r = 0; r < n; r++) {
        index.magnitude[r] = _mm256_and_si256(load_codes(codes + (size_t)r * stride), _mm256_set1_epi8(0x7F));
        index.bit6[r] = _mm256_add_epi8(index.magnitude[r], index.magnitude[r]);
        index.bit5[r] = _mm256_add_epi8(index.bit6[r], index.bit6[r]);
        index.bit4[r] = _mm256_add_epi8(index.bit5[r], index.bit5[r]);
    }
    lookup_bytes(low, lookup->low, &index, n);
    if (lookup->is_smooth)
        for (int r = 0; r < n; r++) high[r] = lookup_smooth_high(lookup, index.magnitude[r]);
    else
        lookup_bytes(high, lookup->high, &index, n);
    for (int r = 0; r < n; r++) {
        __m256i sign = _mm256_xor_si256(index.magnitude[r], load_codes(codes + (size_t)r * stride));
        high[r] = _mm256_xor_si256(high[r], sign);
        pairs[2 * r] = _mm256_unpacklo_epi8(low[r], high[r]);
        pairs[2 * r + 1] = _mm256_unpackhi_epi8(low[r], high[r]);
    }
}

// The BF16 at even and at odd places of a register, as FP32.
ALWAYS_INLINE __m256 even(__m256i pair) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(pair, 16));
}

ALWAYS_INLINE __m256 odd(__m256i pair) {
    return _mm256_castsi256_ps(_mm256_and_si256(pair, _mm256_set1_epi32((int)0xFFFF0000)));
}

#endif
