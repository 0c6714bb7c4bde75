// adapter_config.json of a LoRA adapter, with the meaning and the defaults of peft's LoraConfig.
#ifndef QINS_CONVERT_LORA_CONFIG_H
#define QINS_CONVERT_LORA_CONFIG_H

#include "convert/problems.h"
#include "engine/base/json.h"

// Refuse by name anything other than a plain sum of W and scale * B A.
qins_status qins_lora_config_check(const qins_json *config, const qins_problems *problems, qins_error *error);

// Rank and scale of the update of a module such as "model.layers.0.self_attn.q_proj".
qins_status qins_lora_config_module(const qins_json *config, const char *module, int64_t *rank, double *scale,
                                    qins_error *error);

#endif
