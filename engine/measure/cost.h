// The minimum work of a forward pass, in operations and bytes, with which a benchmark compares its times.
#ifndef QINS_MEASURE_COST_H
#define QINS_MEASURE_COST_H

#include "engine/format/header.h"

typedef struct qins_cost {
    // A multiplication and an addition count as two operations; only products count: no softmax, norms or decoding.
    double flops;
    // Read once: every matrix and norm as stored, scales included, and a row of the embedding per token.
    double weight_bytes;
    // Read once for the last token: keys and values of all positions.
    double kv_bytes;
} qins_cost;

// A pass of n >= 1 tokens after `position` others, with the logits of its last token; attention is causal, so token i
// meets position + i + 1 keys. For K and V types of the cache.
qins_cost qins_pass_cost(const qins_header *header, qins_type k_type, qins_type v_type, size_t position, size_t n);

#endif
