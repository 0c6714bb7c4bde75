// Calibration; see calibrate.h. All sequences go through a layer as one chunk, so a matrix meets all of its inputs at
// once and no weight but the one at work needs memory.
#include "convert/calibrate.h"

#include "engine/base/file.h"
#include "engine/base/memory.h"
#include "engine/kernels/blas.h"
#include "engine/model/forward.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// Importance of a column whose inputs are all zero, beside a mean of 1.
static const float LEAST_IMPORTANCE = 0.02f;

enum { PRODUCTS = 4 }; // of a layer: with qkv, output, gate_up, down

static const size_t products[PRODUCTS] = {QINS_QKV, QINS_OUTPUT, QINS_GATE_UP, QINS_DOWN};

struct calibration {
    const qins_header *header;
    bool is_search; // the model of coded weights does not run
    const qins_calibration_calls *calls;
    qins_sequences sequences;
    size_t n; // tokens
    qins_compute compute;
    qins_forward_state state;
    void *embedding;         // owned, as in the checkpoint
    float *x;                // owned, [n, hidden_dim]: the residual stream of the model as it is in the checkpoint
    void *weights[PRODUCTS]; // owned, of one layer: the checkpoint's values in panels
    float *inputs[PRODUCTS]; // owned, [n, cols]: what they were multiplied with
    qins_error *error;
};

// A whole tensor of the checkpoint, its rows one after another in *data, which is released with free().
static qins_matrix read_tensor(struct calibration *calibration, size_t index, void **data) {
    const qins_rows rows = calibration->calls->rows(calibration->calls->context, index);
    const size_t bytes = rows.rows * qins_row_bytes(rows.type, rows.cols);
    *data = qins_alloc(1, bytes, "a tensor", calibration->error);
    if (*data != NULL) qins_file_read_at(rows.fd, rows.path, *data, bytes, rows.offset, calibration->error);
    return (qins_matrix){.type = rows.type, .rows = rows.rows, .cols = rows.cols, .data = *data};
}

// As above, in panels, which is how qins_linear reads a matrix.
static qins_matrix read_panels(struct calibration *calibration, size_t index, void **data) {
    void *rows;
    qins_matrix matrix = read_tensor(calibration, index, &rows);
    const size_t row_bytes = qins_row_bytes(matrix.type, matrix.cols);
    const size_t panel_bytes = qins_panel_bytes(matrix.type, matrix.cols);
    *data = qins_alloc(qins_panels(matrix.rows), panel_bytes, "a tensor", calibration->error);
    for (size_t row = 0; row < matrix.rows && calibration->error->status == QINS_OK; row++)
        qins_pack_values((uint8_t *)*data + row / QINS_PANEL * panel_bytes, matrix.type, matrix.cols, row % QINS_PANEL,
                         (const uint8_t *)rows + row * row_bytes);
    free(rows);
    matrix.layout = QINS_PANELS;
    matrix.data = *data;
    return matrix;
}

static void read_norm(struct calibration *calibration, size_t index, float *norm) {
    void *data;
    const qins_matrix matrix = read_tensor(calibration, index, &data);
    if (calibration->error->status == QINS_OK) qins_decode_rows(norm, &matrix, 0, 1);
    free(data);
}

// Norms and embedding; the matrices come layer by layer.
static void read_weights(struct calibration *calibration) {
    const qins_config *config = &calibration->header->config;
    qins_weights *weights = &calibration->state.weights;
    qins_error *error = calibration->error;
    weights->layers = qins_alloc(config->n_layers, sizeof *weights->layers, "list of layers", error);
    weights->norms = qins_alloc((2 * config->n_layers + 1) * config->hidden_dim, sizeof(float), "norms", error);
    if (error->status != QINS_OK) return;
    float *norm = weights->norms;
    size_t index = QINS_LAYER_INDEX;
    for (size_t i = 0; i < config->n_layers; i++, index += QINS_TENSORS_PER_LAYER, norm += 2 * config->hidden_dim) {
        weights->layers[i].input_norm = norm;
        weights->layers[i].post_norm = norm + config->hidden_dim;
        read_norm(calibration, index + QINS_INPUT_NORM, norm);
        read_norm(calibration, index + QINS_POST_NORM, norm + config->hidden_dim);
    }
    weights->final_norm = norm;
    read_norm(calibration, index, norm);
    weights->embedding = read_tensor(calibration, QINS_EMBEDDING_INDEX, &calibration->embedding);
}

