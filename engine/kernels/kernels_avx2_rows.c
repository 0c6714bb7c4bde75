// The AVX2 tier's matrix kernels. Codes become signed BF16 numbers 32 at a time: T has 128 entries of two bytes, that
// is two tables of 128 bytes, and a byte shuffle looks up 16. Decoding is exact, as on every tier. Sums run in at least
// 8 lanes with FMA and take every product through at most n / 8 + 16 roundings: within (n / 8 + 16) * 2^-24 * sum
// |a||b|.
#ifdef __x86_64__
#include "engine/kernels/kernels_avx2.h"

#include "engine/base/half.h"

#include <immintrin.h>
#include <string.h>

enum {
    WIDTH = 32,            // values that are loaded at once: four registers
    BLOCK = 64,            // weights that share a scale
    PAIRS = BLOCK / 16,    // registers of 16 BF16 that hold a block
    FIRST_TAIL_CODE = 112, // where the last of the 8 tables of 16 entries begins
    PREFETCH_BYTES = 1024  // how far ahead of the product weights are fetched
};

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
static uint8_t last_of_run(const uint8_t *bytes, int first) {
    int last = first;
    while (last < FIRST_TAIL_CODE && bytes[last + 1] == bytes[first]) last++;
    return last < FIRST_TAIL_CODE ? (uint8_t)last : QINS_ZERO_CODE;
}

