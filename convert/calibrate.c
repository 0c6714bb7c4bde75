// Calibration; see calibrate.h. All sequences go through a layer as one chunk, so a matrix meets all of its inputs at
// once and no weight but the one at work needs memory.
#include "convert/calibrate.h"

#include "convert/reference.h"
#include "engine/base/memory.h"
#include "engine/kernels/blas.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// Importance of a column whose inputs are all zero, beside a mean of 1.
static const float LEAST_IMPORTANCE = 0.02f;

struct calibration {
    qins_reference model; // its state runs the coded model, too
    bool is_search;       // the model of coded weights does not run
    qins_tensor_writer *tensors;
    float *x;                     // owned, [n, hidden_dim]: the residual stream of the model as it is in the checkpoint
    size_t layer;                 // that runs
    float *inputs[QINS_PRODUCTS]; // owned, [n, cols]: what its matrices of that layer were multiplied with
    qins_error *error;
};

// The product, in the layer that was read, that uses this matrix.
static size_t product_of(struct calibration *calibration, const qins_matrix *w) {
    size_t product = 0;
    while (qins_reference_matrix(&calibration->model, product) != w) product++;
    return product;
}

static void free_inputs(struct calibration *calibration) {
    for (size_t i = 0; i < QINS_PRODUCTS; i++) {
        free(calibration->inputs[i]);
        calibration->inputs[i] = NULL;
    }
}

static void read_layer(struct calibration *calibration) {
    qins_reference *model = &calibration->model;
    free_inputs(calibration);
    qins_reference_read(model, calibration->layer, calibration->error);
    for (size_t i = 0; i < QINS_PRODUCTS && calibration->error->status == QINS_OK; i++)
        calibration->inputs[i] = qins_alloc(model->n, qins_reference_matrix(model, i)->cols * sizeof(float),
                                            "inputs of a layer", calibration->error);
}

static bool goes_on(struct calibration *calibration) {
    return calibration->error->status == QINS_OK &&
           qins_tensor_writer_report(calibration->tensors, calibration->error) == QINS_OK;
}

// Watches the model as it is in the checkpoint.
static bool keep_inputs(void *context, const qins_matrix *w, const float *x, size_t n) {
    struct calibration *calibration = context;
    memcpy(calibration->inputs[product_of(calibration, w)], x, n * w->cols * sizeof *x);
    return goes_on(calibration);
}

// Encode tensor `index`, whose input is x[n, cols]; before any weight was coded, the input was `wanted`.
static bool encode(struct calibration *calibration, size_t index, const float *x, const float *wanted,
                   qins_matrix *encoded) {
    const qins_tensor *tensor = &calibration->model.header->tensors[index];
    qins_feedback feedback = {0};
    if (!goes_on(calibration)) return false;
    if (qins_type_is_coded(tensor->type))
        qins_feedback_init(&feedback, calibration->model.compute.pool, x, wanted, calibration->model.n,
                           tensor->spec.rows, tensor->spec.cols, calibration->error);
    const qins_input_costs costs = {.feedback = qins_type_is_coded(tensor->type) ? &feedback : NULL};
    if (calibration->error->status == QINS_OK)
        qins_tensor_writer_encode(calibration->tensors, index, &costs, encoded, calibration->error);
    qins_feedback_free(&feedback);
    return calibration->error->status == QINS_OK;
}

// importance[cols]: mean squares of x[n, cols], in units of their mean, and a little for all, since n inputs do not
// tell everything.
static bool find_importance(struct calibration *calibration, float *importance, const float *x, size_t cols) {
    double *squares = qins_alloc(cols, sizeof *squares, "squares of inputs", calibration->error), sum = 0.0;
    if (squares == NULL) return false;
    for (size_t t = 0; t < calibration->model.n; t++)
        for (size_t j = 0; j < cols; j++) squares[j] += (double)x[t * cols + j] * (double)x[t * cols + j];
    for (size_t j = 0; j < cols; j++) sum += squares[j];
    for (size_t j = 0; j < cols; j++)
        importance[j] = sum > 0.0 ? (float)(squares[j] * (double)cols / sum) + LEAST_IMPORTANCE : 1.0f;
    free(squares);
    if (isfinite(sum)) return true;
    qins_fail(calibration->error, QINS_BAD_MODEL, "the calibration text causes non-finite activations");
    return false;
}

// As above, with the nearest codes, by the squares of x[n, cols].
static bool search(struct calibration *calibration, size_t index, const float *x) {
    const size_t cols = calibration->model.header->tensors[index].spec.cols;
    float *importance = qins_alloc(cols, sizeof *importance, "squares of inputs", calibration->error);
    qins_matrix encoded;
    if (importance != NULL && goes_on(calibration) && find_importance(calibration, importance, x, cols))
        qins_tensor_writer_encode(calibration->tensors, index, &(qins_input_costs){.importance = importance}, &encoded,
                                  calibration->error);
    free(importance);
    return calibration->error->status == QINS_OK;
}

