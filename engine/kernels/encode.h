// The data-free encoder: codes, scale bytes and d of a row by its own squared error. See kernels.h for the tiers'
// parts.
#ifndef QINS_KERNELS_ENCODE_H
#define QINS_KERNELS_ENCODE_H

#include "engine/kernels/kernels.h"

// Scale bytes that an encoder tries for a block whose largest |w / d| is `max`, in order; returns how many, at least 1.
// None has k = 0. The largest weight need not sit exactly on the largest code: a scale somewhat smaller clips it, and
// larger ones may bring the other weights nearer to codes. Which side of a lopsided table, and which shift, serves a
// block best is only to be found by trying.
enum { QINS_SCALES_TO_TRY = 64 };
size_t qins_scales_to_try(qins_type type, float max, uint8_t scales[QINS_SCALES_TO_TRY]);

// Encode x[cols], all finite, into `row` with the best of a few d for each QINS_STRETCH columns. What is best: the
// smallest sum importance (x - stored)^2; importance[cols], NULL: all 1. Returns sum (x -
// stored)^2.
double qins_encode_row(const qins_kernels *kernels, qins_type type, const float *x, const float *importance,
                       size_t cols, const qins_coded_row *row);

// The smallest d for x[n], n <= QINS_STRETCH: under it the block with the largest |x| takes the largest k.
uint16_t qins_first_d(qins_type type, const float *x, size_t n);

// Encode the values x[n] of one token and head for the cache: x is about d * T(s), for the best of a few d. d is NaN
// where x is not finite.
void qins_encode_values(const qins_kernels *kernels, int8_t *codes, uint16_t *d, const float *x, size_t n);

#endif
