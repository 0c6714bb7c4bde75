// The encoder; see encoder.h.
#include "engine/kernels/encoder.h"

#include <math.h>
#include <string.h>

// Values in the cache are coded as they come, so fewer scale bytes are tried: every second |k|.
enum { D_STEP = 8, VALUE_D_TRIED = 4, VALUE_K_STEP = 2 };

// Of qins8, whose k are fine: from one below the smallest that reaches the largest weight.
enum { SCALES_BELOW = 1, SCALES_TRIED = 20 };

// The scale byte for k > 0 in one of the forms that its size can take: k and -k, each with t = 0 and t = 1.
static uint8_t scale_of(const qins_type_info *info, int k, size_t form) {
    if (info == &qins_types[QINS_QINS8]) return (uint8_t)k;
    return (uint8_t)((form < 2 ? k : -k) * 2 + (int)(form % 2));
}

static size_t whole_scales(const qins_type_info *info, float fitting, uint8_t *scales) {
    const int smallest = fitting < (float)info->max_k ? (int)ceilf(fitting) : info->max_k;
    const int first = smallest > 5 ? smallest - SCALES_BELOW : smallest > 0 ? smallest : 1;
    size_t n = 0;
    for (int k = first; k <= info->max_k && k < first + SCALES_TRIED; k++) scales[n++] = scale_of(info, k, 0);
    return n;
}

// Of the codes whose scale bytes hold a signed k and a shift t of the table: every step-th |k|.
static size_t shifted_scales(const qins_type_info *info, float fitting, int step, uint8_t *scales) {
    const float lowest = rintf(0.85f * fitting), highest = rintf(1.1f * fitting), most = (float)info->max_k;
    const int first = lowest < 1.0f ? 1 : lowest < most ? (int)lowest : info->max_k;
    const int last = highest < most ? (int)highest : info->max_k; // at most first + 15
    size_t n = 0;
    for (int k = first; k <= last || k == first; k += step)
        for (size_t form = 0; form < 4; form++) scales[n++] = scale_of(info, k, form);
    return n;
}

size_t qins_scales_to_try(qins_type type, float max, int step, uint8_t scales[QINS_SCALES_TO_TRY]) {
    const qins_type_info *info = &qins_types[type];
    const float fitting = max / info->reach;
    return type == QINS_QINS8 ? whole_scales(info, fitting, scales) : shifted_scales(info, fitting, step, scales);
}

// A second d lowers the error of a weight by 0.5 % with 5 and more bits, but by 0.2 % with 4, for twice the time.
static int d_tried(qins_type type) {
    return qins_types[type].bits < 5 ? 1 : 2;
}

static float largest_v(qins_type type) {
    return qins_types[type].reach * (float)qins_types[type].max_k;
}

uint16_t qins_first_d(qins_type type, const float *x, size_t n) {
    return qins_smallest_scale(qins_largest_magnitude(x, n), largest_v(type));
}

void qins_encoder_init(qins_encoder *encoder, const qins_kernels *kernels, qins_type type) {
    const qins_type_info *info = &qins_types[type];
    const int steps = type == QINS_QINS8 ? 4096 : 512; // of the reach: 16 or more of the smallest distance of codes
    *encoder = (qins_encoder){.kernels = kernels,
                              .type = type,
                              .n_forms = type == QINS_QINS8 ? 1 : 4,
                              .steps_per_unit = (float)steps / info->reach,
                              .last_step = steps * 5 / 4};
    for (size_t form = 0; form < encoder->n_forms; form++) {
        const int scale = scale_of(info, info->max_k, form);
        for (int step = -encoder->last_step; step <= encoder->last_step; step++) {
            const float wanted = (float)step * (1.0f / encoder->steps_per_unit) * (float)info->max_k;
            const float missing = wanted - (float)info->value(info->nearest(wanted, scale), scale);
            const float of_one = missing / (float)info->max_k;
            encoder->errors[(size_t)(step + encoder->last_step) * encoder->n_forms + form] = of_one * of_one;
        }
    }
}

// Places in the table of the weights of a block under |k|.
static inline void find_places(const qins_encoder *encoder, int32_t *places, const float *u, float k) {
    const float factor = encoder->steps_per_unit / k, last = (float)encoder->last_step;
    for (int i = 0; i < QINS_BLOCK; i++) {
        const float step = u[i] * factor, above = step > -last ? step : -last, bounded = above < last ? above : last;
        const float rounded = bounded + 0x1.8p23f; // an integer in its lowest bits
        places[i] = (int32_t)(qins_f32_bits(rounded) - 0x4B400000u) + encoder->last_step;
    }
}

typedef float four_floats __attribute__((vector_size(16)));

enum { CHAINS = 4 }; // of sums, weight i in chain i mod 4

