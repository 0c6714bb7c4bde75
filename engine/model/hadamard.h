// The Hadamard transform of keys and queries where keys are coded. Being a rotation, it changes no score, and it
// spreads the magnitude of a few dimensions over 32 of them, so a key's single scale fits them all (QuaRot; Ashkboos et
// al. 2024).
#ifndef QINS_MODEL_HADAMARD_H
#define QINS_MODEL_HADAMARD_H

#include <stddef.h>

// x[dim] in place: blocks of 32, and the rest of dim in blocks of the largest powers of two, each times the symmetric
// Hadamard matrix over sqrt(block). FP32 in a fixed order: sums and differences at distances 1, 2, 4, ..., then the
// factor.
void qins_hadamard(float *x, size_t dim);

#endif
