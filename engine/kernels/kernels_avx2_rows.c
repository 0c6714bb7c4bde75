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
    WIDTH = 32,        // values that are loaded at once: four registers
    PIECE_BLOCKS = 32, // of a row that are decoded, then multiplied: activations and weights stay in L1
    CODED_ROWS = 32,   // rows that share the rearranged activations
    BLOCK = 64,
    PAIRS = BLOCK / 16 // a block of weights, and its registers of 16 BF16
};

// The low bytes of T have no pattern: 8 shuffles and a tree of blends. The high bytes (exponents without their last
// bit) fall slowly: within 8 codes, up to code 111, at most once and by 1 for every curve. Then they are a base and the
// last code that has it, 16 entries each, and the last 16 codes have a table of their own.
struct lookup {
    __m256i low[8], high[8];
    __m256i base, last; // [code / 8]; 0 and 127 for codes from 112 on
    bool is_smooth;     // the high bytes fall as described; otherwise they take 8 shuffles too
};

static inline __m256i lookup_repeat(const uint8_t table[16]) {
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)table));
}

static inline void lookup_make(struct lookup *lookup, const qins_codebook *book) {
    uint8_t low[QINS_LEVELS], high[QINS_LEVELS], base[16] = {0}, last[16] = {[14] = 127, [15] = 127};
    for (int s = 0; s < QINS_LEVELS; s++) {
        low[s] = (uint8_t)book->magnitude[s];
        high[s] = (uint8_t)(book->magnitude[s] >> 8);
    }
    for (int k = 0; k < 8; k++) {
        lookup->low[k] = lookup_repeat(low + 16 * k);
        lookup->high[k] = lookup_repeat(high + 16 * k);
    }
    lookup->is_smooth = true;
    for (int group = 0; group < 14; group++) {
        const uint8_t *of_group = high + 8 * group;
        int n_base = 0, sum = 0;
        for (int i = 0; i < 8; i++) {
            n_base += of_group[i] == of_group[0];
            sum += of_group[i];
        }
        base[group] = of_group[0];
        last[group] = (uint8_t)(8 * group + n_base - 1);
        if (sum != 8 * of_group[0] - (8 - n_base)) lookup->is_smooth = false;
    }
    lookup->base = lookup_repeat(base);
    lookup->last = lookup_repeat(last);
}

// What a register of 32 codes is looked up with: bits 4, 5 and 6 of each code moved to the top, where blends look.
struct lookup_index {
    __m256i magnitude, sign, bit4, bit5, bit6;
};

static inline struct lookup_index lookup_index(__m256i codes) {
    struct lookup_index index = {.magnitude = _mm256_and_si256(codes, _mm256_set1_epi8(0x7F))};
    index.sign = _mm256_xor_si256(codes, index.magnitude);
    index.bit6 = _mm256_add_epi8(codes, codes);
    index.bit5 = _mm256_add_epi8(index.bit6, index.bit6);
    index.bit4 = _mm256_add_epi8(index.bit5, index.bit5);
    return index;
}

static inline __m256i lookup_32_of(const __m256i *table, const struct lookup_index *index) {
    __m256i v0 = _mm256_blendv_epi8(_mm256_shuffle_epi8(table[0], index->magnitude),
                                    _mm256_shuffle_epi8(table[1], index->magnitude), index->bit4);
    __m256i v1 = _mm256_blendv_epi8(_mm256_shuffle_epi8(table[2], index->magnitude),
                                    _mm256_shuffle_epi8(table[3], index->magnitude), index->bit4);
    return _mm256_blendv_epi8(v0, v1, index->bit5);
}

static inline __m256i lookup_bytes(const __m256i *table, const struct lookup_index *index) {
    return _mm256_blendv_epi8(lookup_32_of(table, index), lookup_32_of(table + 4, index), index->bit6);
}

static inline __m256i lookup_smooth_high(const struct lookup *lookup, const struct lookup_index *index) {
    __m256i group = _mm256_and_si256(_mm256_srli_epi16(index->magnitude, 3), _mm256_set1_epi8(15));
    __m256i below = _mm256_cmpgt_epi8(index->magnitude, _mm256_shuffle_epi8(lookup->last, group)); // -1 or 0
    __m256i high = _mm256_add_epi8(_mm256_shuffle_epi8(lookup->base, group), below);
    // a negative index gives 0
    __m256i tail = _mm256_shuffle_epi8(lookup->high[7], _mm256_sub_epi8(index->magnitude, _mm256_set1_epi8(112)));
    return _mm256_xor_si256(high, tail);
}

