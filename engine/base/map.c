// Mapped files and reserved memory; see map.h.
#define _GNU_SOURCE // memfd_create, MAP_NORESERVE
#include "engine/base/map.h"

#include <sys/mman.h>

const uint8_t *qins_map_file(int fd, const char *path, size_t size, qins_error *error) {
    void *memory = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    if (memory != MAP_FAILED) return memory;
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
    if (memory != NULL) munmap((void *)(uintptr_t)memory, size);
}
