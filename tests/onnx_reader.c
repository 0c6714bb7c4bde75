// Fields of protobuf messages; see onnx_reader.h.
#include "tests/onnx_reader.h"

#include <criterion/criterion.h>
#include <string.h>

static uint64_t take_varint(onnx_bytes *message) {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        cr_assert_gt(message->size, 0u, "a number is cut off");
        const uint8_t byte = *message->data++;
        message->size--;
        value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) return value;
    }
    cr_assert_fail("a number is too long");
    return 0;
}

bool onnx_next(onnx_bytes *message, onnx_field *field) {
    if (message->size == 0) return false;
    const uint64_t key = take_varint(message), value = take_varint(message);
    cr_assert(key % 8 == 0 || key % 8 == 2, "wire type %u is not used", (unsigned)(key % 8));
    *field = (onnx_field){.number = (unsigned)(key / 8), .is_message = key % 8 == 2, .value = value};
    if (!field->is_message) return true;
    cr_assert_leq(value, message->size, "field %u has %zu of %zu bytes", field->number, message->size, (size_t)value);
    field->bytes = (onnx_bytes){message->data, (size_t)value};
    message->data += value;
    message->size -= (size_t)value;
    return true;
}

onnx_field onnx_get(onnx_bytes message, unsigned number, size_t n) {
    for (onnx_field field; onnx_next(&message, &field);)
        if (field.number == number && n-- == 0) return field;
    return (onnx_field){0};
}

size_t onnx_count(onnx_bytes message, unsigned number) {
    size_t count = 0;
    for (onnx_field field; onnx_next(&message, &field);) count += field.number == number;
    return count;
}

const char *onnx_text(onnx_bytes message, unsigned number, size_t n) {
    enum { TEXTS = 8, TEXT = 128 };
    static char texts[TEXTS][TEXT];
    static size_t next;
    const onnx_field field = onnx_get(message, number, n);
    char *text = texts[next++ % TEXTS];
    cr_assert_lt(field.bytes.size, (size_t)TEXT);
    if (field.bytes.size > 0) memcpy(text, field.bytes.data, field.bytes.size);
    text[field.bytes.size] = '\0';
    return text;
}

const char *onnx_entry(onnx_bytes message, unsigned number, const char *key) {
    for (onnx_field field; onnx_next(&message, &field);)
        if (field.number == number && strcmp(onnx_text(field.bytes, 1, 0), key) == 0)
            return onnx_text(field.bytes, 2, 0);
    return "";
}
