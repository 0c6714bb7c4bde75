// Causal attention; see attention.h for its arithmetic, which follows FlashAttention (Dao et al. 2022, algorithm 1). An
// item of a prompt is a KV head and a block of tokens, which walks all parts; keys and values of a tile are decoded
// once for all its query heads. An item of one token is a KV head and a part; a single query head reads keys and values
// as they are stored.
#include "engine/model/attention.h"

#include "engine/base/memory.h"

#include <math.h>
#include <string.h>

enum {
    PART = 1024,    // positions that are summed up on their own
    KEY_TILE = 256, // positions whose scores are worked on at once
    // Floats between rows of scores: not a power of two, so that they begin in different sets of the cache.
    SCORE_STRIDE = KEY_TILE + 16,
    BLOCK_ROWS = 128,        // of an item of a prompt, tokens times query heads of the KV head,
    LEAST_BLOCK_TOKENS = 16, // or more where there are many heads
    PARTS_AT_ONCE = 64       // of one token, 65536 positions: then their results are combined
};

// Unfinished rows: sums of weighted values, the largest scores, and sums of the exponentials under those.
struct state {
    float *out; // [n, v_cols]
    float *max; // [n]
    float *sum; // [n]
};

static size_t state_floats(size_t n_rows, size_t v_cols) {
    return qins_align_up(n_rows * (v_cols + 2), 16);
}

static struct state state_at(float *floats, size_t n_rows, size_t v_cols) {
    float *max = floats + n_rows * v_cols;
    return (struct state){.out = floats, .max = max, .sum = max + n_rows};
}

static void state_clear(const struct state *state, size_t n_rows, size_t v_cols) {
    memset(state->out, 0, n_rows * v_cols * sizeof *state->out);
    memset(state->sum, 0, n_rows * sizeof *state->sum);
    for (size_t row = 0; row < n_rows; row++) state->max[row] = -INFINITY;
}

// v_cols of a cache of any type, at most.
static size_t most_v_cols(size_t head_dim) {
    return qins_round_up(head_dim, QINS_BLOCK);
}

// One thread's scratch.
struct scratch {
    float *keys;        // [KEY_TILE / 16][head_dim][16]
    float *values;      // [KEY_TILE, v_cols]
    float *key_factors; // [KEY_TILE]: scales of the keys
    float *factors;     // [KEY_TILE]: and of the values
    float *scores;      // [rows of one query head, SCORE_STRIDE]
    float *total;       // of a block's rows: state of all parts so far,
    float *part;        // and of one
};

// Lays out `scratch` from `floats` on (NULL: only counts) and returns how many floats it takes.
static size_t place_scratch(struct scratch *scratch, float *floats, const qins_attention *attention, size_t head_dim) {
    const size_t v_cols = most_v_cols(head_dim);
    const size_t score_rows = attention->group > attention->block_tokens ? attention->group : attention->block_tokens;
    const size_t block_state = state_floats(attention->group * attention->block_tokens, v_cols);
    const struct {
        float **buffer;
        size_t n;
    } buffers[] = {
        {&scratch->keys, KEY_TILE * head_dim},
        {&scratch->values, KEY_TILE * v_cols},
        {&scratch->key_factors, KEY_TILE},
        {&scratch->factors, KEY_TILE},
        {&scratch->scores, score_rows * SCORE_STRIDE},
        {&scratch->total, block_state},
        {&scratch->part, block_state},
    };
    size_t used = 0;
    for (size_t i = 0; i < sizeof buffers / sizeof buffers[0]; i++) {
        *buffers[i].buffer = floats == NULL ? NULL : floats + used;
        used += buffers[i].n;
    }
    return used;
}

// Everything about a model's attention but its memory.
static qins_attention sizes_for(const qins_config *config) {
    const size_t group = config->n_heads / config->n_kv_heads;
    qins_attention attention = {
        .group = group, .block_tokens = BLOCK_ROWS / group, .window = config->window > 0 ? config->window : SIZE_MAX};
    if (attention.block_tokens < LEAST_BLOCK_TOKENS) attention.block_tokens = LEAST_BLOCK_TOKENS;
    struct scratch counted;
    attention.worker_floats = place_scratch(&counted, NULL, &attention, config->head_dim);
    return attention;
}

