// Text on its way to a terminal: broken between words, the same whatever the pieces it comes in.
#include "engine/cli/characters.h"
#include "engine/cli/wrap.h"
#include "tests/support.h"

#include <string.h>

static void expect_wrapped(const char *text, size_t width, const char *wanted, size_t column) {
    qins_characters_open();
    for (size_t piece = 1; piece <= strlen(text); piece++) {
        qins_error error = {0};
        qins_wrap wrap;
        qins_buffer out = {.error = &error};
        qins_wrap_init(&wrap, &error);
        wrap.width = width;
        for (size_t at = 0, end; at < strlen(text); at = end) {
            end = at + piece < strlen(text) ? at + piece : strlen(text);
            while (((unsigned char)text[end] & 0xC0) == 0x80) end++; // whole characters come
            qins_wrap_push(&wrap, text + at, end - at, &out);
        }
        qins_wrap_finish(&wrap, &out);
        expect_ok(&error);
        cr_assert(out.size == strlen(wanted) && memcmp(out.data, wanted, out.size) == 0,
                  "in pieces of %zu: '%.*s', not '%s'", piece, (int)out.size, (const char *)out.data, wanted);
        cr_assert_eq(wrap.column, column, "'%s': column %zu, not %zu", text, wrap.column, column);
        qins_buffer_free(&out);
        qins_wrap_free(&wrap);
    }
}

Test(wrap, lines_are_broken_between_words) {
    expect_wrapped("one two three", 0, "one two three", 13);
    expect_wrapped("one two three", 13, "one two three", 13);
    expect_wrapped("one two three", 12, "one two\nthree", 5);
    expect_wrapped("one  two\n\n  three", 5, "one\ntwo\n\n  three", 2);
    expect_wrapped("a quitelongword b", 6, "a\nquitelongword b", 3);
    expect_wrapped("\xE6\x97\xA5\xE6\x9C\xAC\xE8\xAA\x9E", 4, "\xE6\x97\xA5\xE6\x9C\xAC\n\xE8\xAA\x9E", 2);
    expect_wrapped("x ", 5, "x ", 2);
}

Test(wrap, code_is_left_alone) {
    expect_wrapped("so:\n```\nint a, b, c;\n```\nan end of it", 8, "so:\n```\nint a, b, c;\n```\nan end\nof it", 5);
    expect_wrapped("``` is not a `fence` here", 80, "``` is not a `fence` here", 25);
}
