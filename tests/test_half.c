// 16-bit floats against their definition: sign, exponent and fraction put together with ldexp.
#include "engine/base/half.h"
#include "tests/support.h"

#include <math.h>

// The number that a format with `fraction_bits` of fraction and this bias gives to `bits`, computed in double.
static double meaning(unsigned bits, int fraction_bits, int bias) {
    const int exponent_bits = 15 - fraction_bits, largest = (1 << exponent_bits) - 1;
    const int exponent = (int)(bits >> fraction_bits) & largest;
    const double fraction = bits & ((1u << fraction_bits) - 1);
    const double sign = bits & 0x8000 ? -1 : 1;
    if (exponent == largest) return fraction == 0 ? sign * INFINITY : NAN;
    if (exponent == 0) return sign * ldexp(fraction, 1 - bias - fraction_bits);
    return sign * ldexp(fraction + (1 << fraction_bits), exponent - bias - fraction_bits);
}

typedef struct half_format {
    const char *name;
    int fraction_bits, bias;
    float (*widen)(uint16_t);
    uint16_t (*narrow)(float);
} half_format;

static const half_format formats[] = {{"f16", 10, 15, qins_f32_from_f16, qins_f16_from_f32},
                                      {"bf16", 7, 127, qins_f32_from_bf16, qins_bf16_from_f32}};

Test(half, every_value_widens_to_its_meaning_and_comes_back) {
    for (int f = 0; f < 2; f++) {
        const half_format *format = &formats[f];
        for (unsigned bits = 0; bits < 65536; bits++) {
            const double expected = meaning(bits, format->fraction_bits, format->bias);
            const float value = format->widen((uint16_t)bits);
            if (isnan(expected)) {
                cr_assert(isnan(value), "%s %04x", format->name, bits);
                cr_assert(isnan(format->widen(format->narrow(value))), "%s %04x", format->name, bits);
                continue;
            }
            cr_assert_eq(value, expected, "%s %04x: %a", format->name, bits, (double)value);
            cr_assert_eq(signbit(value) != 0, bits >> 15, "%s %04x", format->name, bits);
            cr_assert_eq(format->narrow(value), bits, "%s %04x", format->name, bits);
        }
    }
}

// The nearest value, ties to even, found between the two neighbours of a magnitude.
static unsigned nearest(const half_format *format, double magnitude, unsigned below) {
    double low = meaning(below, format->fraction_bits, format->bias);
    double high = meaning(below + 1, format->fraction_bits, format->bias);
    if (isinf(high)) // the next value if the range did not end: from halfway to it on, the result is infinity
        high = 2 * low - meaning(below - 1, format->fraction_bits, format->bias);
    if (magnitude - low != high - magnitude) return magnitude - low < high - magnitude ? below : below + 1;
    return below % 2 == 0 ? below : below + 1;
}

Test(half, rounds_to_nearest_ties_to_even) {
    for (int f = 0; f < 2; f++) {
        const half_format *format = &formats[f];
        const unsigned infinity = ((1u << (15 - format->fraction_bits)) - 1) << format->fraction_bits;
        for (unsigned below = 0; below < infinity; below++) { // the FP32 numbers around and at the middle of each gap
            double low = meaning(below, format->fraction_bits, format->bias);
            double high = below + 1 == infinity ? 2 * low - meaning(below - 1, format->fraction_bits, format->bias)
                                                : meaning(below + 1, format->fraction_bits, format->bias);
            float middle = (float)((low + high) / 2);
            const float candidates[] = {nextafterf(middle, 0), middle, nextafterf(middle, INFINITY),
                                        nextafterf((float)low, INFINITY), nextafterf((float)fmin(high, 3.4e38), 0)};
            for (int i = 0; i < 5; i++) {
                const float value = candidates[i];
                if (isinf(value) || value < low || value > high) continue;
                const unsigned expected = nearest(format, value, below);
                cr_assert_eq(format->narrow(value), expected, "%s %a", format->name, (double)value);
                cr_assert_eq(format->narrow(-value), expected | 0x8000, "%s %a", format->name, (double)-value);
            }
        }
    }
}

Test(half, what_is_too_large_becomes_infinity) {
    cr_expect_eq(qins_f16_from_f32(65504.0f), 0x7BFF);
    cr_expect_eq(qins_f16_from_f32(nextafterf(65520.0f, 0)), 0x7BFF);
    cr_expect_eq(qins_f16_from_f32(65520.0f), 0x7C00, "half way between 65504 and 65536 goes to even");
    cr_expect_eq(qins_f16_from_f32(-1e30f), 0xFC00);
    cr_expect_eq(qins_f16_from_f32(INFINITY), 0x7C00);
    cr_expect_eq(qins_bf16_from_f32(3.4028234e38f), 0x7F80);
    cr_expect_eq(qins_bf16_from_f32(-INFINITY), 0xFF80);
}

Test(half, nan_stays_nan_whatever_its_bits) {
    for (uint32_t fraction = 1; fraction < 0x800000; fraction = fraction * 3 + 1) {
        for (uint32_t sign = 0; sign < 2; sign++) {
            float value = qins_f32_from_bits(sign << 31 | 0x7F800000u | fraction);
            cr_assert(isnan(qins_f32_from_f16(qins_f16_from_f32(value))), "%06x", fraction);
            cr_assert(isnan(qins_f32_from_bf16(qins_bf16_from_f32(value))), "%06x", fraction);
        }
    }
}

Test(half, subnormals_and_zeros) {
    cr_expect_eq(qins_f16_from_f32(0x1p-24f), 0x0001);
    cr_expect_eq(qins_f16_from_f32(0x1p-25f), 0x0000, "half of the smallest goes to even");
    cr_expect_eq(qins_f16_from_f32(nextafterf(0x1p-25f, 1)), 0x0001);
    cr_expect_eq(qins_f16_from_f32(nextafterf(0x1p-14f, 0)), 0x0400, "rounds up into the normal numbers");
    cr_expect_eq(qins_f16_from_f32(1e-45f), 0x0000);
    cr_expect_eq(qins_f16_from_f32(-0.0f), 0x8000);
    cr_expect_eq(qins_bf16_from_f32(-0.0f), 0x8000);
    cr_expect_eq(qins_bf16_from_f32(1e-45f), 0x0000);
}
