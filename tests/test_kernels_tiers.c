// Every tier of kernels that this machine has equals the scalar one bit for bit: odd sizes, arrays that end at a page
// which may not be touched, zeros, subnormal and huge numbers, NaN, the extremes of codes, scale bytes and activations.
#include "engine/base/half.h"
#include "engine/kernels/encoder.h"
#include "engine/kernels/tiers.h"
#include "tests/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const size_t sizes[] = {1,  2,  3,  5,  15,  16,  17,  31,  32,  33,  63,
                               64, 65, 95, 96, 100, 127, 128, 129, 200, 513, 700};
enum { N_SIZES = sizeof sizes / sizeof sizes[0] };

// The same bits; one NaN is as good as another.
static void expect_same(const char *what, const char *tier, const float *got, const float *expected, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!isnan(got[i]) || !isnan(expected[i]))
            cr_assert_eq(qins_f32_bits(got[i]), qins_f32_bits(expected[i]), "%s, %s, value %zu of %zu: %a, not %a",
                         tier, what, i, n, (double)got[i], (double)expected[i]);
}

static void expect_same_bytes(const char *what, const char *tier, const void *got, const void *expected, size_t n) {
    for (size_t i = 0; i < n; i++)
        cr_assert_eq(((const uint8_t *)got)[i], ((const uint8_t *)expected)[i], "%s, %s, byte %zu of %zu", tier, what,
                     i, n);
}

// Numbers of all kinds: kind 0 is tame, the others are hard in one way each.
enum { N_KINDS = 7 };
static float number(test_random *random, int kind) {
    const float x = random_bell(random);
    const size_t lot = random_below(random, 40);
    switch (kind) {
    case 1:
        return lot < 20 ? 0.0f : lot < 22 ? -0.0f : x;
    case 2:
        return x * 1e-41f;
    case 3:
        return x * 5e37f;
    case 4:
        return lot == 0 ? NAN : lot == 1 ? INFINITY : lot == 2 ? -INFINITY : x;
    case 5: // where a block's exponent changes
        return (lot % 2 ? 1.0f : -1.0f) * (float)(8189 + lot / 8) * 0x1p-20f;
    case 6:
        return x * 80.0f;
    default:
        return x;
    }
}

static void fill(test_random *random, float *x, size_t n, int kind) {
    for (size_t i = 0; i < n; i++) x[i] = number(random, kind);
}

typedef void check_kernels(const test_tier *tier, test_random *random);

static void each_tier(check_kernels *check) {
    size_t n;
    const test_tier *tiers = kernel_tiers(&n);
    for (size_t i = 1; i < n; i++) {
        test_random random = {i};
        check(&tiers[i], &random);
    }
}

static void check_quantize(const test_tier *tier, test_random *random) {
    for (size_t i = 0; i < N_SIZES * N_KINDS; i++) {
        const size_t n = sizes[i / N_KINDS], padded = qins_round_up(n, QINS_UNIT);
        test_guards guards = {0};
        float *x = guarded(&guards, n * sizeof *x);
        int16_t *got = guarded(&guards, padded * sizeof *got), *expected = guarded(&guards, padded * sizeof *got);
        float *scale = guarded(&guards, padded / QINS_UNIT * sizeof *scale);
        float *expected_scale = guarded(&guards, padded / QINS_UNIT * sizeof *scale);
        fill(random, x, n, (int)(i % N_KINDS));
        tier->kernels.quantize(got, scale, x, n);
        qins_kernels_scalar.quantize(expected, expected_scale, x, n);
        expect_same_bytes("quantize", tier->name, got, expected, padded * sizeof *got);
        expect_same("quantize", tier->name, scale, expected_scale, padded / QINS_UNIT);
        guards_free(&guards);
    }
}

Test(kernels_tiers, quantize) {
    each_tier(check_quantize);
}

