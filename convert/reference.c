// The checkpoint's model; see reference.h.
#include "convert/reference.h"

#include "engine/base/memory.h"

#include <stdlib.h>

const size_t qins_products[QINS_PRODUCTS] = {QINS_QKV, QINS_OUTPUT, QINS_GATE_UP, QINS_DOWN};

// A whole tensor of the checkpoint, its rows one after another in *data, which is released with free().
static qins_matrix read_tensor(const qins_rows *rows, void **data, qins_error *error) {
    const size_t bytes = rows->rows * qins_row_bytes(rows->type, rows->cols);
    *data = qins_alloc(1, bytes, "a tensor", error);
    if (*data != NULL) qins_rows_read(rows, 0, rows->rows, *data, error);
    return (qins_matrix){.type = rows->type, .rows = rows->rows, .cols = rows->cols, .data = *data};
}

// As above, in panels, which is how qins_linear reads a matrix.
static qins_matrix read_panels(const qins_rows *source, void **data, qins_error *error) {
    void *rows;
    qins_matrix matrix = read_tensor(source, &rows, error);
    const size_t row_bytes = qins_row_bytes(matrix.type, matrix.cols);
    const size_t panel_bytes = qins_panel_bytes(matrix.type, matrix.cols);
    *data = qins_alloc(qins_panels(matrix.rows), panel_bytes, "a tensor", error);
    for (size_t row = 0; row < matrix.rows && error->status == QINS_OK; row++)
        qins_pack_values((uint8_t *)*data + row / QINS_PANEL * panel_bytes, matrix.type, matrix.cols, row % QINS_PANEL,
                         (const uint8_t *)rows + row * row_bytes);
    free(rows);
    matrix.layout = QINS_PANELS;
    matrix.data = *data;
    return matrix;
}

static void read_norm(const qins_rows *rows, float *norm, qins_error *error) {
    void *data;
    const qins_matrix matrix = read_tensor(rows, &data, error);
    if (error->status == QINS_OK) qins_decode_rows(norm, &matrix, 0, 1);
    free(data);
}

// Norms and embedding; the matrices come layer by layer.
static void read_weights(qins_reference *reference, qins_error *error) {
    const qins_config *config = &reference->header->config;
    qins_weights *weights = &reference->network.weights;
    weights->layers = qins_alloc(1, sizeof *weights->layers, "a layer", error);
    weights->norms = qins_alloc((2 * config->n_layers + 1) * config->hidden_dim, sizeof(float), "norms", error);
    if (error->status != QINS_OK) return;
    float *norm = weights->norms;
    const qins_rows *rows = reference->rows + QINS_LAYER_INDEX;
    for (size_t i = 0; i < config->n_layers; i++, rows += QINS_TENSORS_PER_LAYER, norm += 2 * config->hidden_dim) {
        read_norm(rows + QINS_INPUT_NORM, norm, error);
        read_norm(rows + QINS_POST_NORM, norm + config->hidden_dim, error);
    }
    weights->final_norm = norm;
    read_norm(rows, norm, error);
    weights->embedding = read_tensor(reference->rows + QINS_EMBEDDING_INDEX, &reference->embedding, error);
}

static qins_status make_spans(qins_reference *reference, const qins_sequences *sequences, qins_error *error) {
    const size_t n = sequences->n_sequences, length = sequences->length;
    reference->n = n * length;
    reference->n_spans = n;
    reference->spans = qins_alloc(n, sizeof *reference->spans, "sequences", error);
    reference->caches = qins_alloc(n, sizeof *reference->caches, "caches of sequences", error);
    for (size_t i = 0; i < n && error->status == QINS_OK; i++) {
        qins_kvcache_init(&reference->caches[i], &reference->config, reference->compute.kernels, QINS_F32, QINS_F32,
                          length, error);
        reference->spans[i] = (qins_span){.cache = &reference->caches[i],
                                          .ids = sequences->ids + i * length,
                                          .n = length,
                                          .set = qins_rope_set_for(&reference->config, length)};
    }
    return error->status;
}

qins_status qins_reference_init(qins_reference *reference, const qins_header *header, const qins_rows *rows,
                                const qins_sequences *sequences, qins_pool *pool, qins_error *error) {
    *reference = (qins_reference){.header = header, .rows = rows, .config = header->config};
    const qins_config *config = reference->network.config = &reference->config;
    reference->config.n_layers = 1;
    qins_rope_init(&reference->network.rope, config);
    if (qins_compute_init_with(&reference->compute, pool, error) != QINS_OK ||
        make_spans(reference, sequences, error) != QINS_OK ||
        qins_pass_init(&reference->pass, &reference->compute, &config, 1, reference->n, error) != QINS_OK)
        return error->status;
    read_weights(reference, error);
    return error->status;
}

void qins_reference_begin(qins_reference *reference) {
    qins_pass_begin(&reference->pass, &reference->network, reference->spans, reference->n_spans);
}

static void free_layer(qins_reference *reference) {
    for (size_t i = 0; i < QINS_PRODUCTS; i++) {
        free(reference->weights[i]);
        reference->weights[i] = NULL;
    }
}

void qins_reference_free(qins_reference *reference) {
    free_layer(reference);
    free(reference->embedding);
    qins_pass_free(&reference->pass);
    for (size_t i = 0; reference->caches != NULL && i < reference->n_spans; i++)
        qins_kvcache_free(&reference->caches[i]);
    free(reference->caches);
    free(reference->spans);
    qins_network_free(&reference->network);
    qins_compute_free(&reference->compute);
}

qins_status qins_reference_read(qins_reference *reference, size_t layer, qins_error *error) {
    const qins_weights *weights = &reference->network.weights;
    const size_t dim = reference->config.hidden_dim;
    weights->layers->input_norm = weights->norms + 2 * layer * dim;
    weights->layers->post_norm = weights->norms + (2 * layer + 1) * dim;
    free_layer(reference);
    for (size_t i = 0; i < QINS_PRODUCTS && error->status == QINS_OK; i++)
        *qins_reference_matrix(reference, i) =
            read_panels(&reference->rows[qins_reference_tensor(layer, i)], &reference->weights[i], error);
    return error->status;
}

void qins_reference_run(qins_reference *reference) {
    qins_pass_layer(&reference->pass, 0);
}

qins_matrix *qins_reference_matrix(qins_reference *reference, size_t product) {
    qins_layer *weights = reference->network.weights.layers;
    qins_matrix *const matrices[QINS_PRODUCTS] = {&weights->qkv, &weights->output, &weights->gate_up, &weights->down};
    return matrices[product];
}

size_t qins_reference_tensor(size_t layer, size_t product) {
    return QINS_LAYER_INDEX + layer * QINS_TENSORS_PER_LAYER + qins_products[product];
}
