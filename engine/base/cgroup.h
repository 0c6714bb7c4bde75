// Limits of the control groups that this process is in (Linux, versions 1 and 2; kernel documentation
// admin-guide/cgroup-v2.rst, "CPU Interface Files" and "Memory Interface Files").
#ifndef QINS_BASE_CGROUP_H
#define QINS_BASE_CGROUP_H

#include <stddef.h>

// The group's limit, from the files of its folder; SIZE_MAX where there is none.
typedef size_t qins_cgroup_limit(const char *folder);

qins_cgroup_limit qins_cgroup_processors; // whole processors' worth of CPU time, at least 1
qins_cgroup_limit qins_cgroup_memory;     // bytes left; cached file pages count as free

// The lowest limit of the process's group and of its ancestors. `root` is where the groups are mounted, `list` names
// the file with the process's groups: "/sys/fs/cgroup" and "/proc/self/cgroup" except in tests.
size_t qins_cgroup_least(const char *root, const char *list, const char *controller, qins_cgroup_limit *limit);

#endif
