// A LoRA adapter, as peft saves it: adapter_config.json and adapter_model.safetensors. It is merged into the rows of a
// checkpoint; anything else that it may contain (DoRA, whole tensors, biases, embeddings) is refused by name.
#ifndef QINS_CONVERT_LORA_H
#define QINS_CONVERT_LORA_H

#include "convert/lora_config.h"
#include "convert/match.h"

typedef struct qins_lora {
    qins_hf_folder folder; // its sources have the hash of the whole of both files
    qins_checkpoint weights;
    qins_json *json; // of its configuration
    qins_lora_config config;
    qins_problems problems; // with the adapter
    size_t first_source;    // place of its files among the sources of the whole conversion
} qins_lora;

// Read and check the configuration and the list of tensors of the adapter in options->lora. Release with
// qins_lora_close, also after a failure.
qins_status qins_lora_open(qins_lora *lora, const qins_convert_options *options, size_t first_source,
                           qins_error *error);
void qins_lora_close(qins_lora *lora);

// Warn if the adapter's folder has a tokenizer or a chat template that differs from the base model's: the base's are
// used.
qins_status qins_lora_compare_text(const qins_lora *lora, const qins_hf_folder *base, qins_error *error);

// Add the updates to the header's tensors, rows[n_tensors], which must be complete. The adapter may have q, k and v,
// gate and up fused or separate, regardless of the checkpoint. The files must stay open as long as the rows are read.
qins_status qins_lora_apply(qins_lora *lora, const qins_header *header, qins_rows *rows, qins_error *error);

#endif
