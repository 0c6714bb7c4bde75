// adapter_config.json of a LoRA adapter, with the meaning and the defaults of peft's LoraConfig.
#ifndef QINS_CONVERT_LORA_CONFIG_H
#define QINS_CONVERT_LORA_CONFIG_H

#include "convert/lora_pattern.h"
#include "convert/problems.h"
#include "engine/base/json.h"

// "rank_pattern" or "alpha_pattern": a value for the modules with matching names.
typedef struct qins_lora_patterns {
    qins_lora_pattern *items; // owned, [n], in their order
    size_t n;
} qins_lora_patterns;

typedef struct qins_lora_config {
    double rank, alpha; // where no pattern matches
    bool is_rslora;     // scale = alpha / sqrt(rank)
    qins_lora_patterns ranks, alphas;
} qins_lora_config;

// Read it, and refuse by name anything other than a plain sum of W and scale * B A. Patterns refer to the JSON. Release
// with qins_lora_config_free, also after a failure.
qins_status qins_lora_config_read(qins_lora_config *config, const qins_json *json, const qins_problems *problems,
                                  qins_error *error);
void qins_lora_config_free(qins_lora_config *config);

// Rank and scale of the update of a module such as "model.layers.0.self_attn.q_proj".
qins_status qins_lora_config_module(const qins_lora_config *config, const char *module, int64_t *rank, double *scale,
                                    qins_error *error);

#endif
