// seccomp: which system calls may be made; see sandbox.h and Linux's Documentation/userspace-api/seccomp_filter.rst.
// Calls are listed in a table, from which a program for the kernel's filter machine (BPF) is made: a row is four or
// five of its instructions. That is all that libseccomp would do for us.
//
// A call gets one of three answers. Listed ones are made. Those that a legitimate program has no reason to make end the
// process with a message (SIGSYS): executing files, memory that can be executed, sockets, inspecting other processes.
// All others fail with ENOSYS, as on an older kernel: C libraries try new calls, and fall back on the old ones.
#define _GNU_SOURCE // syscall, MREMAP_FIXED
#include "engine/base/sandbox_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/tcp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

#ifdef ARCHITECTURE

enum { ALLOW = (int)SECCOMP_RET_ALLOW, ALARM = (int)SECCOMP_RET_TRAP, REFUSE = (int)(SECCOMP_RET_ERRNO | EPERM) };
enum { ALL, WRITES = QINS_SANDBOX_WRITES, SERVES = QINS_SANDBOX_SERVES };
typedef enum test { ALWAYS, IS, IS_OWN_PROCESS, HAS_NONE_OF, HAS_ALL_OF } test;

// The first row that fits a call counts. Tests look at the lower half of an argument: all of these are ints to the
// kernel, or flags in the lower half.
typedef struct rule {
    const char *name;
    int call, answer, job; // job: which has this row; ALL, or bits of qins_sandbox_job
    test test;
    int argument;
    uint32_t value;
} rule;

#define RULE(name, answer, job, test, argument, value) #name, SYS_##name, answer, job, test, argument, value
#define CALL(name) RULE(name, ALLOW, ALL, ALWAYS, 0, 0)
#define CALL_IF(name, test, argument, value) RULE(name, ALLOW, ALL, test, argument, value)
#define CALL_OF(job, name) RULE(name, ALLOW, job, ALWAYS, 0, 0)
#define CALL_REFUSED(name) RULE(name, REFUSE, ALL, ALWAYS, 0, 0)
#define CALL_ALARMS(name) RULE(name, ALARM, ALL, ALWAYS, 0, 0)

enum { WRITING = O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND };
enum { FAST_OPEN = 0x20000000 }; // MSG_FASTOPEN: to connect, and to send at once

