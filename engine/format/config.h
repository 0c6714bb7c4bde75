// The model's dimensions and constants for the Phi3ForCausalLM family, and their JSON form in the .qins header.
// Hugging Face's config.json is read in convert/hf_config.c; only our own names are used here.
#ifndef QINS_FORMAT_CONFIG_H
#define QINS_FORMAT_CONFIG_H

#include "engine/base/error.h"
#include "engine/base/json.h"

#include <stddef.h>
#include <stdint.h>

enum { QINS_MAX_HEAD_DIM = 512, QINS_MAX_STOP_IDS = 64 };

typedef enum qins_rope_kind {
    QINS_ROPE_PLAIN,
    QINS_ROPE_LONG // LongRoPE: two sets of factors and an attention factor
} qins_rope_kind;

typedef struct qins_config {
    size_t n_layers;
    size_t hidden_dim; // Phi-3.5-mini: 3072
    size_t ffn_dim;    // 8192
    size_t n_heads;    // query heads, a multiple of n_kv_heads
    size_t n_kv_heads;
    size_t head_dim; // 96
    size_t vocab_size;
    size_t max_positions; // tokens the model was made for
    size_t window;        // how many of the last positions a token sees, itself included; 0: all
    double rms_eps;
    bool tied_head; // lm_head is the embedding

    qins_rope_kind rope;
    size_t rope_dim; // leading elements of a head that rotate, even, <= head_dim
    double rope_base;
    size_t original_positions;                  // LongRoPE: longest sequence that uses the short factors
    double attention_factor;                    // LongRoPE: given by the config, 0: by the formula (rope.h)
    double scaling_factor;                      // LongRoPE: as attention_factor; 0: max / original positions
    double short_factor[QINS_MAX_HEAD_DIM / 2]; // [rope_dim / 2]
    double long_factor[QINS_MAX_HEAD_DIM / 2];  // [rope_dim / 2]

    int32_t stop_ids[QINS_MAX_STOP_IDS]; // generation ends at any of these
    size_t n_stop_ids;
} qins_config;

// Derived widths.
static inline size_t qins_config_q_dim(const qins_config *config) {
    return config->n_heads * config->head_dim;
}
static inline size_t qins_config_kv_dim(const qins_config *config) {
    return config->n_kv_heads * config->head_dim;
}
static inline size_t qins_config_qkv_dim(const qins_config *config) {
    return qins_config_q_dim(config) + 2 * qins_config_kv_dim(config);
}

// Check every bound and relation (sizes fit, heads divide, rope_dim even, factors positive, stop ids in range); an
// error names the field. Both readers call it, so later code does not have to.
qins_status qins_config_check(const qins_config *config, qins_error *error);

// The "config" object of a .qins header, both ways. Reading checks.
void qins_config_to_json(const qins_config *config, qins_json *object, qins_error *error);
qins_status qins_config_from_json(qins_config *config, const qins_json *object, qins_error *error);

// Read an array of `count` positive finite numbers, the member `key` of `object`.
void qins_config_factors(double *factors, size_t count, const qins_json *object, const char *key, qins_error *error);

#endif
