// The forward pass; see forward.h. Steps and names follow HF modeling_phi3.py, Phi3DecoderLayer.
#include "engine/model/forward.h"

#include "engine/base/map.h"
#include "engine/base/memory.h"
#include "engine/model/hadamard.h"

// Point the buffers into `block` (NULL: only count) and return how many floats they take.
static size_t place_buffers(qins_forward_state *state, const qins_config *config, size_t n_rows, float *block) {
    const struct {
        float **buffer;
        size_t rows, cols;
    } buffers[] = {
        {&state->x, n_rows, config->hidden_dim},
        {&state->normed, n_rows, config->hidden_dim},
        {&state->branch, n_rows, config->hidden_dim},
        {&state->qkv, n_rows, qins_config_qkv_dim(config)},
        {&state->heads, n_rows, qins_config_q_dim(config)},
        {&state->gate_up, n_rows, 2 * config->ffn_dim},
        {&state->act, n_rows, config->ffn_dim},
        {&state->cos_a, n_rows, config->rope_dim / 2},
        {&state->sin_a, n_rows, config->rope_dim / 2},
        {&state->logits, QINS_LOGIT_ROWS, config->vocab_size},
    };
    size_t used = 0;
    for (size_t i = 0; i < sizeof buffers / sizeof buffers[0]; i++) {
        *buffers[i].buffer = block == NULL ? NULL : block + used;
        used += qins_align_up(buffers[i].rows * buffers[i].cols, 16);
    }
    return used;
}

size_t qins_forward_buffer_bytes(const qins_config *config, size_t n_rows) {
    qins_forward_state counted;
    return place_buffers(&counted, config, n_rows, NULL) * sizeof(float);
}

qins_status qins_forward_prepare(qins_forward_state *state, const qins_config *config, qins_compute *compute,
                                 const qins_forward_options *options, qins_error *error) {
    *state = (qins_forward_state){.config = config, .compute = compute, .n_rows = options->n_rows};
    qins_rope_init(&state->rope, config);
    if (qins_attention_init(&state->attention, compute, config, error) != QINS_OK) return error->status;
    if (qins_kvcache_init(&state->cache, config, compute->kernels, options->k_type, options->v_type, options->capacity,
                          error) != QINS_OK)
        return error->status;
    state->block_bytes = qins_forward_buffer_bytes(config, options->n_rows);
    state->block = qins_reserve(state->block_bytes, "buffers of the forward pass", error);
    if (state->block != NULL) place_buffers(state, config, options->n_rows, state->block);
    return error->status;
}

qins_status qins_forward_init(qins_forward_state *state, const qins_image *image, qins_compute *compute,
                              qins_type k_type, qins_type v_type, size_t capacity, qins_error *error) {
    const qins_forward_options options = {
        .k_type = k_type, .v_type = v_type, .capacity = capacity, .n_rows = QINS_CHUNK};
    if (qins_forward_prepare(state, &qins_image_header(image)->config, compute, &options, error) != QINS_OK)
        return error->status;
    return qins_weights_bind(&state->weights, image, error);
}

void qins_forward_free(qins_forward_state *state) {
    qins_unmap(state->block, state->block_bytes);
    qins_kvcache_free(&state->cache);
    qins_attention_free(&state->attention);
    qins_weights_free(&state->weights);
    *state = (qins_forward_state){0};
}

// One chunk on its way through the layers. Items of the jobs below are its tokens, if nothing else is said; the job of
// a single token runs on the calling thread.
struct chunk {
    qins_forward_state *state;
    const int32_t *ids;
    size_t n, position;
    qins_rope_set set;
    size_t length; // of the sequences that it consists of: n, but for qins_sequences
    qins_on_product *on_product;
    void *context;
    size_t layer;
    size_t first;      // token of the sequence that attends
    const float *norm; // weight of the norm to apply
};

static void each_token(struct chunk *chunk, qins_pool_job *job) {
    qins_pool_run(chunk->state->compute->pool, chunk->n, job, chunk);
}