// Codes and scale bytes of every value, those that no writer uses among them; activations at their extremes.
static void check_coded_shape(const test_tier *tier, test_random *random, qins_type type, size_t rows, size_t cols) {
    const size_t padded = qins_round_up(cols, QINS_UNIT), n_panels = qins_panels(rows);
    size_t bytes;
    cr_assert(qins_matrix_bytes(type, QINS_PANELS, rows, cols, &bytes));
    test_guards guards = {0};
    uint8_t *data = guarded(&guards, bytes);
    for (size_t i = 0; i < bytes; i++) data[i] = random_below(random, 8) == 0 ? 0xFF : (uint8_t)random_bits(random);
    const qins_matrix w = {type, QINS_PANELS, rows, cols, data};
    for (size_t p = 0; p < n_panels; p++)
        for (size_t col = 0; col < cols; col += QINS_STRETCH) { // scales as a reader accepts them
            const qins_stretch stretch = qins_stretch_at(qins_panel_at(&w, p), qins_unit_bytes(type), cols, col);
            for (size_t i = 0; i < QINS_PANEL; i++) // subnormal, huge, and usual ones
                ((uint16_t *)(uintptr_t)stretch.d)[i] = (uint16_t)(i == 0 ? 1 : i == 1 ? 0x7000 : 0x3800 + i * 37);
        }
    int16_t *x = guarded(&guards, padded * sizeof *x);
    float *scale = guarded(&guards, padded / QINS_UNIT * sizeof *scale);
    for (size_t i = 0; i < padded; i++)
        x[i] = (int16_t)(random_below(random, 3) == 0 ? QINS_MAX_X
                                                      : (int)random_below(random, 2 * QINS_MAX_X + 1) - QINS_MAX_X);
    for (size_t i = 0; i < padded / QINS_UNIT; i++) scale[i] = i % 5 == 4 ? NAN : 0.001f / (float)(i + 1);
    float *got = guarded(&guards, n_panels * QINS_PANEL * sizeof *got);
    float *expected = guarded(&guards, n_panels * QINS_PANEL * sizeof *got);
    tier->kernels.dot_coded[type](got, &w, 0, n_panels, x, scale);
    qins_kernels_scalar.dot_coded[type](expected, &w, 0, n_panels, x, scale);
    expect_same("dot_coded", tier->name, got, expected, n_panels * QINS_PANEL);
    const qins_stretch stretch = qins_stretch_at(data, qins_unit_bytes(type), cols, 0);
    const size_t n_units = stretch.n_cols / QINS_UNIT, n_values = stretch.n_cols * QINS_PANEL;
    int16_t *v = guarded(&guards, n_values * sizeof *v), *expected_v = guarded(&guards, n_values * sizeof *v);
    tier->kernels.unpack[type](v, stretch.codes, stretch.scales, n_units);
    qins_kernels_scalar.unpack[type](expected_v, stretch.codes, stretch.scales, n_units);
    expect_same_bytes("unpack", tier->name, v, expected_v, n_values * sizeof *v);
    guards_free(&guards);
}

static void check_coded(const test_tier *tier, test_random *random) {
    static const size_t rows[] = {1, 16, 17, 33}, cols[] = {1, 63, 64, 65, 500, 512, 513, 1100};
    for (int type = 0; type < QINS_TYPE_COUNT; type++)
        for (size_t i = 0; i < 4 * 8 && qins_type_is_coded((qins_type)type); i++)
            check_coded_shape(tier, random, (qins_type)type, rows[i / 8], cols[i % 8]);
}

Test(kernels_tiers, coded_weights) {
    each_tier(check_coded);
}

