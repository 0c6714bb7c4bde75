// The list of tensors; see schema.h.
#include "engine/format/schema.h"

#include <stdio.h>

static const char *const role_names[QINS_ROLE_COUNT] = {"embedding", "norm", "qkv", "output",
                                                        "gate_up",   "down", "head"};

size_t qins_schema_count(const qins_config *config) {
    return QINS_LAYER_INDEX + QINS_TENSORS_PER_LAYER * config->n_layers + (config->tied_head ? 1 : 2);
}

static qins_tensor_spec layer_entry(const qins_config *config, size_t layer, size_t index) {
    const size_t hidden = config->hidden_dim, ffn = config->ffn_dim;
    const struct {
        const char *suffix;
        qins_role role;
        size_t rows, cols;
    } entries[QINS_TENSORS_PER_LAYER] = {
        [QINS_INPUT_NORM] = {"input_layernorm", QINS_ROLE_NORM, 1, hidden},
        [QINS_QKV] = {"self_attn.qkv_proj", QINS_ROLE_QKV, qins_config_qkv_dim(config), hidden},
        [QINS_OUTPUT] = {"self_attn.o_proj", QINS_ROLE_OUTPUT, hidden, qins_config_q_dim(config)},
        [QINS_POST_NORM] = {"post_attention_layernorm", QINS_ROLE_NORM, 1, hidden},
        [QINS_GATE_UP] = {"mlp.gate_up_proj", QINS_ROLE_GATE_UP, 2 * ffn, hidden},
        [QINS_DOWN] = {"mlp.down_proj", QINS_ROLE_DOWN, hidden, ffn},
    };
    qins_tensor_spec spec = {.role = entries[index].role, .rows = entries[index].rows, .cols = entries[index].cols};
    snprintf(spec.name, sizeof spec.name, "model.layers.%zu.%s.weight", layer, entries[index].suffix);
    return spec;
}

qins_tensor_spec qins_schema_entry(const qins_config *config, size_t index) {
    const size_t final_norm = QINS_LAYER_INDEX + QINS_TENSORS_PER_LAYER * config->n_layers;
    if (index == QINS_EMBEDDING_INDEX)
        return (qins_tensor_spec){"model.embed_tokens.weight", QINS_ROLE_EMBEDDING, config->vocab_size,
                                  config->hidden_dim};
    if (index == final_norm) return (qins_tensor_spec){"model.norm.weight", QINS_ROLE_NORM, 1, config->hidden_dim};
    if (index > final_norm)
        return (qins_tensor_spec){"lm_head.weight", QINS_ROLE_HEAD, config->vocab_size, config->hidden_dim};
    size_t offset = index - QINS_LAYER_INDEX;
    return layer_entry(config, offset / QINS_TENSORS_PER_LAYER, offset % QINS_TENSORS_PER_LAYER);
}

bool qins_schema_allows(qins_role role, qins_type type) {
    return !qins_type_is_coded(type) || role != QINS_ROLE_NORM;
}

qins_layout qins_schema_layout(const qins_config *config, qins_role role, qins_type type) {
    const bool is_multiplied = role != QINS_ROLE_NORM && (role != QINS_ROLE_EMBEDDING || config->tied_head);
    return is_multiplied || qins_type_is_coded(type) ? QINS_PANELS : QINS_ROWS;
}

bool qins_role_is_of_layers(qins_role role) {
    return role == QINS_ROLE_QKV || role == QINS_ROLE_OUTPUT || role == QINS_ROLE_GATE_UP || role == QINS_ROLE_DOWN;
}

const char *qins_role_name(qins_role role) {
    return role_names[role];
}
