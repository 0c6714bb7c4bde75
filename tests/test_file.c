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
    remove_folder(folder);
}

Test(file, only_what_is_not_there_is_nothing) {
    char *folder = temporary_folder(), below[300], loop[300];
    qins_error error = {0};
    qins_look look, other;
    const char *path = write_file(folder, "five", "12345", 5);
    snprintf(below, sizeof below, "%s/below", path);
    snprintf(loop, sizeof loop, "%s/loop", folder);
    cr_assert_eq(symlink("loop", loop), 0);
    cr_expect(qins_look_at(path, &look, QINS_FAILED, &error) == QINS_OK && look.kind == QINS_REGULAR && look.size == 5);
    cr_expect(qins_look_at(folder, &other, QINS_FAILED, &error) == QINS_OK && other.kind == QINS_FOLDER);
    cr_expect(look.device == other.device && look.number != other.number);
    cr_expect(qins_look_at("/dev/null", &look, QINS_FAILED, &error) == QINS_OK && look.kind == QINS_SPECIAL);
    cr_expect(qins_look_at("/nonexistent/file", &look, QINS_FAILED, &error) == QINS_OK && look.kind == QINS_NOTHING);
    cr_expect(qins_look_at(below, &look, QINS_FAILED, &error) == QINS_OK && look.kind == QINS_NOTHING);
    expect_ok(&error);
    qins_look_at(loop, &look, QINS_USAGE, &error);
    expect_error(&error, QINS_USAGE, "loop: ");
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

Test(file, names_end_in_a_suffix) {
    cr_expect(qins_path_ends_in("m.onnx", ".onnx"));
    cr_expect(qins_path_ends_in("a/b.onnx", ".onnx"));
    cr_expect_not(qins_path_ends_in(".onnx", ".onnx"));
    cr_expect_not(qins_path_ends_in("a/.onnx", ".onnx"));
    cr_expect_not(qins_path_ends_in("m.onnx.data", ".onnx"));
    cr_expect_not(qins_path_ends_in("m.ONN", ".onnx"));
}
