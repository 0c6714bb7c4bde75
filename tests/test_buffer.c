// The growing buffer: little-endian appends that the cursor reads back.
#include "engine/base/buffer.h"
#include "engine/base/cursor.h"
#include "tests/support.h"

#include <string.h>

Test(buffer, what_is_appended_is_read_back) {
    qins_error error = {0};
    qins_buffer buffer = {.error = &error};
    for (uint64_t i = 0; i < 1000; i++) {
        qins_buffer_u8(&buffer, (uint8_t)i);
        qins_buffer_u16(&buffer, (uint16_t)(i * 257));
        qins_buffer_u32(&buffer, (uint32_t)(i * 0x01234567));
        qins_buffer_u64(&buffer, i * UINT64_C(0x123456789ABCDEF));
        qins_buffer_append(&buffer, "xyz", i % 4);
    }
    expect_ok(&error);
    qins_cursor cursor = {buffer.data, buffer.size, 0, &error};
    for (uint64_t i = 0; i < 1000; i++) {
        cr_assert_eq(qins_cursor_u8(&cursor, ""), (uint8_t)i);
        cr_assert_eq(qins_cursor_u16(&cursor, ""), (uint16_t)(i * 257));
        cr_assert_eq(qins_cursor_u32(&cursor, ""), (uint32_t)(i * 0x01234567));
        cr_assert_eq(qins_cursor_u64(&cursor, ""), i * UINT64_C(0x123456789ABCDEF));
        const uint8_t *text = qins_cursor_bytes(&cursor, i % 4, "");
        cr_assert(text != NULL && memcmp(text, "xyz", i % 4) == 0);
    }
    cr_expect_eq(qins_cursor_left(&cursor), 0);
    qins_buffer_free(&buffer);
    cr_expect(buffer.data == NULL && buffer.size == 0 && buffer.capacity == 0);
}

Test(buffer, bytes_are_little_endian) {
    static const uint8_t expected[] = {0x12, 0x34, 0x12, 0x78, 0x56, 0x34, 0x12, 0xEF,
                                       0xCD, 0xAB, 0x89, 0x67, 0x45, 0x23, 0x01};
    qins_error error = {0};
    qins_buffer buffer = {.error = &error};
    qins_buffer_u8(&buffer, 0x12);
    qins_buffer_u16(&buffer, 0x1234);
    qins_buffer_u32(&buffer, 0x12345678);
    qins_buffer_u64(&buffer, UINT64_C(0x0123456789ABCDEF));
    cr_assert_eq(buffer.size, sizeof expected);
    cr_expect_eq(memcmp(buffer.data, expected, sizeof expected), 0);
    qins_buffer_free(&buffer);
}

Test(buffer, a_size_that_cannot_be_is_refused_and_changes_nothing) {
    qins_error error = {0};
    qins_buffer buffer = {.error = &error};
    qins_buffer_append(&buffer, NULL, 0);
    cr_expect_eq(buffer.size, 0);
    qins_buffer_u8(&buffer, 5);
    qins_buffer_append(&buffer, "x", SIZE_MAX);
    cr_expect(buffer.size == 1 && buffer.data[0] == 5);
    expect_error(&error, QINS_FAILED, "");
    qins_buffer_append(&buffer, "x", SIZE_MAX - 1);
    cr_expect(buffer.size == 1 && buffer.data[0] == 5);
    expect_error(&error, QINS_FAILED, "");
    qins_buffer_free(&buffer);
}
