// Control groups; see cgroup.h.
#include "engine/base/cgroup.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { MAX_PATH = 1024 };

// The numbers after `key`, which begins a line of FOLDER/NAME; how many there are, at most 2.
static int read_numbers(const char *folder, const char *name, const char *key, unsigned long long numbers[2]) {
    char path[MAX_PATH + 64], line[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "r");
    if (file == NULL) return 0;
    int n = 0;
    while (n <= 0 && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, key, strlen(key)) == 0) n = sscanf(line + strlen(key), "%llu %llu", &numbers[0], &numbers[1]);
    }
    fclose(file);
    return n < 0 ? 0 : n;
}

size_t qins_cgroup_processors(const char *folder) {
    unsigned long long quota[2], period[2]; // microseconds
    if (read_numbers(folder, "cpu.max", "", quota) == 2)
        period[0] = quota[1];
    else if (read_numbers(folder, "cpu.cfs_quota_us", "", quota) != 1 ||
             read_numbers(folder, "cpu.cfs_period_us", "", period) != 1)
        return SIZE_MAX;
    if (period[0] == 0 || (long long)quota[0] < 0) return SIZE_MAX; // version 1 says -1 for no limit
    return quota[0] < period[0] ? 1 : (size_t)(quota[0] / period[0]);
}

size_t qins_cgroup_memory(const char *folder) {
    static const struct {
        const char *limit, *used, *cached[2];
    } versions[] = {{"memory.max", "memory.current", {"inactive_file ", "active_file "}},
                    {"memory.limit_in_bytes", "memory.usage_in_bytes", {"total_inactive_file ", "total_active_file "}}};
    for (int i = 0; i < 2; i++) {
        unsigned long long limit[2], used[2], cached[2];
        if (read_numbers(folder, versions[i].limit, "", limit) != 1) continue;
        if (read_numbers(folder, versions[i].used, "", used) != 1) continue;
        for (int j = 0; j < 2; j++) {
            if (read_numbers(folder, "memory.stat", versions[i].cached[j], cached) == 1)
                used[0] -= cached[0] < used[0] ? cached[0] : used[0];
        }
        return limit[0] > used[0] ? (size_t)(limit[0] - used[0]) : 0;
    }
    return SIZE_MAX;
}

// Is the name one of a list with commas?
static bool is_listed(const char *list, const char *name) {
    const size_t length = strlen(name);
    for (const char *at = strstr(list, name); at != NULL; at = strstr(at + 1, name)) {
        if ((at == list || at[-1] == ',') && (at[length] == ',' || at[length] == '\0')) return true;
    }
    return false;
}

static size_t least_upwards(const char *root, char *folder, qins_cgroup_limit *limit) {
    size_t least = SIZE_MAX;
    for (;;) {
        const size_t own = limit(folder);
        if (own < least) least = own;
        char *slash = strrchr(folder, '/');
        if (slash == NULL || (size_t)(slash - folder) < strlen(root)) return least;
        *slash = '\0';
    }
}

size_t qins_cgroup_least(const char *root, const char *list, const char *controller, qins_cgroup_limit *limit) {
    size_t least = SIZE_MAX;
    char line[MAX_PATH], folder[2 * MAX_PATH];
    FILE *file = fopen(list, "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) { // "ID:CONTROLLERS:PATH", no controllers: version 2
        char *controllers = strchr(line, ':');
        char *path = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
        if (path == NULL) continue;
        *path++ = '\0';
        path[strcspn(path, "\n")] = '\0';
        controllers++;
        if (controllers[0] != '\0' && !is_listed(controllers, controller)) continue;
        snprintf(folder, sizeof folder, "%s%s%s%s", root, controllers[0] != '\0' ? "/" : "",
                 controllers[0] != '\0' ? controller : "", path);
        const size_t own = least_upwards(root, folder, limit);
        if (own < least) least = own;
    }
    if (file != NULL) fclose(file);
    return least;
}
