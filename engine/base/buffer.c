// Growing byte buffer; see buffer.h.
#include "engine/base/buffer.h"

#include "engine/base/memory.h"

#include <stdlib.h>
#include <string.h>

void qins_buffer_append(qins_buffer *buffer, const void *bytes, size_t size) {
    if (size == 0) return;
    size_t needed;
    if (!qins_add(buffer->size, size, &needed)) {
        qins_fail(buffer->error, QINS_FAILED, "a buffer of %zu + %zu bytes cannot be addressed", buffer->size, size);
        return;
    }
    void *data = buffer->data;
    if (qins_grow(&data, &buffer->capacity, needed, 1, buffer->error) != QINS_OK) return;
    buffer->data = data;
    memcpy(buffer->data + buffer->size, bytes, size);
    buffer->size = needed;
}

static void append_integer(qins_buffer *buffer, uint64_t value, size_t size) {
    uint8_t bytes[8];
    for (size_t i = 0; i < size; i++) bytes[i] = (uint8_t)(value >> (8 * i));
    qins_buffer_append(buffer, bytes, size);
}

void qins_buffer_u8(qins_buffer *buffer, uint8_t value) {
    append_integer(buffer, value, 1);
}

void qins_buffer_u16(qins_buffer *buffer, uint16_t value) {
    append_integer(buffer, value, 2);
}

void qins_buffer_u32(qins_buffer *buffer, uint32_t value) {
    append_integer(buffer, value, 4);
}

void qins_buffer_u64(qins_buffer *buffer, uint64_t value) {
    append_integer(buffer, value, 8);
}

void qins_buffer_free(qins_buffer *buffer) {
    free(buffer->data);
    buffer->data = NULL;
    buffer->size = buffer->capacity = 0;
}
