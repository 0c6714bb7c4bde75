// Files: opening, whole reads and writes, reading to the end of files and pipes.
#include "engine/base/file.h"
#include "engine/base/map.h"
#include "tests/support.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

Test(file, opens_regular_files_only) {
    char *folder = temporary_folder();
    qins_error error = {0};
    size_t size = 0;
    const char *path = write_file(folder, "five", "12345", 5);
    int fd = qins_file_open(path, &size, QINS_BAD_MODEL, &error);
    expect_ok(&error);
    cr_expect(fd >= 0 && size == 5);
    close(fd);
    cr_expect_eq(qins_file_open(folder, &size, QINS_USAGE, &error), -1);
    expect_error(&error, QINS_USAGE, folder);
    cr_expect_eq(qins_file_open("/nonexistent/file", &size, QINS_BAD_MODEL, &error), -1);
    expect_error(&error, QINS_BAD_MODEL, "cannot open /nonexistent/file: No such file");
    cr_expect(qins_file_is_directory(folder) && !qins_file_is_directory(path));
    cr_expect(!qins_file_is_directory("/nonexistent/file"));
    remove_folder(folder);
}

Test(file, reads_and_writes_at_offsets) {
    qins_error error = {0};
    int fd = qins_memory_file("test", &error);
    char text[8] = "";
    qins_file_write_at(fd, "name", "world", 5, 6, &error);
    qins_file_write_at(fd, "name", "hello ", 6, 0, &error);
    qins_file_read_at(fd, "name", text, 7, 4, &error);
    expect_ok(&error);
    cr_expect_str_eq(text, "o world");
    qins_file_read_at(fd, "name", NULL, 0, 100, &error);
    qins_file_write_at(fd, "name", NULL, 0, 0, &error);
    expect_ok(&error);
    cr_expect_eq(qins_file_read_at(fd, "name", text, 7, 5, &error), QINS_BAD_MODEL);
    expect_error(&error, QINS_BAD_MODEL, "name ends at byte 11");
    close(fd);
    cr_expect_eq(qins_file_read_at(fd, "name", text, 1, 0, &error), QINS_FAILED);
    expect_error(&error, QINS_FAILED, "cannot read name: ");
    cr_expect_eq(qins_file_write_at(fd, "name", text, 1, 0, &error), QINS_FAILED);
    expect_error(&error, QINS_FAILED, "cannot write name: ");
}

Test(file, reads_all_up_to_a_limit) {
    char *folder = temporary_folder();
    static char data[20000];
    for (size_t i = 0; i < sizeof data; i++) data[i] = (char)(i * 7);
    const size_t sizes[] = {0, 1, 4094, 4095, 4096, 4097, 8191, 8192, 20000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        qins_error error = {0};
        size_t size = 12345;
        const char *path = write_file(folder, "file", data, sizes[i]);
        char *text = qins_file_read_all(path, sizes[i], &size, QINS_USAGE, &error);
        expect_ok(&error);
        cr_assert(size == sizes[i] && memcmp(text, data, size) == 0 && text[size] == '\0');
        free(text);
        if (sizes[i] == 0) continue;
        cr_assert_null(qins_file_read_all(path, sizes[i] - 1, &size, QINS_USAGE, &error));
        expect_error(&error, QINS_USAGE, "is larger than");
    }
    remove_folder(folder);
}

Test(file, reads_all_of_a_pipe_on_standard_input) {
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) { // more than a pipe holds, in uneven pieces
        static char piece[3001];
        memset(piece, 'x', sizeof piece);
        for (int i = 0; i < 50; i++) {
            if (write(ends[1], piece, sizeof piece) < 0) _exit(1);
        }
        _exit(0);
    }
    close(ends[1]);
    cr_assert_eq(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
    qins_error error = {0};
    size_t size;
    char *text = qins_file_read_all("-", 1 << 20, &size, QINS_USAGE, &error);
    expect_ok(&error);
    cr_expect_eq(size, 50 * 3001);
    cr_expect_eq(strspn(text, "x"), size);
    free(text);
}

Test(file, reading_what_cannot_be_read_is_an_error) {
    char *folder = temporary_folder();
    qins_error error = {0};
    size_t size;
    cr_expect_null(qins_file_read_all(folder, 100, &size, QINS_USAGE, &error));
    expect_error(&error, QINS_USAGE, "cannot read");
    cr_expect_null(qins_file_read_all("/nonexistent/file", 100, &size, QINS_BAD_MODEL, &error));
    expect_error(&error, QINS_BAD_MODEL, "cannot open /nonexistent/file");
    close(STDIN_FILENO);
    cr_expect_null(qins_file_read_all("-", 100, &size, QINS_USAGE, &error));
    expect_error(&error, QINS_USAGE, "cannot read standard input");
    remove_folder(folder);
}

static void expect_content(const char *path, const char *wanted) {
    qins_error error = {0};
    size_t size;
    char *text = qins_file_read_all(path, 100, &size, QINS_FAILED, &error);
    expect_ok(&error);
    cr_expect_str_eq(text, wanted);
    free(text);
}

Test(file, is_replaced_whole_or_not_at_all) {
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
    expect_error(&error, QINS_FAILED, "/nonexistent/file");
    remove_folder(folder); // finds no other files
}
