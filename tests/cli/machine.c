// For LD_PRELOAD in test_machines.sh: a machine that refuses what QINS_REFUSE names (separated by spaces), whose /proc
// and /sys are in the folder QINS_ROOT, and which has QINS_PROCESSORS processors. The file QINS_CUT is cut off to
// QINS_CUT_BYTES as soon as a file is mapped.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int is_refused(const char *name) {
    const char *list = getenv("QINS_REFUSE");
    return list != NULL && strstr(list, name) != NULL;
}

static int refuse(int number) {
    errno = number;
    return -1;
}

int fchmod(int fd, mode_t mode) {
    return is_refused("fchmod") ? refuse(EPERM) : (int)syscall(SYS_fchmod, fd, mode);
}

// "progress": a program stops, until SIGCONT, when it has written a file.
int fsync(int fd) {
    struct stat info;
    const int is_folder = fstat(fd, &info) == 0 && S_ISDIR(info.st_mode);
    if (is_refused("progress")) raise(SIGSTOP);
    if (is_refused("disk") || (is_folder && is_refused("folders"))) return refuse(EIO);
    return is_refused("fsync") ? refuse(ENOTSUP) : (int)syscall(SYS_fsync, fd);
}

int unlink(const char *path) {
    return is_refused("removals") && access(path, F_OK) == 0 ? refuse(EIO) : unlinkat(AT_FDCWD, path, 0);
}

// A connection to a process that cuts the file when it gets a byte, for in the sandbox none can; -1: nothing is to be
// cut.
static int cutter = -1;

__attribute__((constructor)) static void start_cutter(void) {
    const char *cut = getenv("QINS_CUT"), *bytes = getenv("QINS_CUT_BYTES");
    int pair[2];
    char byte;
    if (cut == NULL || bytes == NULL || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) return;
    if (fork() == 0) {
        close(pair[0]);
        while (read(pair[1], &byte, 1) == 1 && truncate(cut, atol(bytes)) == 0 && write(pair[1], &byte, 1) == 1) {
        }
        _exit(0);
    }
    close(pair[1]);
    cutter = pair[0];
}

void *mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset) {
    const int is_refusal = (is_refused("shared") && (flags & MAP_SHARED)) || is_refused("mappings");
    if (fd >= 0 && is_refusal) return refuse(ENODEV), MAP_FAILED;
    void *memory = (void *)syscall(SYS_mmap, address, size, protection, flags, fd, offset); // NOLINT: its result
    char byte = 0;
    if (fd >= 0 && cutter >= 0) (void)!(write(cutter, &byte, 1) == 1 && read(cutter, &byte, 1));
    return memory;
}

// "unnamed": no files without a name.
int open(const char *path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    const int is_unnamed = (flags & O_TMPFILE) == O_TMPFILE;
    return is_unnamed && is_refused("unnamed") ? refuse(EOPNOTSUPP) : openat(AT_FDCWD, path, flags, mode);
}

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags) {
    return is_refused("linkat") ? refuse(EPERM) : (int)syscall(SYS_linkat, from_folder, from, to_folder, to, flags);
}

// "names", "memory": the reason why a host has no address.
int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **info) {
    typedef int function(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    function *real = (function *)dlsym(RTLD_NEXT, "getaddrinfo");
    if (is_refused("memory")) return EAI_MEMORY;
    return is_refused("names") ? refuse(EMFILE), EAI_SYSTEM : real(host, service, hints, info);
}

FILE *fopen(const char *path, const char *mode) {
    FILE *(*real)(const char *, const char *) = (FILE * (*)(const char *, const char *)) dlsym(RTLD_NEXT, "fopen");
    const char *root = getenv("QINS_ROOT");
    char moved[4096];
    if (root == NULL || (strncmp(path, "/proc/", 6) != 0 && strncmp(path, "/sys/", 5) != 0)) return real(path, mode);
    snprintf(moved, sizeof moved, "%s%s", root, path);
    return real(moved, mode);
}

// As Linux does it: a mask without room for all processors is refused.
int sched_getaffinity(pid_t pid, size_t size, cpu_set_t *mask) {
    const char *number = getenv("QINS_PROCESSORS");
    if (number == NULL) return syscall(SYS_sched_getaffinity, pid, size, mask) < 0 ? -1 : 0;
    const size_t n = strtoul(number, NULL, 10);
    if (8 * size < n) return refuse(EINVAL);
    CPU_ZERO_S(size, mask);
    for (size_t i = 0; i < n; i++) CPU_SET_S(i, size, mask);
    return 0;
}
