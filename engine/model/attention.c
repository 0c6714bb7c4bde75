// Causal attention; see attention.h. An item of work is a block of query rows with the same KV head and a range of keys
// that it walks in tiles, with a running maximum and sum per row as in FlashAttention (Dao et al. 2022, algorithm 1).
// A prompt's items are (query head, block of tokens); one token's are (KV head, range of positions), whose results are
// combined in order afterwards. No split depends on the number of threads.
#include "engine/model/attention.h"

#include "engine/base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    KEY_TILE = 256,    // keys whose scores are worked on at once
    QUERY_BLOCK = 128, // tokens of an item of a prompt
    SPLIT_KEYS = 1024, // least positions of an item of one token
    MAX_SPLITS = 64    // items of one token and one KV head
};

// Of one thread: a decoded tile of K or V [KEY_TILE, head_dim], scores [rows, KEY_TILE], max and sum [rows].
static size_t worker_floats(const qins_config *config, size_t n_rows) {
    return qins_align_up(KEY_TILE * config->head_dim + n_rows * (KEY_TILE + 2), 16);
}

static size_t most_rows(const qins_config *config) {
    size_t group = config->n_heads / config->n_kv_heads;
    return group > QUERY_BLOCK ? group : QUERY_BLOCK;
}

// Unfinished rows of one token: [n_heads, MAX_SPLITS, head_dim + 2], a weighted sum of values, max and sum.
static size_t partial_floats(const qins_config *config) {
    return config->n_heads * MAX_SPLITS * (config->head_dim + 2);
}

size_t qins_attention_bytes(const qins_config *config, size_t n_threads) {
    return (n_threads * worker_floats(config, most_rows(config)) + partial_floats(config)) * sizeof(float);
}

qins_status qins_attention_init(qins_attention *attention, qins_compute *compute, const qins_config *config,
                                qins_error *error) {
    const size_t n_threads = qins_pool_threads(compute->pool);
    *attention = (qins_attention){.compute = compute,
                                  .group = config->n_heads / config->n_kv_heads,
                                  .most_rows = most_rows(config),
                                  .worker_floats = worker_floats(config, most_rows(config))};
    attention->scratch = qins_alloc(1, qins_attention_bytes(config, n_threads), "attention scratch", error);
    if (attention->scratch != NULL) attention->partial = attention->scratch + n_threads * attention->worker_floats;
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
    size_t n_splits; // a prompt's blocks of tokens, or one token's ranges of positions
    size_t split_keys;
};

// Query rows of one item and where their weighted sums of values go.
struct query_rows {
    const float *q; // [n, head_dim], rows of q_stride floats
    size_t q_stride;
    float *out; // [n, head_dim], rows of out_stride floats
    size_t out_stride;
    float *max, *sum; // [n]: of the scores so far, and of the exponentials under that maximum
    size_t n;
    size_t visible, step; // row i sees keys 0 .. visible + i * step - 1
};

// scores[n, KEY_TILE] = q k^T / sqrt(head_dim). A single row reads the stored keys, more rows share a decoded tile.
static void score_tile(const struct attention_job *job, const struct query_rows *rows, const qins_matrix *keys,
                       size_t first, size_t n_keys, float *decoded, float *scores) {
    const size_t dim = keys->cols;
    const float scale = 1.0f / sqrtf((float)dim);
    const qins_kernels *kernels = job->attention->compute->kernels;
    if (rows->n == 1) {
        kernels->dot_rows(scores, keys, first, n_keys, rows->q);
        for (size_t i = 0; i < n_keys; i++) scores[i] *= scale;
        return;
    }
    qins_decode_rows(kernels, decoded, keys, first, n_keys);
    qins_sgemm(scores, KEY_TILE, rows->q, rows->q_stride, decoded, dim, rows->n, n_keys, dim,
               (qins_sgemm_form){.b_is_transposed = true, .alpha = scale});
}

