// The Hadamard transform of keys and queries where keys are coded. It changes no score, being a rotation,
// and spreads what a few dimensions hold over 32 of them, so that a key's one scale fits them all (QuaRot; Ashkboos et
// al. 2024).
#ifndef QINS_MODEL_HADAMARD_H
#define QINS_MODEL_HADAMARD_H

#include <stddef.h>

// x[dim] in place: blocks of 32, and what is left of dim in blocks of the largest powers of two, each times the
// symmetric Hadamard matrix over sqrt(block). FP32 in a fixed order: sums and differences at distances 1, 2, 4, ...,
// then the factor.
void qins_hadamard(float *x, size_t dim);

#endif
