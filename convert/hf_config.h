// Hugging Face's config.json and generation_config.json to qins_config, with the meaning and the defaults that
// transformers' Phi3Config, LlamaConfig or MistralConfig gives to every key. Settings that cannot be honoured are
// refused by name.
#ifndef QINS_CONVERT_HF_CONFIG_H
#define QINS_CONVERT_HF_CONFIG_H

#include "convert/problems.h"
#include "engine/format/config.h"

// `config`: config.json; `generation`: generation_config.json, NULL if there is none. The result is checked. `problems`
// receives the settings that are ignored.
qins_status qins_hf_config_read(qins_config *result, const qins_json *config, const qins_json *generation,
                                const qins_problems *problems, qins_error *error);

#endif
