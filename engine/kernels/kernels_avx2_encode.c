// The AVX2 tier's encoder: qins_encode_row with 16 of the scales tried at a time, one in each lane. A lane does what
// qins_encode_with_scale does, operation by operation and weight after weight, so its squared error has the same bits.
#ifdef __x86_64__
#include "engine/kernels/kernels_avx2.h"

#include "engine/base/half.h"

#include <immintrin.h>
#include <math.h>
#include <string.h>

enum { BLOCK = 64, LANES = 16, STEPS = 6 };

// Boundaries and magnitudes as the search walks them: below boundary[s] comes the magnitude next[s] of s + 1. The
// boundary 0 at the end holds every search.
struct ladder {
    float boundary[QINS_LEVELS + STEPS], next[QINS_LEVELS + STEPS];
};

static void ladder_make(struct ladder *ladder, const qins_codebook *book) {
    *ladder = (struct ladder){0};
    memcpy(ladder->boundary, book->boundary, sizeof book->boundary);
    memcpy(ladder->next, book->value + 1, (QINS_LEVELS - 1) * sizeof *book->value);
}

// *magnitude where ratio >= boundary[s], next[s] elsewhere; returns the lanes that moved.
static inline __m256 move(__m256 *magnitude, __m256 ratio, const struct ladder *ladder, size_t s) {
    __m256 below = _mm256_cmp_ps(ratio, _mm256_broadcast_ss(&ladder->boundary[s]), _CMP_LT_OQ);
    *magnitude = _mm256_blendv_ps(*magnitude, _mm256_broadcast_ss(&ladder->next[s]), below);
    return below;
}

static inline __m256d add_squared_error(__m256d sum, __m256d x, __m128 decoded) {
    __m256d error = _mm256_sub_pd(x, _mm256_cvtps_pd(decoded));
    return _mm256_add_pd(sum, _mm256_mul_pd(error, error));
}

// errors[i] = squared error of x[n] under the scale d[i]; d grows by small steps. The lanes' ratios |x| / d fall, so
// all lanes start at the first one's code and walk down the ladder together until the last has found its place.
static void try_scales(double errors[LANES], const qins_codebook *book, const struct ladder *ladder, const float *x,
                       size_t n, const float d[LANES]) {
    const __m256 d0 = _mm256_loadu_ps(d), d1 = _mm256_loadu_ps(d + 8);
    __m256d sum[4] = {_mm256_setzero_pd(), _mm256_setzero_pd(), _mm256_setzero_pd(), _mm256_setzero_pd()};
    for (size_t i = 0; i < n; i++) {
        const float size = fabsf(x[i]);
        const __m256 ratio0 = _mm256_div_ps(_mm256_set1_ps(size), d0), ratio1 = _mm256_div_ps(_mm256_set1_ps(size), d1);
        size_t s = book->start[qins_start_bin(_mm256_cvtss_f32(ratio0))];
        __m256 magnitude0 = _mm256_broadcast_ss(&book->value[s]), magnitude1 = magnitude0, moved;
        do {
            for (int step = 0; step < STEPS; step++, s++) {
                move(&magnitude0, ratio0, ladder, s);
                moved = move(&magnitude1, ratio1, ladder, s);
            }
        } while (_mm256_movemask_ps(moved) != 0);
        const __m256 decoded0 = _mm256_mul_ps(d0, magnitude0), decoded1 = _mm256_mul_ps(d1, magnitude1);
        const __m256d wide = _mm256_set1_pd((double)size);
        sum[0] = add_squared_error(sum[0], wide, _mm256_castps256_ps128(decoded0));
        sum[1] = add_squared_error(sum[1], wide, _mm256_extractf128_ps(decoded0, 1));
        sum[2] = add_squared_error(sum[2], wide, _mm256_castps256_ps128(decoded1));
        sum[3] = add_squared_error(sum[3], wide, _mm256_extractf128_ps(decoded1, 1));
    }
    for (int i = 0; i < 4; i++) _mm256_storeu_pd(errors + 4 * i, sum[i]);
}

// book->start of eight bins. Four bytes are read where one is wanted, so the index of the last bins steps back by
// three.
static inline __m256i start_codes(const qins_codebook *book, __m256i bin) {
    __m256i at = _mm256_max_epi32(_mm256_sub_epi32(bin, _mm256_set1_epi32(3)), _mm256_setzero_si256());
    __m256i four = _mm256_i32gather_epi32((const int *)(const void *)book->start, at, 1);
    __m256i shift = _mm256_slli_epi32(_mm256_sub_epi32(bin, at), 3);
    return _mm256_and_si256(_mm256_srlv_epi32(four, shift), _mm256_set1_epi32(0xFF));
}

