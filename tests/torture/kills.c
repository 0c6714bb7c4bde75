// Kills, two writers, and files that change while they are opened; see torture.h.
#define _GNU_SOURCE // usleep
#include "tests/torture/torture.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static uint64_t state = 1;

static unsigned random_below(unsigned n) { // splitmix64
    uint64_t z = state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return (unsigned)((z ^ z >> 31) % n);
}

// Killed at random points, a conversion leaves the old file, the new one or none, and nothing else.
static void kill_conversions(struct torture *torture) {
    char output[600];
    tally row = {.name = "convert, killed at random points"};
    snprintf(output, sizeof output, "%s/killed.qins", torture->tmp);
    const char *const arguments[] = {torture->convert, torture->hf, "-o", output, "--quiet", "-t", "2", NULL};
    struct program program = {.arguments = arguments};
    for (int i = 0; i < (torture->is_short ? 50 : 2000); i++) {
        const bool is_old_there = i % 2 == 0;
        unlink(output);
        if (is_old_there) write_bytes(output, "QINS\r\n\x1a\nolder", 13);
        program.kill_us = 1 + random_below(20000);
        const struct outcome outcome = run_program(torture, &program);
        tally_outcome(&row, &outcome);
        size_t size = 0;
        char *data = read_file(output, &size);
        const bool is_old = data != NULL && size == 13 && memcmp(data + 8, "older", 5) == 0;
        row.wrong += !same_files(output, torture->model) && (is_old_there ? !is_old : data != NULL);
        free(data);
    }
    program.kill_us = 0;
    run_program(torture, &program); // finds files left between a link and a rename
    row.left += count_unfinished(torture->tmp);
    tally_print(torture, &row);
}

static pid_t start(const char *const *arguments) {
    fflush(stdout);
    const pid_t child = fork();
    if (child != 0) return child;
    const int fd = open("/dev/null", O_RDWR);
    if (fd >= 0) dup2(fd, STDOUT_FILENO), dup2(fd, STDERR_FILENO);
    execv(arguments[0], (char *const *)(uintptr_t)arguments);
    _exit(127);
}

// Two conversions into one file: both succeed, and the file is whole at any time that it is there.
static void write_twice(struct torture *torture) {
    char output[600];
    tally row = {.name = "two conversions into one file"};
    snprintf(output, sizeof output, "%s/both.qins", torture->tmp);
    const char *const arguments[] = {torture->convert, torture->hf, "-o", output, "--quiet", "-t", "1", NULL};
    for (int i = 0; i < (torture->is_short ? 20 : 300); i++) {
        if (i % 2 == 0) unlink(output);
        pid_t children[2] = {start(arguments), start(arguments)};
        for (int j = 0; j < 2; j++) {
            int status = 0;
            waitpid(children[j], &status, 0);
            row.crashed += WIFSIGNALED(status);
            row.wrong += WIFEXITED(status) && WEXITSTATUS(status) != 0;
        }
        row.tried++;
        row.wrong += !same_files(output, torture->model);
    }
    row.left += count_unfinished(torture->tmp);
    tally_print(torture, &row);
}

// Another process writes into the model's bytes for ever: random bytes into its first ones, and the right ones again;
// with `cuts`, it also takes the end away and brings it back.
static pid_t start_writer(const struct torture *torture, const char *path, bool cuts) {
    fflush(stdout);
    const pid_t child = fork();
    if (child != 0) return child;
    size_t size = 0;
    char *whole = read_file(torture->model, &size);
    const int fd = open(path, O_RDWR);
    for (;; state += (uint64_t)getpid()) {
        const unsigned at = random_below(8192);
        const char byte = (char)random_below(256);
        (void)!pwrite(fd, &byte, 1, at);
        if (cuts) (void)!ftruncate(fd, random_below((unsigned)size));
        usleep(random_below(300));
        (void)!pwrite(fd, whole, size, 0);
    }
}

// A file that changes meanwhile may give any result: the program must not crash or hang, and must report failures.
static void race(struct torture *torture, const char *name, bool cuts, const char *const *arguments, const char *path) {
    tally row = {.name = name};
    copy_file(torture->model, path);
    const pid_t writer = start_writer(torture, path, cuts);
    for (int i = 0; i < (torture->is_short ? 30 : 1500); i++) {
        const struct outcome outcome = run_program(torture, &(struct program){.arguments = arguments});
        tally_outcome(&row, &outcome);
    }
    kill(writer, SIGKILL);
    waitpid(writer, NULL, 0);
    tally_print(torture, &row);
}

void torture_kills(struct torture *torture) {
    char path[600];
    snprintf(path, sizeof path, "%s/race.qins", torture->tmp);
    const char *const info[] = {torture->run, "info", "-m", path, NULL};
    const char *const run[] = {torture->run, "-m", path, "-p", "hi", "-n", "8", "-q", "-t", "2", NULL};
    const char *const verify[] = {torture->run, "verify", "-m", path, NULL};
    kill_conversions(torture);
    write_twice(torture);
    race(torture, "info, while bytes of the file change", false, info, path);
    race(torture, "run, while bytes of the file change", false, run, path);
    race(torture, "run, while the file is cut off", true, run, path);
    race(torture, "verify, while the file is cut off", true, verify, path);
}
