// Foreign text is shown, not obeyed.
#include "engine/base/error.h"
#include "engine/base/escape.h"
#include "engine/base/json.h"

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
    expect_escaped("\xC2\xA0", 2, "\xC2\xA0"); // a space without a break is none
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
    qins_json *again = qins_json_parse(text, strlen(text), &error);
    cr_expect_str_eq(qins_json_get_string(again, "k\x7f", &error), "\x1b[\xC2\x9B\xC2\xA0\xC3\x9B\xC2\x80");
    free(text);
    qins_json_free(again);
    qins_json_free(root);
}
