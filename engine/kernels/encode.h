// The data-free encoder: codes, scale bytes and d of a row by its own squared error. See kernels.h for the tiers'
// parts.
#ifndef QINS_KERNELS_ENCODE_H
#define QINS_KERNELS_ENCODE_H

#include "engine/kernels/kernels.h"

// Scale bytes that an encoder tries for a block whose largest |w / d| is `max`: *first, *first + 1, ... *last; all at
// least 1 and at most the type's largest. The largest weight need not sit exactly on the largest code: a step less
// clips it a little, some more bring the other weights nearer to codes.
void qins_scales_to_try(qins_type type, float max, int *first, int *last);

// Encode x[cols], all finite, into `row` with the best of a few d for each QINS_STRETCH columns. Returns sum (x -
// stored)^2.
double qins_encode_row(const qins_kernels *kernels, qins_type type, const float *x, size_t cols,
                       const qins_coded_row *row);

// The smallest d for x[n], n <= QINS_STRETCH: under it the block with the largest |x| takes the largest scale byte.
uint16_t qins_first_d(qins_type type, const float *x, size_t n);

// Encode the values x[n] of one token and head for the cache: x is about d * T(s), for the best of a few d. d is NaN
// where x is not finite.
void qins_encode_values(const qins_kernels *kernels, int8_t *codes, uint16_t *d, const float *x, size_t n);

#endif
