// Whole reads and writes on descriptors; see file.h.
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

bool qins_is_absence(int number) {
    return number == ENOENT || number == ENOTDIR;
}

qins_status qins_look_at(const char *path, qins_look *look, qins_status status, qins_error *error) {
    struct stat info;
    *look = (qins_look){.kind = QINS_NOTHING};
    if (stat(path, &info) != 0)
        return qins_is_absence(errno) ? QINS_OK : qins_fail_errno(error, status, "cannot examine %s", path);
    look->kind = S_ISREG(info.st_mode) ? QINS_REGULAR : S_ISDIR(info.st_mode) ? QINS_FOLDER : QINS_SPECIAL;
    look->size = (uint64_t)info.st_size;
    look->device = (uint64_t)info.st_dev;
    look->number = (uint64_t)info.st_ino;
    look->permissions = (unsigned)info.st_mode & 0777;
    return QINS_OK;
}

bool qins_path_ends_in(const char *path, const char *suffix) {
    const size_t length = strlen(path), n = strlen(suffix);
    return length > n && path[length - n - 1] != '/' && strcmp(path + length - n, suffix) == 0;
}

void qins_guard_standard_streams(void) {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) == -1) (void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
    }
}
