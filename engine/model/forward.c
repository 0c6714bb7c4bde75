// The forward pass; see forward.h. Steps and names follow HF modeling_phi3.py, Phi3DecoderLayer.
#include "engine/model/forward.h"

#include "engine/base/map.h"
#include "engine/base/memory.h"

// Point the buffers into `block` (NULL: only count) and return how many floats they take.
static size_t place_buffers(qins_forward_state *state, const qins_config *config, float *block) {
    const struct {
        float **buffer;
        size_t rows, cols;
    } buffers[] = {
        {&state->x, QINS_CHUNK, config->hidden_dim},
        {&state->normed, QINS_CHUNK, config->hidden_dim},
        {&state->qkv, QINS_CHUNK, qins_config_qkv_dim(config)},
        {&state->heads, QINS_CHUNK, qins_config_q_dim(config)},
        {&state->gate_up, QINS_CHUNK, 2 * config->ffn_dim},
        {&state->act, QINS_CHUNK, config->ffn_dim},
        {&state->cos_a, QINS_CHUNK, config->rope_dim / 2},
        {&state->sin_a, QINS_CHUNK, config->rope_dim / 2},
        {&state->logits, QINS_LOGIT_ROWS, config->vocab_size},
    };
    size_t used = 0;
    for (size_t i = 0; i < sizeof buffers / sizeof buffers[0]; i++) {
        *buffers[i].buffer = block == NULL ? NULL : block + used;
        used += qins_align_up(buffers[i].rows * buffers[i].cols, 16);
    }
    return used;
}

size_t qins_forward_buffer_bytes(const qins_config *config) {
    qins_forward_state counted;
    return place_buffers(&counted, config, NULL) * sizeof(float);
}

qins_status qins_forward_init(qins_forward_state *state, const qins_image *image, qins_compute *compute,
                              qins_type k_type, qins_type v_type, size_t capacity, qins_error *error) {
    const qins_header *header = qins_image_header(image);
    *state = (qins_forward_state){.config = &header->config, .compute = compute};
    qins_rope_init(&state->rope, state->config);
    if (qins_weights_bind(&state->weights, image, compute->kernels, error) != QINS_OK) return error->status;
    if (qins_attention_init(&state->attention, compute, state->config, error) != QINS_OK) return error->status;
    if (qins_kvcache_init(&state->cache, state->config, k_type, v_type, &header->v_code.book, capacity, error) !=
        QINS_OK)
        return error->status;
    state->block_bytes = qins_forward_buffer_bytes(state->config);
    state->block = qins_reserve(state->block_bytes, "buffers of the forward pass", error);
    if (state->block != NULL) place_buffers(state, state->config, state->block);
    return error->status;
}

void qins_forward_free(qins_forward_state *state) {
    qins_unmap(state->block, state->block_bytes);
    qins_kvcache_free(&state->cache);
    qins_attention_free(&state->attention);
    qins_weights_free(&state->weights);
    *state = (qins_forward_state){0};
}

// One chunk on its way through the layers; items of the jobs below are its tokens.
struct chunk {
    qins_forward_state *state;
    const int32_t *ids;
    size_t n, position;
    qins_rope_set set;
    size_t layer;
    const float *norm; // weight of the norm to apply
};

static void embed_token(void *context, size_t token, size_t worker) {
    (void)worker;
    const struct chunk *chunk = context;
    qins_forward_state *state = chunk->state;
    const size_t half = state->rope.half;
    qins_decode_rows(state->compute->kernels, state->x + token * state->config->hidden_dim, &state->weights.embedding,
                     (size_t)chunk->ids[token], 1);
    qins_rope_angles(&state->rope, chunk->set, chunk->position + token, state->cos_a + token * half,
                     state->sin_a + token * half);
}

static void norm_token(void *context, size_t token, size_t worker) {
    (void)worker;
    const struct chunk *chunk = context;
    qins_forward_state *state = chunk->state;
    const size_t dim = state->config->hidden_dim;
    state->compute->kernels->rmsnorm(state->normed + token * dim, state->x + token * dim, chunk->norm, dim,
                                     (float)state->config->rms_eps);
}

