// The AVX-512 tier's matrix kernels. Decoding is exact, as on every tier. Sums run in 16 lanes or more with FMA and
// take every product through at most n / 16 + 16 roundings: within (n / 16 + 16) * 2^-24 * sum |a||b|.
#ifdef __x86_64__
#include "engine/kernels/kernels_avx512.h"
#include "engine/kernels/kernels_avx512_lookup.h"
#include "engine/kernels/matrix.h"

#include <string.h>

enum {
    WIDTH = 64,           // values that are taken at once: four registers
    BLOCK = 64,           // weights that share a scale
    PREFETCH_BYTES = 3072 // how far ahead of the product weights are fetched: 100 ns of one core's 30 GB/s
};

static inline size_t width(size_t left) {
    return left < WIDTH ? left : WIDTH;
}

// x[n], n <= WIDTH, with zeros behind it.
ALWAYS_INLINE void load_floats(__m512 v[4], const float *x, size_t n) {
    for (size_t i = 0; i < 4; i++)
        v[i] = _mm512_maskz_loadu_ps(n > 16 * i ? qins_avx512_lanes(n - 16 * i) : 0, x + 16 * i);
}

ALWAYS_INLINE void store_floats(float *x, const __m512 v[4], size_t n) {
    for (size_t i = 0; i < 4; i++)
        _mm512_mask_storeu_ps(x + 16 * i, n > 16 * i ? qins_avx512_lanes(n - 16 * i) : 0, v[i]);
}

// n values of an uncoded type as load_floats loads them.
ALWAYS_INLINE void load_values(__m512 v[4], const void *values, qins_type type, size_t n) {
    if (type == QINS_F32) {
        load_floats(v, values, n);
        return;
    }
    for (size_t i = 0; i < 4; i++) {
        const __mmask16 lanes = n > 16 * i ? qins_avx512_lanes(n - 16 * i) : 0;
        __m256i half = _mm256_maskz_loadu_epi16(lanes, (const uint16_t *)values + 16 * i);
        v[i] = type == QINS_F16 ? _mm512_cvtph_ps(half)
                                : _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
    }
}

ALWAYS_INLINE void decode_plain(float *out, const qins_matrix *w, qins_type type, size_t row, size_t col, size_t n) {
    __m512 v[4];
    for (size_t i = 0; i < n; i += WIDTH) {
        load_values(v, qins_value_at(w, row, col + i), type, width(n - i));
        store_floats(out + i, v, width(n - i));
    }
}

ALWAYS_INLINE void add_products(__m512 sum[4], const void *values, qins_type type, const float *x, size_t n) {
    __m512 v[4], a[4];
    load_values(v, values, type, n);
    load_floats(a, x, n);
    for (int k = 0; k < 4; k++) sum[k] = _mm512_fmadd_ps(v[k], a[k], sum[k]);
}

ALWAYS_INLINE float dot_plain(const qins_matrix *w, qins_type type, size_t row, const float *x) {
    __m512 sum[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps()};
    size_t i = 0;
    qins_fetch_ahead(w, row, 0, w->cols);
    for (; i + WIDTH <= w->cols; i += WIDTH) add_products(sum, qins_value_at(w, row, i), type, x + i, WIDTH);
    if (i < w->cols) add_products(sum, qins_value_at(w, row, i), type, x + i, w->cols - i);
    return qins_avx512_sum(_mm512_add_ps(_mm512_add_ps(sum[0], sum[1]), _mm512_add_ps(sum[2], sum[3])));
}

// out[n] += sum of weights[r] * W[row + r, col .. col + n], n <= WIDTH
ALWAYS_INLINE void add_plain(float *out, const qins_matrix *w, qins_type type, size_t row, size_t n_rows, size_t col,
                             size_t n, const float *weights) {
    __m512 sum[4], v[4];
    load_floats(sum, out, n);
    for (size_t r = 0; r < n_rows; r++) {
        load_values(v, qins_value_at(w, row + r, col), type, n);
        for (int i = 0; i < 4; i++) sum[i] = _mm512_fmadd_ps(_mm512_set1_ps(weights[r]), v[i], sum[i]);
    }
    store_floats(out, sum, n);
}

// codes[n], n <= WIDTH, with zero codes behind them.
ALWAYS_INLINE __m512i load_codes(const uint8_t *codes, size_t n) {
    const __mmask64 bytes = n < WIDTH ? ((__mmask64)1 << n) - 1 : ~(__mmask64)0;
    return _mm512_mask_loadu_epi8(_mm512_set1_epi8(QINS_ZERO_CODE), bytes, codes);
}

ALWAYS_INLINE void decode_codes(float *out, const struct lookup *lookup, const uint8_t *codes, __m512 d, size_t n) {
    __m512 v[4];
    lookup_floats(v, lookup, load_codes(codes, n));
    for (int i = 0; i < 4; i++) v[i] = _mm512_mul_ps(d, v[i]);
    store_floats(out, v, n);
}

// out[n_cols] = W[row, col .. col + n_cols], block by block.
static void decode_coded(float *out, const qins_matrix *w, const struct lookup *lookup, size_t row, size_t col,
                         size_t n_cols) {
    const uint8_t *codes = qins_codes_at(w, row, col);
    const uint16_t *scale = w->scales + qins_first_block(w, row) + col / w->block;
    for (size_t start = 0; start < n_cols; start += w->block, codes += w->block) {
        const size_t n = n_cols - start < w->block ? n_cols - start : w->block;
        const __m512 d = broadcast_scale(*scale++);
        size_t i = 0;
        for (; i + WIDTH <= n; i += WIDTH) decode_codes(out + start + i, lookup, codes + i, d, WIDTH);
        if (i < n) decode_codes(out + start + i, lookup, codes + i, d, n - i);
    }
}

