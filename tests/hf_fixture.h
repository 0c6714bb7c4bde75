// Test support: a small Hugging Face folder of the Phi-3 family, made on the spot and open to any damage.
#ifndef QINS_TESTS_HF_FIXTURE_H
#define QINS_TESTS_HF_FIXTURE_H

#include "engine/kernels/matrix.h"

enum { FIXTURE_TENSORS = 15, FIXTURE_MAX_TENSORS = 32 };

// Two layers, hidden 80 (a unit of 64 columns and a part of one), ffn 72, 4 heads, 2 KV heads of 20, vocabulary 96.
extern const char fixture_config[]; // its config.json

typedef struct fixture_tensor {
    char name[96];
    const char *dtype; // as in the safetensors header
    size_t shape[3], rank;
    uint8_t *data; // owned
    size_t bytes;
    bool absent; // leave it out when writing
} fixture_tensor;

typedef struct hf_fixture {
    char path[64]; // the folder
    fixture_tensor tensors[FIXTURE_MAX_TENSORS];
    size_t n_tensors;
} hf_fixture;

// A new temporary folder with config.json and generation_config.json; the weights, pseudo-random of the type (F32,
// BF16 or F16), are in memory until they are written.
void hf_fixture_make(hf_fixture *fixture, qins_type type);
void hf_fixture_remove(hf_fixture *fixture);

fixture_tensor *hf_fixture_find(hf_fixture *fixture, const char *name);
fixture_tensor *hf_fixture_add(hf_fixture *fixture, const char *name, const char *dtype, size_t rows, size_t cols);
// Take q, k and v, gate and up apart, as Llama has them.
void hf_fixture_split(hf_fixture *fixture);
float hf_fixture_value(const fixture_tensor *tensor, size_t index);
void hf_fixture_set(fixture_tensor *tensor, size_t index, float value);

// "FOLDER/NAME" in a static buffer (the last of four is valid).
const char *hf_fixture_path(const hf_fixture *fixture, const char *name);
void hf_fixture_text(const hf_fixture *fixture, const char *name, const char *text);

// One model.safetensors, or n_shards > 1 files, tensors dealt in turn, with an index.
void hf_fixture_write(const hf_fixture *fixture, size_t n_shards);

// The whole of a file, released with free().
uint8_t *hf_fixture_read(const char *path, size_t *size);

#endif
