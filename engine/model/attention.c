// Causal attention; see attention.h. Work is split into (KV head, block of query tokens). Within one, keys and values
// are walked once in tiles of KEY_TILE tokens, with a running maximum and sum per query as in FlashAttention
// (Dao et al. 2022, algorithm 1). Splits do not depend on the number of threads.
#include "engine/model/attention.h"

#include "engine/base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_TILE = 64, QUERY_BLOCK = 16 };

qins_status qins_attention_init(qins_attention *attention, qins_compute *compute, const qins_config *config,
                                qins_error *error) {
    size_t group = config->n_heads / config->n_kv_heads;
    *attention = (qins_attention){.compute = compute, .group = group};
    // per thread: K and V tiles [KEY_TILE, head_dim], scores [KEY_TILE], and max, sum [QUERY_BLOCK * group]
    attention->worker_floats = qins_align_up(2 * KEY_TILE * config->head_dim + KEY_TILE + 2 * QUERY_BLOCK * group, 16);
    attention->scratch = qins_alloc(qins_pool_threads(compute->pool) * attention->worker_floats, sizeof(float),
                                    "attention scratch", error);
    return error->status;
}

void qins_attention_free(qins_attention *attention) {
    free(attention->scratch);
    *attention = (qins_attention){0};
}

struct attention_job {
    const qins_attention *attention;
    float *out;
    const float *q;
    size_t q_stride;
    const qins_kvcache *cache;
    size_t layer, n, position;
    size_t n_blocks; // of queries
};

// Keys or values of one tile, decoded first when more than one query will read them.
static qins_matrix tile_view(const struct attention_job *job, qins_matrix head, size_t first, size_t n_keys,
                             bool shared, float *decoded, size_t *row) {
    *row = first;
    if (!shared || head.type == QINS_F32) return head;
    qins_decode_rows(job->attention->compute->kernels, decoded, &head, first, n_keys);
    *row = 0;
    return (qins_matrix){.type = QINS_F32, .rows = n_keys, .cols = head.cols, .data = decoded};
}

// Fold n_keys rows of keys and values into one query's running state.
static void attend(const qins_kernels *kernels, float *out, const float *q, const qins_matrix *keys, size_t key_row,
                   const qins_matrix *values, size_t value_row, size_t n_keys, float *scores, float *max, float *sum) {
    const float scale = 1.0f / sqrtf((float)keys->cols);
    kernels->dot_rows(scores, keys, key_row, n_keys, q);
    float highest = *max;
    for (size_t i = 0; i < n_keys; i++) {
        scores[i] *= scale;
        highest = scores[i] > highest ? scores[i] : highest;
    }
    if (highest > *max) {
        float shrink = expf(*max - highest);
        for (size_t i = 0; i < values->cols; i++) out[i] *= shrink;
        *sum *= shrink;
        *max = highest;
    }
    *sum += kernels->exp_sum(scores, n_keys, highest);
    kernels->add_rows(out, values, value_row, n_keys, scores);
}

static void attention_item(void *context, size_t item, size_t worker) {
    const struct attention_job *job = context;
    const qins_attention *attention = job->attention;
    const size_t dim = job->cache->head_dim, group = attention->group;
    const size_t head = item / job->n_blocks, first_token = item % job->n_blocks * QUERY_BLOCK;
    const size_t n_tokens = job->n - first_token < QUERY_BLOCK ? job->n - first_token : QUERY_BLOCK;
    const size_t q_dim = group * job->cache->n_kv_heads * dim;
    const qins_matrix keys = qins_kvcache_keys(job->cache, job->layer, head);
    const qins_matrix values = qins_kvcache_values(job->cache, job->layer, head);

    float *key_tile = attention->scratch + worker * attention->worker_floats; // [KEY_TILE, dim]
    float *value_tile = key_tile + KEY_TILE * dim;                            // [KEY_TILE, dim]
    float *scores = value_tile + KEY_TILE * dim;                              // [KEY_TILE]
    float *max = scores + KEY_TILE;                                           // [n_tokens, group]
    float *sum = max + QUERY_BLOCK * group;                                   // [n_tokens, group]
    for (size_t i = 0; i < n_tokens * group; i++) {
        max[i] = -INFINITY;
        sum[i] = 0.0f;
    }
    for (size_t token = 0; token < n_tokens; token++)
        memset(job->out + (first_token + token) * q_dim + head * group * dim, 0, group * dim * sizeof(float));

    const size_t end = job->position + first_token + n_tokens; // keys that the last query sees
    for (size_t first = 0; first < end; first += KEY_TILE) {
        size_t tile_keys = end - first < KEY_TILE ? end - first : KEY_TILE, key_row, value_row;
        bool shared = n_tokens * group > 1;
        qins_matrix k = tile_view(job, keys, first, tile_keys, shared, key_tile, &key_row);
        qins_matrix v = tile_view(job, values, first, tile_keys, shared, value_tile, &value_row);
        for (size_t i = 0; i < n_tokens * group; i++) {
            size_t token = first_token + i / group, q_head = head * group + i % group;
            size_t visible = job->position + token + 1; // causal: keys 0 .. visible - 1
            if (visible <= first) continue;
            size_t n_keys = visible - first < tile_keys ? visible - first : tile_keys;
            attend(attention->compute->kernels, job->out + token * q_dim + q_head * dim,
                   job->q + token * job->q_stride + q_head * dim, &k, key_row, &v, value_row, n_keys, scores, &max[i],
                   &sum[i]);
        }
    }
    for (size_t i = 0; i < n_tokens * group; i++) {
        float *out = job->out + (first_token + i / group) * q_dim + (head * group + i % group) * dim;
        for (size_t j = 0; j < dim; j++) out[j] /= sum[i];
    }
}

void qins_attention_run(qins_attention *attention, float *out, const float *q, size_t q_stride,
                        const qins_kvcache *cache, size_t layer, size_t n, size_t position) {
    struct attention_job job = {
        attention, out, q, q_stride, cache, layer, n, position, (n + QUERY_BLOCK - 1) / QUERY_BLOCK};
    qins_pool_run(attention->compute->pool, cache->n_kv_heads * job.n_blocks, attention_item, &job);
}
