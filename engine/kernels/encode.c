// The data-free encoder; see encode.h.
#include "engine/kernels/encode.h"

#include <math.h>
#include <string.h>

enum { SCALES_BELOW = 1, SCALES_TRIED = 20, D_TRIED = 2, D_STEP = 8, VALUE_D_TRIED = 4 };

void qins_scales_to_try(qins_type type, float max, int *first, int *last) {
    const qins_type_info *info = &qins_types[type];
    const float fitting = ceilf(max * ((float)(1 << info->t_bits) / (float)info->max_t));
    const int smallest = fitting < (float)info->max_scale ? (int)fitting : info->max_scale;
    *first = smallest > SCALES_BELOW ? smallest - SCALES_BELOW : 1;
    *last = *first + SCALES_TRIED - 1 < info->max_scale ? *first + SCALES_TRIED - 1 : info->max_scale;
}

uint16_t qins_first_d(qins_type type, const float *x, size_t n) {
    const qins_type_info *info = &qins_types[type];
    const float largest_v = (float)info->max_t * (float)info->max_scale / (float)(1 << info->t_bits);
    return qins_smallest_scale(qins_largest_magnitude(x, n), largest_v);
}

// One part of a row that shares d: padded[n_blocks * QINS_BLOCK].
static void encode_part(const qins_kernels *kernels, qins_type type, const float *padded, size_t n_blocks,
                        int8_t *codes, uint8_t *scales, uint16_t *d) {
    const uint16_t first = qins_first_d(type, padded, n_blocks * QINS_BLOCK);
    double best = INFINITY;
    *d = 0;
    memset(codes, qins_types[type].zero_code, n_blocks * QINS_BLOCK);
    memset(scales, 0, n_blocks);
    if (first == 0) return;
    for (int i = 0; i < D_TRIED; i++) {
        const uint16_t tried = (uint16_t)(first + i * D_STEP);
        const float value = qins_f32_from_bf16(tried);
        int8_t tried_codes[QINS_STRETCH];
        uint8_t tried_scales[QINS_STRETCH / QINS_BLOCK];
        double error = 0.0;
        for (size_t b = 0; b < n_blocks; b++)
            error += (double)kernels->encode_block[type](tried_codes + b * QINS_BLOCK, &tried_scales[b],
                                                         padded + b * QINS_BLOCK, value);
        error *= (double)value * (double)value;
        if (!(error < best)) continue;
        best = error;
        *d = tried;
        memcpy(codes, tried_codes, n_blocks * QINS_BLOCK);
        memcpy(scales, tried_scales, n_blocks);
    }
}

double qins_encode_row(const qins_kernels *kernels, qins_type type, const float *x, size_t cols,
                       const qins_coded_row *row) {
    double squares = 0.0;
    for (size_t start = 0; start < cols; start += QINS_STRETCH) {
        const size_t n = cols - start < QINS_STRETCH ? cols - start : QINS_STRETCH;
        const size_t n_blocks = qins_round_up(n, QINS_UNIT) / QINS_BLOCK;
        float padded[QINS_STRETCH] = {0};
        memcpy(padded, x + start, n * sizeof *x);
        encode_part(kernels, type, padded, n_blocks, row->codes + start, row->scales + start / QINS_BLOCK,
                    &row->d[start / QINS_STRETCH]);
        const float d = qins_f32_from_bf16(row->d[start / QINS_STRETCH]);
        for (size_t i = start; i < start + n; i++) {
            const int v = qins_types[type].value(row->codes[i], row->scales[i / QINS_BLOCK]);
            const double error = (double)x[i] - (double)(d * (float)v);
            squares += error * error;
        }
    }
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
