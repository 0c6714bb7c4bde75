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

// --- steps: items of the jobs are rows, if nothing else is said; the job of a single one runs on the calling thread
// ---

static void each_row(qins_pass *pass, qins_pool_job *job) {
    qins_pool_run(pass->compute->pool, pass->n, job, pass);
}

static void embed_row(void *context, size_t row, size_t worker) {
    (void)worker;
    const qins_pass *pass = context;
    const qins_network *network = pass->network;
    const qins_span *span = pass->rows[row].span;
    const size_t index = pass->rows[row].index, half = network->rope.half;
    qins_decode_rows(pass->x + row * network->config->hidden_dim, &network->weights.embedding, (size_t)span->ids[index],
                     1);
    qins_rope_angles(&network->rope, span->set, span->position + index, pass->cos_a + row * half,
                     pass->sin_a + row * half);
}

static void norm_row(void *context, size_t row, size_t worker) {
    (void)worker;
    const qins_pass *pass = context;
    const size_t dim = pass->network->config->hidden_dim;
    pass->compute->kernels->rmsnorm(pass->normed + row * dim, pass->x + row * dim, pass->norm, dim,
                                    (float)pass->network->config->rms_eps);
}

static void rmsnorm(qins_pass *pass, const float *weight) {
    pass->norm = weight;
    each_row(pass, norm_row);
}

static void rope_row(void *context, size_t row, size_t worker) {
    (void)worker;
    const qins_pass *pass = context;
    const qins_network *network = pass->network;
    const qins_config *config = network->config;
    const bool is_turned = qins_type_is_coded(pass->rows[row].span->cache->k_type);
    float *heads = pass->qkv + row * qins_config_qkv_dim(config); // [n_heads + n_kv_heads, head_dim]: q, k
    for (size_t head = 0; head < config->n_heads + config->n_kv_heads; head++, heads += config->head_dim) {
        qins_rope_rotate(&network->rope, heads, pass->cos_a + row * network->rope.half,
                         pass->sin_a + row * network->rope.half);
        if (is_turned) qins_hadamard(heads, config->head_dim);
    }
}

static void rope(qins_pass *pass) {
    each_row(pass, rope_row);
}

// An item is the positions of one tile of the cache, whose keys share lines of memory.
static void append_tile(void *context, size_t item, size_t worker) {
    (void)worker;
    const qins_pass *pass = context;
    const qins_config *config = pass->network->config;
    const qins_span *span = pass->span;
    const size_t dim = config->head_dim, end = span->position + span->n;
    size_t position = (span->position / QINS_PANEL + item) * QINS_PANEL;
    const size_t tile_end = position + QINS_PANEL < end ? position + QINS_PANEL : end;
    if (position < span->position) position = span->position;
    for (; position < tile_end; position++) {
        const size_t row = pass->first + position - span->position;
        const float *k = pass->qkv + row * qins_config_qkv_dim(config) + qins_config_q_dim(config);
        const float *v = k + qins_config_kv_dim(config);
        for (size_t head = 0; head < config->n_kv_heads; head++)
            qins_kvcache_store(span->cache, pass->layer, head, position, k + head * dim, v + head * dim);
    }
}

// The keys and values of pass->span go into its cache.
static void kv_append(qins_pass *pass) {
    const size_t end = pass->span->position + pass->span->n;
    qins_pool_run(pass->compute->pool, qins_panels(end) - pass->span->position / QINS_PANEL, append_tile, pass);
}

// heads[n, q_dim] from q, k and v, span by span.
static void attention(qins_pass *pass) {
    const qins_config *config = pass->network->config;
    const size_t q_dim = qins_config_q_dim(config), qkv_dim = qins_config_qkv_dim(config);
    pass->first = 0;
    for (size_t i = 0; i < pass->n_spans; i++) {
        const qins_span *span = pass->span = &pass->spans[i];
        kv_append(pass);
        qins_attention_run(&pass->attention, pass->heads + pass->first * q_dim, pass->qkv + pass->first * qkv_dim,
                           qkv_dim, span->cache, pass->layer, span->n, span->position);
        pass->first += span->n;
    }
}