static void lookup_make_high(struct lookup *lookup, const uint8_t high[QINS_LEVELS]) {
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

static void lookup_make(struct lookup *lookup, const qins_codebook *book) {
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

#define ALWAYS_INLINE static inline __attribute__((always_inline))

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

// Codes [32 * n] as signed BF16: pairs[2r] holds codes 0..7 and 16..23 of register r, pairs[2r + 1] the others.
ALWAYS_INLINE void lookup_codes(__m256i *pairs, const struct lookup *lookup, const uint8_t *codes, int n) {
    struct lookup_index index;
    __m256i low[MOST_REGISTERS], high[MOST_REGISTERS];
    for (int r = 0; r < n; r++) {
        index.magnitude[r] = _mm256_and_si256(_mm256_loadu_si256((const __m256i *)codes + r), _mm256_set1_epi8(0x7F));
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
        __m256i sign = _mm256_xor_si256(index.magnitude[r], _mm256_loadu_si256((const __m256i *)codes + r));
        high[r] = _mm256_xor_si256(high[r], sign);
        pairs[2 * r] = _mm256_unpacklo_epi8(low[r], high[r]);
        pairs[2 * r + 1] = _mm256_unpackhi_epi8(low[r], high[r]);
    }
}

static inline float sum8(__m256 v) {
    __m128 sum = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
    return _mm_cvtss_f32(_mm_add_ss(sum, _mm_movehdup_ps(sum)));
}

static inline float sum32(const __m256 v[4]) {
    return sum8(_mm256_add_ps(_mm256_add_ps(v[0], v[1]), _mm256_add_ps(v[2], v[3])));
}

static inline __m256 bf16_scale(uint16_t scale) {
    return _mm256_set1_ps(qins_f32_from_bf16(scale));
}

// Eight BF16 to FP32.
static inline __m256 widen_bf16(__m128i half) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
}

// x[n], n <= WIDTH, with zeros behind it.
static inline void load_floats(__m256 v[4], const float *x, size_t n) {
    float padded[WIDTH];
    if (n < WIDTH) {
        memset(padded, 0, sizeof padded);
        x = memcpy(padded, x, n * sizeof *x);
    }
    for (int i = 0; i < 4; i++) v[i] = _mm256_loadu_ps(x + 8 * i);
}

static inline void store_floats(float *x, const __m256 v[4], size_t n) {
    float padded[WIDTH], *out = n < WIDTH ? padded : x;
    for (int i = 0; i < 4; i++) _mm256_storeu_ps(out + 8 * i, v[i]);
    if (n < WIDTH) memcpy(x, padded, n * sizeof *x);
}

static inline void load_halves(__m256 v[4], const uint16_t *half, size_t n, bool is_bf16) {
    uint16_t padded[WIDTH];
    if (n < WIDTH) {
        memset(padded, 0, sizeof padded);
        half = memcpy(padded, half, n * sizeof *half);
    }
    for (int i = 0; i < 4; i++) {
        __m128i eight = _mm_loadu_si128((const __m128i *)(half + 8 * i));
        v[i] = is_bf16 ? widen_bf16(eight) : _mm256_cvtph_ps(eight);
    }
}

static inline void load_codes(__m256 v[4], const struct lookup *lookup, const uint8_t *codes, uint16_t scale,
                              size_t n) {
    uint8_t padded[WIDTH];
    if (n < WIDTH) {
        memset(padded, QINS_ZERO_CODE, sizeof padded);
        codes = memcpy(padded, codes, n);
    }
    __m256i pairs[2];
    lookup_codes(pairs, lookup, codes, 1);
    for (int i = 0; i < 2; i++) { // pairs[0] holds codes 0..7 and 16..23, pairs[1] the others
        __m256 d = bf16_scale(scale);
        v[i] = _mm256_mul_ps(d, widen_bf16(_mm256_castsi256_si128(pairs[i])));
        v[i + 2] = _mm256_mul_ps(d, widen_bf16(_mm256_extracti128_si256(pairs[i], 1)));
    }
}

// How far from column `start` on `load` may go, up to `end`.
static inline size_t piece(const qins_matrix *w, size_t start, size_t end) {
    size_t left = end - start;
    if (w->block != 0 && w->block - start % w->block < left) left = w->block - start % w->block;
    return left < WIDTH ? left : WIDTH;
}

// W[row, start .. start + n] in FP32, n <= piece(w, start), with zeros behind it.
static inline void load(__m256 v[4], const qins_matrix *w, const struct lookup *lookup, size_t row, size_t start,
                        size_t n) {
    const size_t index = row * w->cols + start;
    switch (w->type) {
    case QINS_F32:
        load_floats(v, (const float *)w->data + index, n);
        break;
    case QINS_F16:
        load_halves(v, (const uint16_t *)w->data + index, n, false);
        break;
    case QINS_BF16:
        load_halves(v, (const uint16_t *)w->data + index, n, true);
        break;
    case QINS_QINS8: {
        const size_t blocks = (w->cols + w->block - 1) / w->block, block = row * blocks + start / w->block;
        const uint8_t *codes = (const uint8_t *)w->data + block * w->block + start % w->block;
        load_codes(v, lookup, codes, w->scales[block], n);
        break;
    }
    default: // there is no other type
        for (int i = 0; i < 4; i++) v[i] = _mm256_setzero_ps();
    }
}

static struct lookup lookup_of(const qins_matrix *w) {
    struct lookup lookup = {0};
    if (qins_type_is_coded(w->type)) lookup_make(&lookup, w->book);
    return lookup;
}

void qins_avx2_decode_tile(float *out, const qins_matrix *w, size_t row, size_t n_rows, size_t col, size_t n_cols) {
    const struct lookup lookup = lookup_of(w);
    for (size_t r = 0; r < n_rows; r++) {
        for (size_t start = col, n; start < col + n_cols; start += n, out += n) {
            __m256 v[4];
            n = piece(w, start, col + n_cols);
            load(v, w, &lookup, row + r, start, n);
            store_floats(out, v, n);
        }
    }
}

void qins_avx2_add_rows(float *out, const qins_matrix *w, size_t row, size_t n_rows, const float *weights) {
    const struct lookup lookup = lookup_of(w);
    for (size_t start = 0, n; start < w->cols; start += n) {
        __m256 sum[4], v[4];
        n = piece(w, start, w->cols);
        load_floats(sum, out + start, n);
        for (size_t r = 0; r < n_rows; r++) {
            load(v, w, &lookup, row + r, start, n);
            for (int i = 0; i < 4; i++) sum[i] = _mm256_fmadd_ps(_mm256_set1_ps(weights[r]), v[i], sum[i]);
        }
        store_floats(out + start, sum, n);
    }
}

// Activations in the order of the registers that even() and odd() make of looked up weights.
void qins_avx2_arrange(float *arranged, const float *x, size_t cols) {
    for (size_t i = 0; i < cols; i += WIDTH, arranged += WIDTH) {
        __m256 v[4];
        load_floats(v, x + i, cols - i < WIDTH ? cols - i : WIDTH);
        for (int k = 0; k < 2; k++) { // codes 0..7 and 16..23, then the others
            __m256 first = _mm256_permute2f128_ps(v[k], v[k + 2], 0x20),
                   second = _mm256_permute2f128_ps(v[k], v[k + 2], 0x31);
            _mm256_storeu_ps(arranged + 16 * k, _mm256_shuffle_ps(first, second, 0x88));
            _mm256_storeu_ps(arranged + 16 * k + 8, _mm256_shuffle_ps(first, second, 0xDD));
        }
    }
    if (cols % BLOCK != 0 && cols % BLOCK <= WIDTH) memset(arranged, 0, WIDTH * sizeof *arranged);
}

static inline __m256 even(__m256i pair) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(pair, 16));
}

