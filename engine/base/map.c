// Mapped files and reserved memory; see map.h. memfd_create and MAP_NORESERVE are Linux's.
#define _GNU_SOURCE // memfd_create, MAP_NORESERVE
#include "engine/base/map.h"

#include "engine/base/file.h"
#include "engine/base/memory.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

// --- what is mapped ---

// Mapped files, for qins_mapped_path. A program has one or two; more than fit are not named.
enum { MAX_MAPPED_FILES = 8 };

static struct mapped_file {
    atomic_bool is_taken;           // its fields belong to somebody
    const uint8_t *_Atomic address; // NULL: not (yet) mapped
    size_t size;
    char path[512]; // cut off if need be
} mapped_files[MAX_MAPPED_FILES];

static void remember(const uint8_t *address, size_t size, const char *path) {
    for (struct mapped_file *file = mapped_files; file < mapped_files + MAX_MAPPED_FILES; file++) {
        if (atomic_exchange(&file->is_taken, true)) continue;
        file->size = size;
        snprintf(file->path, sizeof file->path, "%s", path);
        atomic_store(&file->address, address);
        return;
    }
}

static void forget(const uint8_t *address) {
    for (struct mapped_file *file = mapped_files; file < mapped_files + MAX_MAPPED_FILES; file++) {
        if (atomic_load(&file->address) != address) continue;
        atomic_store(&file->address, NULL);
        atomic_store(&file->is_taken, false);
        return;
    }
}

const char *qins_mapped_path(const void *address) {
    for (const struct mapped_file *file = mapped_files; file < mapped_files + MAX_MAPPED_FILES; file++) {
        const uintptr_t start = (uintptr_t)atomic_load(&file->address);
        if (start != 0 && (uintptr_t)address - start < file->size) return file->path;
    }
    return NULL;
}

// --- mapping ---

// Does the file system refuse this kind of mapping, rather than this one mapping?
static bool is_unsupported(int number) {
    return number == ENODEV || number == EINVAL || number == EACCES || number == EPERM || number == ENOTSUP ||
           number == ENOSYS;
}

// Without any mapping. `number`: why.
static const uint8_t *read_whole(int fd, const char *path, size_t size, int number, qins_error *error) {
    const size_t available = qins_memory_available();
    if (size > available) {
        qins_fail(error, QINS_FAILED, "cannot map %s (%s); to read it takes %zu MiB of memory, %zu MiB are available",
                  path, strerror(number), size >> 20, available >> 20);
        return NULL;
    }
    void *memory = qins_reserve(size, path, error);
    if (memory == NULL || qins_file_read_at(fd, path, memory, size, 0, error) == QINS_OK) return memory;
    qins_unmap(memory, size);
    return NULL;
}

const uint8_t *qins_map_file(int fd, const char *path, size_t size, qins_error *error) {
    void *memory = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED && is_unsupported(errno)) memory = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (memory != MAP_FAILED) {
        remember(memory, size, path);
        return memory;
    }
    if (is_unsupported(errno)) return read_whole(fd, path, size, errno, error);
    qins_fail_errno(error, QINS_FAILED, "cannot map %s (%zu bytes)", path, size);
    return NULL;
}

int qins_memory_file(const char *name, qins_error *error) {
    int fd = memfd_create(name, MFD_CLOEXEC);
    if (fd < 0) qins_fail_errno(error, QINS_FAILED, "cannot make a file in memory for %s", name);
    return fd;
}

void *qins_reserve(size_t size, const char *what, qins_error *error) {
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory != MAP_FAILED) return memory;
    qins_fail_errno(error, QINS_FAILED, "cannot reserve %zu bytes for the %s", size, what);
    return NULL;
}

void qins_unmap(const void *memory, size_t size) {
    if (memory == NULL) return;
    forget(memory);
    munmap((void *)(uintptr_t)memory, size);
}
