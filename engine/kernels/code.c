// The table of codes; see code.h.
#include "engine/kernels/code.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static float f32_number(const void *bytes) {
    float value;
    memcpy(&value, bytes, sizeof value);
    return value;
}

static float f16_number(const void *bytes) {
    uint16_t half;
    memcpy(&half, bytes, sizeof half);
    return qins_f32_from_f16(half);
}

static float bf16_number(const void *bytes) {
    uint16_t half;
    memcpy(&half, bytes, sizeof half);
    return qins_f32_from_bf16(half);
}

// floor(a / 2^bits)
static int shift_right(int a, int bits) {
    return a < 0 ? ~(~a >> bits) : a >> bits;
}

// v: T k / 2^shift, rounded.
static int rounded(int t_k, int shift) {
    return shift_right(t_k + (1 << shift >> 1), shift);
}

enum { QINS8_SHIFT = 11, QINS6_SHIFT = 6, QINS5_SHIFT = 1, QINS4_SHIFT = 0 };

// --- qins8 ---

static int qins8_k(int scale) {
    return scale;
}

static int qins8_t(int code, int scale) {
    (void)scale;
    return (int)qins_t_value((int8_t)code);
}

static int qins8_value(int code, int scale) {
    return rounded(qins8_t(code, scale) * scale, QINS8_SHIFT);
}

static int qins8_get(const uint8_t *unit, size_t row, size_t col) {
    return (int8_t)unit[(col / 4 * QINS_PANEL + row) * 4 + col % 4];
}

static void qins8_put(uint8_t *unit, size_t row, size_t col, int code) {
    unit[(col / 4 * QINS_PANEL + row) * 4 + col % 4] = (uint8_t)code;
}

// T(s) = (s + 64)^2 - 4096 for s >= 0. A number halfway between two values goes to the larger one, within 0.25 of T.
int qins_nearest_t(float t) {
    const float magnitude = fabsf(t);
    const float s = magnitude < (float)QINS_MAX_T ? rintf(sqrtf(magnitude + 4096.0f) - 64.0f) : 127.0f;
    return t < 0 ? -(int)s : (int)s;
}

static int qins8_nearest(float v, int scale) {
    return scale == 0 ? 0 : qins_nearest_t(v * (2048.0f / (float)scale));
}

// --- the narrower codes ---

const int8_t qins4_table[16] = {-63, -51, -40, -32, -24, -17, -11, -5, 1, 6, 12, 19, 25, 33, 42, 58};
const int8_t qins5_table[32] = {-127, -113, -102, -92, -82, -73, -65, -57, -49, -42, -35, -28, -22, -16, -10, -5,
                                0,    5,    11,   16,  22,  28,  35,  42,  49,  56,  64,  73,  82,  91,  103, 121};

static int narrow_k(int scale) {
    return shift_right((int8_t)scale, 1);
}

static int qins6_t(int code, int scale) {
    return code * (abs(code) + 48) + 24 * (scale & 1);
}

static int qins5_t(int code, int scale) {
    return qins5_table[code] + 3 * (scale & 1);
}

static int qins4_t(int code, int scale) {
    return qins4_table[code] + 3 * (scale & 1);
}

static int qins6_value(int code, int scale) {
    return rounded(qins6_t(code, scale) * narrow_k(scale), QINS6_SHIFT);
}

static int qins5_value(int code, int scale) {
    return rounded(qins5_t(code, scale) * narrow_k(scale), QINS5_SHIFT);
}

static int qins4_value(int code, int scale) {
    return qins4_t(code, scale) * narrow_k(scale);
}

// T of v: v / k times `one`, which is k times T of 1; 0 for k = 0.
static float t_of(float v, int scale, float one) {
    const int k = narrow_k(scale);
    return k == 0 ? 0.0f : v * (one / (float)k);
}

// T = (s + 24)^2 - 576 for s >= 0, and (s + 24.5)^2 - 575.75 is halfway to the next one.
static int qins6_nearest(float v, int scale) {
    const float t = t_of(v, scale, 64.0f) - (float)(24 * (scale & 1));
    const float size = rintf(sqrtf(fabsf(t) + 575.75f) - 24.0f), s = copysignf(size, t);
    return (int)(s < -32.0f ? -32.0f : s > 31.0f ? 31.0f : s);
}

// The entry of a table that is nearest to t; of two that are as near, the lower one.
static int nearest_entry(const int8_t *table, int n, float t) {
    int code = 0;
    while (code + 1 < n && t > 0.5f * (float)(table[code] + table[code + 1])) code++;
    return code;
}

static int qins5_nearest(float v, int scale) {
    return nearest_entry(qins5_table, 32, t_of(v, scale, 2.0f) - (float)(3 * (scale & 1)));
}

static int qins4_nearest(float v, int scale) {
    return nearest_entry(qins4_table, 16, t_of(v, scale, 1.0f) - (float)(3 * (scale & 1)));
}

// The place of a code's bits: see qins_layout.
struct narrow_place {
    size_t nibble, nibble_shift; // byte of the unit, and the lowest bit in it
    size_t rest, rest_shift;     // of the bits above those
};

static struct narrow_place narrow_place(size_t bits, size_t row, size_t col) {
    const size_t block = col / QINS_BLOCK * (QINS_BLOCK * QINS_PANEL * bits / 8), group = col % QINS_BLOCK / 4;
    const size_t byte = row * 4 + col % 4, plane = 4 * QINS_PANEL, n_rest = bits - 4;
    return (struct narrow_place){.nibble = block + group / 2 * plane + byte,
                                 .nibble_shift = group % 2 * 4,
                                 .rest = block + (4 + group * n_rest / 8) * plane + byte,
                                 .rest_shift = group * n_rest % 8};
}