// Of one token: for each KV head the states of its group's rows, of PARTS_AT_ONCE parts and of all together.
static size_t partial_floats(const qins_config *config, size_t group) {
    return config->n_kv_heads * (PARTS_AT_ONCE + 1) * state_floats(group, most_v_cols(config->head_dim));
}

size_t qins_attention_floats(const qins_config *config, size_t n_threads) {
    const qins_attention sizes = sizes_for(config);
    return n_threads * sizes.worker_floats + partial_floats(config, sizes.group);
}

void qins_attention_init(qins_attention *attention, qins_compute *compute, const qins_config *config, float *scratch) {
    *attention = sizes_for(config);
    attention->compute = compute;
    attention->scratch = scratch;
    attention->partials = scratch + qins_pool_threads(compute->pool) * attention->worker_floats;
}

struct attention_job {
    const qins_attention *attention;
    float *out;     // [n, n_heads, head_dim]
    const float *q; // [n, q_stride]
    size_t q_stride;
    const qins_kvcache *cache;
    size_t layer, n, position;
    size_t n_blocks;            // of a prompt's tokens
    size_t first_part, n_parts; // of one token's positions, at once
};

// Query rows that meet the keys of one KV head together: n_sets sets of n_rows rows. In a prompt a set is a query head
// and a row a token; for one token there is one set, whose rows are the query heads.
struct block {
    size_t kv_head;
    const float *q; // [head_dim] of a row, at set * set_stride + row * row_stride
    size_t set_stride, row_stride;
    size_t n_sets, n_rows;
    size_t visible, step; // row i of a set sees positions visible + i * step - window .. visible + i * step - 1
    size_t window;
};

// The first position that a row sees.
static size_t first_seen(const struct block *block, size_t row) {
    const size_t visible = block->visible + row * block->step;
    return visible > block->window ? visible - block->window : 0;
}

// The number of positions, of the n from `first` on, that come before a row's window.
static size_t passed(const struct block *block, size_t row, size_t first, size_t n) {
    const size_t start = first_seen(block, row);
    return start <= first ? 0 : start - first < n ? start - first : n;
}

// The number of positions, of the n from `first` on, that come before a row's end; 0 when it sees none of them.
static size_t seen(const struct block *block, size_t row, size_t first, size_t n) {
    const size_t visible = block->visible + row * block->step;
    const size_t before_end = visible <= first ? 0 : visible - first < n ? visible - first : n;
    return before_end > passed(block, row, first, n) ? before_end : 0;
}

// A tile that a block is processing.
struct tile {
    const qins_kernels *kernels;
    const qins_kvcache *cache;
    const struct block *block;
    const struct scratch *scratch;
    const struct state *state; // [n_sets * n_rows]
    size_t first, n_keys;      // positions: those that the last row sees
    const void *keys;          // as stored
    const void *values;
    const float *key_factors; // NULL: keys are not coded
    const float *factors;     // NULL: values are not coded
    bool is_decoded;          // into the scratch: not for a single row, which reads what is stored
};

// factors[n_keys] in FP32; NULL for no scales.
static const float *widen_scales(const struct tile *tile, float *factors, const uint16_t *scales) {
    if (scales != NULL) tile->kernels->widen[QINS_BF16](factors, scales, tile->n_keys);
    return scales != NULL ? factors : NULL;
}

static struct tile load_tile(const struct attention_job *job, const struct block *block, const struct scratch *scratch,
                             const struct state *state, size_t first, size_t n_keys) {
    const qins_kvcache *cache = job->cache;
    struct tile tile = {.kernels = job->attention->compute->kernels,
                        .cache = cache,
                        .block = block,
                        .scratch = scratch,
                        .state = state,
                        .first = first,
                        .n_keys = n_keys,
                        .keys = qins_kvcache_keys(cache, job->layer, block->kv_head, first),
                        .values = qins_kvcache_values(cache, job->layer, block->kv_head, first),
                        .is_decoded = block->n_sets * block->n_rows > 1};
    tile.key_factors =
        widen_scales(&tile, scratch->key_factors, qins_kvcache_key_scales(cache, job->layer, block->kv_head, first));
    tile.factors =
        widen_scales(&tile, scratch->factors, qins_kvcache_value_scales(cache, job->layer, block->kv_head, first));
    if (tile.is_decoded) {
        tile.kernels->widen[cache->k_type](scratch->keys, tile.keys,
                                           qins_round_up(n_keys, QINS_PANEL) * cache->head_dim);
        tile.kernels->widen[cache->v_type](scratch->values, tile.values, n_keys * cache->v_cols);
    }
    return tile;
}