static void swiglu_row(void *context, size_t row, size_t worker) {
    (void)worker;
    const qins_pass *pass = context;
    const size_t ffn = pass->network->config->ffn_dim;
    const float *gate = pass->gate_up + row * 2 * ffn;
    pass->compute->kernels->swiglu(pass->act + row * ffn, gate, gate + ffn, ffn);
}

static void swiglu(qins_pass *pass) {
    each_row(pass, swiglu_row);
}

static void add_row(void *context, size_t row, size_t worker) {
    (void)worker;
    const qins_pass *pass = context;
    const size_t dim = pass->network->config->hidden_dim;
    float *x = pass->x + row * dim;
    const float *branch = pass->branch + row * dim;
    for (size_t i = 0; i < dim; i++) x[i] += branch[i];
}

static void add(qins_pass *pass) {
    each_row(pass, add_row);
}

// --- the pass ---

void qins_pass_begin(qins_pass *pass, const qins_network *network, const qins_span *spans, size_t n_spans) {
    pass->network = network;
    pass->spans = spans;
    pass->n_spans = n_spans;
    pass->n = 0;
    for (size_t i = 0; i < n_spans; i++)
        for (size_t index = 0; index < spans[i].n; index++) pass->rows[pass->n++] = (qins_pass_row){&spans[i], index};
    place_buffers(pass, network->config, pass->n_rows, qins_pool_threads(pass->compute->pool), pass->block);
    each_row(pass, embed_row); // x[n, hidden_dim], and the angles of the positions
}

// Who looks at the products of a layer.
struct onlooker {
    qins_on_product *on_product; // NULL: nobody
    void *context;
};

// y[n, rows] = x[n, cols] W^T for a matrix of the layer; false when the onlooker stops the pass.
static bool linear(const qins_pass *pass, const struct onlooker *onlooker, float *y, const float *x, size_t tensor,
                   const qins_matrix *w) {
    if (onlooker->on_product != NULL && !onlooker->on_product(onlooker->context, pass->layer, tensor, x, pass->n))
        return false;
    qins_linear(pass->compute, y, x, pass->n, w);
    return true;
}

bool qins_pass_layer(qins_pass *p, size_t layer, qins_on_product *on_product, void *context) {
    const qins_layer *w = &p->network->weights.layers[layer];
    const struct onlooker o = {on_product, context};
    p->layer = layer;

    rmsnorm(p, w->input_norm);                                              // normed[n, hidden_dim]
    if (!linear(p, &o, p->qkv, p->normed, QINS_QKV, &w->qkv)) return false; // qkv[n, qkv_dim]
    rope(p);                                                                // q and k rotated in place
    attention(p);                                                           // k, v to the caches; heads[n, q_dim]
    if (!linear(p, &o, p->branch, p->heads, QINS_OUTPUT, &w->output)) return false; // branch[n, hidden_dim]
    add(p);                                                                         // x[n, hidden_dim]

    rmsnorm(p, w->post_norm);                                                           // normed[n, hidden_dim]
    if (!linear(p, &o, p->gate_up, p->normed, QINS_GATE_UP, &w->gate_up)) return false; // gate_up[n, 2 * ffn_dim]
    swiglu(p);                                                                          // act[n, ffn_dim]
    if (!linear(p, &o, p->branch, p->act, QINS_DOWN, &w->down)) return false;           // branch[n, hidden_dim]
    add(p);                                                                             // x[n, hidden_dim]
    return true;
}

void qins_pass_norm(qins_pass *pass) {
    rmsnorm(pass, pass->network->weights.final_norm); // normed[n, hidden_dim]
}

bool qins_forward(qins_pass *pass, const qins_network *network, const qins_span *spans, size_t n_spans,
                  qins_on_layer *on_layer, void *context) {
    qins_pass_begin(pass, network, spans, n_spans);
    for (size_t layer = 0; layer < network->config->n_layers; layer++) {
        qins_pass_layer(pass, layer, NULL, NULL);
        if (on_layer != NULL && !on_layer(context, layer)) return false;
    }
    qins_pass_norm(pass);
    return true;
}

void qins_pass_logits(qins_pass *pass, const qins_network *network, float *logits, const float *hidden, size_t n) {
    qins_linear(pass->compute, logits, hidden, n, &network->weights.head);
}