static const rule calls[] = {
    // computing: memory, threads, time
    {CALL(futex)},
    {CALL(sched_yield)},
    {CALL(madvise)},
    {CALL(munmap)},
    {CALL_IF(mremap, HAS_NONE_OF, 3, MREMAP_FIXED)}, // which could put code in the place of other code
    {CALL(brk)},
    {CALL_IF(mmap, HAS_NONE_OF, 2, PROT_EXEC)},
    {CALL_IF(mprotect, HAS_NONE_OF, 2, PROT_EXEC)},
    {CALL_IF(clone, HAS_ALL_OF, 0, CLONE_VM | CLONE_SIGHAND | CLONE_THREAD)},
    {CALL(set_robust_list)},
#ifdef SYS_rseq
    {CALL(rseq)},
#endif
    {CALL(gettid)},
    {CALL(getpid)},
    {CALL(exit)},
    {CALL(exit_group)},
    {CALL(sched_getaffinity)},
    {CALL(clock_gettime)},
    {CALL(clock_getres)},
    {CALL(gettimeofday)},
    {CALL(clock_nanosleep)},
    {CALL(nanosleep)},
    {CALL(getrusage)},
    {CALL(getrandom)},
    {CALL(sysinfo)},
    {CALL_IF(prlimit64, IS, 0, 0)},
    {CALL_IF(seccomp, IS, 0, SECCOMP_SET_MODE_FILTER)}, // another filter can only forbid more
    // signals to itself
    {CALL_IF(tgkill, IS_OWN_PROCESS, 0, 0)},          // abort
    {RULE(rt_sigaction, ALARM, ALL, IS, 0, SIGSYS)},  // another answer to alarms would let the process go on,
    {RULE(rt_sigaction, ALARM, ALL, IS, 0, SIGSEGV)}, // and so would one to the fault after its code was unmapped
    {CALL(rt_sigaction)},
    {CALL(rt_sigprocmask)},
    {CALL(rt_sigreturn)},
    {CALL(restart_syscall)},
    // descriptors
    {CALL(read)},
    {CALL(readv)},
    {CALL(pread64)},
    {CALL(write)},
    {CALL(writev)},
    {CALL(pwrite64)},
    {CALL(lseek)},
    {CALL(fstat)},
    {CALL(close)},
    {CALL(ppoll)},
    {CALL(wait4)},
    {CALL(memfd_create)},
    {CALL_IF(fcntl, IS, 1, F_GETFD)},
    {CALL_IF(fcntl, IS, 1, F_SETFD)},
    {CALL_IF(fcntl, IS, 1, F_GETFL)},
    {CALL_IF(fcntl, IS, 1, F_SETFL)},
    {CALL_IF(fcntl, IS, 1, F_DUPFD_CLOEXEC)},
    {CALL_REFUSED(fcntl)}, // others send signals
    {CALL_IF(ioctl, IS, 1, TCGETS)},
    {CALL_IF(ioctl, IS, 1, TIOCGWINSZ)},
    {CALL_IF(ioctl, IS, 1, FIONREAD)},
    {CALL_REFUSED(ioctl)}, // others inject input into the terminal
    // files, which Landlock limits
    {CALL_IF(openat, HAS_NONE_OF, 2, WRITING)},
    {CALL_OF(WRITES, openat)},
    {CALL_REFUSED(openat)},
    {CALL(newfstatat)},
    {CALL(statx)},
    {CALL(readlinkat)},
    {CALL(faccessat)},
    {CALL(getdents64)},
    {CALL(getcwd)},
    {CALL_OF(WRITES, fsync)},
    {CALL_OF(WRITES, flock)}, // unfinished files are locked, and only those of this user are removed
    {CALL_OF(WRITES, geteuid)},
    {CALL_OF(WRITES, umask)},
    {CALL_OF(WRITES, linkat)},
    {CALL_OF(WRITES, unlinkat)},
#ifdef __x86_64__ // which has older ones, too
    {CALL_IF(open, HAS_NONE_OF, 1, WRITING)},
    {CALL_OF(WRITES, open)},
    {CALL_REFUSED(open)},
    {CALL(stat)},
    {CALL(lstat)},
    {CALL(access)},
    {CALL(readlink)},
    {CALL(poll)},
    {CALL_OF(WRITES, mkdir)},
    {CALL_OF(WRITES, unlink)},
    {CALL_OF(WRITES, rename)},
    {CALL_OF(SERVES, epoll_wait)},
#else
    {CALL_OF(WRITES, mkdirat)},
    {CALL_OF(WRITES, renameat)},
    {CALL_OF(SERVES, epoll_pwait)},
#endif
    // a server's connections; its socket is already listening, and sending must not be a way to connect it
    {CALL_OF(SERVES, accept4)},
    {CALL_OF(SERVES, recvfrom)}, // not recvmsg, which receives descriptors
    {RULE(sendto, ALARM, SERVES, HAS_ALL_OF, 3, FAST_OPEN)},
    {RULE(sendto, ALLOW, SERVES, IS, 5, 0)}, // bytes of an address
    {RULE(sendto, ALARM, SERVES, ALWAYS, 0, 0)},
    {RULE(sendmsg, ALARM, SERVES, HAS_ALL_OF, 2, FAST_OPEN)},
    {CALL_OF(SERVES, sendmsg)},
    {CALL_OF(SERVES, getsockopt)},
    {RULE(setsockopt, ALLOW, SERVES, IS, 2, TCP_NODELAY)},
    {RULE(setsockopt, ALLOW, SERVES, IS, 2, TCP_CORK)},
    {RULE(setsockopt, REFUSE, SERVES, ALWAYS, 0, 0)}, // others load filters and connect
    {CALL_OF(SERVES, getsockname)},
    {CALL_OF(SERVES, shutdown)},
    {CALL_OF(SERVES, epoll_create1)},
    {CALL_OF(SERVES, epoll_ctl)},
    {CALL_OF(SERVES, eventfd2)},
    // legitimate runs never make these calls
    {CALL_ALARMS(mmap)},
    {CALL_ALARMS(mremap)},
    {CALL_ALARMS(mprotect)},
    {CALL_ALARMS(pkey_mprotect)},
    {CALL_ALARMS(clone)},
    {CALL_ALARMS(execve)},
    {CALL_ALARMS(execveat)},
    {CALL_ALARMS(socket)},
    {CALL_ALARMS(socketpair)},
    {CALL_ALARMS(bind)},
    {CALL_ALARMS(connect)},
    {CALL_ALARMS(listen)},
    {CALL_ALARMS(ptrace)},
    {CALL_ALARMS(process_vm_readv)},
    {CALL_ALARMS(process_vm_writev)},
    {CALL_ALARMS(kill)},
    {CALL_ALARMS(tkill)},
    {CALL_ALARMS(tgkill)},
    {CALL_ALARMS(rt_sigqueueinfo)},
    {CALL_ALARMS(rt_tgsigqueueinfo)},
    {CALL_ALARMS(bpf)},
    {CALL_ALARMS(io_uring_setup)},
    {CALL_ALARMS(userfaultfd)},
    {CALL_ALARMS(perf_event_open)},
    {CALL_ALARMS(unshare)},
    {CALL_ALARMS(setns)},
    {CALL_ALARMS(mount)},
    {CALL_ALARMS(personality)},
#ifdef __x86_64__
    {CALL_ALARMS(fork)},
    {CALL_ALARMS(vfork)},
#endif
};

