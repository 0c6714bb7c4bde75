// Prompts with BF16 products, for machines with AVX512_BF16: y = x W^T where x is rounded to BF16 and W is coded. The
// table's magnitudes are BF16 numbers, so weights are taken as they are; a block's scale multiplies its sum.
//
// A micro-kernel holds the sums of 6 tokens and 32 rows, 12 registers for the block and 12 for the product: for every
// two columns it loads 2 registers of weights, broadcasts 6 pairs of activations and starts 12 products of 32 each.
// What it reads of the weights, L1_BLOCKS panels, stays in L1 over all tokens of a call; the tokens stay in L2.
//
// The instruction's products are exact and its sums round to nearest; a product passes 32 roundings in its block and
// one more for every block. Numbers below 2^-126 count as 0.
#ifdef __x86_64__
#include "engine/kernels/kernels_avx512.h"
#include "engine/kernels/kernels_avx512_lookup.h"
#include "engine/kernels/matrix.h"

#include <string.h>

enum {
    BLOCK = 64,    // columns that share a scale
    PAIRS = 32,    // pairs of columns in a block
    ROWS = 32,     // of a panel
    TOKENS = 6,    // of a micro-kernel
    L1_BLOCKS = 4, // panels of one group of rows that are used by all tokens in turn
};

// A block of columns of a group of rows, as the micro-kernel reads it.
struct panel {
    float scales[ROWS];
    uint32_t pairs[PAIRS][ROWS]; // two BF16: columns 2i and 2i + 1
};

// 16 x 16 matrix of 32-bit numbers.
static void transpose(__m512i r[16]) {
    __m512i t[16];
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) { // r[i + c], lane l: column 4l + c of rows i .. i + 3
        r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    for (int c = 0; c < 4; c++) {
        enum { EVEN_LANES = 0x88, ODD_LANES = 0xDD };
        t[0] = _mm512_shuffle_i32x4(r[c], r[4 + c], EVEN_LANES);
        t[1] = _mm512_shuffle_i32x4(r[c], r[4 + c], ODD_LANES);
        t[2] = _mm512_shuffle_i32x4(r[8 + c], r[12 + c], EVEN_LANES);
        t[3] = _mm512_shuffle_i32x4(r[8 + c], r[12 + c], ODD_LANES);
        r[c] = _mm512_shuffle_i32x4(t[0], t[2], EVEN_LANES);
        r[4 + c] = _mm512_shuffle_i32x4(t[1], t[3], EVEN_LANES);
        r[8 + c] = _mm512_shuffle_i32x4(t[0], t[2], ODD_LANES);
        r[12 + c] = _mm512_shuffle_i32x4(t[1], t[3], ODD_LANES);
    }
}

