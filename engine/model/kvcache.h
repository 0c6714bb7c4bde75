// Keys and values of the tokens seen so far. K is FP16 (rotated keys), V is QINS with one scale per (token, KV head),
// both uncompressed on request. The memory is reserved for the whole context but only what is used is touched.
#ifndef QINS_MODEL_KVCACHE_H
#define QINS_MODEL_KVCACHE_H

#include "engine/base/pool.h"
#include "engine/kernels/codec.h"
#include "engine/model/config.h"

#include <stdatomic.h>

typedef struct qins_kvcache {
    qins_type k_type;            // QINS_F16 or QINS_F32
    qins_type v_type;            // QINS_QINS8, QINS_F16 or QINS_F32
    const qins_codebook *v_book; // not owned
    size_t n_layers, n_kv_heads, head_dim;
    size_t capacity; // tokens
    // One array a kind of number, ordered [n_layers, n_kv_heads, capacity, head_dim] (scales: without head_dim).
    uint8_t *k;
    uint8_t *v;
    uint16_t *v_scales;
    atomic_size_t n_saturated; // values beyond FP16's +-65504 that were clamped
} qins_kvcache;

// Bytes of K and V (scales included) of one token.
size_t qins_kvcache_token_bytes(const qins_config *config, qins_type k_type, qins_type v_type);

// Reserve room for `capacity` tokens. Release with qins_kvcache_free, also after a failure.
qins_status qins_kvcache_init(qins_kvcache *cache, const qins_config *config, qins_type k_type, qins_type v_type,
                              const qins_codebook *v_book, size_t capacity, qins_error *error);
void qins_kvcache_free(qins_kvcache *cache);

// Store k[head_dim] (rotated) and v[head_dim] of one token and KV head. Different (position, head) may be stored by
// different threads at the same time.
void qins_kvcache_store(qins_kvcache *cache, size_t layer, size_t head, size_t position, const float *k,
                        const float *v);

// Fill positions n_stored .. n - 1 by repeating what positions 0 .. n_stored - 1 hold (n_stored >= 1): a full cache
// that nobody computed, for benchmarks.
void qins_kvcache_repeat(qins_kvcache *cache, qins_pool *pool, size_t n_stored, size_t n);

// Keys or values of one KV head as a matrix [capacity, head_dim]; rows from the number of stored tokens on are zero
// or stale.
qins_matrix qins_kvcache_keys(const qins_kvcache *cache, size_t layer, size_t head);
qins_matrix qins_kvcache_values(const qins_kvcache *cache, size_t layer, size_t head);

#endif
