// The AVX2 tier's matrix kernels. Decoding is exact, as on every tier. Sums run in at least 8 lanes with FMA and take
// every product through at most n / 8 + 16 roundings: within (n / 8 + 16) * 2^-24 * sum |a||b|.
#ifdef __x86_64__
#include "engine/kernels/kernels_avx2.h"
#include "engine/kernels/kernels_avx2_lookup.h"
#include "engine/kernels/matrix.h"

#include <string.h>

enum {
    WIDTH = 32,           // values that are loaded at once: four registers
    BLOCK = 64,           // weights that share a scale
    PAIRS = BLOCK / 16,   // registers of 16 BF16 that hold a block
    PREFETCH_BYTES = 1024 // how far ahead of the product weights are fetched
};

static inline float sum8(__m256 v) {
    __m128 sum = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
    return _mm_cvtss_f32(_mm_add_ss(sum, _mm_movehdup_ps(sum)));
}

static inline float sum32(const __m256 v[4]) {
    return sum8(_mm256_add_ps(_mm256_add_ps(v[0], v[1]), _mm256_add_ps(v[2], v[3])));
}

static inline size_t width(size_t left) {
    return left < WIDTH ? left : WIDTH;
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

static inline __m256 widen(__m128i half, qins_type type) {
    if (type == QINS_F16) return _mm256_cvtph_ps(half);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
}

// n values of an uncoded type as load_floats loads them.
ALWAYS_INLINE void load_values(__m256 v[4], const void *values, qins_type type, size_t n) {
    if (type == QINS_F32) {
        load_floats(v, values, n);
        return;
    }
    uint16_t padded[WIDTH];
    if (n < WIDTH) {
        memset(padded, 0, sizeof padded);
        values = memcpy(padded, values, n * sizeof *padded);
    }
    for (int i = 0; i < 4; i++) v[i] = widen(_mm_loadu_si128((const __m128i *)values + i), type);
}

ALWAYS_INLINE void decode_plain(float *out, const qins_matrix *w, qins_type type, size_t row, size_t col, size_t n) {
    __m256 v[4];
    for (size_t i = 0; i < n; i += WIDTH) {
        load_values(v, qins_value_at(w, row, col + i), type, width(n - i));
        store_floats(out + i, v, width(n - i));
    }
}

ALWAYS_INLINE float dot_plain(const qins_matrix *w, qins_type type, size_t row, const float *x) {
    __m256 sum[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps()}, v[4], a[4];
    qins_fetch_ahead(w, row, 0, w->cols);
    for (size_t i = 0; i < w->cols; i += WIDTH) {
        load_values(v, qins_value_at(w, row, i), type, width(w->cols - i));
        load_floats(a, x + i, width(w->cols - i));
        for (int k = 0; k < 4; k++) sum[k] = _mm256_fmadd_ps(v[k], a[k], sum[k]);
    }
    return sum32(sum);
}

// out[n] += sum of weights[r] * W[row + r, col .. col + n], n <= WIDTH
ALWAYS_INLINE void add_plain(float *out, const qins_matrix *w, qins_type type, size_t row, size_t n_rows, size_t col,
                             size_t n, const float *weights) {
    __m256 sum[4], v[4];
    load_floats(sum, out, n);
    for (size_t r = 0; r < n_rows; r++) {
        load_values(v, qins_value_at(w, row + r, col), type, n);
        for (int i = 0; i < 4; i++) sum[i] = _mm256_fmadd_ps(_mm256_set1_ps(weights[r]), v[i], sum[i]);
    }
    store_floats(out, sum, n);
}

static struct lookup lookup_of(const qins_matrix *w) {
    struct lookup lookup = {0};
    if (qins_type_is_coded(w->type)) lookup_make(&lookup, w->book);
    return lookup;
}

// codes[n] of a piece; where they are fewer than a register's, in padded[WIDTH] with zero codes behind them.
static inline const uint8_t *whole_register(uint8_t padded[WIDTH], const uint8_t *codes, size_t n) {
    if (n == WIDTH) return codes;
    memset(padded, QINS_ZERO_CODE, WIDTH);
    return memcpy(padded, codes, n);
}

// Registers in the order of lookup_codes, even and odd, back into that of the columns.
static inline void restore_order(__m256 v[4]) {
    __m256 quads[4]; // columns 0..3 and 16..19, 4..7 and 20..23, 8..11 and 24..27, 12..15 and 28..31
    for (int i = 0; i < 4; i += 2) {
        quads[i] = _mm256_unpacklo_ps(v[i], v[i + 1]);
        quads[i + 1] = _mm256_unpackhi_ps(v[i], v[i + 1]);
    }
    for (int i = 0; i < 2; i++) {
        v[i] = _mm256_permute2f128_ps(quads[2 * i], quads[2 * i + 1], 0x20);
        v[i + 2] = _mm256_permute2f128_ps(quads[2 * i], quads[2 * i + 1], 0x31);
    }
}

static void decode_coded(float *out, const qins_matrix *w, const struct lookup *lookup, size_t row, size_t col,
                         size_t end) {
    for (size_t n; col < end; col += n, out += n) {
        uint8_t padded[WIDTH];
        __m256i pairs[2];
        n = qins_piece(w, col, end, WIDTH);
        const __m256 d = _mm256_set1_ps(qins_scale_at(w, row, col));
        lookup_codes(pairs, lookup, whole_register(padded, qins_codes_at(w, row, col), n), 0, 1);
        __m256 v[4] = {_mm256_mul_ps(d, even(pairs[0])), _mm256_mul_ps(d, odd(pairs[0])),
                       _mm256_mul_ps(d, even(pairs[1])), _mm256_mul_ps(d, odd(pairs[1]))};
        restore_order(v);
        store_floats(out, v, n);
    }
}

void qins_avx2_decode_tile(float *out, const qins_matrix *w, size_t row, size_t n_rows, size_t col, size_t n_cols) {
    const struct lookup lookup = lookup_of(w);
    for (const size_t end = row + n_rows; row < end; row++, out += n_cols) {
        switch (w->type) {
        case QINS_F32:
            decode_plain(out, w, QINS_F32, row, col, n_cols);
            break;
        case QINS_F16:
            decode_plain(out, w, QINS_F16, row, col, n_cols);
            break;
        case QINS_BF16:
            decode_plain(out, w, QINS_BF16, row, col, n_cols);
            break;
        default:
            decode_coded(out, w, &lookup, row, col, col + n_cols);
        }
    }
}

// sum += weight * W[row + r, piece] of n rows, in the order of lookup_codes. The scale goes into the weight.
ALWAYS_INLINE void add_looked_up(__m256 sum[4], const __m256i *pairs, const float *weights, int n) {
    for (int r = 0; r < n; r++) {
        const __m256 weight = _mm256_set1_ps(weights[r]);
        for (int i = 0; i < 2; i++) {
            sum[2 * i] = _mm256_fmadd_ps(weight, even(pairs[2 * r + i]), sum[2 * i]);
            sum[2 * i + 1] = _mm256_fmadd_ps(weight, odd(pairs[2 * r + i]), sum[2 * i + 1]);
        }
    }
}

// out[n] += sum of weights[r] * W[row + r, col .. col + n] for a piece of WIDTH columns or less.
static void add_coded(float *out, const qins_matrix *w, const struct lookup *lookup, size_t row, size_t n_rows,
                      size_t col, size_t n, const float *weights) {
    const size_t stride = qins_first_block(w, 1) * w->block;
    __m256 sum[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps()}, before[4];
    __m256i pairs[4];
    size_t r = 0;
    for (; r + 2 <= n_rows && n == WIDTH; r += 2) { // two rows share the loads of the tables
        const float scaled[2] = {weights[r] * qins_scale_at(w, row + r, col),
                                 weights[r + 1] * qins_scale_at(w, row + r + 1, col)};
        qins_fetch_ahead(w, row + r, col, n);
        qins_fetch_ahead(w, row + r + 1, col, n);
        lookup_codes(pairs, lookup, qins_codes_at(w, row + r, col), stride, 2);
        add_looked_up(sum, pairs, scaled, 2);
    }
    for (; r < n_rows; r++) {
        uint8_t padded[WIDTH];
        const float scaled = weights[r] * qins_scale_at(w, row + r, col);
        lookup_codes(pairs, lookup, whole_register(padded, qins_codes_at(w, row + r, col), n), 0, 1);
        add_looked_up(sum, pairs, &scaled, 1);
    }
    restore_order(sum);
    load_floats(before, out, n);
    for (int i = 0; i < 4; i++) sum[i] = _mm256_add_ps(before[i], sum[i]);
    store_floats(out, sum, n);
}

void qins_avx2_add_rows(float *out, const qins_matrix *w, size_t row, size_t n_rows, const float *weights) {
    const struct lookup lookup = lookup_of(w);
    for (size_t col = 0, n; col < w->cols; col += n, out += n) {
        n = width(w->cols - col);
        switch (w->type) {
        case QINS_F32:
            add_plain(out, w, QINS_F32, row, n_rows, col, n, weights);
            break;
        case QINS_F16:
            add_plain(out, w, QINS_F16, row, n_rows, col, n, weights);
            break;
        case QINS_BF16:
            add_plain(out, w, QINS_BF16, row, n_rows, col, n, weights);
            break;
        default:
            n = qins_piece(w, col, w->cols, WIDTH);
            add_coded(out, w, &lookup, row, n_rows, col, n, weights);
        }
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
    lookup_codes(pairs, lookup, codes, WIDTH, 2);
    for (size_t b = 0; b < blocks; b++) {
        const uint8_t *next_codes = codes + (b + 1 < blocks ? b + 1 : b) * BLOCK;
        _mm_prefetch((const char *)(codes + b * BLOCK + PREFETCH_BYTES), _MM_HINT_T0);
        lookup_codes(next, lookup, next_codes, WIDTH, 2);
        sum = _mm256_fmadd_ps(_mm256_set1_ps(qins_f32_from_bf16(scales[b])), dot_block(pairs, x + b * BLOCK), sum);
        for (int i = 0; i < PAIRS; i++) pairs[i] = next[i];
    }
    return sum8(sum);
}

// dot_rows of weights in blocks of 64: the product that generation consists of.
static void dot_coded_rows(float *out, const qins_matrix *w, size_t row, size_t n_rows, const float *arranged) {
    const size_t blocks = (w->cols + BLOCK - 1) / BLOCK;
    const struct lookup lookup = lookup_of(w);
    for (size_t r = row; r < row + n_rows; r++)
        *out++ = dot_coded_row(&lookup, (const uint8_t *)w->data + r * blocks * BLOCK, w->scales + r * blocks, blocks,
                               arranged);
}

void qins_avx2_dot_rows(float *out, const qins_matrix *w, size_t row, size_t n_rows, const float *x) {
    const size_t end = row + n_rows;
    switch (w->type) {
    case QINS_F32:
        for (; row < end; row++) *out++ = dot_plain(w, QINS_F32, row, x);
        break;
    case QINS_F16:
        for (; row < end; row++) *out++ = dot_plain(w, QINS_F16, row, x);
        break;
    case QINS_BF16:
        for (; row < end; row++) *out++ = dot_plain(w, QINS_BF16, row, x);
        break;
    default:
        dot_coded_rows(out, w, row, n_rows, x);
    }
}
#endif
