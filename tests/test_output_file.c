// Outputs: whole or not there, whatever ends the program, and never in place of a file that the user needs.
#include "engine/base/file.h"
#include "engine/base/leftovers.h"
#include "engine/base/output_file.h"
#include "tests/support.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *in(const char *folder, const char *name) {
    static char paths[4][400];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static size_t count_files(const char *folder) {
    size_t n = 0;
    DIR *entries = opendir(folder);
    while (readdir(entries) != NULL) n++;
    closedir(entries);
    return n - 2;
}

static void expect_content(const char *path, const char *wanted) {
    qins_error error = {0};
    size_t size;
    char *text = qins_file_read_all(path, 100, &size, QINS_FAILED, &error);
    expect_ok(&error);
    cr_expect_str_eq(text, wanted);
    free(text);
}

Test(output_file, is_replaced_whole_or_not_at_all) {
    char *folder = temporary_folder(), path[256], link[256];
    qins_error error = {0};
    struct stat info;
    snprintf(path, sizeof path, "%s/file", folder);
    snprintf(link, sizeof link, "%s/link", folder);
    cr_assert_eq(symlink("file", link), 0);
    qins_file_replace(path, "one", 3, 0640, &error);
    expect_ok(&error);
    cr_expect(stat(path, &info) == 0 && (info.st_mode & 0777) == 0640);
    qins_file_replace(link, "two", 3, 0640, &error);
    expect_ok(&error);
    expect_content(path, "two");
    cr_expect(lstat(link, &info) == 0 && S_ISLNK(info.st_mode), "the link is still one");

    const struct rlimit limit = {2, 2}; // as a full disk
    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    qins_file_replace(path, "three", 5, 0640, &error);
    expect_error(&error, QINS_FAILED, "cannot write");
    expect_content(path, "two");
    qins_file_replace(folder, "x", 1, 0640, &error);
    expect_error(&error, QINS_USAGE, "is not a regular file");
    qins_file_replace("/nonexistent/file", "x", 1, 0640, &error);
    expect_error(&error, QINS_FAILED, "cannot create a file in the folder /nonexistent: ");
    remove_folder(folder); // finds no other files
}

static const qins_guard text_guard = {.magic = "TEXT", .kind = "text of ours"};

Test(output_file, appears_when_it_is_complete) {
    char *folder = temporary_folder();
    qins_error error = {0};
    qins_output_file file;
    qins_output_file_open(&file, in(folder, "out"), 0666, &text_guard, &error);
    cr_assert_eq(write(file.fd, "TEXT", 4), 4);
    cr_expect_eq(count_files(folder), file.temporary == NULL ? 0 : 1);
    cr_expect_eq(access(in(folder, "out"), F_OK), -1);
    qins_output_file_commit(&file, &error);
    qins_output_file_close(&file);
    expect_ok(&error);
    expect_content(in(folder, "out"), "TEXT");
    cr_expect_eq(count_files(folder), 1);
    qins_output_file_open(&file, in(folder, "out"), 0666, &text_guard, &error);
    qins_output_file_close(&file); // given up
    expect_content(in(folder, "out"), "TEXT");
    cr_expect_eq(count_files(folder), 1);
    remove_folder(folder);
}

Test(output_file, somebody_else_may_create_the_file_meanwhile) {
    char *folder = temporary_folder();
    qins_error error = {0};
    for (int i = 0; i < 2; i++) { // an output of the same kind is replaced, anything else is not
        qins_output_file file;
        qins_output_file_open(&file, in(folder, "out"), 0666, &text_guard, &error);
        cr_assert_eq(write(file.fd, "TEXT!", 5), 5);
        write_file(folder, "out", i == 0 ? "TEXT" : "mine", 4);
        qins_output_file_commit(&file, &error);
        qins_output_file_close(&file);
        if (i == 0)
            expect_ok(&error);
        else
            expect_error(&error, QINS_USAGE, "exists and is not a text of ours");
        expect_content(in(folder, "out"), i == 0 ? "TEXT!" : "mine");
        cr_expect_eq(count_files(folder), 1);
    }
    remove_folder(folder);
}

Test(output_file, guard_knows_files_by_identity) {
    char *folder = temporary_folder(), input[300];
    qins_error error = {0};
    snprintf(input, sizeof input, "%s", write_file(folder, "input", "TEXT of mine", 12));
    write_file(folder, "old", "TEXT", 4);
    write_file(folder, "short", "TE", 2);
    write_file(folder, "other", "something", 9);
    cr_assert(symlink("input", in(folder, "soft")) == 0 && link(input, in(folder, "hard")) == 0);
    qins_guard guard = {.magic = "TEXT", .kind = "text of ours", .inputs = {{input, "the input"}}};
    static const char *const names[] = {"input", "soft", "hard", "./input"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        qins_guard_check(&guard, in(folder, names[i]), &error);
        expect_error(&error, QINS_USAGE, "is the input");
    }
    guard.inputs[0].path = NULL;
    cr_expect_eq(qins_guard_check(&guard, input, &error), QINS_OK);
    cr_expect_eq(qins_guard_check(&guard, in(folder, "old"), &error), QINS_OK);
    cr_expect_eq(qins_guard_check(&guard, in(folder, "new"), &error), QINS_OK);
    qins_guard_check(&guard, in(folder, "other"), &error);
    expect_error(&error, QINS_USAGE, "other exists and is not a text of ours");
    qins_guard_check(&guard, in(folder, "short"), &error);
    expect_error(&error, QINS_USAGE, "exists and is not a text of ours");
    guard.inputs[0] = (qins_guarded){folder, "a file of the folder"};
    qins_guard_check(&guard, in(folder, "other"), &error);
    expect_error(&error, QINS_USAGE, "is a file of the folder (");
    guard.force = true;
    cr_expect_eq(qins_guard_check(&guard, in(folder, "other"), &error), QINS_OK);
    qins_guard_check(&guard, folder, &error);
    expect_error(&error, QINS_USAGE, "is a folder");
    qins_guard_check(&guard, "/dev/null", &error);
    expect_error(&error, QINS_USAGE, "is not a regular file");
    remove_folder(folder);
}

