// RoPE: against the reference values for Phi-3.5 where there are any, and against the formulas in double.
#include "engine/model/rope.h"
#include "tests/hf_model.h"
#include "tests/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// One unit in the last place of theta (the reference's float functions may be off by that much) moves an angle by 2^-23
// of itself; cosine, sine and the product with A are rounded themselves.
static double angle_tolerance(double angle) {
    return 1e-6 + angle * 0x1p-23 * 1.2;
}

static qins_config config_from_hf(const char *path) {
    qins_config config = phi35_config();
    qins_error error = {0};
    qins_json *json = hf_read_json(path);
    const qins_json *scaling = qins_json_get(json, "rope_scaling");
    qins_config_factors(config.short_factor, 48, scaling, "short_factor", &error);
    qins_config_factors(config.long_factor, 48, scaling, "long_factor", &error);
    expect_ok(&error);
    qins_json_free(json);
    return config;
}

static void expect_reference(const qins_rope *rope, qins_rope_set set, const qins_json *cases) {
    size_t n_cases = 0;
    for (const qins_json *item = qins_json_first(cases); item != NULL; item = qins_json_next(item), n_cases++) {
        double expected_cos[48], expected_sin[48];
        float cos_a[48], sin_a[48];
        int64_t position = -1;
        qins_error error = {0};
        cr_assert(qins_json_integer(qins_json_get(item, "position"), &position));
        qins_config_factors(expected_cos, 48, item, "cos", &error);
        qins_config_factors(expected_sin, 48, item, "sin", &error);
        expect_ok(&error);
        qins_rope_angles(rope, set, (size_t)position, cos_a, sin_a);
        for (int i = 0; i < 48; i++) {
            double tolerance = angle_tolerance((double)rope->theta[set][i] * (double)position);
            cr_expect_leq(fabs(cos_a[i] - expected_cos[i]), tolerance, "cos %d at %lld", i, (long long)position);
            cr_expect_leq(fabs(sin_a[i] - expected_sin[i]), tolerance, "sin %d at %lld", i, (long long)position);
        }
    }
    cr_expect_geq(n_cases, 5);
}

Test(rope, equals_the_reference_of_phi35) {
    char *config_path = hf_shared_path("phi35/config.json"), *path = hf_shared_path("phi35/rope-reference.json");
    if (path == NULL || config_path == NULL) cr_skip_test("QINS_TEST_DATA is not set");
    const qins_config config = config_from_hf(config_path);
    qins_json *json = hf_read_json(path);
    qins_rope rope;
    qins_error error = {0};
    double expected[2][48];
    qins_rope_init(&rope, &config);
    qins_config_factors(expected[0], 48, json, "inv_freq_short", &error);
    qins_config_factors(expected[1], 48, json, "inv_freq_long", &error);
    expect_ok(&error);
    for (int i = 0; i < 96; i++) {
        double theta = rope.theta[i / 48][i % 48], wanted = expected[i / 48][i % 48];
        cr_expect_leq(fabs(theta - wanted), 1e-6 * wanted, "%s %d", i < 48 ? "short" : "long", i % 48);
    }
    cr_expect_float_eq(rope.attention_factor, 1.1902380714238083, 1e-7);
    expect_reference(&rope, QINS_ROPE_SHORT_SET, qins_json_get(json, "short"));
    expect_reference(&rope, QINS_ROPE_LONG_SET, qins_json_get(json, "long"));
    qins_json_free(json);
    free(path);
    free(config_path);
}