// scores[0 .. visible) become exponentials under the row's maximum, the others 0; what was summed before shrinks.
static void exponentiate(const qins_kernels *kernels, const struct query_rows *rows, size_t row, size_t visible,
                         size_t n_keys, size_t dim, float *scores) {
    float *out = rows->out + row * rows->out_stride;
    const float highest = visible == 0 ? -INFINITY : kernels->max(scores, visible);
    if (highest > rows->max[row]) {
        const float shrink = expf(rows->max[row] - highest);
        for (size_t i = 0; i < dim; i++) out[i] *= shrink;
        rows->sum[row] *= shrink;
        rows->max[row] = highest;
    }
    rows->sum[row] += kernels->exp_sum(scores, visible, rows->max[row]);
    memset(scores + visible, 0, (n_keys - visible) * sizeof *scores);
}

// out[n, head_dim] += scores[n, n_keys] V
static void add_tile(const struct attention_job *job, const struct query_rows *rows, const qins_matrix *values,
                     size_t first, size_t n_keys, float *decoded, const float *scores) {
    const qins_kernels *kernels = job->attention->compute->kernels;
    if (rows->n == 1) {
        kernels->add_rows(rows->out, values, first, n_keys, scores);
        return;
    }
    qins_decode_rows(kernels, decoded, values, first, n_keys);
    qins_sgemm(rows->out, rows->out_stride, scores, KEY_TILE, decoded, values->cols, rows->n, values->cols, n_keys,
               (qins_sgemm_form){.alpha = 1.0f, .beta = 1.0f});
}

// Give the rows the keys and values first .. end - 1 of a KV head.
static void attend(const struct attention_job *job, struct query_rows *rows, size_t kv_head, size_t first, size_t end,
                   size_t worker) {
    const qins_attention *attention = job->attention;
    const size_t dim = job->cache->head_dim;
    qins_matrix keys = qins_kvcache_keys(job->cache, job->layer, kv_head);
    qins_matrix values = qins_kvcache_values(job->cache, job->layer, kv_head);
    float *decoded = attention->scratch + worker * attention->worker_floats; // [KEY_TILE, dim]
    float *scores = decoded + KEY_TILE * dim;                                // [rows, KEY_TILE]
    keys.ahead =
        (uintptr_t)values.data; // a tile's keys are followed by its values, and those by the keys of the next tile
    keys.ahead_width = qins_types[values.type].bits / 8;
    values.ahead_width = qins_types[keys.type].bits / 8;
    values.ahead = (uintptr_t)keys.data + KEY_TILE * dim * values.ahead_width;
    for (size_t row = 0; row < rows->n; row++) {
        rows->max[row] = -INFINITY;
        rows->sum[row] = 0.0f;
        memset(rows->out + row * rows->out_stride, 0, dim * sizeof(float));
    }
    for (; first < end; first += KEY_TILE) {
        const size_t n_keys = end - first < KEY_TILE ? end - first : KEY_TILE;
        score_tile(job, rows, &keys, first, n_keys, decoded, scores);
        for (size_t row = 0; row < rows->n; row++) {
            const size_t visible = rows->visible + row * rows->step;
            const size_t in_tile = visible <= first ? 0 : visible - first < n_keys ? visible - first : n_keys;
            exponentiate(attention->compute->kernels, rows, row, in_tile, n_keys, dim, scores + row * KEY_TILE);
        }
        add_tile(job, rows, &values, first, n_keys, decoded, scores);
    }
}

// Largest blocks first: the last tokens see the most keys.
static void prompt_item(void *context, size_t item, size_t worker) {
    const struct attention_job *job = context;
    const qins_attention *attention = job->attention;
    const size_t dim = job->cache->head_dim, n_heads = attention->group * job->cache->n_kv_heads;
    const size_t head = item % n_heads, first = (job->n_splits - 1 - item / n_heads) * QUERY_BLOCK;
    float *state = attention->scratch + (worker + 1) * attention->worker_floats - 2 * attention->most_rows;
    struct query_rows rows = {.q = job->q + first * job->q_stride + head * dim,
                              .q_stride = job->q_stride,
                              .out = job->out + (first * n_heads + head) * dim,
                              .out_stride = n_heads * dim,
                              .max = state,
                              .sum = state + attention->most_rows,
                              .n = job->n - first < QUERY_BLOCK ? job->n - first : QUERY_BLOCK,
                              .visible = job->position + first + 1,
                              .step = 1};
    attend(job, &rows, head / attention->group, 0, rows.visible + rows.n - 1, worker);
    for (size_t row = 0; row < rows.n; row++)
        for (size_t i = 0; i < dim; i++) rows.out[row * rows.out_stride + i] /= rows.sum[row];
}

