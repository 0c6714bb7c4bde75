// The layout of matrices; see matrix.h.
#include "engine/kernels/matrix.h"

#include "engine/base/memory.h"

#include <string.h>

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

// The place of a row's first value; *stride: the distance between its values in bytes.
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

void qins_unpack_coded(const qins_coded_row *coded, const qins_matrix *w, size_t row) {
    const qins_type_info *info = &qins_types[w->type];
    const size_t unit_bytes = qins_unit_bytes(w->type), lane = row % QINS_PANEL;
    for (size_t start = 0; start < w->cols; start += QINS_STRETCH) {
        const qins_stretch stretch = qins_stretch_at(qins_panel_at(w, row / QINS_PANEL), unit_bytes, w->cols, start);
        coded->d[start / QINS_STRETCH] = stretch.d[lane];
        for (size_t i = 0; i < stretch.n_cols; i += QINS_BLOCK)
            coded->scales[(start + i) / QINS_BLOCK] = stretch.scales[i / QINS_BLOCK * QINS_PANEL + lane];
        for (size_t i = 0; i < stretch.n_cols; i++)
            coded->codes[start + i] =
                (int8_t)info->get(stretch.codes + i / QINS_UNIT * unit_bytes, lane, i % QINS_UNIT);
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