static void decode_coded_tile(float *out, const qins_matrix *w, size_t row, size_t n_rows, size_t col, size_t n_cols) {
    const struct lookup lookup = lookup_make(w->book);
    for (size_t r = 0; r < n_rows; r++) decode_coded(out + r * n_cols, w, &lookup, row + r, col, n_cols);
}

void qins_avx512_decode_tile(float *out, const qins_matrix *w, size_t row, size_t n_rows, size_t col, size_t n_cols) {
    if (qins_type_is_coded(w->type)) {
        decode_coded_tile(out, w, row, n_rows, col, n_cols);
        return;
    }
    for (const size_t end = row + n_rows; row < end; row++, out += n_cols) {
        if (w->type == QINS_F32)
            decode_plain(out, w, QINS_F32, row, col, n_cols);
        else if (w->type == QINS_F16)
            decode_plain(out, w, QINS_F16, row, col, n_cols);
        else
            decode_plain(out, w, QINS_BF16, row, col, n_cols);
    }
}

// out[n] += sum of weights[r] * W[row + r, col .. col + n] for a piece; the scale goes into the weight.
ALWAYS_INLINE void add_coded(float *out, const qins_matrix *w, const struct lookup *lookup, size_t row, size_t n_rows,
                             size_t col, size_t n, const float *weights) {
    __m512 sum[4], v[4];
    load_floats(sum, out, n);
    for (size_t r = 0; r < n_rows; r++) {
        const __m512 weight = _mm512_set1_ps(weights[r] * qins_scale_at(w, row + r, col));
        qins_fetch_ahead(w, row + r, col, n);
        lookup_floats(v, lookup, load_codes(qins_codes_at(w, row + r, col), n));
        for (int i = 0; i < 4; i++) sum[i] = _mm512_fmadd_ps(weight, v[i], sum[i]);
    }
    store_floats(out, sum, n);
}

static void add_coded_rows(float *out, const qins_matrix *w, size_t row, size_t n_rows, const float *weights) {
    const struct lookup lookup = lookup_make(w->book);
    for (size_t col = 0, n; col < w->cols; col += n) {
        n = qins_piece(w, col, w->cols, WIDTH);
        add_coded(out + col, w, &lookup, row, n_rows, col, n, weights);
    }
}

void qins_avx512_add_rows(float *out, const qins_matrix *w, size_t row, size_t n_rows, const float *weights) {
    if (qins_type_is_coded(w->type)) {
        add_coded_rows(out, w, row, n_rows, weights);
        return;
    }
    for (size_t col = 0; col < w->cols; col += WIDTH) {
        const size_t n = width(w->cols - col);
        if (w->type == QINS_F32)
            add_plain(out + col, w, QINS_F32, row, n_rows, col, n, weights);
        else if (w->type == QINS_F16)
            add_plain(out + col, w, QINS_F16, row, n_rows, col, n, weights);
        else
            add_plain(out + col, w, QINS_BF16, row, n_rows, col, n, weights);
    }
}

void qins_avx512_arrange(float *arranged, const float *x, size_t cols) {
    memcpy(arranged, x, cols * sizeof *x);
    if (cols % BLOCK != 0) memset(arranged + cols, 0, (BLOCK - cols % BLOCK) * sizeof *x);
}

static float dot_coded_row(const struct lookup *lookup, const uint8_t *codes, const uint16_t *scales, size_t blocks,
                           const float *x) {
    __m512 sum = _mm512_setzero_ps(), v[4];
    for (size_t b = 0; b < blocks; b++, codes += BLOCK, x += BLOCK) {
        _mm_prefetch((const char *)codes + PREFETCH_BYTES, _MM_HINT_T0);
        lookup_floats(v, lookup, _mm512_loadu_si512(codes));
        __m512 even = _mm512_mul_ps(v[0], _mm512_loadu_ps(x)), odd = _mm512_mul_ps(v[1], _mm512_loadu_ps(x + 16));
        even = _mm512_fmadd_ps(v[2], _mm512_loadu_ps(x + 32), even);
        odd = _mm512_fmadd_ps(v[3], _mm512_loadu_ps(x + 48), odd);
        sum = _mm512_fmadd_ps(broadcast_scale(scales[b]), _mm512_add_ps(even, odd), sum);
    }
    return qins_avx512_sum(sum);
}

static void dot_coded_rows(float *out, const qins_matrix *w, size_t row, size_t n_rows, const float *x) {
    const size_t blocks = qins_first_block(w, 1);
    const struct lookup lookup = lookup_make(w->book);
    for (size_t r = row; r < row + n_rows; r++)
        *out++ = dot_coded_row(&lookup, qins_codes_at(w, r, 0), w->scales + r * blocks, blocks, x);
}

void qins_avx512_dot_rows(float *out, const qins_matrix *w, size_t row, size_t n_rows, const float *x) {
    if (qins_type_is_coded(w->type)) {
        dot_coded_rows(out, w, row, n_rows, x);
        return;
    }
    for (const size_t end = row + n_rows; row < end; row++) {
        if (w->type == QINS_F32)
            *out++ = dot_plain(w, QINS_F32, row, x);
        else if (w->type == QINS_F16)
            *out++ = dot_plain(w, QINS_F16, row, x);
        else
            *out++ = dot_plain(w, QINS_BF16, row, x);
    }
}
#endif