// pairs[0]: codes 0..7 and 16..23 as BF16, pairs[1]: codes 8..15 and 24..31.
static inline void lookup_32(__m256i pairs[2], const struct lookup *lookup, const uint8_t *codes) {
    struct lookup_index index = lookup_index(_mm256_loadu_si256((const __m256i *)codes));
    __m256i low = lookup_bytes(lookup->low, &index);
    __m256i high = lookup->is_smooth ? lookup_smooth_high(lookup, &index) : lookup_bytes(lookup->high, &index);
    high = _mm256_xor_si256(high, index.sign);
    pairs[0] = _mm256_unpacklo_epi8(low, high);
    pairs[1] = _mm256_unpackhi_epi8(low, high);
}

// Two times lookup_32.
static inline void lookup_64(__m256i pairs[4], const struct lookup *lookup, const uint8_t *codes) {
    lookup_32(pairs, lookup, codes);
    lookup_32(pairs + 2, lookup, codes + 32);
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
    float padded[WIDTH] = {0};
    if (n < WIDTH) x = memcpy(padded, x, n * sizeof *x);
    for (int i = 0; i < 4; i++) v[i] = _mm256_loadu_ps(x + 8 * i);
}

static inline void store_floats(float *x, const __m256 v[4], size_t n) {
    float padded[WIDTH], *out = n < WIDTH ? padded : x;
    for (int i = 0; i < 4; i++) _mm256_storeu_ps(out + 8 * i, v[i]);
    if (n < WIDTH) memcpy(x, padded, n * sizeof *x);
}

static inline void load_halves(__m256 v[4], const uint16_t *half, size_t n, bool is_bf16) {
    uint16_t padded[WIDTH] = {0};
    if (n < WIDTH) half = memcpy(padded, half, n * sizeof *half);
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
    lookup_32(pairs, lookup, codes);
    for (int i = 0; i < 2; i++) { // pairs[0] holds codes 0..7 and 16..23, pairs[1] the others
        __m256 d = bf16_scale(scale);
        v[i] = _mm256_mul_ps(d, widen_bf16(_mm256_castsi256_si128(pairs[i])));
        v[i + 2] = _mm256_mul_ps(d, widen_bf16(_mm256_extracti128_si256(pairs[i], 1)));
    }
}

// How far from column `start` on `load` may go.
static inline size_t piece(const qins_matrix *w, size_t start) {
    size_t left = w->cols - start;
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

void qins_avx2_decode_rows(float *out, const qins_matrix *w, size_t row, size_t n_rows) {
    const struct lookup lookup = lookup_of(w);
    for (size_t r = 0; r < n_rows; r++, out += w->cols) {
        for (size_t start = 0, n; start < w->cols; start += n) {
            __m256 v[4];
            n = piece(w, start);
            load(v, w, &lookup, row + r, start, n);
            store_floats(out + start, v, n);
        }
    }
}

void qins_avx2_add_rows(float *out, const qins_matrix *w, size_t row, size_t n_rows, const float *weights) {
    const struct lookup lookup = lookup_of(w);
    for (size_t start = 0, n; start < w->cols; start += n) {
        __m256 sum[4], v[4];
        n = piece(w, start);
        load_floats(sum, out + start, n);
        for (size_t r = 0; r < n_rows; r++) {
            load(v, w, &lookup, row + r, start, n);
            for (int i = 0; i < 4; i++) sum[i] = _mm256_fmadd_ps(_mm256_set1_ps(weights[r]), v[i], sum[i]);
        }
        store_floats(out + start, sum, n);
    }
}

// Activations of a piece in the order of the registers that even() and odd() make of looked up weights.
static void rearrange(__m256 *out, const float *x, size_t n, size_t n_blocks) {
    for (size_t i = 0; i < n_blocks * BLOCK; i += WIDTH, out += 4) {
        __m256 v[4];
        size_t left = i < n ? n - i : 0;
        load_floats(v, x + (left > 0 ? i : 0), left < WIDTH ? left : WIDTH);
        for (int k = 0; k < 2; k++) { // codes 0..7 and 16..23, then the others
            __m256 low = _mm256_permute2f128_ps(v[k], v[k + 2], 0x20),
                   high = _mm256_permute2f128_ps(v[k], v[k + 2], 0x31);
            out[2 * k] = _mm256_shuffle_ps(low, high, 0x88);
            out[2 * k + 1] = _mm256_shuffle_ps(low, high, 0xDD);
        }
    }
}

static inline __m256 even(__m256i pair) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(pair, 16));
}

