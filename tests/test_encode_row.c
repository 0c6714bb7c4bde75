// The data-free encoder for every coded type of the table: rows of all kinds at every tier, the search of a block
// against brute force, and the cost of an outlier.
#include "engine/kernels/encoder.h"
#include "tests/support.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void each_coded_type(void (*check)(qins_type type)) {
    for (int type = 0; type < QINS_TYPE_COUNT; type++)
        if (qins_type_is_coded((qins_type)type)) check((qins_type)type);
}

// --- rows ---

enum { NORMAL, HALF_ZEROS, ZEROS, TINY, SUBNORMAL, MIXED, HUGE_VALUES, ONE_WEIGHT, N_KINDS };

static void fill_row(test_random *random, float *x, size_t cols, int kind) {
    for (size_t i = 0; i < cols; i++) {
        const float value = random_bell(random), zero = random_below(random, 2) == 0 ? 0.0f : -0.0f;
        x[i] = value;
        if (kind == ZEROS || kind == ONE_WEIGHT || (kind == HALF_ZEROS && value < 0.0f)) x[i] = zero;
        if (kind == TINY) x[i] *= 1e-33f;
        if (kind == SUBNORMAL) x[i] *= 1e-41f;
        if (kind == MIXED) x[i] = ldexpf(value, (int)random_below(random, 40) - 30);
        if (kind == HUGE_VALUES) x[i] = fmaxf(fminf(value * 0x1p126f, FLT_MAX), -FLT_MAX);
    }
    if (kind == ONE_WEIGHT) x[cols - 1] = -FLT_MAX;
}

// The properties that a reader may rely on.
static void expect_sound(qins_type type, size_t cols, const qins_coded_row *row) {
    const qins_type_info *info = &qins_types[type];
    for (size_t i = 0; i < qins_round_up(cols, QINS_UNIT); i++) {
        const uint16_t d = row->d[i / QINS_STRETCH];
        cr_assert(d == 0 || (d >= QINS_BF16_MIN && d <= QINS_BF16_MAX), "d is 0x%x", d);
        cr_assert(row->codes[i] >= info->min_code && row->codes[i] <= info->max_code);
        cr_assert_leq(abs(info->k(row->scales[i / QINS_BLOCK])), info->max_k);
        if (i >= cols) cr_assert_eq(row->codes[i], info->padding_code);
        if (i / QINS_BLOCK * QINS_BLOCK >= cols) cr_assert_eq(row->scales[i / QINS_BLOCK], 0);
    }
}

// The error that decoding shows.
static double decoded_error(qins_type type, const float *x, size_t cols, const qins_coded_row *row) {
    float *decoded = malloc(cols * sizeof *decoded);
    double error = 0;
    cr_assert_not_null(decoded);
    qins_decode_coded(decoded, type, cols, row);
    for (size_t i = 0; i < cols; i++) error += pow((double)x[i] - (double)decoded[i], 2);
    free(decoded);
    return error;
}

// The error with the smallest d for every stretch, the only one that is sure to be tried, and what the steps of the
// encoder's table and the rounding of v may hide.
static double error_with_first_d(qins_type type, const float *x, size_t cols) {
    const qins_type_info *info = &qins_types[type];
    const double step = info->max_k / (double)scalar_encoder(type)->steps_per_unit;
    double error = 0;
    for (size_t start = 0; start < cols; start += QINS_STRETCH) {
        float padded[QINS_STRETCH] = {0}, importance[QINS_STRETCH] = {0};
        const size_t n = cols - start < QINS_STRETCH ? cols - start : QINS_STRETCH;
        memcpy(padded, x + start, n * sizeof *x);
        for (size_t i = 0; i < n; i++) importance[i] = 1.0f;
        const float d = qins_f32_from_bf16(qins_first_d(type, padded, QINS_STRETCH));
        for (size_t i = 0; i < n && d > 0.0f; i++) {
            int8_t codes[QINS_BLOCK];
            uint8_t scale;
            const size_t block = i / QINS_BLOCK * QINS_BLOCK;
            qins_encode_block(scalar_encoder(type), codes, &scale, padded + block, d, importance + block);
            const double v = info->value(codes[i - block], scale);
            error += pow((double)padded[i] - (double)d * v, 2) + (double)d * (double)d * (step * step + 0.25);
        }
    }
    return error;
}

// A row that ends at guard pages.
static qins_coded_row guarded_row(test_guards *guards, size_t cols) {
    const size_t padded = qins_round_up(cols, QINS_UNIT);
    return (qins_coded_row){guarded(guards, padded), guarded(guards, padded / QINS_BLOCK),
                            guarded(guards, (cols + QINS_STRETCH - 1) / QINS_STRETCH * sizeof(uint16_t))};
}

