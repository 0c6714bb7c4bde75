// The data-free encoder; see encode.h.
#include "engine/kernels/encode.h"

#include <math.h>
#include <string.h>

enum { D_TRIED = 2, D_STEP = 8, VALUE_D_TRIED = 4 };

// Of qins8, whose k are fine: from one below the smallest that reaches the largest weight.
enum { SCALES_BELOW = 1, SCALES_TRIED = 20 };

static size_t whole_scales(const qins_type_info *info, float fitting, uint8_t *scales) {
    const int smallest = fitting < (float)info->max_k ? (int)ceilf(fitting) : info->max_k;
    const int first = smallest > SCALES_BELOW ? smallest - SCALES_BELOW : 1;
    size_t n = 0;
    for (int k = first; k <= info->max_k && k < first + SCALES_TRIED; k++) scales[n++] = (uint8_t)k;
    return n;
}

// Of the codes whose scale bytes hold a signed k and a shift t of the table.
static size_t shifted_scales(const qins_type_info *info, float fitting, uint8_t *scales) {
    const float lowest = rintf(0.85f * fitting), highest = rintf(1.1f * fitting), most = (float)info->max_k;
    const int first = lowest < 1.0f ? 1 : lowest < most ? (int)lowest : info->max_k;
    const int last = highest < most ? (int)highest : info->max_k; // at most first + 15
    size_t n = 0;
    for (int k = first; k <= last || k == first; k++)
        for (int form = 0; form < 4; form++) // k and -k, each with t = 0 and t = 1
            scales[n++] = (uint8_t)((form < 2 ? k : -k) * 2 + form % 2);
    return n;
}

size_t qins_scales_to_try(qins_type type, float max, uint8_t scales[QINS_SCALES_TO_TRY]) {
    const qins_type_info *info = &qins_types[type];
    return (type == QINS_QINS8 ? whole_scales : shifted_scales)(info, max / info->reach, scales);
}

static float largest_v(qins_type type) {
    return qins_types[type].reach * (float)qins_types[type].max_k;
}

uint16_t qins_first_d(qins_type type, const float *x, size_t n) {
    return qins_smallest_scale(qins_largest_magnitude(x, n), largest_v(type));
}

// One part of a row that shares d: w[n_blocks * QINS_BLOCK] and what errors weigh.
static void encode_part(const qins_kernels *kernels, qins_type type, const float *w, const float *importance,
                        size_t n_blocks, int8_t *codes, uint8_t *scales, uint16_t *d) {
    const uint16_t first = qins_first_d(type, w, n_blocks * QINS_BLOCK);
    double best = INFINITY;
    *d = 0;
    memset(codes, qins_types[type].padding_code, n_blocks * QINS_BLOCK);
    memset(scales, 0, n_blocks);
    if (first == 0) return;
    for (int i = 0; i < D_TRIED; i++) {
        const uint16_t tried = (uint16_t)(first + i * D_STEP);
        const float value = qins_f32_from_bf16(tried);
        if (!(value * largest_v(type) < INFINITY)) break;
        int8_t tried_codes[QINS_STRETCH];
        uint8_t tried_scales[QINS_STRETCH / QINS_BLOCK];
        double error = 0.0;
        for (size_t start = 0; start < n_blocks * QINS_BLOCK; start += QINS_BLOCK)
            error += (double)kernels->encode_block[type](tried_codes + start, &tried_scales[start / QINS_BLOCK],
                                                         w + start, value, importance + start);
        error *= (double)value * (double)value;
        if (!(error < best)) continue;
        best = error;
        *d = tried;
        memcpy(codes, tried_codes, n_blocks * QINS_BLOCK);
        memcpy(scales, tried_scales, n_blocks);
    }
}

// Up to QINS_STRETCH columns of a row, padded; returns sum (x - stored)^2.
static double encode_stretch(const qins_kernels *kernels, qins_type type, const float *x, const float *importance,
                             size_t n, int8_t *codes, uint8_t *scales, uint16_t *d) {
    const size_t padded = qins_round_up(n, QINS_UNIT);
    float w[QINS_STRETCH] = {0}, weights[QINS_STRETCH] = {0}; // errors of the padding do not count
    memcpy(w, x, n * sizeof *w);
    for (size_t i = 0; i < n; i++) weights[i] = importance == NULL ? 1.0f : importance[i];
    encode_part(kernels, type, w, weights, padded / QINS_BLOCK, codes, scales, d);
    memset(codes + n, qins_types[type].padding_code, padded - n);
    double squares = 0.0;
    for (size_t i = 0; i < n; i++) {
        const int v = qins_types[type].value(codes[i], scales[i / QINS_BLOCK]);
        const double error = (double)x[i] - (double)(qins_f32_from_bf16(*d) * (float)v);
        squares += error * error;
    }
    return squares;
}

double qins_encode_row(const qins_kernels *kernels, qins_type type, const float *x, const float *importance,
                       size_t cols, const qins_coded_row *row) {
    double squares = 0.0;
    for (size_t start = 0; start < cols; start += QINS_STRETCH)
        squares += encode_stretch(kernels, type, x + start, importance == NULL ? NULL : importance + start,
                                  cols - start < QINS_STRETCH ? cols - start : QINS_STRETCH, row->codes + start,
                                  row->scales + start / QINS_BLOCK, &row->d[start / QINS_STRETCH]);
    return squares;
}

void qins_encode_values(const qins_kernels *kernels, int8_t *codes, uint16_t *d, const float *x, size_t n) {
    const uint16_t nan = 0x7FC0;
    const float magnitude = qins_largest_magnitude(x, n);
    const uint16_t first = *d = magnitude < INFINITY ? qins_smallest_scale(magnitude, (float)QINS_MAX_T) : nan;
    memset(codes, 0, n);
    if (first == 0 || first == nan) return;
    float best = INFINITY;
    for (uint16_t tried = first; tried < first + VALUE_D_TRIED; tried++) {
        const float error = kernels->value_codes(codes, qins_f32_from_bf16(tried), x, n);
        if (!(error < best)) continue;
        best = error;
        *d = tried;
    }
    kernels->value_codes(codes, qins_f32_from_bf16(*d), x, n);
}
