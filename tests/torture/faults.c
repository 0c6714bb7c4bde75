// For LD_PRELOAD: one call of the C library fails, or does less than it was asked to. QINS_FAULT is "CALL NUMBER HOW":
// the NUMBER-th CALL since main began, HOW an errno or "short" (half of the bytes); QINS_FAULT_HIT a file whose
// first byte becomes 1 when that happens, so that the caller, who counts NUMBER up, knows where to end. The file is
// mapped at the start: later, the program's sandbox would not let it be opened.
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SHORT = -1 };

static atomic_bool is_on;
static char call[32];
static long number;
static int how; // an errno, or SHORT
static atomic_long n_calls;
static volatile char *hit;

// Is it this call's turn?
static bool is_hit(const char *name) {
    if (!is_on || strcmp(name, call) != 0 || atomic_fetch_add(&n_calls, 1) + 1 != number) return false;
    if (hit != NULL) *hit = 1;
    errno = how == SHORT ? 0 : how;
    return true;
}

#define FAIL_WITH(name, value)                                                                                         \
    if (is_hit(name)) return value
// The real function of this name.
#define REAL(name, result, ...)                                                                                        \
    static result (*real)(__VA_ARGS__);                                                                                \
    if (real == NULL) real = (result(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

// --- memory and threads ---

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t),
    *__libc_memalign(size_t, size_t);

void *malloc(size_t size) {
    FAIL_WITH("alloc", NULL);
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
    FAIL_WITH("alloc", NULL);
    return __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size) {
    FAIL_WITH("alloc", NULL);
    return __libc_realloc(memory, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    FAIL_WITH("alloc", NULL);
    return __libc_memalign(alignment, size);
}

void *mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset) {
    FAIL_WITH("mmap", MAP_FAILED);
    return (void *)syscall(SYS_mmap, address, size, protection, flags, fd, offset); // NOLINT: a system call's result
}

int memfd_create(const char *name, unsigned flags) {
    FAIL_WITH("memfd", -1);
    return (int)syscall(SYS_memfd_create, name, flags);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*task)(void *), void *context) {
    REAL("pthread_create", int, pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    FAIL_WITH("thread", EAGAIN);
    return real(thread, attributes, task, context);
}

// --- files ---

int open(const char *path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    FAIL_WITH("open", -1);
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

FILE *fopen(const char *path, const char *mode) {
    REAL("fopen", FILE *, const char *, const char *);
    FAIL_WITH("open", NULL);
    return real(path, mode);
}

DIR *opendir(const char *path) {
    REAL("opendir", DIR *, const char *);
    FAIL_WITH("open", NULL);
    return real(path);
}

struct dirent *readdir(DIR *folder) {
    REAL("readdir", struct dirent *, DIR *);
    FAIL_WITH("readdir", NULL);
    return real(folder);
}

int stat(const char *path, struct stat *info) {
    FAIL_WITH("stat", -1);
    return (int)syscall(SYS_newfstatat, AT_FDCWD, path, info, 0);
}

int fstat(int fd, struct stat *info) {
    FAIL_WITH("stat", -1);
    return (int)syscall(SYS_fstat, fd, info);
}

int fstatat(int folder, const char *path, struct stat *info, int flags) {
    FAIL_WITH("stat", -1);
    return (int)syscall(SYS_newfstatat, folder, path, info, flags);
}

ssize_t readlink(const char *path, char *target, size_t size) {
    FAIL_WITH("readlink", -1);
    return syscall(SYS_readlinkat, AT_FDCWD, path, target, size);
}

// The part of a transfer that is done; 0 with an errno: nothing.
static size_t share(const char *name, size_t size) {
    if (!is_hit(name)) return size;
    return how == SHORT && size > 1 ? size / 2 : how == SHORT ? size : 0;
}

#define TRANSFER(name, number, ...)                                                                                    \
    const size_t n = share(name, size);                                                                                \
    return n == 0 && size > 0 ? -1 : syscall(number, fd, data, n, ##__VA_ARGS__)

ssize_t read(int fd, void *data, size_t size) {
    TRANSFER("read", SYS_read);
}

ssize_t __read_chk(int fd, void *data, size_t size, size_t room) {
    return size > room ? (abort(), -1) : read(fd, data, size);
}

ssize_t pread(int fd, void *data, size_t size, off_t offset) {
    TRANSFER("pread", SYS_pread64, offset);
}

ssize_t __pread_chk(int fd, void *data, size_t size, off_t offset, size_t room) {
    return size > room ? (abort(), -1) : pread(fd, data, size, offset);
}

ssize_t write(int fd, const void *data, size_t size) {
    TRANSFER("write", SYS_write);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
    TRANSFER("pwrite", SYS_pwrite64, offset);
}

int fsync(int fd) {
    FAIL_WITH("fsync", -1);
    return (int)syscall(SYS_fsync, fd);
}

int close(int fd) {
    const int result = (int)syscall(SYS_close, fd);
    FAIL_WITH("close", -1);
    return result;
}

int rename(const char *from, const char *to) {
    FAIL_WITH("rename", -1);
    return (int)syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to);
}

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags) {
    FAIL_WITH("link", -1);
    return (int)syscall(SYS_linkat, from_folder, from, to_folder, to, flags);
}

int unlink(const char *path) {
    FAIL_WITH("unlink", -1);
    return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

ssize_t getrandom(void *data, size_t size, unsigned flags) {
    FAIL_WITH("random", -1);
    return syscall(SYS_getrandom, data, size, flags);
}

// --- the beginning ---

static int (*real_main)(int, char **, char **);

static int counted_main(int argc, char **argv, char **environment) {
    is_on = true;
    const int status = real_main(argc, argv, environment);
    is_on = false;
    return status;
}

static void map_hit(const char *path) {
    const long fd = syscall(SYS_openat, AT_FDCWD, path, O_RDWR);
    if (fd < 0) return;
    const long address = syscall(SYS_mmap, NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (address != -1) hit = (char *)address; // NOLINT: a system call's result
    syscall(SYS_close, fd);
}

typedef int start_function(int (*)(int, char **, char **), int, char **, void (*)(void), void (*)(void), void (*)(void),
                           void *);

int __libc_start_main(int (*main)(int, char **, char **), int argc, char **argv, void (*init)(void), void (*fini)(void),
                      void (*loader_fini)(void), void *stack_end) {
    const char *fault = getenv("QINS_FAULT"), *path = getenv("QINS_FAULT_HIT");
    if (path != NULL) map_hit(path);
    char kind[16] = "";
    if (fault != NULL && sscanf(fault, "%31s %ld %15s", call, &number, kind) == 3)
        how = strcmp(kind, "short") == 0 ? SHORT : atoi(kind);
    real_main = main;
    start_function *real = (start_function *)dlsym(RTLD_NEXT, "__libc_start_main"); // NOLINT: a function's address
    return real(counted_main, argc, argv, init, fini, loader_fini, stack_end);
}