// Every tier encodes the row alike, to within `most` of its squares.
static void check_row(qins_type type, const float *x, size_t cols, double most) {
    size_t n_tiers;
    const test_tier *tiers = kernel_tiers(&n_tiers);
    test_guards guards = {0};
    const float *values = guarded_copy(&guards, x, cols * sizeof *x);
    const qins_coded_row row = guarded_row(&guards, cols), other = guarded_row(&guards, cols);
    const size_t padded = qins_round_up(cols, QINS_UNIT), n_d = (cols + QINS_STRETCH - 1) / QINS_STRETCH;
    const double stated = qins_encode_row(scalar_encoder(type), values, NULL, cols, &row);
    qins_encoder *encoder = malloc(sizeof *encoder);
    double squares = 0;
    cr_assert_not_null(encoder);
    for (size_t i = 0; i < cols; i++) squares += (double)x[i] * (double)x[i];
    expect_sound(type, cols, &row);
    cr_assert_float_eq(stated, decoded_error(type, x, cols, &row), 1e-12 * stated);
    cr_assert_leq(stated, most * squares, "%s, %zu columns: %g", qins_types[type].name, cols, stated / squares);
    cr_assert_leq(stated, error_with_first_d(type, x, cols) * 1.03);
    for (size_t i = 1; i < n_tiers; i++) {
        qins_encoder_init(encoder, &tiers[i].kernels, type);
        cr_assert_eq(qins_encode_row(encoder, values, NULL, cols, &other), stated, "%s", tiers[i].name);
        cr_assert_eq(memcmp(row.codes, other.codes, padded), 0, "%s, codes", tiers[i].name);
        cr_assert_eq(memcmp(row.scales, other.scales, padded / QINS_BLOCK), 0, "%s, scale bytes", tiers[i].name);
        cr_assert_eq(memcmp(row.d, other.d, n_d * sizeof *row.d), 0, "%s, d", tiers[i].name);
    }
    free(encoder);
    guards_free(&guards);
}

// Share of the squares, 4.6e-5 for 8 bits. Subnormal weights may all be lost: they are below d / 2.
static double most_error(qins_type type, int kind) {
    const double step = 1.0 / (1 << qins_types[type].bits);
    return kind == SUBNORMAL ? 1.0 : 3.0 * step * step;
}

static void check_rows(qins_type type) {
    static const size_t sizes[] = {1, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 511, 512, 513, 545, 1024, 1100, 3072};
    static float x[3072];
    test_random random = {7};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes * N_KINDS; i++) {
        const size_t cols = sizes[i / N_KINDS];
        const int kind = (int)(i % N_KINDS);
        fill_row(&random, x, cols, kind);
        check_row(type, x, cols, most_error(type, kind));
    }
}

Test(encode_row, rows_of_all_kinds_at_every_tier) {
    each_coded_type(check_rows);
}

// Error of a row outside the block of weight `place`.
static double error_elsewhere(qins_type type, const float *x, size_t cols, size_t place) {
    static test_row room;
    const qins_coded_row row = coded_row(&room);
    float decoded[3072];
    double error = 0;
    qins_encode_row(scalar_encoder(type), x, NULL, cols, &row);
    qins_decode_coded(decoded, type, cols, &row);
    for (size_t i = 0; i < cols; i++)
        if (i / QINS_BLOCK != place / QINS_BLOCK) error += pow((double)x[i] - (double)decoded[i], 2);
    return error;
}

// An outlier coarsens d for the other blocks, which have small scale bytes under it: in dB, over rows of `cols`
// columns.
static double cost_of_outlier(qins_type type, size_t cols) {
    float x[3072];
    test_random random = {11};
    double without = 0, with = 0;
    for (size_t i = 0; i < 40; i++) {
        const size_t place = random_below(&random, cols);
        random_fill(&random, x, cols);
        without += error_elsewhere(type, x, cols, place);
        x[place] = 40; // standard deviations
        with += error_elsewhere(type, x, cols, place);
    }
    return 10 * log10(with / without);
}

static void check_outlier(qins_type type) {
    const double row = cost_of_outlier(type, 3072), stretch = cost_of_outlier(type, QINS_STRETCH);
    cr_expect_leq(row, 0.5, "%s: an outlier costs a row %.2f dB", qins_types[type].name, row);
    cr_expect_leq(stretch, 2.5, "%s: an outlier costs its stretch %.2f dB", qins_types[type].name, stretch);
}

Test(encode_row, an_outlier_costs_little) {
    each_coded_type(check_outlier);
}

// --- d ---

static void check_first_d(qins_type type) {
    const qins_type_info *info = &qins_types[type];
    const double largest_v = (double)info->reach * info->max_k;
    test_random random = {3};
    for (int exponent = -149; exponent < 128; exponent++) {
        const float x[] = {0, -ldexpf(1.0f + 0.99f * fabsf(random_uniform(&random)), exponent), 0};
        const uint16_t first = qins_first_d(type, x, 3);
        const double max = fabs((double)x[1]);
        cr_assert(first >= QINS_BF16_MIN && first <= QINS_BF16_MAX);
        cr_assert_geq(qins_f32_from_bf16(first) * (largest_v + 0.5), max, "2^%d", exponent);
        if (first > QINS_BF16_MIN)
            cr_assert_lt(qins_f32_from_bf16((uint16_t)(first - 1)) * (largest_v - 0.5), max, "2^%d", exponent);
    }
    const float zeros[] = {0.0f, -0.0f};
    cr_expect_eq(qins_first_d(type, zeros, 2), 0);
}