static void check_multiply(const test_tier *tier, test_random *random) {
    enum { ROWS = QINS_TILE_PANELS * QINS_PANEL, MOST_TOKENS = 27 };
    for (size_t n_tokens = 1; n_tokens <= MOST_TOKENS; n_tokens++) {
        const size_t n_cols = QINS_UNIT * (1 + n_tokens % 4), n_blocks = n_cols / QINS_UNIT,
                     y_stride = ROWS + n_tokens % 3;
        test_guards guards = {0};
        int16_t *v = guarded(&guards, ROWS * n_cols * sizeof *v);
        int16_t *x = guarded(&guards, n_tokens * n_cols * sizeof *x);
        float *d = guarded(&guards, ROWS * sizeof *d), *scale = guarded(&guards, n_tokens * n_blocks * sizeof *scale);
        float *got = guarded(&guards, n_tokens * y_stride * sizeof *got),
              *expected = malloc(n_tokens * y_stride * sizeof *got);
        cr_assert_not_null(expected);
        for (size_t i = 0; i < ROWS * n_cols; i++) // all of them extreme once
            v[i] = (int16_t)(n_tokens == 1 ? -QINS_MAX_V : (int)random_below(random, 2 * QINS_MAX_V + 1) - QINS_MAX_V);
        for (size_t i = 0; i < n_tokens * n_cols; i++)
            x[i] = (int16_t)(n_tokens == 1 ? QINS_MAX_X : (int)random_below(random, 2 * QINS_MAX_X + 1) - QINS_MAX_X);
        fill(random, d, ROWS, 0);
        fill(random, scale, n_tokens * n_blocks, n_tokens % 5 == 0 ? 4 : 0);
        fill(random, got, n_tokens * y_stride, 0);
        memcpy(expected, got, n_tokens * y_stride * sizeof *got);
        qins_product product = {got, v, d, x, scale, y_stride, n_cols, n_blocks, n_tokens, n_cols, {NULL}, 0};
        tier->kernels.multiply(&product);
        product.y = expected;
        qins_kernels_scalar.multiply(&product);
        expect_same("multiply", tier->name, got, expected, n_tokens * y_stride);
        free(expected);
        guards_free(&guards);
    }
}

Test(kernels_tiers, multiply) {
    each_tier(check_multiply);
}

static void check_gemm(const test_tier *tier, test_random *random) {
    for (size_t i = 0; i < 200; i++) {
        const size_t m = 1 + i % 27, n = 16 * (1 + i % 5), k = 1 + random_below(random, 200);
        const bool rows = i % 2; // b as rows of n, or as panels of [k][16]
        test_guards guards = {0};
        float *a = guarded(&guards, m * k * sizeof *a), *b = guarded(&guards, k * n * sizeof *b);
        float *got = guarded(&guards, m * n * sizeof *got), *expected = guarded(&guards, m * n * sizeof *got);
        fill(random, a, m * k, i % 9 == 0 ? 4 : 0);
        fill(random, b, k * n, i % 9 == 1 ? 2 : 0);
        fill(random, got, m * n, 0);
        memcpy(expected, got, m * n * sizeof *got);
        qins_gemm gemm = {got, a, b, n, k, rows ? n : 16, rows ? 16 : 16 * k, m, n, k};
        tier->kernels.gemm(&gemm);
        gemm.c = expected;
        qins_kernels_scalar.gemm(&gemm);
        expect_same("gemm", tier->name, got, expected, m * n);
        guards_free(&guards);
    }
}

Test(kernels_tiers, gemm) {
    each_tier(check_gemm);
}

// `n` numbers of an uncompressed type, or values at rest, from any bits: NaN and infinities among them where `kind`
// is 4.
static void *stored_numbers(test_guards *guards, test_random *random, qins_type type, size_t n, int kind) {
    const size_t size = qins_types[type].bits / 8, bytes = qins_values_bytes(type, n);
    uint8_t *stored = guarded(guards, bytes);
    for (size_t i = 0; i < bytes && type == QINS_QINS4; i++) stored[i] = (uint8_t)random_bits(random);
    for (size_t i = 0; i < n; i++) {
        const float value = number(random, kind);
        const uint16_t half = type == QINS_F16 ? qins_f16_from_f32(value) : qins_bf16_from_f32(value);
        if (size == 1) stored[i] = (uint8_t)(random_below(random, 255) + 129); // -127 .. 127
        if (size == 2) memcpy(stored + 2 * i, &half, 2);
        if (size == 4) memcpy(stored + 4 * i, &value, 4);
    }
    return stored;
}

