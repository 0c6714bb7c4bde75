// The KV cache; see kvcache.h.
#include "engine/model/kvcache.h"

#include "engine/base/map.h"
#include "engine/base/memory.h"

#include <stdlib.h>
#include <string.h>

static size_t v_cols_of(size_t head_dim, qins_type v_type) {
    return qins_round_up(head_dim, v_type == QINS_QINS4 ? QINS_BLOCK : QINS_PANEL);
}

static size_t scale_bytes(qins_type type) {
    return qins_type_is_coded(type) ? sizeof(uint16_t) : 0;
}

// Bytes of one position: of a key, in a tile's lane, and of a row of values.
static size_t k_bytes(const qins_kvcache *cache) {
    return qins_values_bytes(cache->k_type, cache->head_dim);
}
static size_t v_bytes(const qins_kvcache *cache) {
    return qins_values_bytes(cache->v_type, cache->v_cols);
}

size_t qins_kvcache_token_bytes(const qins_config *config, qins_type k_type, qins_type v_type) {
    const size_t head_bytes = qins_values_bytes(k_type, config->head_dim) + scale_bytes(k_type) +
                              qins_values_bytes(v_type, v_cols_of(config->head_dim, v_type)) + scale_bytes(v_type);
    return config->n_layers * config->n_kv_heads * head_bytes;
}

// Positions of the arrays: whole tiles.
static size_t positions(const qins_kvcache *cache) {
    return qins_round_up(cache->capacity, QINS_PANEL);
}

// Bytes of `per_position` for every (layer, head, position); 0 with an error when that overflows.
static size_t array_bytes(const qins_kvcache *cache, size_t per_position, qins_error *error) {
    size_t n, bytes = 0;
    if (cache->capacity > SIZE_MAX - QINS_PANEL ||
        !qins_multiply(cache->n_layers * cache->n_kv_heads, positions(cache), &n) ||
        !qins_multiply(n, per_position, &bytes))
        qins_fail(error, QINS_FAILED, "a KV cache of %zu tokens is more than this machine can address",
                  cache->capacity);
    return bytes;
}

static void *reserve(const qins_kvcache *cache, size_t per_position, const char *what, qins_error *error) {
    const size_t bytes = array_bytes(cache, per_position, error);
    return error->status == QINS_OK && bytes > 0 ? qins_reserve(bytes, what, error) : NULL;
}

static void release(const qins_kvcache *cache, const void *array, size_t per_position) {
    qins_error ignored = {0}; // the size was computed without error when the array was made
    if (array != NULL) qins_unmap(array, array_bytes(cache, per_position, &ignored));
}

qins_status qins_kvcache_init(qins_kvcache *cache, const qins_config *config, const qins_kernels *kernels,
                              qins_type k_type, qins_type v_type, size_t capacity, qins_error *error) {
    memset(cache, 0, sizeof *cache);
    cache->kernels = kernels;
    cache->k_type = k_type;
    cache->v_type = v_type;
    cache->n_layers = config->n_layers;
    cache->n_kv_heads = config->n_kv_heads;
    cache->head_dim = config->head_dim;
    cache->v_cols = v_cols_of(config->head_dim, v_type);
    cache->capacity = capacity;
    cache->k = reserve(cache, k_bytes(cache), "keys", error);
    cache->v = reserve(cache, v_bytes(cache), "values", error);
    cache->k_scales = reserve(cache, scale_bytes(k_type), "scales of the keys", error);
    cache->v_scales = reserve(cache, scale_bytes(v_type), "scales of the values", error);
    if (v_type == QINS_QINS4) cache->v_encoder = qins_alloc(1, sizeof *cache->v_encoder, "an encoder", error);
    if (cache->v_encoder != NULL) qins_encoder_init(cache->v_encoder, kernels, v_type);
    return error->status;
}

void qins_kvcache_free(qins_kvcache *cache) {
    release(cache, cache->k, k_bytes(cache));
    release(cache, cache->v, v_bytes(cache));
    release(cache, cache->k_scales, scale_bytes(cache->k_type));
    release(cache, cache->v_scales, scale_bytes(cache->v_type));
    free(cache->v_encoder);
    memset(cache, 0, sizeof *cache);
}

// Of one array.
static size_t touched_bytes(const qins_kvcache *cache, size_t per_position, size_t n) {
    const size_t page = qins_page_bytes();
    size_t pages = 0, next = 0; // the first page that may be new
    for (size_t i = 0; n > 0 && per_position > 0 && i < cache->n_layers * cache->n_kv_heads; i++) {
        const size_t start = i * positions(cache) * per_position, end = start + n * per_position;
        const size_t first = start / page > next ? start / page : next;
        next = (end - 1) / page + 1;
        pages += next > first ? next - first : 0;
    }
    return pages * page;
}

size_t qins_kvcache_touched_bytes(const qins_kvcache *cache, size_t n) {
    return touched_bytes(cache, k_bytes(cache), qins_round_up(n, QINS_PANEL)) +
           touched_bytes(cache, v_bytes(cache), n) + touched_bytes(cache, scale_bytes(cache->k_type), n) +
           touched_bytes(cache, scale_bytes(cache->v_type), n);
}

// Place of (layer, head, position) among all positions of the arrays.
static size_t place_of(const qins_kvcache *cache, size_t layer, size_t head, size_t position) {
    return (layer * cache->n_kv_heads + head) * positions(cache) + position;
}

const void *qins_kvcache_keys(const qins_kvcache *cache, size_t layer, size_t head, size_t position) {
    return cache->k + place_of(cache, layer, head, position) * k_bytes(cache);
}

