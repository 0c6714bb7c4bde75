// The one list of tensors of the model, in the order in which a .qins file holds them. The converter writes from it,
// the engine binds to it and checks against it. Names are Hugging Face's, as in any Phi-3 checkpoint.
#ifndef QINS_FORMAT_SCHEMA_H
#define QINS_FORMAT_SCHEMA_H

#include "engine/format/config.h"
#include "engine/kernels/matrix.h"

typedef enum qins_role {
    QINS_ROLE_EMBEDDING, // [vocab_size, hidden_dim]; the head, too, when that is tied to it
    QINS_ROLE_NORM,      // [1, hidden_dim], a vector; uncompressed, as in the source
    QINS_ROLE_QKV,       // [qkv_dim, hidden_dim]: rows of Q, then K, then V, head by head
    QINS_ROLE_OUTPUT,    // [hidden_dim, q_dim]
    QINS_ROLE_GATE_UP,   // [2 * ffn_dim, hidden_dim]: rows of gate, then up
    QINS_ROLE_DOWN,      // [hidden_dim, ffn_dim]
    QINS_ROLE_HEAD,      // [vocab_size, hidden_dim]; absent when the head is tied to the embedding
    QINS_ROLE_COUNT
} qins_role;

typedef struct qins_tensor_spec {
    char name[64];
    qins_role role;
    size_t rows, cols; // y[rows] = W[rows, cols] x[cols]
} qins_tensor_spec;

// Position of tensors within the list: embedding, then 6 per layer, then the final norm, then the head.
enum {
    QINS_EMBEDDING_INDEX = 0,
    QINS_LAYER_INDEX = 1, // first tensor of layer 0
    QINS_INPUT_NORM = 0,  // order within a layer
    QINS_QKV,
    QINS_OUTPUT,
    QINS_POST_NORM,
    QINS_GATE_UP,
    QINS_DOWN,
    QINS_TENSORS_PER_LAYER
};

size_t qins_schema_count(const qins_config *config);

// Entry `index` < qins_schema_count of the list.
qins_tensor_spec qins_schema_entry(const qins_config *config, size_t index);

// May a tensor of this role be stored as this type? Norms are never coded.
bool qins_schema_allows(qins_role role, qins_type type);

// Layout in a file and in memory: panels for matrices that are multiplied by or coded; rows for norms, and for an
// embedding that is neither.
qins_layout qins_schema_layout(const qins_config *config, qins_role role, qins_type type);

// Is it a matrix of the layers: qkv, output, gate_up, down?
bool qins_role_is_of_layers(qins_role role);

const char *qins_role_name(qins_role role); // "embedding", "norm", "qkv", ...

#endif
