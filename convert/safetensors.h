// The header of a safetensors file: 8 bytes with the length of a JSON text, that text, then the tensors' bytes without
// gaps. Parsing works on memory; nothing here opens a file.
#ifndef QINS_CONVERT_SAFETENSORS_H
#define QINS_CONVERT_SAFETENSORS_H

#include "engine/base/json.h"
#include "engine/kernels/code.h"

enum {
    QINS_SAFETENSORS_PREFIX = 8,             // bytes of the length before the header
    QINS_SAFETENSORS_MAX_HEADER = 100000000, // bytes, a rule of the format
    QINS_SAFETENSORS_MAX_RANK = 8
};

typedef struct qins_dtype {
    const char *name; // as in the file: "BF16"
    size_t bits;
    bool readable;  // can be converted
    qins_type type; // its counterpart, if readable
} qins_dtype;

typedef struct qins_source_tensor {
    const char *stored; // the name in the file, owned by the header's JSON
    const char *name;   // the same, until a checkpoint takes it
    const qins_dtype *dtype;
    size_t rank;
    size_t shape[QINS_SAFETENSORS_MAX_RANK]; // [rank]
    uint64_t offset;                         // bytes, from the end of the header
    uint64_t bytes;
    size_t shard; // which file holds it; the checkpoint's business
} qins_source_tensor;

typedef struct qins_safetensors {
    qins_json *json;             // owns the names
    qins_source_tensor *tensors; // owned, [n_tensors] in the order of their bytes
    size_t n_tensors;
} qins_safetensors;

// Length of the header's JSON, from the first bytes of a file of `file_bytes`; 0 and an error when it is impossible.
size_t qins_safetensors_header_bytes(const uint8_t prefix[QINS_SAFETENSORS_PREFIX], uint64_t file_bytes,
                                     qins_error *error);

// Parse `size` bytes of JSON; `data_bytes` follow them in the file and must be covered exactly by the tensors. An error
// (QINS_BAD_MODEL) names the tensor. Release with qins_safetensors_free also after a failure.
qins_status qins_safetensors_parse(qins_safetensors *header, const char *json, size_t size, uint64_t data_bytes,
                                   qins_error *error);
void qins_safetensors_free(qins_safetensors *header);

// The dtype's name of F32, F16 or BF16.
const char *qins_safetensors_type_name(qins_type type);

// "[2, 3]" into text[capacity], truncated if necessary.
void qins_shape_print(char *text, size_t capacity, const size_t *shape, size_t rank);

#endif