// scores[n_rows, n_keys] = q k^T of a set, without the scales of coded keys; those that a row does not see have no
// meaning.
static void multiply_keys(const struct tile *tile, size_t set) {
    const size_t dim = tile->cache->head_dim, n = qins_round_up(tile->n_keys, QINS_PANEL);
    const struct block *block = tile->block;
    const float *q = block->q + set * block->set_stride;
    float *scores = tile->scratch->scores;
    if (!tile->is_decoded) {
        tile->kernels->dot_values[tile->cache->k_type](scores, tile->keys, n / QINS_PANEL, dim, q);
        return;
    }
    for (size_t row = 0; row < block->n_rows; row++) memset(scores + row * SCORE_STRIDE, 0, n * sizeof *scores);
    tile->kernels->gemm(&(qins_gemm){.c = scores,
                                     .a = q,
                                     .b = tile->scratch->keys,
                                     .c_stride = SCORE_STRIDE,
                                     .a_stride = block->row_stride,
                                     .b_row = QINS_PANEL,
                                     .b_panel = QINS_PANEL * dim,
                                     .m = block->n_rows,
                                     .n = n,
                                     .k = dim});
}

static void score(const struct tile *tile, size_t set) {
    multiply_keys(tile, set);
    if (tile->key_factors == NULL) return;
    for (size_t row = 0; row < tile->block->n_rows; row++)
        for (size_t i = 0; i < tile->n_keys; i++) tile->scratch->scores[row * SCORE_STRIDE + i] *= tile->key_factors[i];
}

// A row's scores become the weights of its values, 0 before its window; its earlier sums are scaled down to the new
// maximum.
static void weigh(const struct tile *tile, size_t set, size_t row) {
    const size_t n = seen(tile->block, row, tile->first, tile->n_keys), at = set * tile->block->n_rows + row;
    const size_t v_cols = tile->cache->v_cols;
    float *scores = tile->scratch->scores + row * SCORE_STRIDE;
    float *max = &tile->state->max[at], *sum = &tile->state->sum[at], *out = tile->state->out + at * v_cols;
    if (n == 0) return;
    for (size_t i = passed(tile->block, row, tile->first, n); i > 0; i--) scores[i - 1] = -INFINITY;
    const float highest = tile->kernels->scale_max(scores, n, 1.0f / sqrtf((float)tile->cache->head_dim));
    if (highest > *max) {
        const float shrink = qins_exp(*max - highest);
        for (size_t i = 0; i < v_cols; i++) out[i] *= shrink;
        *sum *= shrink;
        *max = highest;
    }
    *sum += tile->kernels->exp_sum(scores, n, *max, tile->factors);
}

// out[n_rows, v_cols] += weights[n_rows, n] V for rows of a set from `row` on and the tile's values from `start` on.
static void add_values(const struct tile *tile, size_t set, size_t row, size_t n_rows, size_t start, size_t n) {
    const qins_kvcache *cache = tile->cache;
    const float *weights = tile->scratch->scores + row * SCORE_STRIDE + start;
    float *out = tile->state->out + (set * tile->block->n_rows + row) * cache->v_cols;
    if (!tile->is_decoded) {
        const size_t row_bytes = qins_values_bytes(cache->v_type, cache->v_cols);
        tile->kernels->add_values[cache->v_type](out, (const uint8_t *)tile->values + start * row_bytes, cache->v_cols,
                                                 n, weights);
        return;
    }
    tile->kernels->gemm(&(qins_gemm){.c = out,
                                     .a = weights,
                                     .b = tile->scratch->values + start * cache->v_cols,
                                     .c_stride = cache->v_cols,
                                     .a_stride = SCORE_STRIDE,
                                     .b_row = cache->v_cols,
                                     .b_panel = QINS_PANEL,
                                     .m = n_rows,
                                     .n = cache->v_cols,
                                     .k = n});
}

