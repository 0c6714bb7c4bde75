// Commands inside the test process; see command.h.
#include "tests/command.h"

#include "engine/base/file.h"
#include "engine/cli/cli.h"
#include "tests/failing_allocation.h"
#include "tests/support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_ARGUMENTS = 32 };

static qins_status run(const char *line, qins_error *error) {
    char text[1024], *arguments[MAX_ARGUMENTS];
    int count = 0;
    cr_assert_lt(strlen(line), sizeof text);
    strcpy(text, line);
    for (char *word = strtok(text, " "); word != NULL; word = strtok(NULL, " ")) {
        cr_assert_lt(count, MAX_ARGUMENTS);
        arguments[count++] = word;
    }
    qins_options options;
    const qins_command *command = qins_command_find(arguments[0]);
    cr_assert_not_null(command, "there is no command %s", arguments[0]);
    if (qins_options_parse(&options, command->options, count, arguments, error) != QINS_OK ||
        qins_options_check(&options, command->name, command->options, error) != QINS_OK)
        return error->status;
    options.process.no_sandbox = true; // the tests' process goes on
    return command->run(&options, error);
}

// Run it with stdout going to a file.
static void run_into(const char *path, const char *line, qins_error *error) {
    fflush(stdout);
    const int saved = dup(STDOUT_FILENO);
    cr_assert(saved >= 0 && freopen(path, "w", stdout) != NULL);
    run(line, error);
    fflush(stdout);
    cr_assert_eq(dup2(saved, STDOUT_FILENO), STDOUT_FILENO);
    close(saved);
}

const char *command_model(const char *folder, const char *name) {
    static char path[256];
    char checkpoint[128];
    qins_error error = {0};
    qins_convert_options options = {.weight_type = QINS_F32, .n_threads = 1};
    qins_convert_report report = {0};
    snprintf(checkpoint, sizeof checkpoint, "tests/data/tiny/%s", name);
    snprintf(path, sizeof path, "%s/%s.qins", folder, name);
    const int fd = open(path, O_RDWR | O_CREAT, 0600);
    cr_assert_geq(fd, 0);
    qins_convert(checkpoint, fd, path, &options, NULL, NULL, &report, &error);
    expect_ok(&error);
    qins_convert_report_free(&report);
    close(fd);
    return path;
}

void expect_command_survives_failures(const char *line) {
    bool hit = true;
    for (size_t n = 1; hit; n++) {
        qins_error error = {0};
        const long mappings = failing_allocation_mappings();
        failing_allocation_set(n);
        run_into("/dev/null", line, &error);
        hit = failing_allocation_hit();
        failing_allocation_set(0);
        cr_assert_eq(failing_allocation_mappings(), mappings, "%s, call %zu: a mapping is lost", line, n);
        cr_assert_eq(error.status != QINS_OK, hit, "%s, call %zu: %s", line, n, error.message);
        cr_assert(!hit || error.message[0] != '\0', "%s, call %zu: no message", line, n);
    }
}

qins_json *command_json(const char *line) {
    qins_error error = {0};
    char *folder = temporary_folder();
    const char *path = write_file(folder, "stdout", "", 0);
    run_into(path, line, &error);
    cr_assert_eq(error.status, QINS_OK, "%s: %s", line, error.message);
    size_t size;
    char *text = qins_file_read_all(path, (size_t)1 << 28, &size, QINS_FAILED, &error);
    qins_json *json = qins_json_parse(text, size, QINS_BAD_MODEL, &error);
    expect_ok(&error);
    free(text);
    remove_folder(folder);
    return json;
}

void expect_command_fails(const char *line, qins_status status, const char *message) {
    qins_error error = {0};
    run(line, &error);
    expect_error(&error, status, message);
}

double json_number_at(const qins_json *json, const char *path) {
    char text[128];
    double value = 0;
    cr_assert_lt(strlen(path), sizeof text);
    strcpy(text, path);
    const qins_json *item = json;
    for (char *key = strtok(text, "."); key != NULL; key = strtok(NULL, ".")) {
        if (qins_json_is_object(item)) {
            item = qins_json_get(item, key);
            continue;
        }
        item = qins_json_first(item);
        for (long i = strtol(key, NULL, 10); i > 0 && item != NULL; i--) item = qins_json_next(item);
    }
    cr_assert(item != NULL && qins_json_number(item, &value), "no number at %s", path);
    return value;
}
