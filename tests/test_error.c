// Errors: the first one wins, contexts come before the message, nothing overflows.
#include "engine/base/error.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

Test(error, the_first_one_wins) {
    qins_error error = {0};
    cr_expect_eq(qins_fail(&error, QINS_BAD_MODEL, "tensor %d", 3), QINS_BAD_MODEL);
    cr_expect_eq(qins_fail(&error, QINS_USAGE, "later"), QINS_BAD_MODEL);
    errno = ENOENT;
    cr_expect_eq(qins_fail_errno(&error, QINS_FAILED, "later"), QINS_BAD_MODEL);
    cr_expect_str_eq(error.message, "tensor 3");
}

Test(error, the_text_of_errno_follows) {
    qins_error error = {0};
    errno = ENOENT;
    cr_expect_eq(qins_fail_errno(&error, QINS_FAILED, "cannot open %s", "x"), QINS_FAILED);
    cr_expect_str_eq(error.message, "cannot open x: No such file or directory");
}

Test(error, contexts_nest_and_need_an_error) {
    qins_error error = {0};
    cr_expect_eq(qins_error_context(&error, "nothing"), QINS_OK);
    cr_expect_str_empty(error.message);
    qins_fail(&error, QINS_BAD_MODEL, "too long");
    cr_expect_eq(qins_error_context(&error, "tensor %s", "a"), QINS_BAD_MODEL);
    cr_expect_eq(qins_error_context(&error, "file"), QINS_BAD_MODEL);
    cr_expect_str_eq(error.message, "file: tensor a: too long");
}

Test(error, long_messages_are_cut) {
    static char text[5000];
    memset(text, 'x', sizeof text - 1);
    qins_error error = {0};
    qins_fail(&error, QINS_FAILED, "%s", text);
    cr_expect_eq(strlen(error.message), sizeof error.message - 1);
    qins_error_context(&error, "context");
    cr_expect_eq(strlen(error.message), sizeof error.message - 1);
    cr_expect_eq(strncmp(error.message, "context: xxx", 12), 0);
    qins_error_context(&error, "%s", text);
    cr_expect_eq(strlen(error.message), sizeof error.message - 1);
    error = (qins_error){0};
    errno = ENOENT;
    qins_fail_errno(&error, QINS_FAILED, "%s", text);
    cr_expect_eq(strlen(error.message), sizeof error.message - 1);
}