// Watches the coded model: codes each matrix just before it is multiplied with.
static bool encode_for_product(void *context, const qins_matrix *w, const float *x, size_t n) {
    (void)n;
    struct calibration *calibration = context;
    const size_t product = product_of(calibration, w);
    return encode(calibration, qins_reference_tensor(calibration->layer, product), x, calibration->inputs[product],
                  qins_reference_matrix(&calibration->model, product));
}

static void swap_streams(struct calibration *calibration) {
    float *x = calibration->model.pass.x;
    calibration->model.pass.x = calibration->x;
    calibration->x = x;
}

// Run the layer that was read, with an observer of its products.
static bool run_watched(struct calibration *calibration, qins_on_linear *watcher) {
    qins_compute *compute = &calibration->model.compute;
    compute->on_linear = watcher;
    compute->context = calibration;
    qins_reference_run(&calibration->model);
    compute->on_linear = NULL;
    return calibration->error->status == QINS_OK;
}

// The layer of the model as it is in the checkpoint.
static bool run_reference(struct calibration *calibration) {
    swap_streams(calibration);
    calibration->model.compute.matmul = QINS_MATMUL_SGEMM;
    const bool is_done = run_watched(calibration, keep_inputs);
    calibration->model.compute.matmul = QINS_MATMUL_EXACT; // coded weights are faster this way
    swap_streams(calibration);
    return is_done;
}

static bool run_layer(struct calibration *calibration) {
    read_layer(calibration);
    if (calibration->error->status != QINS_OK || !run_reference(calibration)) return false;
    if (!calibration->is_search) return run_watched(calibration, encode_for_product);
    for (size_t i = 0; i < QINS_PRODUCTS; i++)
        if (!search(calibration, qins_reference_tensor(calibration->layer, i), calibration->inputs[i])) return false;
    return true;
}

// The head's inputs in both models; the head is encoded for them.
static void encode_head(struct calibration *calibration) {
    const size_t index = calibration->model.header->n_tensors - 1, dim = calibration->model.header->config.hidden_dim;
    qins_matrix head;
    swap_streams(calibration);
    qins_pass_norm(&calibration->model.pass);
    swap_streams(calibration);
    memcpy(calibration->x, calibration->model.pass.normed, calibration->model.n * dim * sizeof(float));
    if (calibration->is_search) {
        search(calibration, index, calibration->x);
        return;
    }
    qins_pass_norm(&calibration->model.pass);
    encode(calibration, index, calibration->model.pass.normed, calibration->x, &head);
}

// Both residual streams: of the checkpoint's embedding, and of the coded one.
static void embed(struct calibration *calibration) {
    qins_reference *model = &calibration->model;
    const qins_matrix source = model->network.weights.embedding;
    qins_reference_begin(model);
    memcpy(calibration->x, model->pass.x, model->n * model->header->config.hidden_dim * sizeof(float));
    if (!qins_type_is_coded(model->header->tensors[QINS_EMBEDDING_INDEX].type)) return;
    if (qins_tensor_writer_encode(calibration->tensors, QINS_EMBEDDING_INDEX, NULL, &model->network.weights.embedding,
                                  calibration->error) == QINS_OK)
        qins_reference_begin(model);
    model->network.weights.embedding = source;
}

static void calibrate_layers(struct calibration *calibration) {
    const qins_header *header = calibration->model.header;
    const qins_tensor *last = &header->tensors[header->n_tensors - 1];
    embed(calibration);
    if (calibration->error->status != QINS_OK) return;
    for (; calibration->layer < header->config.n_layers; calibration->layer++)
        if (!run_layer(calibration)) return;
    if (last->spec.role == QINS_ROLE_HEAD && qins_type_is_coded(last->type)) encode_head(calibration);
}

qins_status qins_calibrate(qins_tensor_writer *tensors, const qins_calibration_text *text, qins_error *error) {
    const qins_header *header = &tensors->report->header;
    struct calibration calibration = {
        .is_search = tensors->options->calibrate_search, .tensors = tensors, .error = error};
    const qins_sequences sequences = {text->ids, text->n_sequences, text->length};
    calibration.x = qins_alloc(text->n_sequences * text->length, header->config.hidden_dim * sizeof(float),
                               "residual stream", error);
    if (error->status == QINS_OK && qins_blas_open(qins_pool_threads(tensors->pool), error) == QINS_OK &&
        qins_reference_init(&calibration.model, header, tensors->rows, &sequences, tensors->pool, error) == QINS_OK)
        calibrate_layers(&calibration);
    free_inputs(&calibration);
    free(calibration.x);
    qins_reference_free(&calibration.model);
    return error->status;
}