static inline __m256 odd(__m256i pair) {
    return _mm256_castsi256_ps(_mm256_and_si256(pair, _mm256_set1_epi32((int)0xFFFF0000)));
}

// One block's dot product without its scale, in 8 lanes.
static inline __m256 dot_block(const __m256i *pairs, const __m256 *x) {
    __m256 sum[4];
    for (int i = 0; i < 2; i++) {
        sum[2 * i] = _mm256_mul_ps(even(pairs[i]), x[2 * i]);
        sum[2 * i + 1] = _mm256_mul_ps(odd(pairs[i]), x[2 * i + 1]);
    }
    for (int i = 0; i < 2; i++) {
        sum[2 * i] = _mm256_fmadd_ps(even(pairs[i + 2]), x[2 * i + 4], sum[2 * i]);
        sum[2 * i + 1] = _mm256_fmadd_ps(odd(pairs[i + 2]), x[2 * i + 5], sum[2 * i + 1]);
    }
    return _mm256_add_ps(_mm256_add_ps(sum[0], sum[1]), _mm256_add_ps(sum[2], sum[3]));
}

// sum += W[row, piece] . x. All weights are looked up before the first is multiplied: two short chains of dependent
// instructions a block instead of one long one keep more blocks in flight.
static inline __m256 dot_piece(const struct lookup *lookup, const uint8_t *codes, const uint16_t *scales,
                               const __m256 *x, size_t n_blocks, const uint8_t *next, __m256 sum) {
    __m256i pairs[PIECE_BLOCKS * PAIRS];
    for (size_t b = 0; b < n_blocks; b++) {
        _mm_prefetch((const char *)(next + b * BLOCK), _MM_HINT_T0);
        lookup_64(pairs + b * PAIRS, lookup, codes + b * BLOCK);
    }
    for (size_t b = 0; b < n_blocks; b++)
        sum = _mm256_fmadd_ps(bf16_scale(scales[b]), dot_block(pairs + b * PAIRS, x + b * 2 * PAIRS), sum);
    return sum;
}

// dot_rows of weights in blocks of 64: the product that generation consists of.
static void dot_coded_rows(float *out, const qins_matrix *w, size_t row, size_t n_rows, const float *x) {
    const size_t blocks = (w->cols + BLOCK - 1) / BLOCK;
    const uint8_t *codes = (const uint8_t *)w->data + row * blocks * BLOCK;
    const uint16_t *scales = w->scales + row * blocks;
    struct lookup lookup;
    lookup_make(&lookup, w->book);
    __m256 sums[CODED_ROWS], activations[PIECE_BLOCKS * 2 * PAIRS];
    for (size_t r = 0; r < n_rows; r++) sums[r] = _mm256_setzero_ps();
    for (size_t b = 0, n; b < blocks; b += n) {
        n = blocks - b < PIECE_BLOCKS ? blocks - b : PIECE_BLOCKS;
        rearrange(activations, x + b * BLOCK, w->cols - b * BLOCK, n);
        for (size_t r = 0; r < n_rows; r++) {
            const uint8_t *at = codes + (r * blocks + b) * BLOCK,
                          *next = r + 1 < n_rows ? at + blocks * BLOCK : codes + (b + n) * BLOCK;
            sums[r] = dot_piece(&lookup, at, scales + r * blocks + b, activations, n, next, sums[r]);
        }
    }
    for (size_t r = 0; r < n_rows; r++) out[r] = sum8(sums[r]);
}

void qins_avx2_dot_rows(float *out, const qins_matrix *w, size_t row, size_t n_rows, const float *x) {
    if (w->type == QINS_QINS8 && w->block == BLOCK) {
        for (size_t r = 0, n; r < n_rows; r += n) {
            n = n_rows - r < CODED_ROWS ? n_rows - r : CODED_ROWS;
            dot_coded_rows(out + r, w, row + r, n, x);
        }
        return;
    }
    const struct lookup lookup = lookup_of(w);
    for (size_t r = 0; r < n_rows; r++) {
        __m256 sum[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps()};
        for (size_t start = 0, n; start < w->cols; start += n) {
            __m256 v[4], a[4];
            n = piece(w, start);
            load(v, w, &lookup, row + r, start, n);
            load_floats(a, x + start, n);
            for (int i = 0; i < 4; i++) sum[i] = _mm256_fmadd_ps(v[i], a[i], sum[i]);
        }
        out[r] = sum32(sum);
    }
}
#endif
