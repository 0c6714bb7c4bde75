// Causal attention over the KV cache with a running softmax: memory does not depend on the context's length.
#ifndef QINS_MODEL_ATTENTION_H
#define QINS_MODEL_ATTENTION_H

#include "engine/kernels/linear.h"
#include "engine/model/kvcache.h"

typedef struct qins_attention {
    qins_compute *compute; // not owned
    size_t group;          // query heads per KV head
    size_t most_rows;      // query rows that an item may have
    size_t worker_floats;
    float *scratch; // owned, [threads, worker_floats], and `partial` behind it
    float *partial; // [n_heads, splits of the positions, head_dim + 2], for one token
} qins_attention;

// Bytes that qins_attention_init allocates.
size_t qins_attention_bytes(const qins_config *config, size_t n_threads);

// Release with qins_attention_free, also after a failure.
qins_status qins_attention_init(qins_attention *attention, qins_compute *compute, const qins_config *config,
                                qins_error *error);
void qins_attention_free(qins_attention *attention);

// out[n, q_dim] = softmax(q k^T / sqrt(head_dim)) v for the n tokens at position, position + 1, ..., whose keys and
// values are in the cache already; token i sees positions 0 .. position + i. Query head h reads KV head h / group.
// q: rows of q_stride floats, the first q_dim of which are the rotated queries.
void qins_attention_run(qins_attention *attention, float *out, const float *q, size_t q_stride,
                        const qins_kvcache *cache, size_t layer, size_t n, size_t position);

#endif
