// The forward pass; see forward.h. Steps and names follow HF modeling_phi3.py, Phi3DecoderLayer.
#include "engine/model/forward.h"

#include "engine/base/map.h"
#include "engine/base/memory.h"
#include "engine/model/hadamard.h"

#include <stdlib.h>

qins_status qins_network_init(qins_network *network, const qins_image *image, qins_error *error) {
    *network = (qins_network){.config = &qins_image_header(image)->config};
    qins_rope_init(&network->rope, network->config);
    return qins_weights_bind(&network->weights, image, error);
}

void qins_network_free(qins_network *network) {
    qins_weights_free(&network->weights);
    *network = (qins_network){0};
}

// --- buffers ---

// Point the buffers into `block` (NULL: only count) and return how many floats they take.
static size_t place_buffers(qins_pass *pass, const qins_config *config, size_t n_rows, size_t n_threads, float *block) {
    float *attention;
    const struct {
        float **buffer;
        size_t rows, cols;
    } buffers[] = {
        {&attention, 1, qins_attention_floats(config, n_threads)},
        {&pass->x, n_rows, config->hidden_dim},
        {&pass->normed, n_rows, config->hidden_dim},
        {&pass->branch, n_rows, config->hidden_dim},
        {&pass->qkv, n_rows, qins_config_qkv_dim(config)},
        {&pass->heads, n_rows, qins_config_q_dim(config)},
        {&pass->gate_up, n_rows, 2 * config->ffn_dim},
        {&pass->act, n_rows, config->ffn_dim},
        {&pass->cos_a, n_rows, config->rope_dim / 2},
        {&pass->sin_a, n_rows, config->rope_dim / 2},
        {&pass->logits, QINS_LOGIT_ROWS, config->vocab_size},
    };
    size_t used = 0;
    for (size_t i = 0; i < sizeof buffers / sizeof buffers[0]; i++) {
        *buffers[i].buffer = block == NULL ? NULL : block + used;
        used += qins_align_up(buffers[i].rows * buffers[i].cols, 16);
    }
    if (block != NULL) qins_attention_init(&pass->attention, pass->compute, config, attention);
    return used;
}

size_t qins_pass_bytes(const qins_config *config, size_t n_rows, size_t n_threads) {
    qins_pass counted;
    return place_buffers(&counted, config, n_rows, n_threads, NULL) * sizeof(float);
}

qins_status qins_pass_init(qins_pass *pass, qins_compute *compute, const qins_config *const *configs, size_t n_configs,
                           size_t n_rows, qins_error *error) {
    *pass = (qins_pass){.compute = compute, .n_rows = n_rows};
    for (size_t i = 0; i < n_configs; i++) {
        const size_t bytes = qins_pass_bytes(configs[i], n_rows, qins_pool_threads(compute->pool));
        if (bytes > pass->block_bytes) pass->block_bytes = bytes;
    }
    pass->rows = qins_alloc(n_rows, sizeof *pass->rows, "rows of a pass", error);
    if (pass->rows != NULL) pass->block = qins_reserve(pass->block_bytes, "buffers of the forward pass", error);
    return error->status;
}

void qins_pass_free(qins_pass *pass) {
    qins_unmap(pass->block, pass->block_bytes);
    free(pass->rows);
    *pass = (qins_pass){0};
}

// --- steps ---

// A step applied to each row: out[n, ...] from x[n, ...].
struct rows {
    const qins_pass *pass;
    float *out;
    const float *x, *weight;
};

// Items of the job are rows; the job of a single one runs on the calling thread.
static void each_row(const qins_pass *pass, qins_pool_job *job, float *out, const float *x, const float *weight) {
    struct rows rows = {pass, out, x, weight};
    qins_pool_run(pass->compute->pool, pass->n, job, &rows);
}