// Codes of x[n], n <= BLOCK, under scale d, as qins_encode_value finds them, eight at a time.
static void encode_values(const qins_codebook *book, const float *x, size_t n, float d, uint8_t *codes) {
    const __m256i lowest = _mm256_set1_epi32((127 - 20) * 64), last_bin = _mm256_set1_epi32(QINS_START_BINS - 1);
    float padded[BLOCK] = {0};
    int32_t found[BLOCK];
    memcpy(padded, x, n * sizeof *x);
    for (size_t i = 0; i < n; i += 8) {
        __m256 value = _mm256_loadu_ps(padded + i), sign = _mm256_and_ps(value, _mm256_set1_ps(-0.0f));
        __m256 ratio = _mm256_div_ps(_mm256_xor_ps(value, sign), _mm256_set1_ps(d));
        __m256i bin = _mm256_sub_epi32(_mm256_srli_epi32(_mm256_castps_si256(ratio), 17), lowest); // qins_start_bin
        bin = _mm256_min_epi32(_mm256_max_epi32(bin, _mm256_setzero_si256()), last_bin);
        __m256i s = start_codes(book, bin), below;
        do {
            __m256 boundary = _mm256_i32gather_ps(book->boundary, s, 4);
            below = _mm256_castps_si256(_mm256_cmp_ps(ratio, boundary, _CMP_LT_OQ));
            s = _mm256_sub_epi32(s, below);
        } while (!_mm256_testz_si256(below, below));
        __m256i is_zero = _mm256_cmpeq_epi32(s, _mm256_set1_epi32(QINS_ZERO_CODE));
        __m256i bit7 = _mm256_srli_epi32(_mm256_castps_si256(sign), 24);
        _mm256_storeu_si256((__m256i *)(found + i), _mm256_or_si256(s, _mm256_andnot_si256(is_zero, bit7)));
    }
    for (size_t i = 0; i < n; i++) codes[i] = (uint8_t)found[i];
}

static double squared_error(const qins_codebook *book, const float *x, size_t n, float d, const uint8_t *codes) {
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) {
        double error = (double)x[i] - (double)(d * book->value[codes[i]]);
        sum += error * error;
    }
    return sum;
}

// One block, n <= BLOCK, of a row.
static double encode_block(const qins_codebook *book, const struct ladder *ladder, const float *x, size_t n,
                           uint8_t *codes, uint16_t *scale) {
    const uint16_t smallest = qins_smallest_scale(x, n);
    if (smallest == 0 || smallest + QINS_SCALE_CHOICES > QINS_BF16_MAX) // nothing to search, or not as far
        return qins_encode_row(book, x, n, codes, scale);
    float d[QINS_SCALE_CHOICES];
    double errors[QINS_SCALE_CHOICES];
    for (int i = 0; i < QINS_SCALE_CHOICES; i++) d[i] = qins_f32_from_bf16((uint16_t)(smallest + i));
    try_scales(errors, book, ladder, x, n, d);
    encode_values(book, x, n, d[LANES], codes); // the one that no lane has tried
    errors[LANES] = squared_error(book, x, n, d[LANES], codes);
    int best = 0;
    for (int i = 1; i < QINS_SCALE_CHOICES; i++) best = errors[i] < errors[best] ? i : best;
    *scale = (uint16_t)(smallest + best);
    if (best < LANES) encode_values(book, x, n, d[best], codes);
    return errors[best];
}

_Static_assert(QINS_SCALE_CHOICES == LANES + 1, "encode_block tries one scale beyond the lanes'");

double qins_avx2_encode_row(const qins_codebook *book, const float *x, size_t cols, uint8_t *codes, uint16_t *scales) {
    struct ladder ladder;
    ladder_make(&ladder, book);
    double squared_error = 0.0;
    for (size_t start = 0; start < cols; start += BLOCK) {
        size_t n = cols - start < BLOCK ? cols - start : BLOCK;
        squared_error += encode_block(book, &ladder, x + start, n, codes + start, &scales[start / BLOCK]);
        memset(codes + start + n, QINS_ZERO_CODE, BLOCK - n);
    }
    return squared_error;
}
#endif