Test(encode_row, the_first_d_is_the_smallest_normal_one_that_reaches) {
    each_coded_type(check_first_d);
}

// --- blocks ---

// sum importance (u - v)^2 of w[QINS_BLOCK] under d and one scale byte, for codes[QINS_BLOCK]; NULL: the nearest.
static double error_under(qins_type type, const float *w, float d, const float *importance, int scale,
                          const int8_t *codes) {
    const qins_type_info *info = &qins_types[type];
    const float inverse = 1.0f / d;
    double error = 0;
    for (int i = 0; i < QINS_BLOCK; i++) {
        const float u = w[i] * inverse;
        const int code = codes != NULL ? codes[i] : info->nearest(u, scale);
        error += (double)importance[i] * pow((double)u - info->value(code, scale), 2);
    }
    return error;
}

// No scale byte to be tried, nor none at all, has a smaller error, up to the steps of the encoder's table, each of
// which is up to half a step off.
static void check_block(qins_type type, const float *w, float d, const float *importance) {
    const qins_type_info *info = &qins_types[type];
    const qins_encoder *encoder = scalar_encoder(type);
    int8_t codes[QINS_BLOCK];
    uint8_t scale, scales[QINS_SCALES_TO_TRY];
    float max = 0;
    double weight = 0;
    for (int i = 0; i < QINS_BLOCK; i++) {
        max = fmaxf(max, fabsf(w[i] * (1.0f / d)));
        weight += (double)importance[i];
    }
    const double returned = (double)qins_encode_block(encoder, codes, &scale, w, d, importance);
    const double error = error_under(type, w, d, importance, scale, codes);
    const size_t n = qins_scales_to_try(type, max, 1, scales);
    const double step = info->k(scales[n - 1]) / (double)encoder->steps_per_unit, slack = weight * (step * step + 1);
    // v of small k is rounded, the table's is not; and where few weights count, a step may decide
    const double most = abs(info->k(scales[0])) < 16 || weight != QINS_BLOCK ? 1.5 : 1.1;
    cr_assert_float_eq(returned, error, (most - 1) * error + slack + 1e-3,
                       "%s: %g, but the codes have %g; scale byte %d, d %g, max %g", info->name, returned, error, scale,
                       (double)d, (double)max);
    cr_assert(n >= 1 && n <= QINS_SCALES_TO_TRY);
    cr_assert(scale == 0 || (max > 0.0f && memchr(scales, scale, n) != NULL));
    for (int i = 0; i < QINS_BLOCK && scale == 0; i++) cr_assert_eq(codes[i], info->padding_code);
    cr_assert_leq(error, error_under(type, w, d, importance, 0, NULL) * most + slack);
    for (size_t i = 0; i < n; i++) {
        const double other = error_under(type, w, d, importance, scales[i], NULL);
        cr_assert(info->k(scales[i]) != 0 && abs(info->k(scales[i])) <= info->max_k);
        cr_assert_leq(error, other * most + slack, "scale byte %d has %g, %d has %g", scale, error, scales[i], other);
    }
}

// The same from every tier, and their choice of the nearest code under scale bytes of all sizes.
static void check_block_of_tier(qins_type type, const test_tier *tier, test_random *random, const float *w) {
    int8_t codes[16], expected[16];
    float u[16], v[16], expected_v[16];
    uint8_t scales[16];
    for (int i = 0; i < 16; i++) {
        scales[i] = random_scale(random, type);
        u[i] = w[i] * 3000.0f;
    }
    tier->kernels.nearest[type](codes, v, u, scales);
    qins_kernels_scalar.nearest[type](expected, expected_v, u, scales);
    cr_assert(memcmp(codes, expected, 16) == 0 && memcmp(v, expected_v, sizeof v) == 0, "%s, nearest", tier->name);
}

static void check_blocks(qins_type type) {
    size_t n_tiers;
    const test_tier *tiers = kernel_tiers(&n_tiers);
    test_random random = {5};
    float w[QINS_BLOCK], importance[QINS_BLOCK];
    for (int i = 0; i < 2000; i++) {
        const int kind = (int)random_below(&random, MIXED + 1);
        fill_row(&random, w, QINS_BLOCK, kind);
        const float needed = qins_f32_from_bf16(qins_first_d(type, w, QINS_BLOCK));
        const float d = fmaxf(needed, 0x1p-126f) * (float)(1 + random_below(&random, i % 2 == 0 ? 2 : 4000));
        for (size_t j = 0; j < QINS_BLOCK; j++)
            importance[j] = random_below(&random, 8) == 0 ? 0.0f : expf(random_bell(&random));
        for (size_t j = 0; j < QINS_BLOCK && i % 3 == 0; j++) importance[j] = 1.0f;
        check_block(type, w, d, importance);
        for (size_t tier = 1; tier < n_tiers; tier++) check_block_of_tier(type, &tiers[tier], &random, w);
    }
}

Test(encode_row, a_block_takes_the_best_of_the_scale_bytes_tried) {
    each_coded_type(check_blocks);
}