// Rows that see the same positions among the n from `start` on go together: in a prompt, all rows that see all of them.
static void add_unit(const struct tile *tile, size_t set, size_t start, size_t n) {
    const struct block *block = tile->block;
    const size_t first = tile->first + start;
    for (size_t row = 0, n_alike; row < block->n_rows; row += n_alike) {
        const size_t n_seen = seen(block, row, first, n);
        n_alike = 1;
        while (row + n_alike < block->n_rows && seen(block, row + n_alike, first, n) == n_seen) n_alike++;
        if (n_seen > 0) add_values(tile, set, row, n_alike, start, n_seen);
    }
}

// Attend from a block's rows to the positions of one part; `state` becomes its results.
static void attend(const struct attention_job *job, const struct block *block, const struct scratch *scratch,
                   size_t part, const struct state *state) {
    const size_t last = block->visible + (block->n_rows - 1) * block->step;
    const size_t end = last < (part + 1) * PART ? last : (part + 1) * PART;
    state_clear(state, block->n_sets * block->n_rows, job->cache->v_cols);
    for (size_t first = part * PART; first < end; first += KEY_TILE) {
        const size_t n_keys = end - first < KEY_TILE ? end - first : KEY_TILE;
        if (first_seen(block, 0) >= first + n_keys) continue;
        const struct tile tile = load_tile(job, block, scratch, state, first, n_keys);
        for (size_t set = 0; set < block->n_sets; set++) {
            score(&tile, set);
            for (size_t row = 0; row < block->n_rows; row++) weigh(&tile, set, row);
            for (size_t start = 0; start < n_keys; start += QINS_UNIT)
                add_unit(&tile, set, start, n_keys - start < QINS_UNIT ? n_keys - start : QINS_UNIT);
        }
    }
}

// A row of `total` takes in the next part.
static void combine(const struct state *total, const struct state *part, size_t row, size_t v_cols) {
    const float max = part->max[row] > total->max[row] ? part->max[row] : total->max[row];
    const float a = qins_exp(total->max[row] - max), b = qins_exp(part->max[row] - max);
    float *out = total->out + row * v_cols;
    const float *added = part->out + row * v_cols;
    for (size_t i = 0; i < v_cols; i++) out[i] = out[i] * a + added[i] * b;
    total->sum[row] = total->sum[row] * a + part->sum[row] * b;
    total->max[row] = max;
}

static void finish(float *out, const struct state *total, size_t row, size_t dim, size_t v_cols) {
    for (size_t i = 0; i < dim; i++) out[i] = total->out[row * v_cols + i] / total->sum[row];
}

static struct scratch scratch_of(const struct attention_job *job, size_t worker) {
    struct scratch scratch;
    place_scratch(&scratch, job->attention->scratch + worker * job->attention->worker_floats, job->attention,
                  job->cache->head_dim);
    return scratch;
}

// Last blocks first: they see the most positions.
static void prompt_item(void *context, size_t item, size_t worker) {
    const struct attention_job *job = context;
    const qins_kvcache *cache = job->cache;
    const size_t group = job->attention->group, most = job->attention->block_tokens;
    const size_t dim = cache->head_dim, v_cols = cache->v_cols, q_dim = cache->n_kv_heads * group * dim;
    const size_t kv_head = item % cache->n_kv_heads;
    const size_t first = (job->n_blocks - 1 - item / cache->n_kv_heads) * most;
    const struct block block = {.kv_head = kv_head,
                                .q = job->q + first * job->q_stride + kv_head * group * dim,
                                .set_stride = dim,
                                .row_stride = job->q_stride,
                                .n_sets = group,
                                .n_rows = job->n - first < most ? job->n - first : most,
                                .visible = job->position + first + 1,
                                .step = 1,
                                .window = job->attention->window};
    const struct scratch scratch = scratch_of(job, worker);
    const size_t n_rows = group * block.n_rows;
    const struct state total = state_at(scratch.total, n_rows, v_cols), part = state_at(scratch.part, n_rows, v_cols);
    state_clear(&total, n_rows, v_cols);
    for (size_t i = first_seen(&block, 0) / PART; i * PART < block.visible + block.n_rows - 1; i++) {
        attend(job, &block, &scratch, i, &part);
        for (size_t row = 0; row < n_rows; row++)
            if (seen(&block, row % block.n_rows, i * PART, PART) > 0) combine(&total, &part, row, v_cols);
    }
    float *out = job->out + first * q_dim + kv_head * group * dim;
    for (size_t row = 0; row < n_rows; row++)
        finish(out + row % block.n_rows * q_dim + row / block.n_rows * dim, &total, row, dim, v_cols);
}