// x += normed, where the output of attention or of the feed-forward block was left.
static void add_token(void *context, size_t token, size_t worker) {
    (void)worker;
    const struct chunk *chunk = context;
    const size_t dim = chunk->state->config->hidden_dim;
    float *x = chunk->state->x + token * dim;
    const float *added = chunk->state->normed + token * dim;
    for (size_t i = 0; i < dim; i++) x[i] += added[i];
}

// Rotate a token's queries and keys; store its keys and values.
static void rotate_and_store_token(void *context, size_t token, size_t worker) {
    (void)worker;
    const struct chunk *chunk = context;
    qins_forward_state *state = chunk->state;
    const qins_config *config = state->config;
    const float *cos_a = state->cos_a + token * state->rope.half, *sin_a = state->sin_a + token * state->rope.half;
    float *q = state->qkv + token * qins_config_qkv_dim(config); // [n_heads, head_dim]
    float *k = q + qins_config_q_dim(config);                    // [n_kv_heads, head_dim]
    const float *v = k + qins_config_kv_dim(config);             // [n_kv_heads, head_dim]
    for (size_t head = 0; head < config->n_heads; head++)
        qins_rope_rotate(&state->rope, q + head * config->head_dim, cos_a, sin_a);
    for (size_t head = 0; head < config->n_kv_heads; head++) {
        float *key = k + head * config->head_dim;
        qins_rope_rotate(&state->rope, key, cos_a, sin_a);
        qins_kvcache_store(&state->cache, chunk->layer, head, chunk->position + token, key,
                           v + head * config->head_dim);
    }
}

static void activate_token(void *context, size_t token, size_t worker) {
    (void)worker;
    const struct chunk *chunk = context;
    qins_forward_state *state = chunk->state;
    const size_t ffn = state->config->ffn_dim;
    const float *gate = state->gate_up + token * 2 * ffn;
    state->compute->kernels->swiglu(state->act + token * ffn, gate, gate + ffn, ffn);
}

static void each_token(struct chunk *chunk, qins_pool_job *job) {
    qins_pool_run(chunk->state->compute->pool, chunk->n, job, chunk);
}

static void norm(struct chunk *chunk, const float *weight) {
    chunk->norm = weight;
    each_token(chunk, norm_token);
}

bool qins_forward(qins_forward_state *state, const int32_t *ids, size_t n, size_t position, qins_rope_set set,
                  qins_on_layer *on_layer, void *context) {
    qins_compute *compute = state->compute;
    const qins_config *config = state->config;
    struct chunk chunk = {.state = state, .ids = ids, .n = n, .position = position, .set = set};

    each_token(&chunk, embed_token); // x[n, hidden_dim] = embedding[ids], and the angles of the positions
    for (chunk.layer = 0; chunk.layer < config->n_layers; chunk.layer++) {
        const qins_layer *layer = &state->weights.layers[chunk.layer];

        norm(&chunk, layer->input_norm);                                 // normed[n, hidden_dim]
        qins_linear(compute, state->qkv, state->normed, n, &layer->qkv); // qkv[n, qkv_dim]
        each_token(&chunk, rotate_and_store_token);                      // q, k rotated; k, v in the cache
        qins_attention_run(&state->attention, state->heads, state->qkv, qins_config_qkv_dim(config), &state->cache,
                           chunk.layer, n, position);                         // heads[n, q_dim]
        qins_linear(compute, state->normed, state->heads, n, &layer->output); // normed[n, hidden_dim]
        each_token(&chunk, add_token);                                        // x += normed

        norm(&chunk, layer->post_norm);                                          // normed[n, hidden_dim]
        qins_linear(compute, state->gate_up, state->normed, n, &layer->gate_up); // gate_up[n, 2 * ffn_dim]
        each_token(&chunk, activate_token);                                      // act[n, ffn_dim] = up * silu(gate)
        qins_linear(compute, state->normed, state->act, n, &layer->down);        // normed[n, hidden_dim]
        each_token(&chunk, add_token);                                           // x += normed
        if (on_layer != NULL && !on_layer(context, chunk.layer)) return false;
    }
    norm(&chunk, state->weights.final_norm); // normed[n, hidden_dim]
    return true;
}

void qins_forward_logits(qins_forward_state *state, size_t first_row, size_t n_rows) {
    const float *rows = state->normed + first_row * state->config->hidden_dim;
    qins_linear(state->compute, state->logits, rows, n_rows, &state->weights.head);
}
