// Test support: the fields of an ONNX model's messages, read from its bytes by the numbers of onnx.proto, without code
// of the product. Bytes that are not a message fail the test.
#ifndef QINS_TESTS_ONNX_READER_H
#define QINS_TESTS_ONNX_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct onnx_bytes {
    const uint8_t *data;
    size_t size;
} onnx_bytes;

typedef struct onnx_field {
    unsigned number;
    bool is_message; // or text, or bytes: `bytes`; else `value`
    onnx_bytes bytes;
    uint64_t value;
} onnx_field;

// Take the next field of a message; false at its end.
bool onnx_next(onnx_bytes *message, onnx_field *field);

// The n-th field of that number; an empty one where there are fewer.
onnx_field onnx_get(onnx_bytes message, unsigned number, size_t n);
size_t onnx_count(onnx_bytes message, unsigned number);

// Text of a field as a C string, valid for the next few calls.
const char *onnx_text(onnx_bytes message, unsigned number, size_t n);

// The value of a key of a list of StringStringEntryProto.
const char *onnx_entry(onnx_bytes message, unsigned number, const char *key);

#endif
