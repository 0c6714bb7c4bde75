// Foreign text is shown, not obeyed.
#include "engine/base/error.h"
#include "engine/base/escape.h"
#include "engine/base/json.h"
#include "engine/base/utf8.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static void expect_escaped(const char *text, size_t size, const char *expected) {
    char to[256];
    cr_expect_str_eq(qins_escape(to, sizeof to, text, size), expected);
}

Test(escape, control_characters_and_stray_bytes) {
    expect_escaped("plain caf\xC3\xA9 \xE6\x97\xA5", 15, "plain caf\xC3\xA9 \xE6\x97\xA5");
    expect_escaped("\x1b]0;t\x07", 6, "\\x1b]0;t\\x07");
    expect_escaped("a\nb\rc\td", 7, "a\\nb\\rc\\td");
    expect_escaped("\0\x7f", 2, "\\x00\\x7f");
    expect_escaped("\xC2\x9B"
                   "2J",
                   4, "\\x9b2J"); // CSI as one character
    expect_escaped("\x9B\xFF\xC3", 3, "\\x9b\\xff\\xc3");
    expect_escaped("\xC2\xA0", 2, "\xC2\xA0"); // a no-break space is not a control character
    expect_escaped("n\\", 2, "n\\");
    expect_escaped(NULL, 0, "");
}

Test(escape, nothing_is_cut_in_two) {
    char to[8];
    cr_expect_str_eq(qins_escape(to, 8, "abcde\x1b", 6), "abcde");
    cr_expect_str_eq(qins_escape(to, 8, "abc\x1b", 4), "abc\\x1b");
    cr_expect_str_eq(qins_escape(to, 8, "abcdef\xC3\xA9", 8), "abcdef");
    cr_expect_str_eq(qins_escape(to, 8, "abcde\xC3\xA9", 7), "abcde\xC3\xA9");
    cr_expect_str_eq(qins_escape(to, 1, "abc", 3), "");
}

Test(escape, messages_keep_their_lines) {
    qins_error error = {0};
    qins_fail(&error, QINS_BAD_MODEL, "tensor %s: missing", "a\nqinsrun: done\x1b[2J");
    qins_error_context(&error, "file\t%d", 1);
    cr_expect_str_eq(error.message, "file\\t1: tensor a\\nqinsrun: done\\x1b[2J: missing");
}

Test(escape, lines_of_a_message) {
    qins_error error = {0};
    cr_expect(!qins_error_line(&error, "nothing is recorded"));
    qins_fail(&error, QINS_BAD_MODEL, "damaged:");
    cr_expect(qins_error_line(&error, "%s", "a\nb"));
    cr_expect(qins_error_line(&error, "c"));
    cr_expect_str_eq(error.message, "damaged:\n  a\\nb\n  c");
    while (qins_error_line(&error, "a line that is repeated until the message is full")) {
    }
    cr_expect_lt(strlen(error.message), sizeof error.message);
    cr_expect_str_eq(error.message + strlen(error.message) - 4, "full");
}

Test(escape, json) {
    qins_error error = {0};
    qins_json *root = qins_json_new_object(&error);
    qins_json_add_string(root, "k\x7f", "\x1b[\xC2\x9B\xC2\xA0\xC3\x9B\xC2\x80", &error);
    char *text = qins_json_print(root, &error);
    cr_assert_eq(error.status, QINS_OK);
    cr_expect_str_eq(text, "{\"k\\u007f\":\"\\u001b[\\u009b\xC2\xA0\xC3\x9B\\u0080\"}");
    qins_json *again = qins_json_parse(text, strlen(text), QINS_BAD_MODEL, &error);
    cr_expect_str_eq(qins_json_get_string(again, "k\x7f", QINS_BAD_MODEL, &error),
                     "\x1b[\xC2\x9B\xC2\xA0\xC3\x9B\xC2\x80");
    free(text);
    qins_json_free(again);
    qins_json_free(root);
}

// Pushed in pieces of every length, the text shows as expected.
static void expect_visible(const char *text, size_t size, const char *expected) {
    for (size_t piece = 1; piece <= size; piece++) {
        qins_error error = {0};
        qins_buffer out = {.error = &error};
        qins_visible visible = {.n_held = 0};
        for (size_t at = 0; at < size; at += piece)
            qins_visible_push(&visible, text + at, size - at < piece ? size - at : piece, &out);
        qins_visible_finish(&visible, &out);
        qins_buffer_u8(&out, '\0');
        cr_expect_str_eq((const char *)out.data, expected, "in pieces of %zu", piece);
        qins_buffer_free(&out);
    }
}

Test(escape, a_terminal_gets_tabs_and_newlines_and_nothing_to_obey) {
    static const char plain[] = "plain\tcaf\xC3\xA9\n\xE6\x97\xA5\xF0\x9F\x98\x80\n";
    expect_visible(plain, sizeof plain - 1, plain);
    expect_visible("a\x1b[2J\r\0\x7f\b", 9, "a\\x1b[2J\\r\\x00\\x7f\\x08");
    expect_visible("\xC2\x9B"
                   "2J\xC2\x9D"
                   "0;t\xC2\x9C",
                   11, "\\x9b2J\\x9d0;t\\x9c");
    expect_visible("\x9B"
                   "2J",
                   3, "\\x9b2J");
    expect_visible("\xC2", 1, "\\xc2");
    expect_visible("\xE6\x97\x1b", 3, "\\xe6\\x97\\x1b"); // the byte that cuts a character short is checked, too
    expect_visible("\xC2\xC2\x9B", 3, "\\xc2\\x9b");
    expect_visible("\xF0\x9F\x98", 3, "\\xf0\\x9f\\x98");
}

// Every sequence of three bytes: nothing comes out that a terminal obeys.
Test(escape, no_sequence_of_bytes_gets_through) {
    qins_error error = {0};
    qins_buffer out = {.error = &error};
    for (uint32_t bytes = 0; bytes < 1u << 24; bytes += bytes % 251 == 0 ? 1 : 7) {
        const char text[3] = {(char)(bytes >> 16), (char)(bytes >> 8), (char)bytes};
        qins_visible visible = {.n_held = 0};
        out.size = 0;
        qins_visible_push(&visible, text, 3, &out);
        qins_visible_finish(&visible, &out);
        for (size_t i = 0; i < out.size; i++) {
            const bool is_plain = out.data[i] >= 0x20 && out.data[i] != 0x7F;
            const bool is_c1 = out.data[i] == 0xC2 && i + 1 < out.size && out.data[i + 1] < 0xA0;
            cr_assert(!is_c1 && (is_plain || out.data[i] == '\t' || out.data[i] == '\n'), "%06x", bytes);
        }
        cr_assert(utf8_is_valid((const char *)out.data, out.size), "%06x", bytes);
    }
    qins_buffer_free(&out);
}
