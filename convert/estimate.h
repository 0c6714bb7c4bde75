// The error of a type for a tensor, estimated from a few of its rows: nothing is written.
#ifndef QINS_CONVERT_ESTIMATE_H
#define QINS_CONVERT_ESTIMATE_H

#include "convert/encode_tensor.h"

enum { QINS_SAMPLE_ROWS = 32 }; // of each tensor, evenly spread

// results[n]: about what qins_encode_tensor without feedback would report of tensors[n] as types[n], but no hash. It is
// exact for tensors of so few rows. NaN and infinity in these rows are an error (QINS_BAD_MODEL), which names file and
// row; it does not depend on the number of threads.
qins_status qins_estimate(qins_pool *pool, const qins_rows *tensors, const qins_type *types, size_t n,
                          qins_encoded *results, qins_error *error);

#endif
