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

static void become(const struct torture *torture, const char *const *arguments, const char *const *environment) {
    redirect(torture, "/dev/null", STDIN_FILENO, O_RDONLY);
    redirect(torture, "out", STDOUT_FILENO, O_WRONLY | O_CREAT | O_TRUNC);
    redirect(torture, "err", STDERR_FILENO, O_WRONLY | O_CREAT | O_TRUNC);
    for (; environment != NULL && *environment != NULL; environment++) putenv((char *)(uintptr_t)*environment);
    execv(arguments[0], (char *const *)(uintptr_t)arguments);
    _exit(127);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

struct outcome run_program(const struct torture *torture, const char *const *arguments, const char *const *environment,
                           unsigned kill_us) {
    const double start = now(), limit = kill_us > 0 ? 1e-6 * kill_us : TIMEOUT_SECONDS;
    int status = 0;
    bool is_killed = false;
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) become(torture, arguments, environment);
    while (waitpid(child, &status, WNOHANG) == 0) {
        if (!is_killed && now() - start >= limit) is_killed = kill(child, SIGKILL) == 0;
        usleep(kill_us > 0 ? 50 : 200);
    }
    struct stat info;
    char errors[600];
    snprintf(errors, sizeof errors, "%s/err", torture->tmp);
    return (struct outcome){.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1,
                            .signal = WIFSIGNALED(status) && !is_killed ? WTERMSIG(status) : 0,
                            .hung = is_killed && kill_us == 0,
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