static void check_stored_numbers(const test_tier *tier, test_random *random, qins_type type, size_t n, int kind) {
    test_guards guards = {0};
    float *x = guarded(&guards, n * sizeof *x), *got = guarded(&guards, 48 * n * sizeof *got);
    float *expected = malloc((48 * n + QINS_BLOCK) * sizeof *got);
    cr_assert_not_null(expected);
    fill(random, x, n, kind);
    if (tier->kernels.dot_values[type] != NULL) {
        const void *panels = stored_numbers(&guards, random, type, 3 * QINS_PANEL * n, kind);
        tier->kernels.dot_values[type](got, panels, 3, n, x);
        qins_kernels_scalar.dot_values[type](expected, panels, 3, n, x);
        expect_same("dot_values", tier->name, got, expected, 48);
    }
    const size_t step = type == QINS_QINS4 ? QINS_BLOCK : 16;
    const size_t n_values = type == QINS_QINS4 ? qins_round_up(n, step) : n;
    const void *flat = stored_numbers(&guards, random, type, n_values, kind);
    float *widened = guarded(&guards, n_values * sizeof *widened);
    tier->kernels.widen[type](widened, flat, n_values);
    qins_kernels_scalar.widen[type](expected, flat, n_values);
    expect_same("widen", tier->name, widened, expected, n_values);
    if (tier->kernels.add_values[type] != NULL && n <= QINS_UNIT) {
        for (size_t cols = step; cols <= 192; cols += step) {
            test_guards inner = {0};
            const void *values = stored_numbers(&inner, random, type, n * cols, kind);
            float *sums = guarded(&inner, cols * sizeof *sums), *expected_sums = guarded(&inner, cols * sizeof *sums);
            fill(random, sums, cols, 0);
            memcpy(expected_sums, sums, cols * sizeof *sums);
            tier->kernels.add_values[type](sums, values, cols, n, x);
            qins_kernels_scalar.add_values[type](expected_sums, values, cols, n, x);
            expect_same("add_values", tier->name, sums, expected_sums, cols);
            guards_free(&inner);
        }
    }
    free(expected);
    guards_free(&guards);
}

static void check_numbers(const test_tier *tier, test_random *random) {
    for (int type = 0; type < QINS_TYPE_COUNT; type++)
        for (size_t i = 0; i < N_SIZES * 5; i++)
            if (tier->kernels.widen[type] != NULL)
                check_stored_numbers(tier, random, (qins_type)type, sizes[i / 5], (int)(i % 5));
}

Test(kernels_tiers, stored_numbers) {
    each_tier(check_numbers);
}

static void check_vector_size(const test_tier *tier, test_random *random, size_t n, int kind) {
    test_guards guards = {0};
    float *x = guarded(&guards, n * sizeof *x), *y = guarded(&guards, n * sizeof *y);
    float *got = guarded(&guards, n * sizeof *got), *expected = guarded(&guards, n * sizeof *got);
    uint16_t *halves = guarded(&guards, n * sizeof *halves), *expected_halves = guarded(&guards, n * sizeof *halves);
    fill(random, x, n, kind);
    fill(random, y, n, 0);
    tier->kernels.rmsnorm(got, x, y, n, 1e-5f);
    qins_kernels_scalar.rmsnorm(expected, x, y, n, 1e-5f);
    expect_same("rmsnorm", tier->name, got, expected, n);
    tier->kernels.swiglu(got, x, y, n);
    qins_kernels_scalar.swiglu(expected, x, y, n);
    expect_same("swiglu", tier->name, got, expected, n);
    cr_assert_eq(tier->kernels.narrow(halves, x, n), qins_kernels_scalar.narrow(expected_halves, x, n));
    for (size_t i = 0; i < n; i++)
        if (!isnan(x[i])) expect_same_bytes("narrow", tier->name, halves + i, expected_halves + i, sizeof *halves);
    memcpy(got, x, n * sizeof *x);
    memcpy(expected, x, n * sizeof *x);
    const float max = tier->kernels.scale_max(got, n, 0.125f);
    const float expected_max = qins_kernels_scalar.scale_max(expected, n, 0.125f);
    expect_same("scale_max", tier->name, got, expected, n);
    expect_same("the largest", tier->name, &max, &expected_max, 1);
    for (int scaled = 0; scaled < 2; scaled++) {
        const float sum = tier->kernels.exp_sum(got, n, max, scaled ? y : NULL);
        const float expected_sum = qins_kernels_scalar.exp_sum(expected, n, max, scaled ? y : NULL);
        expect_same("exp_sum", tier->name, got, expected, n);
        expect_same("the sum", tier->name, &sum, &expected_sum, 1);
    }
    int8_t *codes = guarded(&guards, n), *expected_codes = malloc(n);
    uint16_t d, expected_d;
    cr_assert_not_null(expected_codes);
    qins_encode_cached_qins8(&tier->kernels, codes, &d, x, n);
    qins_encode_cached_qins8(&qins_kernels_scalar, expected_codes, &expected_d, x, n);
    cr_assert_eq(d, expected_d, "%s, kind %d", tier->name, kind);
    expect_same_bytes("encode_cached_qins8", tier->name, codes, expected_codes, n);
    static qins_encoder encoder;
    const size_t n_bytes = qins_values_bytes(QINS_QINS4, qins_round_up(n, QINS_BLOCK));
    uint8_t *nibbles = guarded(&guards, n_bytes), *expected_nibbles = guarded(&guards, n_bytes);
    if (encoder.kernels != &tier->kernels) qins_encoder_init(&encoder, &tier->kernels, QINS_QINS4);
    qins_encode_cached_qins4(&encoder, nibbles, &d, x, n);
    qins_encode_cached_qins4(scalar_encoder(QINS_QINS4), expected_nibbles, &expected_d, x, n);
    cr_assert_eq(d, expected_d, "%s, kind %d", tier->name, kind);
    expect_same_bytes("encode_cached_qins4", tier->name, nibbles, expected_nibbles, n_bytes);
    free(expected_codes);
    guards_free(&guards);
}

