// What a forward pass cannot do without: the operations and the bytes that a benchmark's times are set against.
#ifndef QINS_MODEL_COST_H
#define QINS_MODEL_COST_H

#include "engine/model/header.h"

typedef struct qins_cost {
    double flops; // a multiplication and an addition count as two; products alone: no softmax, norm, decoding
    double
        weight_bytes; // read once: every matrix and norm as stored, scales included, and a row of the embedding a token
    double kv_bytes;  // read once for the last token's sake: keys and values of all positions
} qins_cost;

// A pass of n >= 1 tokens behind `position` others, with the logits of its last token; attention is causal, so token i
// meets position + i + 1 keys. For K and V types of the cache.
qins_cost qins_pass_cost(const qins_header *header, qins_type k_type, qins_type v_type, size_t position, size_t n);

#endif
