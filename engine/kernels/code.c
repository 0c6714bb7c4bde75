// The table of codes and the layout of matrices; see code.h.
#include "engine/kernels/code.h"

#include "engine/base/memory.h"

#include <math.h>
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

static int qins8_value(int code, int scale) {
    return shift_right((int)qins_t_value((int8_t)code) * scale + 1024, 11);
}

static int qins8_get(const uint8_t *unit, size_t row, size_t col) {
    return (int8_t)unit[(col / 4 * QINS_PANEL + row) * 4 + col % 4];
}

static void qins8_put(uint8_t *unit, size_t row, size_t col, int code) {
    unit[(col / 4 * QINS_PANEL + row) * 4 + col % 4] = (uint8_t)code;
}

// T(s) = (s + 64)^2 - 4096 for s >= 0. What is halfway between two values goes to the larger one, within 0.25 of T.
int qins_nearest_t(float t) {
    const float magnitude = fabsf(t);
    const float s = magnitude < (float)QINS_MAX_T ? rintf(sqrtf(magnitude + 4096.0f) - 64.0f) : 127.0f;
    return t < 0 ? -(int)s : (int)s;
}

static int qins8_nearest(float v, int scale) {
    return qins_nearest_t(v * (2048.0f / (float)scale));
}

const qins_type_info qins_types[QINS_TYPE_COUNT] = {
    [QINS_F32] = {.name = "f32", .bits = 32, .number = f32_number},
    [QINS_F16] = {.name = "f16", .bits = 16, .number = f16_number},
    [QINS_BF16] = {.name = "bf16", .bits = 16, .number = bf16_number},
    [QINS_QINS8] = {.name = "qins8",
                    .bits = 8,
                    .min_code = -127,
                    .max_code = 127,
                    .zero_code = 0,
                    .max_scale = 255,
                    .max_t = QINS_MAX_T,
                    .t_bits = 11,
                    .value = qins8_value,
                    .get = qins8_get,
                    .put = qins8_put,
                    .nearest = qins8_nearest},
};

bool qins_type_from_name(const char *name, qins_type *type) {
    for (int i = 0; i < QINS_TYPE_COUNT; i++) {
        if (strcmp(name, qins_types[i].name) != 0) continue;
        *type = (qins_type)i;
        return true;
    }
    return false;
}

size_t qins_row_bytes(qins_type type, size_t cols) {
    return cols * (qins_types[type].bits / 8);
}

size_t qins_panel_bytes(qins_type type, size_t cols) {
    if (!qins_type_is_coded(type)) return QINS_PANEL * qins_row_bytes(type, cols);
    const size_t padded = qins_round_up(cols, QINS_UNIT);
    return padded / QINS_UNIT * qins_unit_bytes(type) + padded / QINS_STRETCH * qins_scale_bytes(QINS_STRETCH) +
           qins_scale_bytes(padded % QINS_STRETCH);
}

bool qins_matrix_bytes(qins_type type, qins_layout layout, size_t rows, size_t cols, size_t *bytes) {
    if (cols > SIZE_MAX / 256 || rows > SIZE_MAX - QINS_PANEL) return false;
    if (layout == QINS_PANELS) return qins_multiply(qins_panels(rows), qins_panel_bytes(type, cols), bytes);
    return !qins_type_is_coded(type) && qins_multiply(rows, qins_row_bytes(type, cols), bytes);
}

static void decode_coded_panel_row(float *out, const qins_matrix *w, size_t row) {
    const qins_type_info *info = &qins_types[w->type];
    const uint8_t *panel = qins_panel_at(w, row / QINS_PANEL);
    const size_t unit_bytes = qins_unit_bytes(w->type), lane = row % QINS_PANEL;
    for (size_t start = 0; start < w->cols; start += QINS_STRETCH) {
        const qins_stretch stretch = qins_stretch_at(panel, unit_bytes, w->cols, start);
        for (size_t i = 0; i < stretch.n_cols && start + i < w->cols; i++) {
            const float d = qins_f32_from_bf16(stretch.d[lane]);
            const int code = info->get(stretch.codes + i / QINS_UNIT * unit_bytes, lane, i % QINS_UNIT);
            out[start + i] = d * (float)info->value(code, stretch.scales[i / QINS_BLOCK * QINS_PANEL + lane]);
        }
    }
}

// Where the values of a row lie: the first, and how many bytes apart.
static const uint8_t *first_value(const qins_matrix *w, size_t row, size_t *stride) {
    const size_t size = qins_types[w->type].bits / 8;
    *stride = w->layout == QINS_ROWS ? size : QINS_PANEL * size;
    if (w->layout == QINS_ROWS) return (const uint8_t *)w->data + row * qins_row_bytes(w->type, w->cols);
    return qins_panel_at(w, row / QINS_PANEL) + row % QINS_PANEL * size;
}

void qins_decode_rows(float *out, const qins_matrix *w, size_t row, size_t n_rows) {
    for (size_t r = row; r < row + n_rows; r++, out += w->cols) {
        if (qins_type_is_coded(w->type)) {
            decode_coded_panel_row(out, w, r);
            continue;
        }
        size_t stride;
        const uint8_t *values = first_value(w, r, &stride);
        for (size_t i = 0; i < w->cols; i++) out[i] = qins_types[w->type].number(values + i * stride);
    }
}

void qins_pack_coded(void *panel, qins_type type, size_t cols, size_t row, const qins_coded_row *coded) {
    const size_t unit_bytes = qins_unit_bytes(type);
    for (size_t start = 0; start < cols; start += QINS_STRETCH) {
        const qins_stretch stretch = qins_stretch_at(panel, unit_bytes, cols, start);
        uint16_t *d = (uint16_t *)(uintptr_t)stretch.d; // the panel is writable
        uint8_t *scales = (uint8_t *)(uintptr_t)stretch.scales, *codes = (uint8_t *)(uintptr_t)stretch.codes;
        d[row] = coded->d[start / QINS_STRETCH];
        for (size_t i = 0; i < stretch.n_cols; i += QINS_BLOCK)
            scales[i / QINS_BLOCK * QINS_PANEL + row] = coded->scales[(start + i) / QINS_BLOCK];
        for (size_t i = 0; i < stretch.n_cols; i++)
            qins_types[type].put(codes + i / QINS_UNIT * unit_bytes, row, i % QINS_UNIT, coded->codes[start + i]);
    }
}

void qins_pack_values(void *panel, qins_type type, size_t cols, size_t row, const void *values) {
    const size_t size = qins_types[type].bits / 8;
    uint8_t *out = (uint8_t *)panel + row * size;
    for (size_t i = 0; i < cols; i++) memcpy(out + i * QINS_PANEL * size, (const uint8_t *)values + i * size, size);
}

void qins_decode_coded(float *out, qins_type type, size_t cols, const qins_coded_row *coded) {
    for (size_t i = 0; i < cols; i++)
        out[i] = qins_f32_from_bf16(coded->d[i / QINS_STRETCH]) *
                 (float)qins_types[type].value(coded->codes[i], coded->scales[i / QINS_BLOCK]);
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
    return up > QINS_BF16_MAX ? QINS_BF16_MAX : (uint16_t)up;
}