static int narrow_get(size_t bits, const uint8_t *unit, size_t row, size_t col) {
    const struct narrow_place place = narrow_place(bits, row, col);
    const int low = unit[place.nibble] >> place.nibble_shift & 15;
    if (bits == 4) return low;
    return low | (unit[place.rest] >> place.rest_shift & ((1 << (bits - 4)) - 1)) << 4;
}

static void put_bits(uint8_t *byte, size_t shift, size_t n, int bits) {
    const int mask = ((1 << n) - 1) << shift;
    *byte = (uint8_t)((*byte & ~mask) | (bits << shift & mask));
}

static void narrow_put(size_t bits, uint8_t *unit, size_t row, size_t col, int code) {
    const struct narrow_place place = narrow_place(bits, row, col);
    put_bits(&unit[place.nibble], place.nibble_shift, 4, code & 15);
    if (bits > 4) put_bits(&unit[place.rest], place.rest_shift, bits - 4, code >> 4);
}

// `zero`: the code whose bits are zero.
#define PACKING(name, bits, zero)                                                                                      \
    static int name##_get(const uint8_t *unit, size_t row, size_t col) {                                               \
        return narrow_get(bits, unit, row, col) + (zero);                                                              \
    }                                                                                                                  \
    static void name##_put(uint8_t *unit, size_t row, size_t col, int code) {                                          \
        narrow_put(bits, unit, row, col, code - (zero));                                                               \
    }
PACKING(qins6, 6, -32)
PACKING(qins5, 5, 0)
PACKING(qins4, 4, 0)

const qins_type_info qins_types[QINS_TYPE_COUNT] = {
    [QINS_F32] = {.name = "f32", .bits = 32, .number = f32_number},
    [QINS_F16] = {.name = "f16", .bits = 16, .number = f16_number},
    [QINS_BF16] = {.name = "bf16", .bits = 16, .number = bf16_number},
    [QINS_QINS8] = {.name = "qins8",
                    .bits = 8,
                    .min_code = -127,
                    .max_code = 127,
                    .padding_code = 0,
                    .max_k = 255,
                    .reach = (float)QINS_MAX_T / 2048.0f,
                    .k = qins8_k,
                    .n_forms = 1,
                    .t = qins8_t,
                    .shift = QINS8_SHIFT,
                    .value = qins8_value,
                    .get = qins8_get,
                    .put = qins8_put,
                    .nearest = qins8_nearest},
    [QINS_QINS6] = {.name = "qins6",
                    .bits = 6,
                    .min_code = -32,
                    .max_code = 31,
                    .padding_code = -32,
                    .max_k = 63,
                    .reach = 40.0f,
                    .k = narrow_k,
                    .n_forms = 2,
                    .t = qins6_t,
                    .shift = QINS6_SHIFT,
                    .value = qins6_value,
                    .get = qins6_get,
                    .put = qins6_put,
                    .nearest = qins6_nearest},
    [QINS_QINS5] = {.name = "qins5",
                    .bits = 5,
                    .min_code = 0,
                    .max_code = 31,
                    .padding_code = 0,
                    .max_k = 63,
                    .reach = 63.5f,
                    .k = narrow_k,
                    .n_forms = 2,
                    .t = qins5_t,
                    .shift = QINS5_SHIFT,
                    .value = qins5_value,
                    .get = qins5_get,
                    .put = qins5_put,
                    .nearest = qins5_nearest},
    [QINS_QINS4] = {.name = "qins4",
                    .bits = 4,
                    .min_code = 0,
                    .max_code = 15,
                    .padding_code = 0,
                    .max_k = 63,
                    .reach = 63.0f,
                    .k = narrow_k,
                    .n_forms = 2,
                    .t = qins4_t,
                    .shift = QINS4_SHIFT,
                    .value = qins4_value,
                    .get = qins4_get,
                    .put = qins4_put,
                    .nearest = qins4_nearest},
};

bool qins_type_from_name(const char *name, qins_type *type) {
    for (int i = 0; i < QINS_TYPE_COUNT; i++) {
        if (strcmp(name, qins_types[i].name) != 0) continue;
        *type = (qins_type)i;
        return true;
    }
    return false;
}

float qins_largest_magnitude(const float *x, size_t n) {
    int32_t max = 0; // the bits of numbers >= 0 are ordered as they are, and compilers vectorize integers
    for (size_t i = 0; i < n; i++) {
        const int32_t bits = (int32_t)(qins_f32_bits(x[i]) & 0x7FFFFFFFu);
        max = bits > max ? bits : max;
    }
    return qins_f32_from_bits((uint32_t)max);
}

uint16_t qins_smallest_scale(float magnitude, float largest) {
    const uint32_t up = (qins_f32_bits(magnitude / largest) + 0xFFFFu) >> 16;
    if (magnitude > 0.0f && up < QINS_BF16_MIN) return QINS_BF16_MIN;
    const uint32_t bounded = up > QINS_BF16_MAX ? QINS_BF16_MAX : up;
    return (uint16_t)(qins_f32_from_bf16((uint16_t)bounded) * largest < INFINITY ? bounded : bounded - 1);
}