// After the threads have started. Calls not listed here are left to the filter above.
static const rule last_calls[] = {{CALL_REFUSED(clone)}, {CALL_REFUSED(memfd_create)}, {CALL_REFUSED(seccomp)}};

enum { N_CALLS = sizeof calls / sizeof *calls, MOST_INSTRUCTIONS = 6 * N_CALLS + 8 };

struct filter {
    struct sock_filter code[MOST_INSTRUCTIONS];
    unsigned short size;
};

static void add(struct filter *filter, unsigned code, uint32_t value, unsigned if_true, unsigned if_false) {
    filter->code[filter->size++] = (struct sock_filter){(uint16_t)code, (uint8_t)if_true, (uint8_t)if_false, value};
}

static void load(struct filter *filter, size_t offset) {
    add(filter, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void answer(struct filter *filter, uint32_t value) {
    add(filter, BPF_RET | BPF_K, value, 0, 0);
}

// The accumulator holds the number of the call, before a row and after it.
static void add_row(struct filter *filter, const rule *row) {
    const unsigned equals = BPF_JMP | BPF_JEQ | BPF_K;
    // to skip: the answer; the argument, its comparison, the answer, and the number again; and the mask
    add(filter, equals, (uint32_t)row->call, 0, row->test == ALWAYS ? 1 : row->test == HAS_ALL_OF ? 5 : 4);
    if (row->test != ALWAYS) {
        load(filter, offsetof(struct seccomp_data, args) + sizeof(uint64_t) * (size_t)row->argument);
        if (row->test == IS) add(filter, equals, row->value, 0, 1);
        if (row->test == IS_OWN_PROCESS) add(filter, equals, (uint32_t)getpid(), 0, 1);
        if (row->test == HAS_NONE_OF) add(filter, BPF_JMP | BPF_JSET | BPF_K, row->value, 1, 0);
        if (row->test == HAS_ALL_OF) {
            add(filter, BPF_ALU | BPF_AND | BPF_K, row->value, 0, 0);
            add(filter, equals, row->value, 0, 1);
        }
    }
    answer(filter, (uint32_t)row->answer);
    if (row->test != ALWAYS) load(filter, offsetof(struct seccomp_data, nr));
}

// SPEC_ALLOW: kernels before 5.16 slow a filtered process down against speculative attacks between code that it runs
// for others; this one runs only its own.
static bool install(const rule *rows, size_t n_rows, int job, uint32_t otherwise) {
    struct filter filter = {.size = 0};
    load(&filter, offsetof(struct seccomp_data, arch));
    add(&filter, BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0);
    answer(&filter, SECCOMP_RET_KILL_PROCESS); // numbers of another architecture
    load(&filter, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < n_rows; i++)
        if (rows[i].job == ALL || (rows[i].job & job) != 0) add_row(&filter, &rows[i]);
    answer(&filter, otherwise);
    const struct sock_fprog loaded = {filter.size, filter.code};
    const unsigned flags = SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &loaded) == 0;
}

bool qins_seccomp_enter(qins_sandbox_job job) {
    return install(calls, N_CALLS, (int)job, SECCOMP_RET_ERRNO | ENOSYS);
}

bool qins_seccomp_tighten(void) {
    return install(last_calls, sizeof last_calls / sizeof *last_calls, ALL, SECCOMP_RET_ALLOW);
}

const char *qins_seccomp_name(int call) {
    for (size_t i = 0; i < N_CALLS; i++)
        if (calls[i].call == call) return calls[i].name;
    return NULL;
}

#else // no reviewed call table for this architecture: no filter

bool qins_seccomp_enter(qins_sandbox_job job) {
    (void)job;
    errno = ENOSYS;
    return false;
}

bool qins_seccomp_tighten(void) {
    return false;
}

const char *qins_seccomp_name(int call) {
    (void)call;
    return NULL;
}

#endif