static void check_vectors(const test_tier *tier, test_random *random) {
    for (size_t i = 0; i < N_SIZES * N_KINDS; i++)
        check_vector_size(tier, random, sizes[i / N_KINDS], (int)(i % N_KINDS));
}

Test(kernels_tiers, vectors) {
    each_tier(check_vectors);
}

// --- the choice of a tier ---

Test(kernels_tiers, a_tier_is_chosen_by_its_name) {
    qins_error error = {0};
    cr_expect(strcmp(qins_tiers[0].name, "scalar") == 0 && qins_tiers[0].is_available());
    for (size_t i = 0; i < qins_n_tiers; i++) {
        const qins_status status = qins_tier_select(qins_tiers[i].name, &error);
        cr_expect_eq(status, qins_tiers[i].is_available() ? QINS_OK : QINS_USAGE);
        if (status == QINS_OK) cr_expect_eq(qins_tier_get(), &qins_tiers[i]);
        error = (qins_error){0};
    }
    cr_expect_eq(qins_tier_select("auto", &error), QINS_OK);
    setenv("QINS_CPU", "scalar", 1);
    cr_expect_eq(qins_tier_select(NULL, &error), QINS_OK);
    cr_expect_str_eq(qins_tier_get()->name, "scalar");
    setenv("QINS_CPU", "avx1024", 1);
    cr_expect_eq(qins_tier_select(NULL, &error), QINS_USAGE);
    expect_error(&error, QINS_USAGE, "avx1024");
}

// Slots that a tier does not override are the scalar tier's.
Test(kernels_tiers, every_slot_is_filled) {
    size_t n;
    const test_tier *tiers = kernel_tiers(&n);
    for (size_t i = 0; i < n; i++)
        for (int type = 0; type < QINS_TYPE_COUNT; type++) {
            const qins_kernels *kernels = &tiers[i].kernels;
            cr_expect_eq(kernels->dot_coded[type] != NULL, qins_type_is_coded((qins_type)type));
            cr_expect_eq(kernels->unpack[type] != NULL, qins_type_is_coded((qins_type)type));
            cr_expect_eq(kernels->nearest[type] != NULL, qins_type_is_coded((qins_type)type));
            cr_expect_eq(kernels->dot_values[type] != NULL,
                         type == QINS_QINS8 || !qins_type_is_coded((qins_type)type)); // keys in qins8
            cr_expect(kernels->integer_rounds(100) > 0);
        }
}
