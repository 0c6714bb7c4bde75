// The encoder: chooses codes, scale bytes and d of a row by the row's own squared error.
//
// The distance of a weight from the nearest code depends only on w / (d k), on the sign of k and on the shift t. So
// these distances are tabulated, and a scale byte is judged by sums over the table: a block of 32 weights under k, -k,
// and both shifts takes 32 look-ups of four numbers. The codes of the best one are then found exactly.
#ifndef QINS_KERNELS_ENCODER_H
#define QINS_KERNELS_ENCODER_H

#include "engine/kernels/kernels.h"

// Scale bytes that an encoder tries for a block whose largest |w / d| is `max`, in order, those with the same |k| one
// after another; returns how many, at least 1. None has k = 0. For the narrow codes, only every step-th |k| is
// included. The largest weight need not sit exactly on the largest code: a somewhat smaller scale clips it, and larger
// ones may bring the other weights nearer to codes. The best side of an asymmetric table, and the best shift, for a
// block can be found only by trying.
enum { QINS_SCALES_TO_TRY = 64 };
size_t qins_scales_to_try(qins_type type, float max, int step, uint8_t scales[QINS_SCALES_TO_TRY]);

enum { QINS_ENCODER_ERRORS = 10241 };

// The parameters of encoding to a type; nothing is owned.
typedef struct qins_encoder {
    const qins_kernels *kernels;
    qins_type type;
    size_t n_forms;       // scale bytes with the same |k|
    float steps_per_unit; // of u / |k|
    int last_step;
    // [2 last_step + 1][n_forms]: squared distance from step / steps_per_unit to the nearest value of a code over |k|
    float errors[QINS_ENCODER_ERRORS];
} qins_encoder;

void qins_encoder_init(qins_encoder *encoder, const qins_kernels *kernels, qins_type type);

// Encode x[cols], all finite, into `row` with the best of a few d for each QINS_STRETCH columns. The best is the
// smallest sum importance (x - stored)^2, up to the steps of the table; importance[cols], NULL: all 1. Returns sum (x -
// stored)^2.
double qins_encode_row(const qins_encoder *encoder, const float *x, const float *importance, size_t cols,
                       const qins_coded_row *row);

// The n scale bytes, or as many as there are, that promise the smallest errors of a block under d > 0, the best first:
// of scale byte 0 and those to try, by sum importance (u - v)^2 with u = w * (1 / d), as the table has it; among equals
// the first. Returns how many; *error is the best one's.
size_t qins_rank_scales(const qins_encoder *encoder, uint8_t *scales, size_t n, const float w[QINS_BLOCK], float d,
                        const float importance[QINS_BLOCK], float *error);

// One block under d > 0: the best scale byte by that, and the nearest code of each w / d (under scale byte 0: padding
// codes). Returns the error.
float qins_encode_block(const qins_encoder *encoder, int8_t codes[QINS_BLOCK], uint8_t *scale,
                        const float w[QINS_BLOCK], float d, const float importance[QINS_BLOCK]);

// The smallest d for x[n], n <= QINS_STRETCH: under it the block with the largest |x| takes the largest k.
uint16_t qins_first_d(qins_type type, const float *x, size_t n);

// Encode the values x[n] of one token and head for the cache: x is about d * T(s), for the best of a few d. d is NaN
// where x is not finite.
void qins_encode_cached_qins8(const qins_kernels *kernels, int8_t *codes, uint16_t *d, const float *x, size_t n);

// The same by an encoder to qins4, into [n / QINS_BLOCK][QINS_NIBBLE_BYTES] bytes, n rounded up to QINS_BLOCK: x is
// about d * v, for the smallest d and the best of half the scale bytes. The values that round n up have no meaning.
void qins_encode_cached_qins4(const qins_encoder *encoder, uint8_t *bytes, uint16_t *d, const float *x, size_t n);

#endif
