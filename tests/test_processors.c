// Processors and the limits of control groups, from files made up for the purpose.
#include "engine/base/cgroup.h"
#include "engine/base/memory.h"
#include "engine/base/processors.h"
#include "tests/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// The least limit when this process is in the groups `list`, below a folder with these files.
static size_t least(char *root, const char *list, const char *controller, qins_cgroup_limit *limit) {
    char path[512];
    snprintf(path, sizeof path, "%s", write_file(root, "list", list, strlen(list)));
    return qins_cgroup_least(root, path, controller, limit);
}

static void put(const char *folder, const char *name, const char *text) {
    write_file(folder, name, text, strlen(text));
}

Test(processors, there_is_one) {
    const qins_processors processors = qins_processors_find();
    cr_expect_geq(processors.cores, 1);
    cr_expect_leq(processors.cores, processors.logical);
    cr_expect_geq(processors.quota, 1);
    cr_expect_leq(qins_default_threads(), processors.cores);
    cr_expect_geq(qins_default_threads(), 1);
}

Test(processors, quota_of_a_control_group) {
    char *root = temporary_folder();
    cr_expect_eq(least(root, "0::/\n", "cpu", qins_cgroup_processors), SIZE_MAX);
    put(root, "cpu.max", "max 100000\n");
    cr_expect_eq(least(root, "0::/\n", "cpu", qins_cgroup_processors), SIZE_MAX);
    put(root, "cpu.max", "350000 100000\n");
    cr_expect_eq(least(root, "0::/\n", "cpu", qins_cgroup_processors), 3);
    cr_expect_eq(least(root, "0::/some/group/inside\n", "cpu", qins_cgroup_processors), 3);
    put(root, "cpu.max", "50000 100000\n");
    cr_expect_eq(least(root, "1:name=systemd:/\n0::/x\n", "cpu", qins_cgroup_processors), 1);
    cr_expect_eq(qins_cgroup_least(root, "/nowhere", "cpu", qins_cgroup_processors), SIZE_MAX);
    remove_folder(root);
}

Test(processors, the_least_quota_on_the_way_up_counts) {
    char *root = temporary_folder(), inner[512];
    snprintf(inner, sizeof inner, "%s/inner", root);
    cr_assert_eq(mkdir(inner, 0700), 0);
    put(root, "cpu.max", "200000 100000\n");
    put(inner, "cpu.max", "400000 100000\n");
    cr_expect_eq(least(root, "0::/inner\n", "cpu", qins_cgroup_processors), 2);
    put(inner, "cpu.max", "100000 100000\n");
    cr_expect_eq(least(root, "0::/inner\n", "cpu", qins_cgroup_processors), 1);
    cr_expect_eq(least(root, "0::/\n", "cpu", qins_cgroup_processors), 2);
    remove_folder(strdup(inner));
    remove_folder(root);
}

Test(processors, version_1_groups) {
    char *root = temporary_folder(), cpu[512];
    snprintf(cpu, sizeof cpu, "%s/cpu", root);
    cr_assert_eq(mkdir(cpu, 0700), 0);
    put(cpu, "cpu.cfs_quota_us", "-1\n");
    put(cpu, "cpu.cfs_period_us", "100000\n");
    cr_expect_eq(least(root, "3:cpu,cpuacct:/\n", "cpu", qins_cgroup_processors), SIZE_MAX);
    put(cpu, "cpu.cfs_quota_us", "250000\n");
    cr_expect_eq(least(root, "3:cpu,cpuacct:/\n", "cpu", qins_cgroup_processors), 2);
    cr_expect_eq(least(root, "2:cpuset:/\n3:cpuacct:/\n", "cpu", qins_cgroup_processors), SIZE_MAX);
    remove_folder(strdup(cpu));
    remove_folder(root);
}

Test(processors, memory_of_a_control_group) {
    char *root = temporary_folder();
    put(root, "memory.current", "700\n");
    put(root, "memory.max", "max\n");
    cr_expect_eq(least(root, "0::/\n", "memory", qins_cgroup_memory), SIZE_MAX);
    put(root, "memory.max", "1000\n");
    cr_expect_eq(least(root, "0::/\n", "memory", qins_cgroup_memory), 300);
    put(root, "memory.stat", "anon 1\nactive_file 100\ninactive_file 50\n");
    cr_expect_eq(least(root, "0::/\n", "memory", qins_cgroup_memory), 450);
    put(root, "memory.max", "500\n");
    cr_expect_eq(least(root, "0::/\n", "memory", qins_cgroup_memory), 0);
    remove_folder(root);
}
