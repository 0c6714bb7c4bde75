// Keys and values of the tokens seen so far. K is FP16, or qins8 of keys transformed by hadamard.h; V is qins8 or
// qins4. Coded ones have one scale per (token, KV head). Both are uncompressed on request. The memory is reserved for
// the whole context, but touched only as far as it is used.
//
// Of one layer and KV head:
//
//     keys    [capacity / 16 rounded up] tiles [head_dim][16 positions]: panels of numbers, or of codes of one byte
//     values  [capacity] rows of v_cols values at rest (kernels.h)
//     scales  [capacity] BF16, one array for coded keys and one for coded values
//
// v_cols is head_dim rounded up to 16, for qins4 to 32. A coded key is scale * T(code), a value scale * T(code) in
// qins8 and scale * v in qins4. Positions that were never stored are zero or stale.
#ifndef QINS_MODEL_KVCACHE_H
#define QINS_MODEL_KVCACHE_H

#include "engine/base/pool.h"
#include "engine/format/config.h"
#include "engine/kernels/encoder.h"

#include <stdatomic.h>

typedef struct qins_kvcache {
    const qins_kernels *kernels; // not owned
    qins_type k_type;            // QINS_F16, QINS_QINS8 or QINS_F32
    qins_type v_type;            // QINS_QINS8, QINS_QINS4, QINS_F16 or QINS_F32
    size_t n_layers, n_kv_heads, head_dim;
    size_t v_cols;   // columns of a row of values, padded
    size_t capacity; // positions
    // One reserved array per kind of number, [n_layers, n_kv_heads] of the above.
    uint8_t *k;
    uint8_t *v;
    uint16_t *k_scales;        // NULL: keys are not coded; of whole tiles
    uint16_t *v_scales;        // NULL: values are not coded
    qins_encoder *v_encoder;   // owned, of qins4; NULL: values are of another type
    atomic_size_t n_saturated; // values beyond FP16's +-65504 that were clamped
} qins_kvcache;

// Bytes of K and V (scales and padding included) of one position.
size_t qins_kvcache_token_bytes(const qins_config *config, qins_type k_type, qins_type v_type);

// Bytes of memory that the first n positions take once they are stored: whole pages, separate for each layer and KV
// head.
size_t qins_kvcache_touched_bytes(const qins_kvcache *cache, size_t n);

// Reserve room for `capacity` positions. Release with qins_kvcache_free, also after a failure.
qins_status qins_kvcache_init(qins_kvcache *cache, const qins_config *config, const qins_kernels *kernels,
                              qins_type k_type, qins_type v_type, size_t capacity, qins_error *error);
void qins_kvcache_free(qins_kvcache *cache);

// Store k[head_dim] (rotated, and transformed if keys are coded) and v[head_dim] of one position and KV head. Different
// (position, head) may be stored by different threads at the same time. If one is not finite and its type is coded, its
// scale is NaN, so the logits reveal it.
void qins_kvcache_store(qins_kvcache *cache, size_t layer, size_t head, size_t position, const float *k,
                        const float *v);

// Fill positions n_stored .. n - 1 by repeating what positions 0 .. n_stored - 1 hold: a full cache without computing
// it, for benchmarks. n_stored is a multiple of 16, or n <= n_stored. Keys are repeated in whole tiles, beyond n too.
void qins_kvcache_repeat(qins_kvcache *cache, qins_pool *pool, size_t n_stored, size_t n);

// Make the first n positions those of another cache with room for n, of the same model and types; keys are copied in
// whole tiles.
void qins_kvcache_copy(qins_kvcache *cache, const qins_kvcache *from, size_t n);

// The stored data of one KV head from `position` on: tiles of keys (position a multiple of 16), rows of values, scales
// (NULL where there are none).
const void *qins_kvcache_keys(const qins_kvcache *cache, size_t layer, size_t head, size_t position);
const void *qins_kvcache_values(const qins_kvcache *cache, size_t layer, size_t head, size_t position);
const uint16_t *qins_kvcache_key_scales(const qins_kvcache *cache, size_t layer, size_t head, size_t position);
const uint16_t *qins_kvcache_value_scales(const qins_kvcache *cache, size_t layer, size_t head, size_t position);

#endif