static void embed_token(void *context, size_t token, size_t worker) {
    (void)worker;
    const struct chunk *chunk = context;
    qins_forward_state *state = chunk->state;
    const size_t half = state->rope.half;
    qins_decode_rows(state->x + token * state->config->hidden_dim, &state->weights.embedding, (size_t)chunk->ids[token],
                     1);
    qins_rope_angles(&state->rope, chunk->set, chunk->position + token % chunk->length, state->cos_a + token * half,
                     state->sin_a + token * half);
}

// x[n, hidden_dim] = embedding[ids], and the angles of the positions.
static void embed(struct chunk *chunk) {
    each_token(chunk, embed_token);
}

static void norm_token(void *context, size_t token, size_t worker) {
    (void)worker;
    const struct chunk *chunk = context;
    qins_forward_state *state = chunk->state;
    const size_t dim = state->config->hidden_dim;
    state->compute->kernels->rmsnorm(state->normed + token * dim, state->x + token * dim, chunk->norm, dim,
                                     (float)state->config->rms_eps);
}

static void rmsnorm(struct chunk *chunk, const float *weight) {
    chunk->norm = weight;
    each_token(chunk, norm_token);
}

// y[n, rows] = x[n, cols] W^T for a matrix of the layer; false when on_product stops the pass.
static bool linear(const struct chunk *chunk, float *y, const float *x, size_t tensor, const qins_matrix *w) {
    if (chunk->on_product != NULL && !chunk->on_product(chunk->context, chunk->layer, tensor, x, chunk->n))
        return false;
    qins_linear(chunk->state->compute, y, x, chunk->n, w);
    return true;
}

static void rope_token(void *context, size_t token, size_t worker) {
    (void)worker;
    const struct chunk *chunk = context;
    const qins_forward_state *state = chunk->state;
    const qins_config *config = state->config;
    float *heads = state->qkv + token * qins_config_qkv_dim(config); // [n_heads + n_kv_heads, head_dim]: q, k
    for (size_t head = 0; head < config->n_heads + config->n_kv_heads; head++, heads += config->head_dim) {
        qins_rope_rotate(&state->rope, heads, state->cos_a + token * state->rope.half,
                         state->sin_a + token * state->rope.half);
        if (qins_type_is_coded(state->cache.k_type)) qins_hadamard(heads, config->head_dim);
    }
}

static void rope(struct chunk *chunk) {
    each_token(chunk, rope_token);
}

// An item is the positions of one tile of the cache, whose keys share lines of memory.
static void append_tile(void *context, size_t item, size_t worker) {
    (void)worker;
    const struct chunk *chunk = context;
    qins_forward_state *state = chunk->state;
    const qins_config *config = state->config;
    const size_t dim = config->head_dim, end = chunk->position + chunk->length;
    size_t position = (chunk->position / QINS_PANEL + item) * QINS_PANEL;
    const size_t tile_end = position + QINS_PANEL < end ? position + QINS_PANEL : end;
    if (position < chunk->position) position = chunk->position;
    for (; position < tile_end; position++) {
        const size_t token = chunk->first + position - chunk->position;
        const float *k = state->qkv + token * qins_config_qkv_dim(config) + qins_config_q_dim(config);
        const float *v = k + qins_config_kv_dim(config);
        for (size_t head = 0; head < config->n_kv_heads; head++)
            qins_kvcache_store(&state->cache, chunk->layer, head, position, k + head * dim, v + head * dim);
    }
}

// The keys and values of the sequence at chunk->first go into the cache.
static void kv_append(struct chunk *chunk) {
    const size_t end = chunk->position + chunk->length;
    qins_pool_run(chunk->state->compute->pool, qins_panels(end) - chunk->position / QINS_PANEL, append_tile, chunk);
}

// heads[n, q_dim] from q, k and v, sequence by sequence, all in the same place of the cache.
static void attention(struct chunk *chunk) {
    qins_forward_state *state = chunk->state;
    const size_t q_dim = qins_config_q_dim(state->config), qkv_dim = qins_config_qkv_dim(state->config);
    for (chunk->first = 0; chunk->first < chunk->n; chunk->first += chunk->length) {
        kv_append(chunk);
        qins_attention_run(&state->attention, state->heads + chunk->first * q_dim, state->qkv + chunk->first * qkv_dim,
                           qkv_dim, &state->cache, chunk->layer, chunk->length, chunk->position);
    }
}