static size_t tensor_index(size_t layer, size_t tensor) {
    return QINS_LAYER_INDEX + layer * QINS_TENSORS_PER_LAYER + tensor;
}

static qins_matrix *layer_matrix(struct calibration *calibration, size_t layer, size_t product) {
    qins_layer *weights = &calibration->state.weights.layers[layer];
    qins_matrix *const matrices[PRODUCTS] = {&weights->qkv, &weights->output, &weights->gate_up, &weights->down};
    return matrices[product];
}

static size_t product_of(size_t tensor) {
    size_t product = 0;
    while (products[product] != tensor) product++;
    return product;
}

static void free_layer(struct calibration *calibration) {
    for (size_t i = 0; i < PRODUCTS; i++) {
        free(calibration->weights[i]);
        free(calibration->inputs[i]);
        calibration->weights[i] = calibration->inputs[i] = NULL;
    }
}

static void read_layer(struct calibration *calibration, size_t layer) {
    free_layer(calibration);
    for (size_t i = 0; i < PRODUCTS && calibration->error->status == QINS_OK; i++) {
        qins_matrix *matrix = layer_matrix(calibration, layer, i);
        *matrix = read_panels(calibration, tensor_index(layer, products[i]), &calibration->weights[i]);
        calibration->inputs[i] =
            qins_alloc(calibration->n, matrix->cols * sizeof(float), "inputs of a layer", calibration->error);
    }
}

static bool goes_on(struct calibration *calibration) {
    if (calibration->calls->goes_on(calibration->calls->context)) return true;
    qins_fail(calibration->error, QINS_INTERRUPTED, "interrupted");
    return false;
}

// qins_on_product of the model as it is in the checkpoint
static bool keep_inputs(void *context, size_t layer, size_t tensor, const float *x, size_t n) {
    struct calibration *calibration = context;
    const size_t product = product_of(tensor);
    memcpy(calibration->inputs[product], x, n * layer_matrix(calibration, layer, product)->cols * sizeof *x);
    return goes_on(calibration);
}

// Have tensor `index` encoded, whose input is x[n, cols], and was `wanted` before any weight was coded.
static bool encode(struct calibration *calibration, size_t index, const float *x, const float *wanted,
                   qins_matrix *encoded) {
    const qins_calibration_calls *calls = calibration->calls;
    const qins_tensor *tensor = &calibration->header->tensors[index];
    qins_feedback feedback = {0};
    if (!goes_on(calibration)) return false;
    if (qins_type_is_coded(tensor->type))
        qins_feedback_init(&feedback, calibration->compute.pool, x, wanted, calibration->n, tensor->spec.rows,
                           tensor->spec.cols, calibration->error);
    const qins_input_costs costs = {.feedback = qins_type_is_coded(tensor->type) ? &feedback : NULL};
    if (calibration->error->status == QINS_OK)
        calls->encode(calls->context, index, &costs, encoded, calibration->error);
    qins_feedback_free(&feedback);
    return calibration->error->status == QINS_OK;
}

// importance[cols]: mean squares of x[n, cols], in units of their mean, and a little for all, since n inputs do not
// tell everything.
static bool find_importance(struct calibration *calibration, float *importance, const float *x, size_t cols) {
    double *squares = qins_alloc(cols, sizeof *squares, "squares of inputs", calibration->error), sum = 0.0;
    if (squares == NULL) return false;
    for (size_t t = 0; t < calibration->n; t++)
        for (size_t j = 0; j < cols; j++) squares[j] += (double)x[t * cols + j] * (double)x[t * cols + j];
    for (size_t j = 0; j < cols; j++) sum += squares[j];
    for (size_t j = 0; j < cols; j++)
        importance[j] = sum > 0.0 ? (float)(squares[j] * (double)cols / sum) + LEAST_IMPORTANCE : 1.0f;
    free(squares);
    if (isfinite(sum)) return true;
    qins_fail(calibration->error, QINS_BAD_MODEL, "the calibration text leads to activations that are not finite");
    return false;
}

// As above, with the nearest codes, by the squares of x[n, cols].
static bool search(struct calibration *calibration, size_t index, const float *x) {
    const qins_calibration_calls *calls = calibration->calls;
    const size_t cols = calibration->header->tensors[index].spec.cols;
    float *importance = qins_alloc(cols, sizeof *importance, "squares of inputs", calibration->error);
    qins_matrix encoded;
    if (importance != NULL && goes_on(calibration) && find_importance(calibration, importance, x, cols))
        calls->encode(calls->context, index, &(qins_input_costs){.importance = importance}, &encoded,
                      calibration->error);
    free(importance);
    return calibration->error->status == QINS_OK;
}