static inline __m256 odd(__m256i pair) {
    return _mm256_castsi256_ps(_mm256_and_si256(pair, _mm256_set1_epi32((int)0xFFFF0000)));
}

// One block's dot product without its scale, in 8 lanes.
static inline __m256 dot_block(const __m256i *pairs, const float *x) {
    __m256 sum_even = _mm256_mul_ps(even(pairs[0]), _mm256_loadu_ps(x));
    __m256 sum_odd = _mm256_mul_ps(odd(pairs[0]), _mm256_loadu_ps(x + 8));
    for (int i = 1; i < PAIRS; i++) {
        sum_even = _mm256_fmadd_ps(even(pairs[i]), _mm256_loadu_ps(x + 16 * i), sum_even);
        sum_odd = _mm256_fmadd_ps(odd(pairs[i]), _mm256_loadu_ps(x + 16 * i + 8), sum_odd);
    }
    return _mm256_add_ps(sum_even, sum_odd);
}

// A row's dot product. The codes of the next block are looked up in front of the product of this one: two short chains
// of dependent instructions instead of one long one keep more of the processor busy.
ALWAYS_INLINE float dot_coded_row(const struct lookup *lookup, const uint8_t *codes, const uint16_t *scales,
                                  size_t blocks, const float *x) {
    __m256i pairs[PAIRS], next[PAIRS];
    __m256 sum = _mm256_setzero_ps();
    lookup_codes(pairs, lookup, codes, 2);
    for (size_t b = 0; b < blocks; b++) {
        const uint8_t *next_codes = codes + (b + 1 < blocks ? b + 1 : b) * BLOCK;
        _mm_prefetch((const char *)(codes + b * BLOCK + PREFETCH_BYTES), _MM_HINT_T0);
        lookup_codes(next, lookup, next_codes, 2);
        sum = _mm256_fmadd_ps(bf16_scale(scales[b]), dot_block(pairs, x + b * BLOCK), sum);
        for (int i = 0; i < PAIRS; i++) pairs[i] = next[i];
    }
    return sum8(sum);
}

// dot_rows of weights in blocks of 64: the product that generation consists of.
static void dot_coded_rows(float *out, const qins_matrix *w, size_t row, size_t n_rows, const float *arranged) {
    const size_t blocks = (w->cols + BLOCK - 1) / BLOCK;
    struct lookup lookup;
    lookup_make(&lookup, w->book);
    for (size_t r = row; r < row + n_rows; r++)
        *out++ = dot_coded_row(&lookup, (const uint8_t *)w->data + r * blocks * BLOCK, w->scales + r * blocks, blocks,
                               arranged);
}

void qins_avx2_dot_rows(float *out, const qins_matrix *w, size_t row, size_t n_rows, const float *x) {
    if (qins_type_is_coded(w->type)) {
        dot_coded_rows(out, w, row, n_rows, x);
        return;
    }
    for (size_t r = 0; r < n_rows; r++) {
        __m256 sum[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps()};
        for (size_t start = 0, n; start < w->cols; start += n) {
            __m256 v[4], a[4];
            n = piece(w, start, w->cols);
            load(v, w, NULL, row + r, start, n);
            load_floats(a, x + start, n);
            for (int i = 0; i < 4; i++) sum[i] = _mm256_fmadd_ps(v[i], a[i], sum[i]);
        }
        out[r] = sum32(sum);
    }
}
#endif
