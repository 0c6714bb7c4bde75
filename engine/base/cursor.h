// A bounded reader over bytes: every parser of binary data goes through it. The first read past the end records an
// error with its byte offset; from then on every read returns zeros, so a parser needs to check only once, at its end.
#ifndef QINS_BASE_CURSOR_H
#define QINS_BASE_CURSOR_H

#include "engine/base/error.h"

#include <stddef.h>
#include <stdint.h>

typedef struct qins_cursor {
    const uint8_t *data; // not owned
    size_t size;         // bytes
    size_t offset;       // next byte to read, <= size
    qins_error *error;   // where failures go
} qins_cursor;

static inline size_t qins_cursor_left(const qins_cursor *cursor) {
    return cursor->size - cursor->offset;
}

// The next `size` bytes, or NULL (with an error naming `what`) if fewer are left. They stay owned by the data.
const uint8_t *qins_cursor_bytes(qins_cursor *cursor, size_t size, const char *what);

// Little-endian unsigned integers; 0 on failure.
uint8_t qins_cursor_u8(qins_cursor *cursor, const char *what);
uint16_t qins_cursor_u16(qins_cursor *cursor, const char *what);
uint32_t qins_cursor_u32(qins_cursor *cursor, const char *what);
uint64_t qins_cursor_u64(qins_cursor *cursor, const char *what);

#endif
