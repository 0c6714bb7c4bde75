// Processors; see processors.h.
#define _GNU_SOURCE // sched_getaffinity and masks of processors, which are Linux's
#include "engine/base/processors.h"

#include "engine/base/cgroup.h"

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

// A mask of this many processors holds more than any Linux has (8192).
enum { MAX_PROCESSORS = 1 << 16 };

// The first of the processors that share a core with this one; itself where the system does not say (Linux's sysfs).
static size_t first_sibling(size_t processor, size_t n_processors) {
    char path[96];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%zu/topology/thread_siblings_list", processor);
    FILE *file = fopen(path, "r");
    size_t first;
    const int found = file != NULL ? fscanf(file, "%zu", &first) : 0;
    if (file != NULL) fclose(file);
    return found == 1 && first < n_processors ? first : processor;
}

// Count processors and cores by masks with room for n; false when the system has more, or does not say.
static bool count(qins_processors *processors, size_t n) {
    const size_t bytes = CPU_ALLOC_SIZE(n);
    cpu_set_t *allowed = CPU_ALLOC(n), *cores = CPU_ALLOC(n);
    const bool is_known = allowed != NULL && cores != NULL && sched_getaffinity(0, bytes, allowed) == 0;
    if (is_known) {
        CPU_ZERO_S(bytes, cores);
        for (size_t i = 0; i < n; i++) {
            if (CPU_ISSET_S(i, bytes, allowed)) CPU_SET_S(first_sibling(i, n), bytes, cores);
        }
        processors->logical = (size_t)CPU_COUNT_S(bytes, allowed);
        processors->cores = (size_t)CPU_COUNT_S(bytes, cores);
    }
    CPU_FREE(cores);
    CPU_FREE(allowed);
    return is_known;
}

qins_processors qins_processors_find(void) {
    qins_processors processors = {
        1, 1, qins_cgroup_least("/sys/fs/cgroup", "/proc/self/cgroup", "cpu", qins_cgroup_processors)};
    size_t n = CPU_SETSIZE;
    while (!count(&processors, n) && n < MAX_PROCESSORS) n *= 2;
    return processors;
}

size_t qins_default_threads(void) {
    const qins_processors processors = qins_processors_find();
    return processors.cores < processors.quota ? processors.cores : processors.quota;
}
