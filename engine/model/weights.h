// The model's weights, bound to an open image by the schema.
#ifndef QINS_MODEL_WEIGHTS_H
#define QINS_MODEL_WEIGHTS_H

#include "engine/format/image.h"

// One decoder layer. Widths as in qins_config; q_dim = n_heads * head_dim, qkv_dim = q_dim + 2 * kv_dim.
typedef struct qins_layer {
    const float *input_norm; // [hidden_dim]
    qins_matrix qkv;         // [qkv_dim, hidden_dim]: rows of Q, K, V
    qins_matrix output;      // [hidden_dim, q_dim]
    const float *post_norm;  // [hidden_dim]
    qins_matrix gate_up;     // [2 * ffn_dim, hidden_dim]: rows of gate, up
    qins_matrix down;        // [hidden_dim, ffn_dim]
} qins_layer;

typedef struct qins_weights {
    qins_matrix embedding;   // [vocab_size, hidden_dim]
    qins_layer *layers;      // owned, [n_layers]
    const float *final_norm; // [hidden_dim]
    qins_matrix head;        // [vocab_size, hidden_dim]; the embedding itself when tied
    float *norms;            // owned, [2 * n_layers + 1, hidden_dim]: every norm in FP32
} qins_weights;

// Bind; the image must outlive the weights. Release with qins_weights_free, also after a failure.
qins_status qins_weights_bind(qins_weights *weights, const qins_image *image, qins_error *error);
void qins_weights_free(qins_weights *weights);

#endif
