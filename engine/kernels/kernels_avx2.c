// The AVX2 + FMA + F16C tier: its table, and the kernels on vectors. exp8 is within 2 units in the last place of exp
// where that is a normal number; sums run in 8 lanes.
#ifdef __x86_64__
#include "engine/kernels/kernels_avx2.h"

#include <immintrin.h>
#include <math.h>
#include <string.h>

enum { WIDTH = 8 };

// x[n], n <= WIDTH, with zeros behind it.
static inline __m256 load(const float *x, size_t n) {
    if (n == WIDTH) return _mm256_loadu_ps(x);
    float padded[WIDTH] = {0};
    return _mm256_loadu_ps(memcpy(padded, x, n * sizeof *x));
}

static inline void store(float *x, __m256 v, size_t n) {
    float padded[WIDTH];
    _mm256_storeu_ps(n < WIDTH ? padded : x, v);
    if (n < WIDTH) memcpy(x, padded, n * sizeof *x);
}

static inline size_t width(size_t left) {
    return left < WIDTH ? left : WIDTH;
}

static inline float sum8(__m256 v) {
    __m128 sum = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
    return _mm_cvtss_f32(_mm_add_ss(sum, _mm_movehdup_ps(sum)));
}

// 2^n for eight integers -126 <= n <= 127.
static inline __m256 power_of_two(__m256i n) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
}

// exp(x) = 2^n exp(r) with n = round(x / ln 2) and |r| <= ln 2 / 2, ln 2 in two parts of which the first times n is
// exact; exp(r) is its Taylor polynomial of degree 7, whose remainder is below 2^-27. 2^n is applied in two halves, so
// that results fade through the subnormal numbers to 0, and grow to infinity. NaN stays NaN.
static inline __m256 exp8(__m256 x) {
    static const float taylor[] = {1.0f / 5040, 1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f};
    x = _mm256_max_ps(_mm256_set1_ps(-104.0f), x); // with these operands max and min hand NaN through
    x = _mm256_min_ps(_mm256_set1_ps(89.0f), x);
    __m256 n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(0x1.715476p+0f)),
                               _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0x1.62e4p-1f), x);
    r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0x1.7f7d1cp-20f), r);
    __m256 y = _mm256_set1_ps(taylor[0]);
    for (size_t i = 1; i < sizeof taylor / sizeof *taylor; i++) y = _mm256_fmadd_ps(y, r, _mm256_set1_ps(taylor[i]));
    __m256i whole = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(whole, 1);
    return _mm256_mul_ps(_mm256_mul_ps(y, power_of_two(half)), power_of_two(_mm256_sub_epi32(whole, half)));
}

static void rmsnorm(float *out, const float *x, const float *weight, size_t n, float eps) {
    __m256 sum = _mm256_setzero_ps();
    for (size_t i = 0; i < n; i += WIDTH) {
        __m256 v = load(x + i, width(n - i));
        sum = _mm256_fmadd_ps(v, v, sum);
    }
    const __m256 factor = _mm256_set1_ps(1.0f / sqrtf(sum8(sum) / (float)n + eps));
    for (size_t i = 0; i < n; i += WIDTH) {
        __m256 v = _mm256_mul_ps(load(x + i, width(n - i)), factor);
        store(out + i, _mm256_mul_ps(v, load(weight + i, width(n - i))), width(n - i));
    }
}

static void swiglu(float *out, const float *gate, const float *up, size_t n) {
    for (size_t i = 0; i < n; i += WIDTH) {
        __m256 g = load(gate + i, width(n - i)), e = exp8(_mm256_xor_ps(g, _mm256_set1_ps(-0.0f)));
        __m256 silu = _mm256_div_ps(g, _mm256_add_ps(_mm256_set1_ps(1.0f), e));
        store(out + i, _mm256_mul_ps(load(up + i, width(n - i)), silu), width(n - i));
    }
}

static float max(const float *x, size_t n) {
    __m256 largest = _mm256_set1_ps(-INFINITY);
    size_t i = 0;
    for (; i + WIDTH <= n; i += WIDTH) largest = _mm256_max_ps(_mm256_loadu_ps(x + i), largest); // NaN: the second
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(largest), _mm256_extractf128_ps(largest, 1));
    four = _mm_max_ps(four, _mm_movehl_ps(four, four));
    float result = _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
    for (; i < n; i++) result = x[i] > result ? x[i] : result;
    return result;
}

static float exp_sum(float *x, size_t n, float max) {
    __m256 sum = _mm256_setzero_ps();
    for (size_t i = 0; i < n; i += WIDTH) {
        __m256 v = exp8(_mm256_sub_ps(load(x + i, width(n - i)), _mm256_set1_ps(max)));
        store(x + i, v, width(n - i));
        sum = _mm256_add_ps(sum, load(x + i, width(n - i))); // again, for the zeros behind the last
    }
    return sum8(sum);
}

const qins_kernels qins_kernels_avx2 = {.name = "avx2",
                                        .decode_tile = qins_avx2_decode_tile,
                                        .arrange = qins_avx2_arrange,
                                        .dot_rows = qins_avx2_dot_rows,
                                        .add_rows = qins_avx2_add_rows,
                                        .rmsnorm = rmsnorm,
                                        .swiglu = swiglu,
                                        .max = max,
                                        .exp_sum = exp_sum,
                                        .encode_row = qins_avx2_encode_row};
#endif
