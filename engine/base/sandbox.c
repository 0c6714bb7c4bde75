// The sandbox; see sandbox.h.
#define _GNU_SOURCE // O_PATH
#include "engine/base/sandbox_internal.h"

#include "engine/base/error.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct {
    const char *program;
    bool limits_files, limits_calls, is_planned;
} state;

// The sanitizers and their reports need what the sandbox refuses.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAS_SANITIZER true
#elif defined(__has_feature)
#define HAS_SANITIZER (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define HAS_SANITIZER false
#endif

// --- files ---

// What memory and processors there are. Descriptors of these stay open: an entry of /proc that nobody holds may be
// forgotten by the kernel, and what is then found under its name is another one, which the rule does not know.
static const char *const system_files[] = {"/proc/self", "/proc/meminfo", "/proc/sys/vm/overcommit_memory",
                                           "/sys/fs/cgroup", "/sys/devices/system/cpu"};

static int open_path(int folder, const char *path) {
    return openat(folder, path, O_PATH | O_CLOEXEC);
}

// What the links in a folder lead to; Hugging Face's cache keeps all files elsewhere.
static void follow_links(const qins_sandbox *sandbox, const char *path) {
    DIR *folder = opendir(path);
    for (const struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
        struct stat info;
        if (fstatat(dirfd(folder), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISLNK(info.st_mode)) continue;
        const int fd = open_path(dirfd(folder), entry->d_name);
        if (fd < 0) continue;
        qins_landlock_allow(sandbox->rules, sandbox->rights & qins_landlock_reading(), fd);
        close(fd);
    }
    if (folder != NULL) closedir(folder);
}

qins_sandbox qins_sandbox_plan(qins_sandbox_job job) {
    qins_sandbox sandbox = {.rules = -1, .job = job};
    state.is_planned = true;
    if (HAS_SANITIZER) return sandbox;
    sandbox.rules = qins_landlock_begin(&sandbox.rights);
    for (size_t i = 0; sandbox.rules >= 0 && i < sizeof system_files / sizeof *system_files; i++) {
        const int fd = open_path(AT_FDCWD, system_files[i]);
        if (fd >= 0) qins_landlock_allow(sandbox.rules, sandbox.rights & qins_landlock_reading(), fd);
    }
    return sandbox;
}

static void allow(const qins_sandbox *sandbox, const char *path, uint64_t rights) {
    const int fd = sandbox->rules >= 0 ? open_path(AT_FDCWD, path) : -1;
    if (fd < 0) return;
    qins_landlock_allow(sandbox->rules, sandbox->rights & rights, fd);
    close(fd);
}

void qins_sandbox_reads(qins_sandbox *sandbox, const char *path) {
    allow(sandbox, path, qins_landlock_reading());
    if (sandbox->rules >= 0) follow_links(sandbox, path);
}

void qins_sandbox_writes(qins_sandbox *sandbox, const char *path) {
    allow(sandbox, path, qins_landlock_writing());
}

// --- calls ---

// In the middle of anything: only write and _exit.
static void on_refused_call(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    char text[256];
    size_t size = 0;
    const char *const parts[] = {state.program, ": the sandbox refused the system call ",
                                 qins_seccomp_name(info->si_syscall),
                                 "; a model or text file may be an attack on this program\n"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const size_t length = parts[i] != NULL ? strlen(parts[i]) : 0;
        if (length > sizeof text - size) continue;
        memcpy(text + size, parts[i], length);
        size += length;
    }
    (void)!write(STDERR_FILENO, text, size);
    _exit(QINS_FAILED);
}

static void tell_of_refused_calls(void) {
    struct sigaction action = {.sa_sigaction = on_refused_call, .sa_flags = SA_SIGINFO};
    sigfillset(&action.sa_mask);
    sigaction(SIGSYS, &action, NULL);
}

void qins_sandbox_enter(qins_sandbox *sandbox, const char *program) {
    state.program = program;
    if (HAS_SANITIZER || !qins_give_up_privileges()) return;
    tell_of_refused_calls();
    state.limits_files = sandbox->rules >= 0 && qins_landlock_enter(sandbox->rules);
    sandbox->rules = -1;
    state.limits_calls = qins_seccomp_enter(sandbox->job);
}

void qins_sandbox_tighten(void) {
    if (state.limits_calls) (void)qins_seccomp_tighten();
}

// --- in words ---

const char *qins_sandbox_state(void) {
    if (!state.is_planned) return "off (--no-sandbox)";
    if (HAS_SANITIZER) return "off: this is a build with sanitizers";
    if (state.limits_files && state.limits_calls) return "files by Landlock, system calls by seccomp";
    if (state.limits_files) return "files by Landlock; the kernel allows no seccomp filters";
    if (state.limits_calls) return "system calls by seccomp; the kernel has no Landlock";
    return "off: the kernel allows neither Landlock nor seccomp filters";
}
