// A configuration in the words of transformers' Phi3Config; see export.h.
#include "convert/export.h"

static void add_sizes(qins_json *json, const qins_config *config, qins_error *error) {
    const struct {
        const char *key;
        size_t value;
    } sizes[] = {
        {"hidden_size", config->hidden_dim},
        {"intermediate_size", config->ffn_dim},
        {"num_hidden_layers", config->n_layers},
        {"num_attention_heads", config->n_heads},
        {"num_key_value_heads", config->n_kv_heads},
        {"head_dim", config->head_dim},
        {"vocab_size", config->vocab_size},
        {"max_position_embeddings", config->max_positions},
        {"original_max_position_embeddings",
         config->rope == QINS_ROPE_LONG ? config->original_positions : config->max_positions},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        qins_json_add_number(json, sizes[i].key, (double)sizes[i].value, error);
    if (config->window > 0) qins_json_add_number(json, "sliding_window", (double)config->window, error);
}

static void add_factors(qins_json *rope, const char *key, const double *factors, size_t n, qins_error *error) {
    qins_json *array = qins_json_add_array(rope, key, error);
    for (size_t i = 0; i < n; i++) qins_json_append_number(array, factors[i], error);
}

static void add_rope(qins_json *json, const qins_config *config, qins_error *error) {
    qins_json_add_number(json, "rope_theta", config->rope_base, error);
    qins_json_add_number(json, "partial_rotary_factor", (double)config->rope_dim / (double)config->head_dim, error);
    if (config->rope != QINS_ROPE_LONG) return;
    qins_json *rope = qins_json_add_object(json, "rope_scaling", error);
    qins_json_add_string(rope, "type", "longrope", error);
    if (config->attention_factor > 0) qins_json_add_number(rope, "attention_factor", config->attention_factor, error);
    if (config->scaling_factor > 0) qins_json_add_number(rope, "factor", config->scaling_factor, error);
    add_factors(rope, "short_factor", config->short_factor, config->rope_dim / 2, error);
    add_factors(rope, "long_factor", config->long_factor, config->rope_dim / 2, error);
}

static void add_stop_ids(qins_json *json, const qins_config *config, qins_error *error) {
    qins_json *ids = qins_json_add_array(json, "eos_token_id", error);
    for (size_t i = 0; i < config->n_stop_ids; i++) qins_json_append_number(ids, config->stop_ids[i], error);
    // Phi3Config's own default lies outside small vocabularies.
    qins_json_add_number(json, "pad_token_id", config->n_stop_ids > 0 ? config->stop_ids[0] : 0, error);
}

static char *print(qins_json *json, qins_error *error) {
    char *text = qins_json_print(json, error);
    qins_json_free(json);
    return text;
}

char *qins_export_config(const qins_config *config, qins_type type, qins_error *error) {
    qins_json *json = qins_json_new_object(error);
    qins_json_append_string(qins_json_add_array(json, "architectures", error), "Phi3ForCausalLM", error);
    qins_json_add_string(json, "model_type", "phi3", error);
    qins_json_add_string(json, "hidden_act", "silu", error);
    qins_json_add_string(json, "torch_dtype", type == QINS_BF16 ? "bfloat16" : "float32", error);
    add_sizes(json, config, error);
    qins_json_add_number(json, "rms_norm_eps", config->rms_eps, error);
    qins_json_add_bool(json, "tie_word_embeddings", config->tied_head, error);
    add_rope(json, config, error);
    add_stop_ids(json, config, error);
    return print(json, error);
}

char *qins_export_generation_config(const qins_config *config, qins_error *error) {
    qins_json *json = qins_json_new_object(error);
    add_stop_ids(json, config, error);
    return print(json, error);
}