// Partial results of a query head and a split: the weighted sum [head_dim], max and sum.
static float *partial_of(const struct attention_job *job, size_t head, size_t split) {
    return job->attention->partial + (head * MAX_SPLITS + split) * (job->cache->head_dim + 2);
}

static void token_item(void *context, size_t item, size_t worker) {
    const struct attention_job *job = context;
    const size_t dim = job->cache->head_dim, group = job->attention->group, n_keys = job->position + 1;
    const size_t kv_head = item / job->n_splits, split = item % job->n_splits, first = split * job->split_keys;
    float *state = job->attention->scratch + (worker + 1) * job->attention->worker_floats;
    struct query_rows rows = {.q = job->q + kv_head * group * dim,
                              .q_stride = dim,
                              .out = partial_of(job, kv_head * group, split),
                              .out_stride = MAX_SPLITS * (dim + 2),
                              .max = state - 2 * job->attention->most_rows,
                              .sum = state - job->attention->most_rows,
                              .n = group,
                              .visible = n_keys};
    attend(job, &rows, kv_head, first, first + job->split_keys < n_keys ? first + job->split_keys : n_keys, worker);
    for (size_t row = 0; row < group; row++) {
        rows.out[row * rows.out_stride + dim] = rows.max[row];
        rows.out[row * rows.out_stride + dim + 1] = rows.sum[row];
    }
}

// out[head_dim] of one head from the parts, under the largest of their maxima.
static void combine_item(void *context, size_t head, size_t worker) {
    (void)worker;
    const struct attention_job *job = context;
    const size_t dim = job->cache->head_dim;
    float *out = job->out + head * dim, max = -INFINITY, sum = 0.0f;
    for (size_t split = 0; split < job->n_splits; split++) max = fmaxf(max, partial_of(job, head, split)[dim]);
    memset(out, 0, dim * sizeof *out);
    for (size_t split = 0; split < job->n_splits; split++) {
        const float *partial = partial_of(job, head, split), weight = expf(partial[dim] - max);
        for (size_t i = 0; i < dim; i++) out[i] += weight * partial[i];
        sum += weight * partial[dim + 1];
    }
    for (size_t i = 0; i < dim; i++) out[i] /= sum;
}

// Positions of an item: as many as make MAX_SPLITS items at most, in whole tiles.
static size_t keys_of_split(size_t n_keys) {
    size_t keys = qins_align_up((n_keys + MAX_SPLITS - 1) / MAX_SPLITS, KEY_TILE);
    return keys > SPLIT_KEYS ? keys : SPLIT_KEYS;
}

void qins_attention_run(qins_attention *attention, float *out, const float *q, size_t q_stride,
                        const qins_kvcache *cache, size_t layer, size_t n, size_t position) {
    struct attention_job job = {attention, out, q, q_stride, cache, layer, n, position, 0, keys_of_split(position + 1)};
    const size_t n_heads = cache->n_kv_heads * attention->group;
    qins_pool *pool = attention->compute->pool;
    if (n > 1) {
        job.n_splits = (n + QUERY_BLOCK - 1) / QUERY_BLOCK;
        qins_pool_run(pool, n_heads * job.n_splits, prompt_item, &job);
    } else {
        job.n_splits = (position + job.split_keys) / job.split_keys;
        qins_pool_run(pool, cache->n_kv_heads * job.n_splits, token_item, &job);
        qins_pool_run(pool, n_heads, combine_item, &job);
    }
}
