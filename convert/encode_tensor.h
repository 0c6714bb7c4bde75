// One tensor from its rows in open files to the bytes of its type, in pieces of rows on all threads. Knows nothing of
// folders or .qins files: the caller decides where the bytes go. The result does not depend on the thread count.
#ifndef QINS_CONVERT_ENCODE_TENSOR_H
#define QINS_CONVERT_ENCODE_TENSOR_H

#include "convert/feedback.h"
#include "convert/rows.h"

// Takes the next bytes of a tensor's payload.
typedef qins_status qins_sink(void *context, const void *bytes, size_t size, qins_error *error);

typedef struct qins_encoded {
    double squares;       // sum source^2, rows in order
    double error;         // sum (source - stored)^2, rows in order
    uint64_t source_hash; // XXH3-64 of the source's rows as qins_rows_read gives them
} qins_encoded;

// The cost of errors in a coded matrix, derived from its inputs: at most one member is set; with neither, all errors
// cost the same.
typedef struct qins_input_costs {
    const qins_feedback *feedback; // codes compensate for each other's errors
    const float *importance;       // [cols]: the nearest codes, and scales by the errors weighted by these
} qins_input_costs;

// Convert `source` to `type` (its own, F32, BF16 or a coded type) in `layout` and hand the payload to the sink.
// Rounding is to nearest even. NaN, infinity, and values that a narrower type cannot hold are an error (QINS_BAD_MODEL)
// that names the first one's file, matrix, row and column. `costs` is for coded types; NULL: none.
qins_status qins_encode_tensor(qins_pool *pool, const qins_rows *source, qins_type type, qins_layout layout,
                               const qins_input_costs *costs, qins_sink *sink, void *context, qins_encoded *result,
                               qins_error *error);

#endif