// sums[n_forms] of importance * error, in chains, then those in order.
static void sum_errors(const qins_encoder *encoder, float *sums, const int32_t *places, const float *importance) {
    const float *errors = encoder->errors;
    if (encoder->n_forms == 1) {
        float chains[CHAINS] = {0};
        for (int i = 0; i < QINS_BLOCK; i++) chains[i % CHAINS] += importance[i] * errors[places[i]];
        sums[0] = chains[0] + chains[1] + chains[2] + chains[3];
        return;
    }
    four_floats chains[CHAINS] = {0}, of_forms;
#pragma GCC unroll 32
    for (int i = 0; i < QINS_BLOCK; i++) {
        memcpy(&of_forms, errors + 4 * places[i], sizeof of_forms);
        chains[i % CHAINS] += importance[i] * of_forms;
    }
    const four_floats sum = chains[0] + chains[1] + chains[2] + chains[3];
    memcpy(sums, &sum, sizeof sum);
}

// errors[1 + n] of scale byte 0 and the scale bytes to try, scales[1 + n]; returns 1 + n.
static size_t find_errors(const qins_encoder *encoder, int step, uint8_t *scales, float *errors, const float *u,
                          const float *importance) {
    const size_t n = qins_scales_to_try(encoder->type, qins_largest_magnitude(u, QINS_BLOCK), step, scales + 1);
    int32_t places[QINS_BLOCK];
    scales[0] = 0;
    errors[0] = 0.0f;
    for (int i = 0; i < QINS_BLOCK; i++) errors[0] += importance[i] * u[i] * u[i];
    for (size_t s = 1; s < 1 + n; s += encoder->n_forms) {
        const float k = fabsf((float)qins_types[encoder->type].k(scales[s]));
        find_places(encoder, places, u, k);
        sum_errors(encoder, errors + s, places, importance);
        for (size_t form = 0; form < encoder->n_forms; form++) errors[s + form] = errors[s + form] * k * k;
    }
    return 1 + n;
}

// qins_rank_scales among the scale bytes of a step.
static size_t rank_scales(const qins_encoder *encoder, int step, uint8_t *scales, size_t n, const float *w, float d,
                          const float *importance, float *error) {
    uint8_t tried[1 + QINS_SCALES_TO_TRY];
    float u[QINS_BLOCK], errors[1 + QINS_SCALES_TO_TRY], least = 0.0f;
    for (int i = 0; i < QINS_BLOCK; i++) u[i] = w[i] * (1.0f / d);
    const size_t n_tried = find_errors(encoder, step, tried, errors, u, importance);
    if (n > n_tried) n = n_tried;
    for (size_t i = 0; i < n; i++) {
        size_t best = 0;
        for (size_t s = 0; s < n_tried; s++) best = errors[s] < errors[best] ? s : best;
        if (i == 0) least = errors[best];
        scales[i] = tried[best];
        errors[best] = INFINITY;
    }
    *error = least;
    return n;
}

size_t qins_rank_scales(const qins_encoder *encoder, uint8_t *scales, size_t n, const float w[QINS_BLOCK], float d,
                        const float importance[QINS_BLOCK], float *error) {
    return rank_scales(encoder, 1, scales, n, w, d, importance, error);
}

// qins_encode_block with one of the scale bytes of a step.
static float encode_block(const qins_encoder *encoder, int step, int8_t *codes, uint8_t *scale, const float *w, float d,
                          const float *importance) {
    float u[QINS_BLOCK], v[QINS_BLOCK / 2], error;
    uint8_t same[QINS_BLOCK / 2];
    rank_scales(encoder, step, scale, 1, w, d, importance, &error);
    memset(codes, qins_types[encoder->type].padding_code, QINS_BLOCK);
    if (*scale == 0) return error;
    memset(same, *scale, sizeof same);
    for (int i = 0; i < QINS_BLOCK; i++) u[i] = w[i] * (1.0f / d);
    for (int i = 0; i < QINS_BLOCK; i += QINS_BLOCK / 2)
        encoder->kernels->nearest[encoder->type](codes + i, v, u + i, same);
    return error;
}

float qins_encode_block(const qins_encoder *encoder, int8_t codes[QINS_BLOCK], uint8_t *scale,
                        const float w[QINS_BLOCK], float d, const float importance[QINS_BLOCK]) {
    return encode_block(encoder, 1, codes, scale, w, d, importance);
}

