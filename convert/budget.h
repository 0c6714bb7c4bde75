// The choice of types for an average number of bits per weight: bits go where they lower the expected damage most.
#ifndef QINS_CONVERT_BUDGET_H
#define QINS_CONVERT_BUDGET_H

#include "convert/convert.h"
#include "convert/encode_tensor.h"

// Choose the types of the layers' matrices, except those that a rule of the options fixes, such that together they take
// at most options->plan_bits per weight, scales and padding included. rows[n_tensors]: the header's tensors in the
// checkpoint; sensitivities[n_tensors] as in sensitivity.h. QINS_USAGE when there are too few bits, or more than can be
// used.
qins_status qins_budget_spend(qins_header *header, const qins_convert_options *options, const qins_rows *rows,
                              const double *sensitivities, qins_pool *pool, qins_error *error);

#endif
