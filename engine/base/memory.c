// Checked allocation; see memory.h.
#include "engine/base/memory.h"

#include "engine/base/cgroup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

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

char *qins_copy_text(const char *text, size_t size, const char *what, qins_error *error) {
    char *copy = size < SIZE_MAX ? qins_alloc(size + 1, 1, what, error) : NULL;
    if (copy != NULL && size > 0) memcpy(copy, text, size);
    return copy;
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

// --- Linux's figures ---

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

static size_t own_memory(const char *key) {
    size_t kibibytes = system_number("/proc/self/status", key);
    return kibibytes > SIZE_MAX / 1024 ? 0 : kibibytes * 1024;
}

// Without /proc: includes the peak of the program that started this one, up to when this one was loaded.
static size_t peak_by_system_call(void) {
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (size_t)usage.ru_maxrss * 1024 : 0;
}

size_t qins_memory_peak(void) {
    const size_t peak = own_memory("VmHWM:");
    return peak > 0 ? peak : peak_by_system_call();
}

size_t qins_memory_resident(void) {
    const size_t resident = own_memory("VmRSS:");
    return resident > 0 ? resident : peak_by_system_call();
}

static size_t left_of_limit(int resource, const char *used) {
    struct rlimit limit;
    if (getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return SIZE_MAX;
    const size_t n_used = own_memory(used), most = (size_t)limit.rlim_cur;
    return most > n_used ? most - n_used : 0;
}

static size_t left_of_promises(void) {
    if (system_number("/proc/sys/vm/overcommit_memory", "") != 2) return SIZE_MAX;
    const size_t limit = system_number("/proc/meminfo", "CommitLimit:");
    const size_t promised = system_number("/proc/meminfo", "Committed_AS:");
    if (limit > SIZE_MAX / 1024 || promised > SIZE_MAX / 1024) return SIZE_MAX;
    return limit > promised ? (limit - promised) * 1024 : 0;
}

size_t qins_memory_mappable(void) {
    const size_t left[] = {left_of_limit(RLIMIT_AS, "VmSize:"), left_of_limit(RLIMIT_DATA, "VmData:"),
                           left_of_promises()};
    size_t least = SIZE_MAX;
    for (size_t i = 0; i < sizeof left / sizeof *left; i++) least = left[i] < least ? left[i] : least;
    return least;
}

size_t qins_memory_stack(void) {
    const size_t unlimited = 2 << 20; // the C library's choice
    struct rlimit limit;
    if (getrlimit(RLIMIT_STACK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return unlimited;
    return (size_t)limit.rlim_cur;
}

size_t qins_memory_available(void) {
    size_t kibibytes = system_number("/proc/meminfo", "MemAvailable:");
    size_t available = kibibytes > SIZE_MAX / 1024 ? SIZE_MAX : kibibytes * 1024;
    size_t left = qins_cgroup_least("/sys/fs/cgroup", "/proc/self/cgroup", "memory", qins_cgroup_memory);
    return left < available ? left : available;
}