static void embed_row(void *context, size_t row, size_t worker) {
    (void)worker;
    const struct rows *rows = context;
    const qins_pass *pass = rows->pass;
    const qins_network *network = pass->network;
    const qins_span *span = pass->rows[row].span;
    const size_t index = pass->rows[row].index, dim = network->config->hidden_dim, half = network->rope.half;
    qins_decode_rows(rows->out + row * dim, &network->weights.embedding, (size_t)span->ids[index], 1);
    qins_rope_angles(&network->rope, span->set, span->position + index, pass->cos_a + row * half,
                     pass->sin_a + row * half);
}

// The rows of the embedding, and the angles of the positions.
static void embed(const qins_pass *pass, float *x) {
    each_row(pass, embed_row, x, NULL, NULL);
}

static void rmsnorm_row(void *context, size_t row, size_t worker) {
    (void)worker;
    const struct rows *rows = context;
    const qins_config *config = rows->pass->network->config;
    const size_t dim = config->hidden_dim;
    rows->pass->compute->kernels->rmsnorm(rows->out + row * dim, rows->x + row * dim, rows->weight, dim,
                                          (float)config->rms_eps);
}

static void rmsnorm(const qins_pass *pass, float *normed, const float *x, const float *weight) {
    each_row(pass, rmsnorm_row, normed, x, weight);
}

// y[n, rows] = x[n, cols] W^T
static void linear(const qins_pass *pass, float *y, const float *x, const qins_matrix *w) {
    qins_linear(pass->compute, y, x, pass->n, w);
}

static void rope_row(void *context, size_t row, size_t worker) {
    (void)worker;
    const struct rows *rows = context;
    const qins_pass *pass = rows->pass;
    const qins_network *network = pass->network;
    const qins_config *config = network->config;
    const bool is_turned = qins_type_is_coded(pass->rows[row].span->cache->k_type);
    float *heads = rows->out + row * qins_config_qkv_dim(config); // [n_heads + n_kv_heads, head_dim]: q, k
    for (size_t head = 0; head < config->n_heads + config->n_kv_heads; head++, heads += config->head_dim) {
        qins_rope_rotate(&network->rope, heads, pass->cos_a + row * network->rope.half,
                         pass->sin_a + row * network->rope.half);
        if (is_turned) qins_hadamard(heads, config->head_dim);
    }
}

static void rope(const qins_pass *pass, float *qkv) {
    each_row(pass, rope_row, qkv, NULL, NULL);
}

// The keys and values of a span, to be stored in its cache.
struct append {
    const qins_config *config;
    const qins_span *span;
    size_t layer;
    const float *qkv; // [span->n, qkv_dim]
};

// An item is the positions of one tile of the cache, whose keys share lines of memory.
static void append_tile(void *context, size_t item, size_t worker) {
    (void)worker;
    const struct append *append = context;
    const qins_config *config = append->config;
    const qins_span *span = append->span;
    const size_t dim = config->head_dim, end = span->position + span->n;
    size_t position = (span->position / QINS_PANEL + item) * QINS_PANEL;
    const size_t tile_end = position + QINS_PANEL < end ? position + QINS_PANEL : end;
    if (position < span->position) position = span->position;
    for (; position < tile_end; position++) {
        const size_t row = position - span->position;
        const float *k = append->qkv + row * qins_config_qkv_dim(config) + qins_config_q_dim(config);
        const float *v = k + qins_config_kv_dim(config);
        for (size_t head = 0; head < config->n_kv_heads; head++)
            qins_kvcache_store(span->cache, append->layer, head, position, k + head * dim, v + head * dim);
    }
}

static void kv_append(const qins_pass *pass, size_t layer, const float *qkv) {
    const qins_config *config = pass->network->config;
    for (size_t i = 0; i < pass->n_spans; i++) {
        const qins_span *span = &pass->spans[i];
        struct append append = {config, span, layer, qkv};
        const size_t n_tiles = qins_panels(span->position + span->n) - span->position / QINS_PANEL;
        qins_pool_run(pass->compute->pool, n_tiles, append_tile, &append);
        qkv += span->n * qins_config_qkv_dim(config);
    }
}

