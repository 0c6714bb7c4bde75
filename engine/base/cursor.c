// Bounded little-endian reads; see cursor.h.
#include "engine/base/cursor.h"

const uint8_t *qins_cursor_bytes(qins_cursor *cursor, size_t size, const char *what) {
    if (size > qins_cursor_left(cursor)) {
        qins_fail(cursor->error, QINS_BAD_MODEL, "%s: %zu bytes needed at offset %zu, %zu left", what, size,
                  cursor->offset, qins_cursor_left(cursor));
        cursor->offset = cursor->size;
        return NULL;
    }
    const uint8_t *bytes = cursor->data + cursor->offset;
    cursor->offset += size;
    return bytes;
}

static uint64_t read_integer(qins_cursor *cursor, size_t size, const char *what) {
    const uint8_t *bytes = qins_cursor_bytes(cursor, size, what);
    if (bytes == NULL) return 0;
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++) value |= (uint64_t)bytes[i] << (8 * i);
    return value;
}

uint8_t qins_cursor_u8(qins_cursor *cursor, const char *what) {
    return (uint8_t)read_integer(cursor, 1, what);
}

uint16_t qins_cursor_u16(qins_cursor *cursor, const char *what) {
    return (uint16_t)read_integer(cursor, 2, what);
}

uint32_t qins_cursor_u32(qins_cursor *cursor, const char *what) {
    return (uint32_t)read_integer(cursor, 4, what);
}

uint64_t qins_cursor_u64(qins_cursor *cursor, const char *what) {
    return read_integer(cursor, 8, what);
}
