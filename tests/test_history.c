// The history of typed lines: its file, with any contents, and lines that cannot be kept.
#include "engine/cli/history.h"
#include "tests/failing_allocation.h"
#include "tests/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *folder, path[256];

static void use_new_folder(void) {
    folder = temporary_folder();
    cr_assert_eq(setenv("XDG_STATE_HOME", folder, 1), 0);
    snprintf(path, sizeof path, "%s/qins/history", folder);
}

static void remove_it(void) {
    char name[256];
    snprintf(name, sizeof name, "%s/qins", folder);
    unlink(path);
    rmdir(name);
    remove_folder(folder);
}

static void add(qins_history *history, const char *text) {
    qins_error error = {0};
    qins_history_add(history, text, strlen(text), &error);
    expect_ok(&error);
}

static void open_history(qins_history *history) {
    qins_error error = {0};
    qins_history_open(history, &error);
    expect_ok(&error);
}

// Nothing is read after its last byte (the address sanitizer watches).
Test(history, a_line_of_spaces_is_not_kept, .init = use_new_folder, .fini = remove_it) {
    qins_error error = {0};
    qins_history history;
    open_history(&history);
    char *spaces = malloc(16);
    memset(spaces, ' ', 16);
    qins_history_add(&history, spaces, 16, &error);
    expect_ok(&error);
    cr_expect_eq(history.n_entries, 0);
    free(spaces);
    qins_history_close(&history);
}

Test(history, lines_come_back_in_the_next_session, .init = use_new_folder, .fini = remove_it) {
    static const char *const lines[] = {"one", "two\nlines", "a \\ and \\n and \t", "caf\xC3\xA9 \xFF"};
    const size_t n = sizeof lines / sizeof *lines;
    qins_history history;
    for (int session = 0; session < 2; session++) {
        open_history(&history);
        cr_expect_eq(history.n_entries, session == 0 ? 0 : n);
        for (size_t i = 0; i < n; i++) {
            if (session == 0) add(&history, lines[i]);
            cr_expect_str_eq(history.entries[i], lines[i]);
        }
        add(&history, lines[n - 1]); // the same again
        add(&history, "");
        add(&history, " \n");
        cr_expect_eq(history.n_entries, n);
        qins_history_close(&history);
    }
    struct stat info;
    cr_expect(stat(path, &info) == 0 && (info.st_mode & 0777) == 0600);
}

Test(history, the_newest_lines_of_a_long_file_are_kept, .init = use_new_folder, .fini = remove_it) {
    qins_history history;
    open_history(&history);
    qins_history_close(&history); // makes the folder
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    for (int i = 0; i < 5000; i++) fprintf(file, "%d\n", i);
    fputs("an end without a newline is not a line", file);
    fclose(file);
    for (int session = 0; session < 2; session++) {
        open_history(&history);
        cr_expect_eq(history.n_entries, 1000);
        cr_expect_str_eq(history.entries[0], "4000");
        cr_expect_str_eq(history.entries[999], "4999");
        qins_history_close(&history);
    }
    struct stat info;
    cr_expect(stat(path, &info) == 0 && info.st_size == 5000, "the file is shortened");
}

Test(history, without_a_place_it_is_that_of_the_session) {
    static const char *const places[] = {"/dev/null/x", "relative"};
    setenv("HOME", "/dev/null", 1);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        qins_history history;
        setenv("XDG_STATE_HOME", places[i], 1);
        open_history(&history);
        cr_expect_null(history.path);
        add(&history, "one");
        cr_expect_eq(history.n_entries, 1);
        qins_history_close(&history);
    }
}

Test(history, out_of_memory, .init = use_new_folder, .fini = remove_it) {
    bool hit = true;
    for (size_t n = 1; hit; n++) {
        qins_error error = {0};
        qins_history history;
        failing_allocation_set(n);
        qins_history_open(&history, &error);
        qins_history_add(&history, n % 2 == 0 ? "even" : "odd", 3, &error);
        hit = failing_allocation_hit();
        failing_allocation_set(0);
        cr_expect(error.status == QINS_OK || hit, "call %zu: %s", n, error.message);
        qins_history_close(&history);
    }
}