// Of each span's queries, the first q_dim of a row of qkv, over its cache.
static void attention(qins_pass *pass, float *heads, const float *qkv, size_t layer) {
    const size_t q_dim = qins_config_q_dim(pass->network->config), qkv_dim = qins_config_qkv_dim(pass->network->config);
    for (size_t i = 0; i < pass->n_spans; i++) {
        const qins_span *span = &pass->spans[i];
        qins_attention_run(&pass->attention, heads, qkv, qkv_dim, span->cache, layer, span->n, span->position);
        heads += span->n * q_dim;
        qkv += span->n * qkv_dim;
    }
}

static void swiglu_row(void *context, size_t row, size_t worker) {
    (void)worker;
    const struct rows *rows = context;
    const size_t ffn = rows->pass->network->config->ffn_dim;
    const float *gate = rows->x + row * 2 * ffn;
    rows->pass->compute->kernels->swiglu(rows->out + row * ffn, gate, gate + ffn, ffn);
}

static void swiglu(const qins_pass *pass, float *act, const float *gate_up) {
    each_row(pass, swiglu_row, act, gate_up, NULL);
}

static void add_row(void *context, size_t row, size_t worker) {
    (void)worker;
    const struct rows *rows = context;
    const size_t dim = rows->pass->network->config->hidden_dim;
    float *x = rows->out + row * dim;
    const float *branch = rows->x + row * dim;
    for (size_t i = 0; i < dim; i++) x[i] += branch[i];
}

static void add(const qins_pass *pass, float *x, const float *branch) {
    each_row(pass, add_row, x, branch, NULL);
}

// --- the pass ---

void qins_pass_begin(qins_pass *p, const qins_network *network, const qins_span *spans, size_t n_spans) {
    p->network = network;
    p->spans = spans;
    p->n_spans = n_spans;
    p->n = 0;
    for (size_t i = 0; i < n_spans; i++)
        for (size_t index = 0; index < spans[i].n; index++) p->rows[p->n++] = (qins_pass_row){&spans[i], index};
    place_buffers(p, network->config, p->n_rows, qins_pool_threads(p->compute->pool), p->block);
    embed(p, p->x); // x[n, hidden_dim]
}

void qins_pass_layer(qins_pass *p, size_t layer) {
    const qins_layer *w = &p->network->weights.layers[layer];

    rmsnorm(p, p->normed, p->x, w->input_norm); // normed[n, hidden_dim]
    linear(p, p->qkv, p->normed, &w->qkv);      // qkv[n, qkv_dim]
    rope(p, p->qkv);                            // q and k rotated in place
    kv_append(p, layer, p->qkv);                // k and v into the caches
    attention(p, p->heads, p->qkv, layer);      // heads[n, q_dim]
    linear(p, p->branch, p->heads, &w->output); // branch[n, hidden_dim]
    add(p, p->x, p->branch);                    // x[n, hidden_dim]

    rmsnorm(p, p->normed, p->x, w->post_norm);     // normed[n, hidden_dim]
    linear(p, p->gate_up, p->normed, &w->gate_up); // gate_up[n, 2 * ffn_dim]
    swiglu(p, p->act, p->gate_up);                 // act[n, ffn_dim]
    linear(p, p->branch, p->act, &w->down);        // branch[n, hidden_dim]
    add(p, p->x, p->branch);                       // x[n, hidden_dim]
}

void qins_pass_norm(qins_pass *p) {
    rmsnorm(p, p->normed, p->x, p->network->weights.final_norm); // normed[n, hidden_dim]
}

bool qins_forward(qins_pass *pass, const qins_network *network, const qins_span *spans, size_t n_spans,
                  qins_on_layer *on_layer, void *context) {
    qins_pass_begin(pass, network, spans, n_spans);
    for (size_t layer = 0; layer < network->config->n_layers; layer++) {
        qins_pass_layer(pass, layer);
        if (on_layer != NULL && !on_layer(context, layer)) return false;
    }
    qins_pass_norm(pass);
    return true;
}

void qins_pass_logits(qins_pass *pass, const qins_network *network, float *logits, const float *hidden, size_t n) {
    qins_linear(pass->compute, logits, hidden, n, &network->weights.head);
}