Test(output_file, a_guard_that_cannot_look_refuses) {
    char *folder = temporary_folder();
    qins_error error = {0};
    cr_assert_eq(symlink("loop", in(folder, "loop")), 0);
    write_file(folder, "old", "TEXT", 4);
    qins_guard guard = {.magic = "TEXT", .kind = "text of ours"};
    qins_guard_check(&guard, in(folder, "loop"), &error);
    expect_error(&error, QINS_FAILED, "cannot examine");
    char loop[300];
    snprintf(loop, sizeof loop, "%s", in(folder, "loop"));
    guard.inputs[0] = (qins_guarded){loop, "the input"};
    qins_guard_check(&guard, in(folder, "old"), &error);
    expect_error(&error, QINS_FAILED, "cannot examine");
    qins_file_replace(in(folder, "loop"), "x", 1, 0666, &error);
    expect_error(&error, QINS_FAILED, "cannot examine");
    remove_folder(folder);
}

static void expect_permissions(const char *folder, unsigned before, unsigned mode, unsigned after) {
    qins_error error = {0};
    struct stat info;
    const char *path = in(folder, "file");
    write_file(folder, "file", "old", 3);
    cr_assert_eq(chmod(path, before), 0);
    qins_file_replace(path, "new", 3, mode, &error);
    expect_ok(&error);
    cr_expect(stat(path, &info) == 0 && (info.st_mode & 07777) == after, "%o, asked for %o: %o, not %o", before, mode,
              info.st_mode & 07777, after);
    unlink(path);
}

Test(output_file, keeps_the_permissions_of_the_file_that_it_replaces) {
    char *folder = temporary_folder();
    umask(022);
    expect_permissions(folder, 0600, 0666, 0600);
    expect_permissions(folder, 0664, 0666, 0664); // whatever the mask is
    expect_permissions(folder, 0400, 0666, 0400);
    expect_permissions(folder, 0644, 0600, 0600); // no more than was asked for
    expect_permissions(folder, 06755, 0666, 0644);
    cr_expect_eq(umask(0), 022, "the mask is as before");
    remove_folder(folder);
}

// A program that is killed while its unfinished file has a name.
static void leave_unfinished(const char *name) {
    const pid_t child = fork();
    if (child == 0) {
        const int fd = open(name, O_CREAT | O_RDWR, 0666);
        qins_unfinished_lock(fd);
        raise(SIGKILL);
    }
    cr_assert_eq(waitpid(child, NULL, 0), child);
}

Test(output_file, what_a_killed_program_left_is_removed) {
    char *folder = temporary_folder();
    qins_error error = {0};
    char *dead = qins_unfinished_name(folder, "somewhere/model.qins", &error),
         *held = qins_unfinished_name(folder, "other.qins", &error);
    cr_expect(strstr(dead, "/.model.qins.") != NULL && strstr(dead, ".unfinished") != NULL, "%s", dead);
    leave_unfinished(dead);
    const int fd = open(held, O_CREAT | O_RDWR, 0666);
    cr_expect(qins_unfinished_lock(fd));
    write_file(folder, ".a.unfinished", "", 0); // names that are not ours
    write_file(folder, ".a.ABCDEF.unfinished", "", 0);
    write_file(folder, "a.abcdef.unfinished", "", 0);
    cr_assert_eq(symlink("a.abcdef.unfinished", in(folder, ".a.abcdef.unfinished")), 0);
    cr_expect_eq(access(dead, F_OK), 0);
    cr_expect_eq(count_files(folder), 6);
    qins_file_replace(in(folder, "out"), "x", 1, 0666, &error);
    expect_ok(&error);
    cr_expect_eq(access(dead, F_OK), -1);
    cr_expect_eq(access(held, F_OK), 0);
    cr_expect_eq(count_files(folder), 6);
    unlink(held);
    cr_expect(!qins_unfinished_lock(fd), "it is noticed that the name is gone");
    close(fd);
    unlink(in(folder, ".a.unfinished")); // remove_folder keeps away from hidden files
    unlink(in(folder, ".a.ABCDEF.unfinished"));
    unlink(in(folder, ".a.abcdef.unfinished"));
    free(dead);
    free(held);
    remove_folder(folder);
}

Test(output_file, long_names_have_room) {
    char *folder = temporary_folder(), name[256];
    qins_error error = {0};
    memset(name, 'n', 255);
    name[255] = '\0';
    for (int i = 0; i < 2; i++) qins_file_replace(in(folder, name), "x", 1, 0666, &error);
    expect_ok(&error);
    expect_content(in(folder, name), "x");
    remove_folder(folder);
}
