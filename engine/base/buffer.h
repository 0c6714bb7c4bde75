// A growing byte buffer, little-endian appends: the counterpart of the cursor. Errors are sticky in the buffer's
// qins_error, so a writer needs to check only once, at its end.
#ifndef QINS_BASE_BUFFER_H
#define QINS_BASE_BUFFER_H

#include "engine/base/error.h"

#include <stddef.h>
#include <stdint.h>

typedef struct qins_buffer {
    uint8_t *data; // owned; release with qins_buffer_free
    size_t size;   // bytes used
    size_t capacity;
    qins_error *error;
} qins_buffer;

// Append; on failure the error is recorded and the buffer stays as it was.
void qins_buffer_append(qins_buffer *buffer, const void *bytes, size_t size);
void qins_buffer_u8(qins_buffer *buffer, uint8_t value);
void qins_buffer_u16(qins_buffer *buffer, uint16_t value);
void qins_buffer_u32(qins_buffer *buffer, uint32_t value);
void qins_buffer_u64(qins_buffer *buffer, uint64_t value);
void qins_buffer_free(qins_buffer *buffer);

#endif
