// The KV cache; see kvcache.h.
#include "engine/model/kvcache.h"

#include "engine/base/half.h"
#include "engine/base/map.h"
#include "engine/base/memory.h"

#include <math.h>
#include <string.h>

static const float F16_MAX = 65504.0f;

// Scales tried for a head's values. Of 4 the best takes a third off the squared error of 16 values, but a tenth off
// that of 96, where they would cost every token 2 % of its time.
static int scale_choices(size_t head_dim) {
    return head_dim < 64 ? 4 : 1;
}

static size_t scale_bytes(qins_type v_type) {
    return qins_type_is_coded(v_type) ? sizeof(uint16_t) : 0;
}

size_t qins_kvcache_token_bytes(const qins_config *config, qins_type k_type, qins_type v_type) {
    size_t head_bytes = config->head_dim * (qins_types[k_type].bits + qins_types[v_type].bits) / 8;
    return config->n_layers * config->n_kv_heads * (head_bytes + scale_bytes(v_type));
}

// Bytes of `per_row` for every (layer, head, token); 0 with an error when that overflows.
static size_t array_bytes(const qins_kvcache *cache, size_t per_row, qins_error *error) {
    size_t rows, bytes = 0;
    if (!qins_multiply(cache->n_layers * cache->n_kv_heads, cache->capacity, &rows) ||
        !qins_multiply(rows, per_row, &bytes))
        qins_fail(error, QINS_FAILED, "a KV cache of %zu tokens is more than this machine can address",
                  cache->capacity);
    return bytes;
}

static void *reserve(const qins_kvcache *cache, size_t per_row, const char *what, qins_error *error) {
    size_t bytes = array_bytes(cache, per_row, error);
    return error->status == QINS_OK && bytes > 0 ? qins_reserve(bytes, what, error) : NULL;
}

static size_t row_bytes(qins_type type, size_t head_dim) {
    return head_dim * qins_types[type].bits / 8;
}

qins_status qins_kvcache_init(qins_kvcache *cache, const qins_config *config, qins_type k_type, qins_type v_type,
                              const qins_codebook *v_book, size_t capacity, qins_error *error) {
    memset(cache, 0, sizeof *cache);
    cache->k_type = k_type;
    cache->v_type = v_type;
    cache->v_book = v_book;
    cache->n_layers = config->n_layers;
    cache->n_kv_heads = config->n_kv_heads;
    cache->head_dim = config->head_dim;
    cache->capacity = capacity;
    cache->k = reserve(cache, row_bytes(k_type, cache->head_dim), "keys", error);
    cache->v = reserve(cache, row_bytes(v_type, cache->head_dim), "values", error);
    cache->v_scales = reserve(cache, scale_bytes(v_type), "scales of the values", error);
    return error->status;
}

void qins_kvcache_free(qins_kvcache *cache) {
    qins_error ignored = {0}; // the sizes were computed without error when the arrays were made
    if (cache->k != NULL) qins_unmap(cache->k, array_bytes(cache, row_bytes(cache->k_type, cache->head_dim), &ignored));
    if (cache->v != NULL) qins_unmap(cache->v, array_bytes(cache, row_bytes(cache->v_type, cache->head_dim), &ignored));
    if (cache->v_scales != NULL) qins_unmap(cache->v_scales, array_bytes(cache, scale_bytes(cache->v_type), &ignored));
    memset(cache, 0, sizeof *cache);
}

// Row of (layer, head, position) in the arrays.
static size_t row_index(const qins_kvcache *cache, size_t layer, size_t head, size_t position) {
    return (layer * cache->n_kv_heads + head) * cache->capacity + position;
}

// FP16 with values beyond its range clamped; returns how many were. NaN stays NaN.
static size_t store_f16_saturating(uint16_t *out, const float *x, size_t n) {
    size_t n_saturated = 0;
    for (size_t i = 0; i < n; i++) {
        bool beyond = fabsf(x[i]) > F16_MAX;
        n_saturated += beyond;
        out[i] = qins_f16_from_f32(beyond ? copysignf(F16_MAX, x[i]) : x[i]);
    }
    return n_saturated;
}

