// Whole reads and writes on descriptors; see file.h.
#define _XOPEN_SOURCE 700 // realpath
#include "engine/base/file.h"

#include "engine/base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int qins_file_open(const char *path, size_t *size, qins_status status, qins_error *error) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); // a pipe must not make us wait for its writer
    if (fd < 0) {
        qins_fail_errno(error, status, "cannot open %s", path);
        return -1;
    }
    struct stat info;
    if (fstat(fd, &info) != 0) {
        qins_fail_errno(error, status, "cannot examine %s", path);
    } else if (!S_ISREG(info.st_mode)) {
        qins_fail(error, status, "%s is not a regular file", path);
    } else if ((uintmax_t)info.st_size > SIZE_MAX) {
        qins_fail(error, status, "%s is too large for this machine", path);
    } else {
        *size = (size_t)info.st_size;
        return fd;
    }
    close(fd);
    return -1;
}

// One system call moves at most about 2 GiB on Linux; ask for less.
static size_t call_size(size_t left) {
    const size_t limit = (size_t)1 << 30;
    return left < limit ? left : limit;
}

qins_status qins_file_read_at(int fd, const char *path, void *data, size_t size, uint64_t offset, qins_error *error) {
    for (size_t done = 0; done < size;) {
        ssize_t n = pread(fd, (char *)data + done, call_size(size - done), (off_t)(offset + done));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return qins_fail_errno(error, QINS_FAILED, "cannot read %s", path);
        if (n == 0)
            return qins_fail(error, QINS_BAD_MODEL, "%s ends at byte %llu; it was cut off or changed while being read",
                             path, (unsigned long long)(offset + done));
        done += (size_t)n;
    }
    return QINS_OK;
}

qins_status qins_file_write_at(int fd, const char *path, const void *data, size_t size, uint64_t offset,
                               qins_error *error) {
    for (size_t done = 0; done < size;) {
        ssize_t n = pwrite(fd, (const char *)data + done, call_size(size - done), (off_t)(offset + done));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return qins_fail_errno(error, QINS_FAILED, "cannot write %s", path);
        done += (size_t)n;
    }
    return QINS_OK;
}

// Read a descriptor to its end into a growing block; NULL on failure.
static char *read_to_end(int fd, const char *path, size_t limit, size_t *size, qins_status status, qins_error *error) {
    void *data = NULL;
    size_t capacity = 0, used = 0;
    for (;;) {
        if (qins_grow(&data, &capacity, used + 4096, 1, error) != QINS_OK) break;
        ssize_t n = read(fd, (char *)data + used, call_size(capacity - used - 1));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            qins_fail_errno(error, status, "cannot read %s", path);
            break;
        }
        if (n == 0) {
            ((char *)data)[used] = '\0';
            *size = used;
            return data;
        }
        used += (size_t)n;
        if (used > limit) {
            qins_fail(error, status, "%s is larger than %zu bytes", path, limit);
            break;
        }
    }
    free(data);
    return NULL;
}

char *qins_file_read_all(const char *path, size_t limit, size_t *size, qins_status status, qins_error *error) {
    if (strcmp(path, "-") == 0) return read_to_end(STDIN_FILENO, "standard input", limit, size, status, error);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        qins_fail_errno(error, status, "cannot open %s", path);
        return NULL;
    }
    char *data = read_to_end(fd, path, limit, size, status, error);
    close(fd);
    return data;
}

// The file that a path leads to, through symbolic links, whether it exists or not; released with free().
static char *real_name(const char *path, qins_error *error) {
    char *real = realpath(path, NULL);
    if (real == NULL && errno == ENOENT) real = strdup(path);
    if (real == NULL) qins_fail_errno(error, QINS_FAILED, "cannot write %s", path);
    return real;
}

// Write and rename `temporary`, a pattern of mkstemp.
static void write_and_rename(char *temporary, const char *name, const void *data, size_t size, unsigned mode,
                             qins_error *error) {
    const int fd = mkstemp(temporary);
    if (fd < 0) {
        qins_fail_errno(error, QINS_FAILED, "cannot create %s", name);
        return;
    }
    qins_file_write_at(fd, name, data, size, 0, error);
    (void)fchmod(fd, mode); // some file systems have no permissions, and others nothing to synchronize
    if (fsync(fd) != 0 && errno != EINVAL && errno != ENOTSUP)
        qins_fail_errno(error, QINS_FAILED, "cannot write %s", name);
    if (close(fd) != 0) qins_fail_errno(error, QINS_FAILED, "cannot write %s", name);
    if (error->status == QINS_OK && rename(temporary, name) != 0)
        qins_fail_errno(error, QINS_FAILED, "cannot write %s", name);
    if (error->status != QINS_OK) unlink(temporary);
}

qins_status qins_file_replace(const char *path, const void *data, size_t size, unsigned mode, qins_error *error) {
    static const char suffix[] = ".XXXXXX";
    struct stat info;
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode))
        return qins_fail(error, QINS_USAGE, "%s is not a regular file", path);
    char *name = real_name(path, error);
    char *temporary = name != NULL ? qins_alloc(strlen(name) + sizeof suffix, 1, "path", error) : NULL;
    if (temporary != NULL) {
        strcat(strcpy(temporary, name), suffix);
        write_and_rename(temporary, name, data, size, mode, error);
    }
    free(temporary);
    free(name);
    return error->status;
}

bool qins_file_is_directory(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

void qins_guard_standard_streams(void) {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) == -1) (void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
    }
}
