// The AVX-512 tier (F, BW, VL and VBMI on top of AVX2): its two tables, and the kernels on vectors. exp16 is within 2
// units in the last place of exp where that is a normal number; sums run in 16 lanes. The encoder is the AVX2 tier's.
#ifdef __x86_64__
#include "engine/kernels/kernels_avx512.h"
#include "engine/kernels/kernels_avx2.h"

#include <math.h>

enum { WIDTH = 16 };

// exp(x) = 2^n exp(r) with n = round(x / ln 2) and |r| <= ln 2 / 2, ln 2 in two parts of which the first times n is
// exact; exp(r) is its Taylor polynomial of degree 7, whose remainder is below 2^-27. NaN stays NaN.
static inline __m512 exp16(__m512 x) {
    static const float taylor[] = {1.0f / 5040, 1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f};
    x = _mm512_max_ps(_mm512_set1_ps(-104.0f), x); // with these operands max and min hand NaN through
    x = _mm512_min_ps(_mm512_set1_ps(89.0f), x);
    __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(0x1.715476p+0f)),
                                    _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0x1.62e4p-1f), x);
    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0x1.7f7d1cp-20f), r);
    __m512 y = _mm512_set1_ps(taylor[0]);
    for (size_t i = 1; i < sizeof taylor / sizeof *taylor; i++) y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(taylor[i]));
    return _mm512_scalef_ps(y, n); // y 2^n, through the subnormal numbers to 0 and up to infinity
}

static void rmsnorm(float *out, const float *x, const float *weight, size_t n, float eps) {
    __m512 sum = _mm512_setzero_ps();
    for (size_t i = 0; i < n; i += WIDTH) {
        __m512 v = _mm512_maskz_loadu_ps(qins_avx512_lanes(n - i), x + i);
        sum = _mm512_fmadd_ps(v, v, sum);
    }
    const __m512 factor = _mm512_set1_ps(1.0f / sqrtf(qins_avx512_sum(sum) / (float)n + eps));
    for (size_t i = 0; i < n; i += WIDTH) {
        const __mmask16 lanes = qins_avx512_lanes(n - i);
        __m512 v = _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, x + i), factor);
        _mm512_mask_storeu_ps(out + i, lanes, _mm512_mul_ps(v, _mm512_maskz_loadu_ps(lanes, weight + i)));
    }
}

static void swiglu(float *out, const float *gate, const float *up, size_t n) {
    for (size_t i = 0; i < n; i += WIDTH) {
        const __mmask16 lanes = qins_avx512_lanes(n - i);
        __m512 g = _mm512_maskz_loadu_ps(lanes, gate + i), e = exp16(_mm512_sub_ps(_mm512_setzero_ps(), g));
        __m512 silu = _mm512_div_ps(g, _mm512_add_ps(_mm512_set1_ps(1.0f), e));
        _mm512_mask_storeu_ps(out + i, lanes, _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, up + i), silu));
    }
}

static float max(const float *x, size_t n) {
    __m512 largest = _mm512_set1_ps(-INFINITY);
    for (size_t i = 0; i < n; i += WIDTH) {
        __m512 v = _mm512_maskz_loadu_ps(qins_avx512_lanes(n - i), x + i);
        largest = _mm512_mask_max_ps(largest, qins_avx512_lanes(n - i), v, largest); // NaN: the second
    }
    __m256 eight = _mm256_max_ps(_mm512_castps512_ps256(largest), qins_avx512_upper(largest));
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    four = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
}

static float exp_sum(float *x, size_t n, float max) {
    __m512 sum = _mm512_setzero_ps();
    for (size_t i = 0; i < n; i += WIDTH) {
        const __mmask16 lanes = qins_avx512_lanes(n - i);
        __m512 v = exp16(_mm512_sub_ps(_mm512_maskz_loadu_ps(lanes, x + i), _mm512_set1_ps(max)));
        _mm512_mask_storeu_ps(x + i, lanes, v);
        sum = _mm512_mask_add_ps(sum, lanes, sum, v);
    }
    return qins_avx512_sum(sum);
}

const qins_kernels qins_kernels_avx512 = {.name = "avx512",
                                          .decode_tile = qins_avx512_decode_tile,
                                          .arrange = qins_avx512_arrange,
                                          .dot_rows = qins_avx512_dot_rows,
                                          .add_rows = qins_avx512_add_rows,
                                          .rmsnorm = rmsnorm,
                                          .swiglu = swiglu,
                                          .max = max,
                                          .exp_sum = exp_sum,
                                          .encode_row = qins_avx2_encode_row};

const qins_kernels qins_kernels_avx512_bf16 = {.name = "avx512 with bf16",
                                               .decode_tile = qins_avx512_decode_tile,
                                               .arrange = qins_avx512_arrange_bf16,
                                               .dot_rows = qins_avx512_dot_rows_bf16,
                                               .pack_bf16 = qins_avx512_pack_bf16,
                                               .multiply_bf16 = qins_avx512_multiply_bf16,
                                               .bf16_rounds = qins_avx512_bf16_rounds,
                                               .add_rows = qins_avx512_add_rows,
                                               .rmsnorm = rmsnorm,
                                               .swiglu = swiglu,
                                               .max = max,
                                               .exp_sum = exp_sum,
                                               .encode_row = qins_avx2_encode_row};
#endif