const void *qins_kvcache_values(const qins_kvcache *cache, size_t layer, size_t head, size_t position) {
    return cache->v + place_of(cache, layer, head, position) * v_bytes(cache);
}

const uint16_t *qins_kvcache_key_scales(const qins_kvcache *cache, size_t layer, size_t head, size_t position) {
    return cache->k_scales == NULL ? NULL : cache->k_scales + place_of(cache, layer, head, position);
}

const uint16_t *qins_kvcache_value_scales(const qins_kvcache *cache, size_t layer, size_t head, size_t position) {
    return cache->v_scales == NULL ? NULL : cache->v_scales + place_of(cache, layer, head, position);
}

// Put a key into its lane of the tile; returns how many of its values were clamped.
static size_t store_key(qins_kvcache *cache, size_t place, const float *k) {
    const size_t lane = place % QINS_PANEL;
    uint8_t *tile = cache->k + (place - lane) * k_bytes(cache);
    if (cache->k_type == QINS_F32) {
        for (size_t i = 0; i < cache->head_dim; i++) ((float *)(void *)tile)[i * QINS_PANEL + lane] = k[i];
        return 0;
    }
    if (cache->k_type == QINS_QINS8) {
        int8_t codes[QINS_MAX_HEAD_DIM];
        qins_encode_cached_qins8(cache->kernels, codes, &cache->k_scales[place], k, cache->head_dim);
        for (size_t i = 0; i < cache->head_dim; i++) ((int8_t *)tile)[i * QINS_PANEL + lane] = codes[i];
        return 0;
    }
    uint16_t narrow[QINS_MAX_HEAD_DIM];
    const size_t n_clamped = cache->kernels->narrow(narrow, k, cache->head_dim);
    for (size_t i = 0; i < cache->head_dim; i++) ((uint16_t *)(void *)tile)[i * QINS_PANEL + lane] = narrow[i];
    return n_clamped;
}

static size_t store_value(qins_kvcache *cache, size_t place, const float *v) {
    const size_t n = cache->head_dim;
    void *row = cache->v + place * v_bytes(cache);
    if (cache->v_type == QINS_F16) return cache->kernels->narrow(row, v, n);
    if (cache->v_type == QINS_F32)
        memcpy(row, v, n * sizeof *v);
    else if (cache->v_type == QINS_QINS8)
        qins_encode_cached_qins8(cache->kernels, row, &cache->v_scales[place], v, n);
    else if (cache->v_type == QINS_QINS4)
        qins_encode_cached_qins4(cache->v_encoder, row, &cache->v_scales[place], v, n);
    return 0;
}

void qins_kvcache_store(qins_kvcache *cache, size_t layer, size_t head, size_t position, const float *k,
                        const float *v) {
    const size_t place = place_of(cache, layer, head, position);
    const size_t n_clamped = store_key(cache, place, k) + store_value(cache, place, v);
    if (n_clamped > 0) atomic_fetch_add(&cache->n_saturated, n_clamped);
}

struct repeat_job {
    qins_kvcache *cache;
    size_t n_stored, n;
};

// `first` begins n_stored positions of `bytes` each, which are repeated up to position n.
static void repeat_positions(void *first, size_t bytes, size_t n_stored, size_t n) {
    uint8_t *start = first;
    for (size_t done = n_stored; done < n; done += n_stored) {
        const size_t left = n - done;
        memcpy(start + done * bytes, start, (left < n_stored ? left : n_stored) * bytes);
    }
}

// An item is one head of one layer.
static void repeat_head(void *context, size_t item, size_t worker) {
    (void)worker;
    const struct repeat_job *job = context;
    const qins_kvcache *cache = job->cache;
    const size_t place = place_of(cache, 0, item, 0);
    repeat_positions(cache->k + place * k_bytes(cache), k_bytes(cache), job->n_stored,
                     qins_round_up(job->n, QINS_PANEL));
    repeat_positions(cache->v + place * v_bytes(cache), v_bytes(cache), job->n_stored, job->n);
    if (cache->k_scales != NULL)
        repeat_positions(cache->k_scales + place, sizeof *cache->k_scales, job->n_stored,
                         qins_round_up(job->n, QINS_PANEL));
    if (cache->v_scales != NULL)
        repeat_positions(cache->v_scales + place, sizeof *cache->v_scales, job->n_stored, job->n);
}

void qins_kvcache_repeat(qins_kvcache *cache, qins_pool *pool, size_t n_stored, size_t n) {
    struct repeat_job job = {cache, n_stored, n};
    if (n > n_stored) qins_pool_run(pool, cache->n_layers * cache->n_kv_heads, repeat_head, &job);
}

void qins_kvcache_copy(qins_kvcache *cache, const qins_kvcache *from, size_t n) {
    const size_t n_keys = qins_round_up(n, QINS_PANEL);
    for (size_t i = 0; i < cache->n_layers * cache->n_kv_heads; i++) {
        const size_t to_place = place_of(cache, 0, i, 0), from_place = place_of(from, 0, i, 0);
        memcpy(cache->k + to_place * k_bytes(cache), from->k + from_place * k_bytes(from), n_keys * k_bytes(cache));
        memcpy(cache->v + to_place * v_bytes(cache), from->v + from_place * v_bytes(from), n * v_bytes(cache));
        if (cache->k_scales != NULL)
            memcpy(cache->k_scales + to_place, from->k_scales + from_place, n_keys * sizeof *cache->k_scales);
        if (cache->v_scales != NULL)
            memcpy(cache->v_scales + to_place, from->v_scales + from_place, n * sizeof *cache->v_scales);
    }
}
