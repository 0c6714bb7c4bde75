// Causal attention over the KV cache with a running softmax: memory does not depend on the context's length.
//
// The arithmetic, the same for prompts and generation, one query row and head at a time; "chained sum" as in kernels.h:
//
//     score    = (chained sum over head_dim of q k, times d where the key is coded as d k) * (1 / sqrt(head_dim))
//     a part   = 1024 positions from a multiple of 1024 on, in tiles of 256; from m = -infinity, s = 0, o = 0 each tile
//                m' = max(m, its scores); o *= exp(m - m'); s *= exp(m - m'); m = m'
//                s += sum of p = exp(score - m)
//                o += chained sum over positions of (p * d) * v, v being a value of scale d, or of none
//     the row  = the parts in order, from M = -infinity, S = 0, O = 0:
//                M' = max(M, m), a = exp(M - M'), b = exp(m - M'), O = O * a + o * b, S = S * a + s * b;
//                in the end O / S
//
// Parts and tiles of which a row sees nothing are skipped; positions before the window, in the tile where it begins,
// have the score -infinity.
#ifndef QINS_MODEL_ATTENTION_H
#define QINS_MODEL_ATTENTION_H

#include "engine/kernels/linear.h"
#include "engine/model/kvcache.h"

typedef struct qins_attention {
    qins_compute *compute; // not owned
    size_t group;          // query heads per KV head
    size_t block_tokens;   // most tokens of an item of a prompt
    size_t window;         // most positions that a token sees, itself included
    size_t worker_floats;
    float *scratch;  // not owned, [threads, worker_floats], and `partials` after it
    float *partials; // unfinished rows of one token's parts
} qins_attention;

// The number of floats of scratch memory it needs.
size_t qins_attention_floats(const qins_config *config, size_t n_threads);

// For the threads of `compute`; both this and the scratch, at a 64-byte boundary, must outlive it.
void qins_attention_init(qins_attention *attention, qins_compute *compute, const qins_config *config, float *scratch);

// out[n, q_dim] = softmax(q k^T / sqrt(head_dim)) v for the n tokens at position, position + 1, ..., whose keys and
// values are already in the cache; token i sees the last `window` of positions 0 .. position + i. Query head h reads KV
// head h / group. q: rows of q_stride floats, the first q_dim of which are the rotated queries.
void qins_attention_run(qins_attention *attention, float *out, const float *q, size_t q_stride,
                        const qins_kvcache *cache, size_t layer, size_t n, size_t position);

#endif
