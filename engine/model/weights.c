// Binding of weights; see weights.h.
#include "engine/model/weights.h"

#include "engine/base/memory.h"

#include <stdlib.h>

qins_status qins_weights_bind(qins_weights *weights, const qins_image *image, qins_error *error) {
    const qins_config *config = &qins_image_header(image)->config;
    *weights = (qins_weights){0};
    weights->layers = qins_alloc(config->n_layers, sizeof *weights->layers, "list of layers", error);
    weights->norms = qins_alloc((2 * config->n_layers + 1) * config->hidden_dim, sizeof(float), "norms", error);
    if (error->status != QINS_OK) return error->status;

    float *next_norm = weights->norms;
    size_t index = QINS_LAYER_INDEX;
    for (size_t i = 0; i < config->n_layers; i++, index += QINS_TENSORS_PER_LAYER) {
        qins_layer *layer = &weights->layers[i];
        const qins_matrix input_norm = qins_image_matrix(image, index + QINS_INPUT_NORM);
        const qins_matrix post_norm = qins_image_matrix(image, index + QINS_POST_NORM);
        qins_decode_rows(next_norm, &input_norm, 0, 1);
        layer->input_norm = next_norm;
        qins_decode_rows(next_norm + config->hidden_dim, &post_norm, 0, 1);
        layer->post_norm = next_norm + config->hidden_dim;
        next_norm += 2 * config->hidden_dim;
        layer->qkv = qins_image_matrix(image, index + QINS_QKV);
        layer->output = qins_image_matrix(image, index + QINS_OUTPUT);
        layer->gate_up = qins_image_matrix(image, index + QINS_GATE_UP);
        layer->down = qins_image_matrix(image, index + QINS_DOWN);
    }
    const qins_matrix final_norm = qins_image_matrix(image, index);
    qins_decode_rows(next_norm, &final_norm, 0, 1);
    weights->final_norm = next_norm;
    weights->embedding = qins_image_matrix(image, QINS_EMBEDDING_INDEX);
    weights->head = config->tied_head ? weights->embedding : qins_image_matrix(image, index + 1);
    return QINS_OK;
}

void qins_weights_free(qins_weights *weights) {
    free(weights->layers);
    free(weights->norms);
    *weights = (qins_weights){0};
}