static void swiglu_token(void *context, size_t token, size_t worker) {
    (void)worker;
    const struct chunk *chunk = context;
    qins_forward_state *state = chunk->state;
    const size_t ffn = state->config->ffn_dim;
    const float *gate = state->gate_up + token * 2 * ffn;
    state->compute->kernels->swiglu(state->act + token * ffn, gate, gate + ffn, ffn);
}

static void swiglu(struct chunk *chunk) {
    each_token(chunk, swiglu_token);
}

static void add_token(void *context, size_t token, size_t worker) {
    (void)worker;
    const struct chunk *chunk = context;
    const size_t dim = chunk->state->config->hidden_dim;
    float *x = chunk->state->x + token * dim;
    const float *branch = chunk->state->branch + token * dim;
    for (size_t i = 0; i < dim; i++) x[i] += branch[i];
}

static void add(struct chunk *chunk) {
    each_token(chunk, add_token);
}

static bool run_layer(struct chunk *p) {
    const qins_forward_state *s = p->state;
    const qins_layer *w = &s->weights.layers[p->layer];

    rmsnorm(p, w->input_norm);                                                  // normed[n, hidden_dim]
    if (!linear(p, s->qkv, s->normed, QINS_QKV, &w->qkv)) return false;         // qkv[n, qkv_dim]
    rope(p);                                                                    // q and k rotated in place
    attention(p);                                                               // k, v to the cache; heads[n, q_dim]
    if (!linear(p, s->branch, s->heads, QINS_OUTPUT, &w->output)) return false; // branch[n, hidden_dim]
    add(p);                                                                     // x[n, hidden_dim]

    rmsnorm(p, w->post_norm);                                                       // normed[n, hidden_dim]
    if (!linear(p, s->gate_up, s->normed, QINS_GATE_UP, &w->gate_up)) return false; // gate_up[n, 2 * ffn_dim]
    swiglu(p);                                                                      // act[n, ffn_dim]
    if (!linear(p, s->branch, s->act, QINS_DOWN, &w->down)) return false;           // branch[n, hidden_dim]
    add(p);                                                                         // x[n, hidden_dim]
    return true;
}

bool qins_forward(qins_forward_state *state, const int32_t *ids, size_t n, size_t position, qins_rope_set set,
                  qins_on_layer *on_layer, void *context) {
    struct chunk chunk = {.state = state, .ids = ids, .n = n, .position = position, .set = set, .length = n};
    embed(&chunk);
    for (; chunk.layer < state->config->n_layers; chunk.layer++) {
        run_layer(&chunk);
        if (on_layer != NULL && !on_layer(context, chunk.layer)) return false;
    }
    rmsnorm(&chunk, state->weights.final_norm); // normed[n, hidden_dim]
    return true;
}

static struct chunk chunk_of(qins_forward_state *state, const qins_sequences *sequences) {
    return (struct chunk){.state = state,
                          .ids = sequences->ids,
                          .n = sequences->n_sequences * sequences->length,
                          .set = sequences->set,
                          .length = sequences->length};
}

void qins_forward_embed(qins_forward_state *state, const qins_sequences *sequences) {
    struct chunk chunk = chunk_of(state, sequences);
    embed(&chunk);
}

bool qins_forward_layer(qins_forward_state *state, const qins_sequences *sequences, size_t layer,
                        qins_on_product *on_product, void *context) {
    struct chunk chunk = chunk_of(state, sequences);
    chunk.layer = layer;
    chunk.on_product = on_product;
    chunk.context = context;
    return run_layer(&chunk);
}

void qins_forward_norm(qins_forward_state *state, const qins_sequences *sequences) {
    struct chunk chunk = chunk_of(state, sequences);
    rmsnorm(&chunk, state->weights.final_norm);
}

void qins_forward_logits(qins_forward_state *state, size_t first_row, size_t n_rows) {
    const float *rows = state->normed + first_row * state->config->hidden_dim;
    qins_linear(state->compute, state->logits, rows, n_rows, &state->weights.head);
}
