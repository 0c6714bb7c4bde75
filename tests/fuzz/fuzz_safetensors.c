// libFuzzer: arbitrary bytes as a safetensors file. Built by `make fuzz`.
#include "convert/safetensors.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < QINS_SAFETENSORS_PREFIX) return 0;
    qins_error error = {0};
    size_t header_bytes = qins_safetensors_header_bytes(data, size, &error);
    if (header_bytes == 0) return 0;
    const uint64_t data_bytes = size - QINS_SAFETENSORS_PREFIX - header_bytes;
    qins_safetensors header;
    const char *json = (const char *)data + QINS_SAFETENSORS_PREFIX;
    if (qins_safetensors_parse(&header, json, header_bytes, data_bytes, &error) == QINS_OK) {
        uint64_t end = 0;
        for (size_t i = 0; i < header.n_tensors; i++) { // the parser's guarantees
            const qins_source_tensor *tensor = &header.tensors[i];
            if (tensor->offset != end || tensor->dtype == NULL || tensor->rank > QINS_SAFETENSORS_MAX_RANK) abort();
            end += tensor->bytes;
        }
        if (end != data_bytes) abort();
    }
    qins_safetensors_free(&header);
    return 0;
}
