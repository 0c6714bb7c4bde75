// Mapped files and reserved memory; see map.h. memfd_create and MAP_NORESERVE are Linux's.
#define _GNU_SOURCE // memfd_create, MAP_NORESERVE
#include "engine/base/map.h"

#include "engine/base/file.h"
#include "engine/base/memory.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

// --- mapped files ---

enum { MAX_MAPPED_FILES = 64 };

// Read by a signal handler, so the list is neither locked nor moved.
static struct mapped_file {
    atomic_bool is_taken;           // its fields are in use
    const uint8_t *_Atomic address; // NULL: not (yet) mapped
    size_t size;
    atomic_bool is_lost; // its bytes can no longer be read; it reads as zeros
} mapped_files[MAX_MAPPED_FILES];

static bool remember(const uint8_t *address, size_t size) {
    for (struct mapped_file *file = mapped_files; file < mapped_files + MAX_MAPPED_FILES; file++) {
        if (atomic_exchange(&file->is_taken, true)) continue;
        file->size = size;
        atomic_store(&file->is_lost, false);
        atomic_store(&file->address, address);
        return true;
    }
    return false;
}

// NULL: the address lies in none of the files.
static struct mapped_file *find(const void *address) {
    for (struct mapped_file *file = mapped_files; file < mapped_files + MAX_MAPPED_FILES; file++) {
        const uintptr_t start = (uintptr_t)atomic_load(&file->address);
        if (start != 0 && (uintptr_t)address - start < file->size) return file;
    }
    return NULL;
}

static void forget(const uint8_t *address) {
    struct mapped_file *file = find(address);
    if (file == NULL) return;
    atomic_store(&file->address, NULL);
    atomic_store(&file->is_taken, false);
}

bool qins_file_fault(const void *address) {
    struct mapped_file *file = find(address);
    if (file == NULL) return false;
    atomic_store(&file->is_lost, true); // before any thread can read a zero
    void *start = (void *)(uintptr_t)atomic_load(&file->address);
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
    return mmap(start, file->size, PROT_READ, flags, -1, 0) != MAP_FAILED;
}

bool qins_map_is_lost(const void *address) {
    const struct mapped_file *file = find(address);
    return file != NULL && atomic_load(&file->is_lost);
}

// --- mapping ---

// Does the file system refuse this kind of mapping, rather than this one mapping?
static bool is_unsupported(int number) {
    return number == ENODEV || number == EINVAL || number == EACCES || number == EPERM || number == ENOTSUP ||
           number == ENOSYS;
}

// Without any mapping. `number`: the errno that says why.
static const uint8_t *read_whole(int fd, const char *path, size_t size, int number, qins_error *error) {
    const size_t available = qins_memory_available();
    if (size > available) {
        qins_fail(error, QINS_FAILED, "cannot map %s (%s); reading it takes %zu MiB of memory; %zu MiB are available",
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
    if (memory != MAP_FAILED && !remember(memory, size)) {
        munmap(memory, size);
        qins_fail(error, QINS_FAILED, "cannot map %s: %d files are mapped already", path, MAX_MAPPED_FILES);
        return NULL;
    }
    if (memory != MAP_FAILED) return memory;
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

size_t qins_page_bytes(void) {
    return (size_t)sysconf(_SC_PAGESIZE); // Linux always knows it
}