// theta, angle, cosine and sine in double, from the formulas in rope.h.
static void expect_formulas(const qins_config *config, double attention_factor) {
    const size_t half = config->rope_dim / 2, positions[] = {0, 1, 2, 77, 1000, 4095};
    qins_rope rope;
    qins_rope_init(&rope, config);
    cr_expect_eq(rope.half, half);
    cr_expect_float_eq(rope.attention_factor, attention_factor, 1e-7);
    for (int set = 0; set < 2; set++) {
        const double *factors = set == QINS_ROPE_LONG_SET ? config->long_factor : config->short_factor;
        for (size_t p = 0; p < sizeof positions / sizeof positions[0]; p++) {
            float cos_a[48], sin_a[48];
            qins_rope_angles(&rope, (qins_rope_set)set, positions[p], cos_a, sin_a);
            for (size_t i = 0; i < half; i++) {
                double factor = config->rope == QINS_ROPE_LONG ? factors[i] : 1.0;
                double theta = 1.0 / (factor * pow(config->rope_base, 2.0 * (double)i / (double)config->rope_dim));
                double angle = theta * (double)positions[p];
                // theta takes four roundings of 2^-24 on its way, the angle a fifth
                double tolerance = (1e-6 + angle * 5 * 0x1p-24) * attention_factor;
                cr_assert_leq(fabs(cos_a[i] - cos(angle) * attention_factor), tolerance);
                cr_assert_leq(fabs(sin_a[i] - sin(angle) * attention_factor), tolerance);
            }
        }
    }
}

Test(rope, angles_follow_the_formulas) {
    qins_config config = phi35_config();
    expect_formulas(&config, sqrt(17.0 / 12.0)); // sqrt(1 + ln 32 / ln 4096)
    config.rope = QINS_ROPE_PLAIN;
    expect_formulas(&config, 1.0);
    config = phi35_config();
    config.head_dim = 128; // only the leading 96 rotate
    expect_formulas(&config, sqrt(17.0 / 12.0));
    config.rope_base = 250000;
    config.rope_dim = 64;
    expect_formulas(&config, sqrt(17.0 / 12.0));
}

Test(rope, the_attention_factor_has_three_sources) {
    qins_config config = phi35_config();
    config.scaling_factor = 16;
    expect_formulas(&config, sqrt(1 + log(16) / log(4096)));
    config.scaling_factor = 0.5;
    expect_formulas(&config, 1.0);
    config.scaling_factor = 0;
    config.max_positions = 4096;
    expect_formulas(&config, 1.0);
    config.attention_factor = 1.25;
    expect_formulas(&config, 1.25);
}

Test(rope, exactly_the_original_positions_are_still_short) {
    qins_config config = phi35_config();
    cr_expect_eq(qins_rope_set_for(&config, 1), QINS_ROPE_SHORT_SET);
    cr_expect_eq(qins_rope_set_for(&config, 4096), QINS_ROPE_SHORT_SET);
    cr_expect_eq(qins_rope_set_for(&config, 4097), QINS_ROPE_LONG_SET);
    cr_expect_eq(qins_rope_set_for(&config, 131072), QINS_ROPE_LONG_SET);
    config.rope = QINS_ROPE_PLAIN;
    cr_expect_eq(qins_rope_set_for(&config, 131072), QINS_ROPE_SHORT_SET);
}

Test(rope, pairs_are_half_a_rotation_apart_and_the_rest_passes) {
    qins_config config = tiny_config();
    config.rope_dim = 8; // of 12
    qins_rope rope;
    float x[12], cos_a[4], sin_a[4];
    qins_rope_init(&rope, &config);
    qins_rope_angles(&rope, QINS_ROPE_LONG_SET, 5, cos_a, sin_a);
    for (int i = 0; i < 12; i++) x[i] = (float)(i + 1);
    qins_rope_rotate(&rope, x, cos_a, sin_a);
    for (int i = 0; i < 4; i++) {
        double c = cos_a[i], s = sin_a[i], first = i + 1, second = i + 5; // element i and element i + 4
        cr_expect_leq(fabs(x[i] - (first * c - second * s)), 2e-6);       // three roundings of numbers up to 16
        cr_expect_leq(fabs(x[i + 4] - (second * c + first * s)), 2e-6);
    }
    for (int i = 8; i < 12; i++) cr_expect_eq(x[i], i + 1);
}