// Of one token: the state of a KV head's rows, of parts 0 .. PARTS_AT_ONCE - 1 at once, or of all so far.
enum { ALL_PARTS = PARTS_AT_ONCE };
static struct state partial_of(const struct attention_job *job, size_t kv_head, size_t part) {
    const size_t group = job->attention->group, v_cols = job->cache->v_cols;
    const size_t index = kv_head * (PARTS_AT_ONCE + 1) + part;
    return state_at(job->attention->partials + index * state_floats(group, v_cols), group, v_cols);
}

static void token_item(void *context, size_t item, size_t worker) {
    const struct attention_job *job = context;
    const size_t group = job->attention->group, dim = job->cache->head_dim;
    const size_t kv_head = item / job->n_parts, part = item % job->n_parts;
    const struct block block = {.kv_head = kv_head,
                                .q = job->q + kv_head * group * dim,
                                .row_stride = dim,
                                .n_sets = 1,
                                .n_rows = group,
                                .visible = job->position + 1,
                                .window = job->attention->window};
    const struct scratch scratch = scratch_of(job, worker);
    const struct state state = partial_of(job, kv_head, part);
    attend(job, &block, &scratch, job->first_part + part, &state);
}

static void run_token(struct attention_job *job) {
    const qins_kvcache *cache = job->cache;
    const size_t group = job->attention->group, n_parts = job->position / PART + 1, window = job->attention->window;
    for (size_t head = 0; head < cache->n_kv_heads; head++) {
        const struct state total = partial_of(job, head, ALL_PARTS);
        state_clear(&total, group, cache->v_cols);
    }
    job->first_part = job->position + 1 > window ? (job->position + 1 - window) / PART : 0;
    for (; job->first_part < n_parts; job->first_part += PARTS_AT_ONCE) {
        const size_t left = n_parts - job->first_part;
        job->n_parts = left < PARTS_AT_ONCE ? left : PARTS_AT_ONCE;
        qins_pool_run(job->attention->compute->pool, cache->n_kv_heads * job->n_parts, token_item, job);
        for (size_t i = 0; i < cache->n_kv_heads * job->n_parts; i++) {
            const struct state total = partial_of(job, i / job->n_parts, ALL_PARTS);
            const struct state part = partial_of(job, i / job->n_parts, i % job->n_parts);
            for (size_t row = 0; row < group; row++) combine(&total, &part, row, cache->v_cols);
        }
    }
    for (size_t head = 0; head < cache->n_kv_heads * group; head++) {
        const struct state total = partial_of(job, head / group, ALL_PARTS);
        finish(job->out + head * cache->head_dim, &total, head % group, cache->head_dim, cache->v_cols);
    }
}

void qins_attention_run(qins_attention *attention, float *out, const float *q, size_t q_stride,
                        const qins_kvcache *cache, size_t layer, size_t n, size_t position) {
    struct attention_job job = {.attention = attention,
                                .out = out,
                                .q = q,
                                .q_stride = q_stride,
                                .cache = cache,
                                .layer = layer,
                                .n = n,
                                .position = position,
                                .n_blocks = (n + attention->block_tokens - 1) / attention->block_tokens};
    if (n == 1)
        run_token(&job);
    else
        qins_pool_run(attention->compute->pool, job.n_blocks * cache->n_kv_heads, prompt_item, &job);
}
