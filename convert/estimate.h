// The error of a type for a tensor, estimated from a few of its rows: nothing is written.
#ifndef QINS_CONVERT_ESTIMATE_H
#define QINS_CONVERT_ESTIMATE_H

#include "convert/encode_tensor.h"

enum { QINS_SAMPLE_ROWS = 32 }; // of each tensor, evenly spread

// results[n]: approximately the result of qins_encode_tensor without feedback for tensors[n] as types[n], without the
// hash. It is exact for tensors with no more rows than the sample. NaN and infinity in these rows are an error
// (QINS_BAD_MODEL), which names file and row; it does not depend on the thread count.
qins_status qins_estimate(qins_pool *pool, const qins_rows *tensors, const qins_type *types, size_t n,
                          qins_encoded *results, qins_error *error);

#endif
