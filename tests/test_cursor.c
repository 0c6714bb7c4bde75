// The bounded cursor: values, bounds, one error with its offset.
#include "engine/base/cursor.h"
#include "tests/support.h"

#include <string.h>

static const uint8_t bytes[] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF,
                                0x10, 0x32, 0x54, 0x76, 0x98, 0xBA, 0xDC};

Test(cursor, reads_little_endian) {
    qins_error error = {0};
    qins_cursor cursor = {bytes, sizeof bytes, 0, &error};
    cr_expect_eq(qins_cursor_u8(&cursor, "a"), 0x01);
    cr_expect_eq(qins_cursor_u16(&cursor, "b"), 0x4523);
    cr_expect_eq(qins_cursor_u32(&cursor, "c"), 0xCDAB8967);
    cr_expect_eq(qins_cursor_u64(&cursor, "d"), UINT64_C(0xDCBA9876543210EF));
    cr_expect_eq(qins_cursor_left(&cursor), 0);
    cr_expect_eq(qins_cursor_bytes(&cursor, 0, "e"), bytes + sizeof bytes);
    expect_ok(&error);
}

Test(cursor, every_length_that_is_too_short_is_refused) {
    for (size_t size = 0; size < 15; size++) {
        test_guards guards = {0};
        qins_error error = {0};
        qins_cursor cursor = {guarded_copy(&guards, bytes, size), size, 0, &error};
        qins_cursor_u8(&cursor, "first");
        qins_cursor_u16(&cursor, "second");
        qins_cursor_u32(&cursor, "third");
        qins_cursor_u64(&cursor, "fourth");
        const char *what = size < 1 ? "first" : size < 3 ? "second" : size < 7 ? "third" : "fourth";
        expect_error(&error, QINS_BAD_MODEL, what);
        guards_free(&guards);
    }
}

Test(cursor, an_error_names_its_offset_and_ends_the_reading) {
    qins_error error = {0};
    qins_cursor cursor = {bytes, sizeof bytes, 0, &error};
    qins_cursor_u32(&cursor, "head");
    cr_expect_null(qins_cursor_bytes(&cursor, 12, "list of ids"));
    cr_expect(strstr(error.message, "list of ids") != NULL && strstr(error.message, "offset 4") != NULL);
    cr_expect_eq(qins_cursor_u8(&cursor, "next"), 0);
    cr_expect_null(qins_cursor_bytes(&cursor, SIZE_MAX, "more"));
    cr_expect_eq(qins_cursor_left(&cursor), 0);
    expect_error(&error, QINS_BAD_MODEL, "list of ids");
}