// Rows first .. first + 15 of a panel, from rows row, ... of W; n of them exist, the others become zeros.
static void pack_rows(struct panel *panel, const struct lookup *lookup, const qins_matrix *w, size_t row, size_t n,
                      size_t col, size_t first) {
    __m512i halves[2][16]; // of the blocks' BF16, as lookup_codes deals them out
    for (size_t r = 0; r < 16; r++) {
        __m512i pairs[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
        if (r < n) lookup_codes(pairs, lookup, _mm512_loadu_si512(qins_codes_at(w, row + r, col)));
        panel->scales[first + r] = r < n ? qins_scale_at(w, row + r, col) : 0.0f;
        halves[0][r] = pairs[0];
        halves[1][r] = pairs[1];
    }
    for (size_t half = 0; half < 2; half++) {
        transpose(halves[half]);
        for (size_t i = 0; i < 16; i++) // quarter i / 4 of the register holds 16 columns, this half 8 of them
            _mm512_storeu_si512(&panel->pairs[i / 4 * 8 + half * 4 + i % 4][first], halves[half][i]);
    }
}

void qins_avx512_pack_bf16(void *packed, const qins_matrix *w, size_t row, size_t n_rows, size_t col, size_t n_cols) {
    const struct lookup lookup = lookup_make(w->book);
    struct panel *panel = packed;
    for (size_t r = 0; r < n_rows; r += ROWS) {
        const size_t left = n_rows - r;
        for (size_t c = 0; c < n_cols; c += BLOCK, panel++) {
            pack_rows(panel, &lookup, w, row + r, left < 16 ? left : 16, col + c, 0);
            pack_rows(panel, &lookup, w, row + r + 16, left < 16 ? 0 : left - 16 < 16 ? left - 16 : 16, col + c, 16);
        }
    }
}

// Where a micro-kernel finds and leaves things.
struct operands {
    float *y; // [tokens, rows of the group], rows of y_stride floats
    size_t y_stride;
    const uint16_t *x; // [tokens, columns], rows of x_stride BF16
    size_t x_stride;
    const struct panel *panels;
    size_t blocks;
    __mmask16 rows[2]; // which rows of the group exist
    bool add;          // to what y holds
};

ALWAYS_INLINE __m512i broadcast_pair(const uint16_t *x) {
    int32_t pair;
    memcpy(&pair, x, sizeof pair);
    return _mm512_set1_epi32(pair);
}

ALWAYS_INLINE void multiply_tokens(const struct operands *o, size_t token, size_t n) {
    float *y = o->y + token * o->y_stride;
    const uint16_t *x = o->x + token * o->x_stride;
    __m512 total[TOKENS][2], sum[TOKENS][2];
    for (size_t t = 0; t < n; t++)
        for (int h = 0; h < 2; h++)
            total[t][h] = _mm512_maskz_loadu_ps(o->add ? o->rows[h] : 0, y + t * o->y_stride + 16 * h);
    for (size_t b = 0; b < o->blocks; b++) {
        const struct panel *panel = &o->panels[b];
        for (size_t t = 0; t < n; t++) sum[t][0] = sum[t][1] = _mm512_setzero_ps();
        for (size_t i = 0; i < PAIRS; i++) {
            const __m512i w0 = _mm512_loadu_si512(panel->pairs[i]), w1 = _mm512_loadu_si512(panel->pairs[i] + 16);
            for (size_t t = 0; t < n; t++) {
                const __m512i pair = broadcast_pair(x + t * o->x_stride + b * BLOCK + 2 * i);
                sum[t][0] = _mm512_dpbf16_ps(sum[t][0], (__m512bh)pair, (__m512bh)w0);
                sum[t][1] = _mm512_dpbf16_ps(sum[t][1], (__m512bh)pair, (__m512bh)w1);
            }
        }
        for (size_t t = 0; t < n; t++)
            for (int h = 0; h < 2; h++)
                total[t][h] = _mm512_fmadd_ps(sum[t][h], _mm512_loadu_ps(panel->scales + 16 * h), total[t][h]);
    }
    for (size_t t = 0; t < n; t++)
        for (int h = 0; h < 2; h++) _mm512_mask_storeu_ps(y + t * o->y_stride + 16 * h, o->rows[h], total[t][h]);
}

// All tokens, most of them six at a time.
static void multiply_panels(const struct operands *o, size_t n) {
    size_t token = 0;
    for (; token + TOKENS <= n; token += TOKENS) multiply_tokens(o, token, TOKENS);
    for (; token + 2 <= n; token += 2) multiply_tokens(o, token, 2);
    if (token < n) multiply_tokens(o, token, 1);
}

// x[n, n_cols] to BF16, rows filled up with zeros to whole blocks.
static void round_tokens(uint16_t *rounded, const float *x, size_t x_stride, size_t n, size_t n_cols, size_t width) {
    for (size_t t = 0; t < n; t++) {
        for (size_t c = 0; c < width; c += 16) {
            const __mmask16 lanes = c < n_cols ? qins_avx512_lanes(n_cols - c) : 0;
            const __m512 v = _mm512_maskz_loadu_ps(lanes, x + t * x_stride + c);
            _mm256_storeu_si256((__m256i *)(rounded + t * width + c), (__m256i)_mm512_cvtneps_pbh(v));
        }
    }
}

void qins_avx512_multiply_bf16(float *y, size_t y_stride, const float *x, size_t x_stride, size_t n, uint16_t *rounded,
                               const void *packed, size_t n_rows, size_t n_cols, bool add) {
    const size_t blocks = (n_cols + BLOCK - 1) / BLOCK, width = blocks * BLOCK;
    const struct panel *panels = packed;
    round_tokens(rounded, x, x_stride, n, n_cols, width);
    for (size_t r = 0; r < n_rows; r += ROWS, panels += blocks) {
        const size_t left = n_rows - r;
        for (size_t b = 0; b < blocks; b += L1_BLOCKS) {
            const struct operands operands = {
                .y = y + r,
                .y_stride = y_stride,
                .x = rounded + b * BLOCK,
                .x_stride = width,
                .panels = panels + b,
                .blocks = blocks - b < L1_BLOCKS ? blocks - b : L1_BLOCKS,
                .rows = {qins_avx512_lanes(left), left > 16 ? qins_avx512_lanes(left - 16) : 0},
                .add = add || b > 0};
            multiply_panels(&operands, n);
        }
    }
}

double qins_avx512_bf16_rounds(size_t rounds) {
    enum { CHAINS = 12, FLOPS = 64 }; // as in the micro-kernel; multiplications and additions of one instruction
    __m512 sum[CHAINS];
    const __m512bh zero = (__m512bh)_mm512_setzero_si512();
    for (int i = 0; i < CHAINS; i++) sum[i] = _mm512_setzero_ps();
    for (size_t round = 0; round < rounds; round++)
        for (int i = 0; i < CHAINS; i++) sum[i] = _mm512_dpbf16_ps(sum[i], zero, zero);
    double flops = (double)rounds * CHAINS * FLOPS;
    for (int i = 0; i < CHAINS; i++) flops += (double)qins_avx512_sum(sum[i]); // 0, so that no chain is left out
    return flops;
}
#endif
