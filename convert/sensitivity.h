// Measures how much the errors of a matrix matter: the checkpoint's model runs over a text, and again with noise in one
// matrix at a time.
#ifndef QINS_CONVERT_SENSITIVITY_H
#define QINS_CONVERT_SENSITIVITY_H

#include "convert/calibration_text.h"
#include "convert/encode_tensor.h"
#include "engine/base/progress.h"

enum { QINS_SENSITIVITY_TOKENS = 4096 }; // of a text, so the tokens used come from all of it

// sensitivities[n_tensors] of the header's tensors, which are rows[n_tensors] in the checkpoint. A matrix of a layer
// whose weights have the relative error e changes the residual stream x after its layer by about sensitivity e^2, in
// |change|^2 / |x|^2, the mean over tokens; other tensors get 0. Only the first tokens of the sequences are used. While
// it works, `progress` is told 0 of 1. The products are exact: the same on every machine and for any thread count.
qins_status qins_sensitivity_measure(const qins_header *header, const qins_rows *rows,
                                     const qins_calibration_text *text, qins_pool *pool, qins_progress *progress,
                                     void *context, double *sensitivities, qins_error *error);

#endif