// One part of a row that shares d: w[n_blocks * QINS_BLOCK] and the weights of errors.
static void encode_part(const qins_encoder *encoder, const float *w, const float *importance, size_t n_blocks,
                        int8_t *codes, uint8_t *scales, uint16_t *d) {
    const uint16_t first = qins_first_d(encoder->type, w, n_blocks * QINS_BLOCK);
    double best = INFINITY;
    *d = 0;
    memset(codes, qins_types[encoder->type].padding_code, n_blocks * QINS_BLOCK);
    memset(scales, 0, n_blocks);
    if (first == 0) return;
    for (int i = 0; i < d_tried(encoder->type); i++) {
        const uint16_t tried = (uint16_t)(first + i * D_STEP);
        const float value = qins_f32_from_bf16(tried);
        if (!(value * largest_v(encoder->type) < INFINITY)) break;
        int8_t tried_codes[QINS_STRETCH];
        uint8_t tried_scales[QINS_STRETCH / QINS_BLOCK];
        double error = 0.0;
        for (size_t start = 0; start < n_blocks * QINS_BLOCK; start += QINS_BLOCK)
            error += (double)qins_encode_block(encoder, tried_codes + start, &tried_scales[start / QINS_BLOCK],
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
static double encode_stretch(const qins_encoder *encoder, const float *x, const float *importance, size_t n,
                             int8_t *codes, uint8_t *scales, uint16_t *d) {
    const size_t padded = qins_round_up(n, QINS_UNIT);
    float w[QINS_STRETCH] = {0}, weights[QINS_STRETCH] = {0}; // errors of the padding do not count
    memcpy(w, x, n * sizeof *w);
    for (size_t i = 0; i < n; i++) weights[i] = importance == NULL ? 1.0f : importance[i];
    encode_part(encoder, w, weights, padded / QINS_BLOCK, codes, scales, d);
    memset(codes + n, qins_types[encoder->type].padding_code, padded - n);
    double squares = 0.0;
    for (size_t i = 0; i < n; i++) {
        const int v = qins_types[encoder->type].value(codes[i], scales[i / QINS_BLOCK]);
        const double error = (double)x[i] - (double)(qins_f32_from_bf16(*d) * (float)v);
        squares += error * error;
    }
    return squares;
}

double qins_encode_row(const qins_encoder *encoder, const float *x, const float *importance, size_t cols,
                       const qins_coded_row *row) {
    double squares = 0.0;
    for (size_t start = 0; start < cols; start += QINS_STRETCH)
        squares += encode_stretch(encoder, x + start, importance == NULL ? NULL : importance + start,
                                  cols - start < QINS_STRETCH ? cols - start : QINS_STRETCH, row->codes + start,
                                  row->scales + start / QINS_BLOCK, &row->d[start / QINS_STRETCH]);
    return squares;
}

enum { NAN_D = 0x7FC0 }; // bits of a BF16 that is NaN

void qins_encode_cached_qins8(const qins_kernels *kernels, int8_t *codes, uint16_t *d, const float *x, size_t n) {
    const float magnitude = qins_largest_magnitude(x, n);
    const uint16_t first = *d = magnitude < INFINITY ? qins_smallest_scale(magnitude, (float)QINS_MAX_T) : NAN_D;
    memset(codes, 0, n);
    if (first == 0 || first == NAN_D) return;
    float best = INFINITY;
    for (uint16_t tried = first; tried < first + VALUE_D_TRIED; tried++) {
        const float error = kernels->value_codes(codes, qins_f32_from_bf16(tried), x, n);
        if (!(error < best)) continue;
        best = error;
        *d = tried;
    }
    kernels->value_codes(codes, qins_f32_from_bf16(*d), x, n);
}

void qins_encode_cached_qins4(const qins_encoder *encoder, uint8_t *bytes, uint16_t *d, const float *x, size_t n) {
    const float magnitude = qins_largest_magnitude(x, n);
    *d = magnitude < INFINITY ? qins_smallest_scale(magnitude, largest_v(QINS_QINS4)) : NAN_D;
    for (size_t start = 0; start < n; start += QINS_BLOCK, bytes += QINS_NIBBLE_BYTES) {
        const size_t left = n - start < QINS_BLOCK ? n - start : QINS_BLOCK;
        float w[QINS_BLOCK] = {0}, importance[QINS_BLOCK] = {0};
        int8_t codes[QINS_BLOCK];
        memset(bytes, 0, QINS_NIBBLE_BYTES);
        if (*d == 0 || *d == NAN_D) continue;
        memcpy(w, x + start, left * sizeof *w);
        for (size_t i = 0; i < left; i++) importance[i] = 1.0f;
        encode_block(encoder, VALUE_K_STEP, codes, &bytes[QINS_NIBBLE_BYTES - 1], w, qins_f32_from_bf16(*d),
                     importance);
        for (size_t i = 0; i < QINS_BLOCK / 2; i++) bytes[i] = (uint8_t)(codes[i] | codes[i + QINS_BLOCK / 2] << 4);
    }
}