// Codes cannot hold what is not finite: the scale becomes NaN then, so that it shows in the logits.
static void store_coded(uint8_t *codes, uint16_t *scale, const float *x, size_t n, const qins_codebook *book) {
    const uint16_t bf16_nan = 0x7FC0;
    if (!isfinite(qins_encode_block(book, x, n, scale_choices(n), codes, scale))) *scale = bf16_nan;
}

void qins_kvcache_store(qins_kvcache *cache, size_t layer, size_t head, size_t position, const float *k,
                        const float *v) {
    const size_t n = cache->head_dim, row = row_index(cache, layer, head, position);
    size_t n_saturated = 0;
    if (cache->k_type == QINS_F16)
        n_saturated += store_f16_saturating((uint16_t *)cache->k + row * n, k, n);
    else
        memcpy((float *)cache->k + row * n, k, n * sizeof(float));
    if (cache->v_type == QINS_QINS8)
        store_coded(cache->v + row * n, &cache->v_scales[row], v, n, cache->v_book);
    else if (cache->v_type == QINS_F16)
        n_saturated += store_f16_saturating((uint16_t *)cache->v + row * n, v, n);
    else
        memcpy((float *)cache->v + row * n, v, n * sizeof(float));
    if (n_saturated > 0) atomic_fetch_add(&cache->n_saturated, n_saturated);
}

struct repeat_job {
    qins_kvcache *cache;
    size_t n_stored, n;
};

static void repeat_rows(void *first_row, size_t bytes, const struct repeat_job *job) {
    uint8_t *rows = first_row;
    for (size_t done = job->n_stored; done < job->n; done += job->n_stored) {
        size_t left = job->n - done;
        memcpy(rows + done * bytes, rows, (left < job->n_stored ? left : job->n_stored) * bytes);
    }
}

// An item is one head of one layer.
static void repeat_head(void *context, size_t item, size_t worker) {
    (void)worker;
    const struct repeat_job *job = context;
    const qins_kvcache *cache = job->cache;
    const size_t row = row_index(cache, 0, item, 0);
    const size_t k_bytes = row_bytes(cache->k_type, cache->head_dim),
                 v_bytes = row_bytes(cache->v_type, cache->head_dim);
    repeat_rows(cache->k + row * k_bytes, k_bytes, job);
    repeat_rows(cache->v + row * v_bytes, v_bytes, job);
    if (cache->v_scales != NULL) repeat_rows(cache->v_scales + row, sizeof *cache->v_scales, job);
}

void qins_kvcache_repeat(qins_kvcache *cache, qins_pool *pool, size_t n_stored, size_t n) {
    struct repeat_job job = {cache, n_stored, n};
    qins_pool_run(pool, cache->n_layers * cache->n_kv_heads, repeat_head, &job);
}

static qins_matrix head_matrix(const qins_kvcache *cache, qins_type type, const uint8_t *data, size_t first_row) {
    return (qins_matrix){.type = type,
                         .rows = cache->capacity,
                         .cols = cache->head_dim,
                         .data = data + first_row * row_bytes(type, cache->head_dim)};
}

qins_matrix qins_kvcache_keys(const qins_kvcache *cache, size_t layer, size_t head) {
    return head_matrix(cache, cache->k_type, cache->k, row_index(cache, layer, head, 0));
}

qins_matrix qins_kvcache_values(const qins_kvcache *cache, size_t layer, size_t head) {
    size_t first_row = row_index(cache, layer, head, 0);
    qins_matrix values = head_matrix(cache, cache->v_type, cache->v, first_row);
    if (qins_type_is_coded(cache->v_type)) {
        values.block = cache->head_dim;
        values.scales = cache->v_scales + first_row;
        values.book = cache->v_book;
    }
    return values;
}
