// Processors; see processors.h.
#define _GNU_SOURCE // sched_getaffinity
#include "engine/base/processors.h"

#include "engine/base/cgroup.h"

#include <sched.h>
#include <stdint.h>
#include <stdio.h>

// The first of the processors that share a core with this one; itself where the system does not say.
static int first_sibling(int processor) {
    char path[96];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", processor);
    FILE *file = fopen(path, "r");
    int first;
    const int found = file != NULL ? fscanf(file, "%d", &first) : 0;
    if (file != NULL) fclose(file);
    return found == 1 && first >= 0 && first < CPU_SETSIZE ? first : processor;
}

qins_processors qins_processors_find(void) {
    cpu_set_t allowed, cores;
    qins_processors processors = {
        1, 1, qins_cgroup_least("/sys/fs/cgroup", "/proc/self/cgroup", "cpu", qins_cgroup_processors)};
    CPU_ZERO(&cores);
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return processors;
    for (int i = 0; i < CPU_SETSIZE; i++) {
        if (CPU_ISSET(i, &allowed)) CPU_SET(first_sibling(i), &cores);
    }
    processors.logical = (size_t)CPU_COUNT(&allowed);
    processors.cores = (size_t)CPU_COUNT(&cores);
    return processors;
}

size_t qins_default_threads(void) {
    const qins_processors processors = qins_processors_find();
    return processors.cores < processors.quota ? processors.cores : processors.quota;
}
