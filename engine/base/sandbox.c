// The sandbox; see sandbox.h.
#define _GNU_SOURCE // O_PATH
#include "engine/base/sandbox_internal.h"

#include "engine/base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
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

// The kernel lacks a mechanism, or denies it to this process, as in some containers.
static bool is_unsupported(int number) {
    return number == ENOSYS || number == EOPNOTSUPP || number == EINVAL || number == EPERM || number == EACCES ||
           number == E2BIG;
}

// --- files ---

// Files that describe memory and processors. Their descriptors stay open: the kernel may forget an unused entry of
// /proc, and the one found later under its name is a new one, to which the rule does not apply.
static const char *const system_files[] = {"/proc/self", "/proc/meminfo", "/proc/sys/vm/overcommit_memory",
                                           "/sys/fs/cgroup", "/sys/devices/system/cpu"};

static int open_path(int folder, const char *path) {
    return openat(folder, path, O_PATH | O_CLOEXEC);
}

// Errors of the path itself, which opening it will report.
static bool is_of_path(int number) {
    return qins_is_absence(number) || number == EACCES || number == ELOOP || number == ENAMETOOLONG;
}

// A descriptor of the file at a path, to which the rights are given; -1: nothing is there, or an error.
static int allow_at(const qins_sandbox *sandbox, int folder, const char *path, uint64_t rights) {
    const int fd = open_path(folder, path);
    if (fd < 0 ? !is_of_path(errno) : !qins_landlock_allow(sandbox->rules, sandbox->rights & rights, fd))
        qins_fail_errno(sandbox->error, QINS_FAILED, "cannot let %s into the sandbox", path);
    return fd;
}

static void allow(const qins_sandbox *sandbox, int folder, const char *path, uint64_t rights) {
    const int fd = allow_at(sandbox, folder, path, rights);
    if (fd >= 0) close(fd);
}

// What a link leads to, if that is a regular file: with a folder, such as /, everything in it could be opened.
static void allow_target(const qins_sandbox *sandbox, int folder, const char *name) {
    struct stat info;
    const int fd = open_path(folder, name);
    if (fd < 0 ? !is_of_path(errno) : fstat(fd, &info) != 0)
        qins_fail_errno(sandbox->error, QINS_FAILED, "cannot examine what %s leads to", name);
    else if (fd >= 0 && S_ISREG(info.st_mode) &&
             !qins_landlock_allow(sandbox->rules, sandbox->rights & qins_landlock_reading(), fd))
        qins_fail_errno(sandbox->error, QINS_FAILED, "cannot let %s into the sandbox", name);
    if (fd >= 0) close(fd);
}

static void follow_link(const qins_sandbox *sandbox, int folder, const char *name) {
    struct stat info;
    if (fstatat(folder, name, &info, AT_SYMLINK_NOFOLLOW) != 0) {
        if (!is_of_path(errno)) qins_fail_errno(sandbox->error, QINS_FAILED, "cannot examine %s", name);
    } else if (S_ISLNK(info.st_mode)) {
        allow_target(sandbox, folder, name);
    }
}

// The files that the links in a folder lead to; Hugging Face's cache keeps all files elsewhere.
static void follow_links(const qins_sandbox *sandbox, const char *path) {
    DIR *folder = opendir(path);
    if (folder == NULL) {
        if (!is_of_path(errno)) qins_fail_errno(sandbox->error, QINS_FAILED, "cannot look for links");
        return;
    }
    const struct dirent *entry;
    for (errno = 0; (entry = readdir(folder)) != NULL; errno = 0) follow_link(sandbox, dirfd(folder), entry->d_name);
    if (errno != 0) qins_fail_errno(sandbox->error, QINS_FAILED, "cannot look for links");
    closedir(folder);
}

qins_sandbox qins_sandbox_plan(qins_sandbox_job job, qins_error *error) {
    qins_sandbox sandbox = {.rules = -1, .job = job, .error = error};
    state.is_planned = true;
    if (HAS_SANITIZER) return sandbox;
    sandbox.rules = qins_landlock_begin(&sandbox.rights);
    if (sandbox.rules < 0 && !is_unsupported(errno))
        qins_fail_errno(error, QINS_FAILED, "cannot make the sandbox (Landlock)");
    for (size_t i = 0; sandbox.rules >= 0 && i < sizeof system_files / sizeof *system_files; i++)
        (void)allow_at(&sandbox, AT_FDCWD, system_files[i], qins_landlock_reading());
    return sandbox;
}

void qins_sandbox_reads(qins_sandbox *sandbox, const char *path) {
    if (sandbox->rules < 0 || sandbox->error->status != QINS_OK) return;
    allow(sandbox, AT_FDCWD, path, qins_landlock_reading());
    if (sandbox->error->status != QINS_OK) return;
    follow_links(sandbox, path);
    qins_error_context(sandbox->error, "%s", path);
}

void qins_sandbox_writes(qins_sandbox *sandbox, const char *path) {
    if (sandbox->rules >= 0) allow(sandbox, AT_FDCWD, path, qins_landlock_writing());
}

// --- calls ---

// A pipe that nobody reads must not keep the process alive: then the message is lost.
static void say(const char *text, size_t size) {
    struct pollfd to = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&to, 1, 0) == 1) (void)!write(STDERR_FILENO, text, size);
}

// This may interrupt anything: only poll, write and _exit.
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
    say(text, size);
    _exit(QINS_FAILED);
}

static void tell_of_refused_calls(void) {
    struct sigaction action = {.sa_sigaction = on_refused_call, .sa_flags = SA_SIGINFO};
    sigfillset(&action.sa_mask);
    sigaction(SIGSYS, &action, NULL);
}

// Did it work? If not although the kernel has the mechanism, that is an error.
static bool is_in_force(bool worked, const char *mechanism, qins_error *error) {
    if (!worked && !is_unsupported(errno))
        qins_fail_errno(error, QINS_FAILED, "cannot make the sandbox (%s)", mechanism);
    return worked;
}

static void enter(const qins_sandbox *sandbox) {
    tell_of_refused_calls();
    if (sandbox->rules >= 0)
        state.limits_files = is_in_force(qins_landlock_enter(sandbox->rules), "Landlock", sandbox->error);
    state.limits_calls = is_in_force(qins_seccomp_enter(sandbox->job), "seccomp", sandbox->error);
}

qins_status qins_sandbox_enter(qins_sandbox *sandbox, const char *program) {
    state.program = program;
    if (!HAS_SANITIZER && sandbox->error->status == QINS_OK && qins_give_up_privileges()) enter(sandbox);
    if (sandbox->rules >= 0) close(sandbox->rules);
    sandbox->rules = -1;
    return sandbox->error->status;
}

void qins_sandbox_tighten(void) {
    if (state.limits_calls) (void)qins_seccomp_tighten();
}

// --- description ---

const char *qins_sandbox_state(void) {
    if (!state.is_planned) return "off (--no-sandbox)";
    if (HAS_SANITIZER) return "off: this is a build with sanitizers";
    if (state.limits_files && state.limits_calls) return "files by Landlock, system calls by seccomp";
    if (state.limits_files) return "files by Landlock; the kernel allows no seccomp filters";
    if (state.limits_calls) return "system calls by seccomp; the kernel has no Landlock";
    return "off: the kernel allows neither Landlock nor seccomp filters";
}
