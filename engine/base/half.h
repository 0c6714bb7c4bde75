// 16-bit floats: BF16 (the upper half of an FP32) and IEEE FP16, to and from FP32, round to nearest even. Uses integer
// arithmetic only, so every compiler and CPU gives the same bits.
#ifndef QINS_BASE_HALF_H
#define QINS_BASE_HALF_H

#include <stdint.h>
#include <string.h>

static inline float qins_f32_from_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint32_t qins_f32_bits(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float qins_f32_from_bf16(uint16_t half) {
    return qins_f32_from_bits((uint32_t)half << 16);
}

// NaN stays NaN; values beyond the largest BF16 become infinity.
static inline uint16_t qins_bf16_from_f32(float value) {
    uint32_t bits = qins_f32_bits(value);
    if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7FFFu + (bits >> 16 & 1)) >> 16);
}

// FP16's exponent and fraction are moved to FP32's places and rescaled by 2^112 (the difference of the biases), which
// also normalizes subnormals exactly; infinity and NaN get the missing exponent bits.
static inline float qins_f32_from_f16(uint16_t half) {
    uint32_t magnitude = (uint32_t)(half & 0x7FFF) << 13;
    uint32_t bits = qins_f32_bits(qins_f32_from_bits(magnitude) * qins_f32_from_bits(0x77800000u));
    if (magnitude >= 0x0F800000u) bits |= 0x7F800000u;
    return qins_f32_from_bits(bits | (uint32_t)(half & 0x8000) << 16);
}

// NaN stays NaN; values that round beyond 65504 become infinity.
static inline uint16_t qins_f16_from_f32(float value) {
    uint32_t bits = qins_f32_bits(value);
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    uint32_t magnitude = bits & 0x7FFFFFFFu;
    if (magnitude > 0x7F800000u) return (uint16_t)(sign | 0x7E00);
    if (magnitude >= 0x477FF000u) return (uint16_t)(sign | 0x7C00);
    if (magnitude < 0x38800000u) { // below 2^-14: adding 0.5 leaves the FP16 subnormal in the lowest bits, rounded
        float shifted = qins_f32_from_bits(magnitude) + 0.5f;
        return (uint16_t)(sign | (qins_f32_bits(shifted) - 0x3F000000u));
    }
    uint32_t rounded = magnitude + 0xFFFu + (magnitude >> 13 & 1);
    return (uint16_t)(sign | ((rounded - 0x38000000u) >> 13));
}

#endif
