// Programs and files of the torture; see torture.h.
#define _GNU_SOURCE // putenv, usleep
#include "tests/torture/torture.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void redirect(const struct torture *torture, const char *name, int to, int flags) {
    char path[600];
    snprintf(path, sizeof path, "%s/%s", name[0] == '/' ? "" : torture->tmp, name);
    const int fd = open(path, flags, 0600);
    if (fd < 0 || dup2(fd, to) < 0) _exit(126);
    close(fd);
}

static void become(const struct torture *torture, const struct program *program) {
    redirect(torture, program->input != NULL ? program->input : "/dev/null", STDIN_FILENO, O_RDONLY);
    redirect(torture, "out", STDOUT_FILENO, O_WRONLY | O_CREAT | O_TRUNC);
    redirect(torture, "err", STDERR_FILENO, O_WRONLY | O_CREAT | O_TRUNC);
    const char *const *environment = program->environment;
    for (; environment != NULL && *environment != NULL; environment++) putenv((char *)(uintptr_t)*environment);
    execv(program->arguments[0], (char *const *)(uintptr_t)program->arguments);
    _exit(127);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

bool has_said(const struct torture *torture, const char *text) {
    char path[600];
    size_t size;
    snprintf(path, sizeof path, "%s/err", torture->tmp);
    char *said = read_file(path, &size);
    const bool is_said = said != NULL && strstr(said, text) != NULL;
    free(said);
    return is_said;
}

// Its status at the end of a child that is ended as the program wants. *is_killed: it was not told to end, but killed.
static int await(const struct torture *torture, const struct program *program, pid_t child, bool *is_killed) {
    const double start = now(), limit = program->kill_us > 0 ? 1e-6 * program->kill_us : TIMEOUT_SECONDS;
    bool is_told = program->until == NULL;
    int status = 0;
    *is_killed = false;
    while (waitpid(child, &status, WNOHANG) == 0) {
        if (!*is_killed && now() - start >= limit) *is_killed = kill(child, SIGKILL) == 0;
        if (!is_told && has_said(torture, program->until)) is_told = kill(child, SIGTERM) == 0;
        usleep(program->kill_us > 0 ? 50 : 200);
    }
    return status;
}

struct outcome run_program(const struct torture *torture, const struct program *program) {
    char errors[600];
    bool is_killed;
    snprintf(errors, sizeof errors, "%s/err", torture->tmp);
    unlink(errors); // of another program, which `until` is not to find
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) become(torture, program);
    const int status = await(torture, program, child, &is_killed);
    struct stat info;
    return (struct outcome){.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1,
                            .signal = WIFSIGNALED(status) && !is_killed ? WTERMSIG(status) : 0,
                            .hung = is_killed && program->kill_us == 0,
                            .is_told = stat(errors, &info) == 0 && info.st_size > 0};
}

bool same_files(const char *a, const char *b) {
    size_t a_size, b_size;
    char *x = read_file(a, &a_size), *y = read_file(b, &b_size);
    const bool is_same = x != NULL && y != NULL && a_size == b_size && memcmp(x, y, a_size) == 0;
    free(x);
    free(y);
    return is_same;
}

char *read_file(const char *path, size_t *size) {
    struct stat info;
    const int fd = open(path, O_RDONLY);
    if (fd < 0 || fstat(fd, &info) != 0) return NULL;
    char *data = malloc((size_t)info.st_size + 1);
    *size = data != NULL && read(fd, data, (size_t)info.st_size) == info.st_size ? (size_t)info.st_size : 0;
    if (data != NULL) data[*size] = '\0';
    close(fd);
    return data;
}

void write_bytes(const char *path, const void *data, size_t size) {
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size) perror(path);
    if (fd >= 0) close(fd);
}

bool copy_file(const char *from, const char *to) {
    size_t size;
    char *data = read_file(from, &size);
    if (data != NULL) write_bytes(to, data, size);
    free(data);
    return data != NULL;
}

size_t count_unfinished(const char *folder) {
    size_t n = 0;
    DIR *entries = opendir(folder);
    for (const struct dirent *entry; entries != NULL && (entry = readdir(entries)) != NULL;)
        n += strstr(entry->d_name, ".unfinished") != NULL;
    if (entries != NULL) closedir(entries);
    return n;
}