// qins_on_product of the coded model
static bool encode_for_product(void *context, size_t layer, size_t tensor, const float *x, size_t n) {
    (void)n;
    struct calibration *calibration = context;
    const size_t product = product_of(tensor);
    return encode(calibration, tensor_index(layer, tensor), x, calibration->inputs[product],
                  layer_matrix(calibration, layer, product));
}

static void swap_streams(struct calibration *calibration) {
    float *x = calibration->state.x;
    calibration->state.x = calibration->x;
    calibration->x = x;
}

// One layer of the model as it is in the checkpoint.
static bool run_reference(struct calibration *calibration, size_t layer) {
    swap_streams(calibration);
    calibration->compute.matmul = QINS_MATMUL_SGEMM;
    const bool is_done =
        qins_forward_layer(&calibration->state, &calibration->sequences, layer, keep_inputs, calibration);
    calibration->compute.matmul = QINS_MATMUL_EXACT; // coded weights are faster so
    swap_streams(calibration);
    return is_done;
}

static bool run_layer(struct calibration *calibration, size_t layer) {
    read_layer(calibration, layer);
    if (calibration->error->status != QINS_OK || !run_reference(calibration, layer)) return false;
    if (!calibration->is_search)
        return qins_forward_layer(&calibration->state, &calibration->sequences, layer, encode_for_product, calibration);
    for (size_t i = 0; i < PRODUCTS; i++)
        if (!search(calibration, tensor_index(layer, products[i]), calibration->inputs[i])) return false;
    return true;
}

// The head's inputs in both models; the head is encoded by them.
static void encode_head(struct calibration *calibration) {
    const size_t index = calibration->header->n_tensors - 1, dim = calibration->header->config.hidden_dim;
    qins_matrix head;
    swap_streams(calibration);
    qins_forward_norm(&calibration->state, &calibration->sequences);
    swap_streams(calibration);
    memcpy(calibration->x, calibration->state.normed, calibration->n * dim * sizeof(float));
    if (calibration->is_search) {
        search(calibration, index, calibration->x);
        return;
    }
    qins_forward_norm(&calibration->state, &calibration->sequences);
    encode(calibration, index, calibration->state.normed, calibration->x, &head);
}

static void run(struct calibration *calibration) {
    const qins_header *header = calibration->header;
    const qins_tensor *last = &header->tensors[header->n_tensors - 1];
    qins_forward_embed(&calibration->state, &calibration->sequences);
    memcpy(calibration->x, calibration->state.x, calibration->n * header->config.hidden_dim * sizeof(float));
    for (size_t layer = 0; layer < header->config.n_layers; layer++)
        if (!run_layer(calibration, layer)) return;
    if (last->spec.role == QINS_ROLE_HEAD && qins_type_is_coded(last->type)) encode_head(calibration);
}

static void release(struct calibration *calibration) {
    free_layer(calibration);
    free(calibration->x);
    free(calibration->embedding);
    qins_forward_free(&calibration->state);
    qins_compute_free(&calibration->compute);
}

qins_status qins_calibrate(const qins_header *header, const qins_calibration_text *text, bool is_search,
                           size_t n_threads, const qins_calibration_calls *calls, qins_error *error) {
    struct calibration calibration = {
        .header = header,
        .is_search = is_search,
        .calls = calls,
        .sequences = {text->ids, text->n_sequences, text->length, qins_rope_set_for(&header->config, text->length)},
        .n = text->n_sequences * text->length,
        .error = error};
    const qins_forward_options options = {
        .k_type = QINS_F32, .v_type = QINS_F32, .capacity = text->length, .n_rows = calibration.n};
    calibration.x = qins_alloc(calibration.n, header->config.hidden_dim * sizeof(float), "residual stream", error);
    if (error->status == QINS_OK && qins_blas_open(n_threads, error) == QINS_OK &&
        qins_compute_init(&calibration.compute, n_threads, error) == QINS_OK &&
        qins_forward_prepare(&calibration.state, &header->config, &calibration.compute, &options, error) == QINS_OK)
        read_weights(&calibration);
    if (error->status == QINS_OK) run(&calibration);
    release(&calibration);
    return error->status;
}
