// Checked allocation; see memory.h.
#include "engine/base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool qins_multiply(size_t a, size_t b, size_t *product) {
    if (b != 0 && a > SIZE_MAX / b) return false;
    *product = a * b;
    return true;
}

bool qins_add(size_t a, size_t b, size_t *sum) {
    if (a > SIZE_MAX - b) return false;
    *sum = a + b;
    return true;
}

void *qins_alloc(size_t count, size_t size, const char *what, qins_error *error) {
    size_t bytes;
    if (!qins_multiply(count, size, &bytes) || bytes > SIZE_MAX - 64) {
        qins_fail(error, QINS_FAILED, "%s: %zu x %zu bytes is more than this machine can address", what, count, size);
        return NULL;
    }
    size_t rounded = bytes == 0 ? 64 : qins_align_up(bytes, 64);
    void *memory = aligned_alloc(64, rounded);
    if (memory == NULL) {
        qins_fail(error, QINS_FAILED, "%s: out of memory (%zu bytes asked)", what, bytes);
        return NULL;
    }
    memset(memory, 0, rounded);
    return memory;
}

qins_status qins_grow(void **items, size_t *capacity, size_t needed, size_t size, qins_error *error) {
    if (needed <= *capacity) return QINS_OK;
    size_t wanted = *capacity < 16 ? 16 : *capacity;
    while (wanted < needed && wanted <= SIZE_MAX / 2) wanted *= 2;
    size_t bytes;
    if (wanted < needed || !qins_multiply(wanted, size, &bytes))
        return qins_fail(error, QINS_FAILED, "%zu x %zu bytes is more than this machine can address", needed, size);
    void *grown = realloc(*items, bytes);
    if (grown == NULL) return qins_fail(error, QINS_FAILED, "out of memory (%zu bytes asked)", bytes);
    *items = grown;
    *capacity = wanted;
    return QINS_OK;
}

// First integer after `key` in a small text file of the system; SIZE_MAX if there is none.
static size_t system_number(const char *path, const char *key) {
    FILE *file = fopen(path, "r");
    if (file == NULL) return SIZE_MAX;
    char line[256];
    unsigned long long value;
    size_t found = SIZE_MAX;
    while (found == SIZE_MAX && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, key, strlen(key)) == 0 && sscanf(line + strlen(key), "%llu", &value) == 1)
            found = (size_t)value;
    }
    fclose(file);
    return found;
}

size_t qins_memory_peak(void) {
    size_t kibibytes = system_number("/proc/self/status", "VmHWM:");
    return kibibytes > SIZE_MAX / 1024 ? 0 : kibibytes * 1024;
}

size_t qins_memory_available(void) {
    size_t kibibytes = system_number("/proc/meminfo", "MemAvailable:");
    size_t available = kibibytes > SIZE_MAX / 1024 ? SIZE_MAX : kibibytes * 1024;
    size_t limit = system_number("/sys/fs/cgroup/memory.max", "");
    size_t used = system_number("/sys/fs/cgroup/memory.current", "");
    if (limit != SIZE_MAX && used != SIZE_MAX) {
        const char *const cache[] = {"inactive_file ", "active_file "}; // counted as used, given up when needed
        for (int i = 0; i < 2; i++) {
            size_t bytes = system_number("/sys/fs/cgroup/memory.stat", cache[i]);
            if (bytes != SIZE_MAX) used -= bytes < used ? bytes : used;
        }
        size_t left = limit > used ? limit - used : 0;
        if (left < available) available = left;
    }
    return available;
}
