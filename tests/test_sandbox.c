// Escapes from the sandbox, as an engine that an attacker has taken over would try them: each must fail, and everything
// that a legitimate one does must work. Each happens in a process of its own. Skipped where the kernel has no such
// mechanism.
#define _GNU_SOURCE
#include "engine/base/map.h"
#include "engine/base/memory.h"
#include "engine/base/pool.h"
#include "engine/base/sandbox.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORKED = 100, UNDONE = 101 }; // exit codes; others are values of errno, or of the sandbox's end

static char folder[] = "/tmp/qins-sandbox-XXXXXX", model[64], secret[64], other[64];
static int tcp = -1; // opened before the sandbox
static pid_t parent; // of the process in it

static void make_file(char *path, const char *name) {
    snprintf(path, sizeof model, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    fputs("text", file);
    fclose(file);
}

static void set_up(void) {
    cr_assert_not_null(mkdtemp(folder));
    parent = getpid();
    make_file(model, "model.qins");
    make_file(secret, "secret");
    snprintf(other, sizeof other, "%s/other", folder);
    tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static void tear_down(void) {
    unlink(model);
    unlink(secret);
    unlink(other);
    rmdir(folder);
    close(tcp);
}

TestSuite(sandbox, .init = set_up, .fini = tear_down);

static void enter(qins_sandbox_job job) {
    qins_error error = {0};
    qins_sandbox sandbox = qins_sandbox_plan(job, &error);
    qins_sandbox_reads(&sandbox, model);
    qins_sandbox_enter(&sandbox, "test");
}

typedef int attempt(void); // 0 or more: it worked; -1 and errno

// The outcome of an attempt: WORKED, the errno, or the exit code of a process that ended; -signal.
static int outcome(attempt *try, qins_sandbox_job job, bool is_tight, char said[512]) {
    int pipes[2], status;
    cr_assert_eq(pipe(pipes), 0);
    const pid_t process = fork();
    if (process == 0) {
        dup2(pipes[1], STDERR_FILENO);
        enter(job);
        if (is_tight) qins_sandbox_tighten();
        _exit(try() >= 0 ? WORKED : errno);
    }
    close(pipes[1]);
    const ssize_t size = read(pipes[0], said, 511);
    said[size > 0 ? size : 0] = '\0';
    close(pipes[0]);
    cr_assert_eq(waitpid(process, &status, 0), process);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

// The kernel's own answer: a sandbox that was not entered must not look like a kernel without one.
static void need(const char *name, bool has_mechanism) {
    if (!has_mechanism) cr_skip_test("this kernel has no %s, or does not let this process use it", name);
    if (strstr(qins_sandbox_state(), "sanitizers") != NULL) cr_skip_test("%s", qins_sandbox_state());
}
static void need_files(void) {
    const int version = (int)syscall(444, NULL, (size_t)0, 1); // landlock_create_ruleset
    qins_error error = {0};
    qins_sandbox sandbox = qins_sandbox_plan(QINS_SANDBOX_RUNS, &error);
    close(sandbox.rules);
    need("Landlock", version > 0);
}
static void need_calls(void) {
    const uint32_t action = 0x00030000; // SECCOMP_RET_TRAP
    qins_error error = {0};
    qins_sandbox sandbox = qins_sandbox_plan(QINS_SANDBOX_RUNS, &error);
    close(sandbox.rules);
    need("seccomp filters", syscall(SYS_seccomp, 2, 0, &action) == 0); // SECCOMP_GET_ACTION_AVAIL
}

static void expect_failure(const char *name, attempt *try, qins_sandbox_job job, bool is_tight, int expected) {
    char said[512];
    const int got = outcome(try, job, is_tight, said);
    cr_expect_eq(got, expected, "%s%s: expected %s, got %d %s", name, is_tight ? ", tightened" : "", strerror(expected),
                 got, got == WORKED ? "(it worked)" : said);
}

// The process ends, saying which call it was.
static void expect_end_of(qins_sandbox_job job, const char *name, attempt *try, const char *call) {
    char said[512], expected[256];
    snprintf(expected, sizeof expected,
             "test: the sandbox refused the system call %s; a model or text file may be an attack on this program\n",
             call);
    const int got = outcome(try, job, job == QINS_SANDBOX_SERVES, said);
    cr_expect_eq(got, 1, "%s: got %d%s", name, got, got == WORKED ? " (it worked)" : "");
    cr_expect_str_eq(said, expected, "%s: %s", name, said);
}
static void expect_end(const char *name, attempt *try, const char *call) {
    expect_end_of(QINS_SANDBOX_RUNS, name, try, call);
}

// --- files ---

static int open_model(void) {
    return open(model, O_RDONLY);
}
static int open_secret(void) {
    return open(secret, O_RDONLY);
}
static int open_secret_by_process(void) {
    char path[128];
    snprintf(path, sizeof path, "/proc/self/root%s", secret);
    return open(path, O_RDONLY);
}
static int list_folder(void) {
    return open(folder, O_RDONLY | O_DIRECTORY);
}
static int list_root(void) {
    return open("/", O_RDONLY | O_DIRECTORY);
}
static int read_parents_memory(void) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/mem", (int)parent);
    return open(path, O_RDONLY);
}
static int read_parents_environment(void) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/environ", (int)parent);
    return open(path, O_RDONLY);
}

Test(sandbox, only_the_named_files_can_be_read) {
    need_files();
    expect_failure("the model", open_model, QINS_SANDBOX_RUNS, true, WORKED);
    expect_failure("another file", open_secret, QINS_SANDBOX_RUNS, false, EACCES);
    expect_failure("another file, for a job that writes", open_secret, QINS_SANDBOX_WRITES, false, EACCES);
    expect_failure("another file, for a server", open_secret, QINS_SANDBOX_SERVES, true, EACCES);
    expect_failure("another file by a link of the process", open_secret_by_process, QINS_SANDBOX_RUNS, false, EACCES);
    expect_failure("the model's folder", list_folder, QINS_SANDBOX_RUNS, false, EACCES);
    expect_failure("the root folder", list_root, QINS_SANDBOX_RUNS, false, EACCES);
    expect_failure("another process's memory", read_parents_memory, QINS_SANDBOX_RUNS, false, EACCES);
    expect_failure("another process's environment", read_parents_environment, QINS_SANDBOX_RUNS, false, EACCES);
}

static int write_model(void) {
    return open(model, O_WRONLY);
}
static int truncate_model(void) {
    return open(model, O_RDONLY | O_TRUNC);
}
static int truncate_by_name(void) {
    return truncate(model, 0);
}
static int create_other(void) {
    return open(other, O_WRONLY | O_CREAT, 0600);
}
static int create_without_name(void) {
    return open(folder, O_TMPFILE | O_RDWR, 0600);
}
static int write_own_memory(void) {
    return open("/proc/self/mem", O_RDWR);
}
static int remove_model(void) {
    return unlink(model);
}
static int rename_model(void) {
    return rename(model, other);
}
static int link_model(void) {
    return link(model, other);
}
static int link_to_secret(void) {
    return symlink(secret, other);
}
static int make_folder(void) {
    return mkdir(other, 0700);
}
static int make_device(void) {
    return mknod(other, S_IFREG | 0600, 0);
}
static int change_mode(void) {
    return chmod(model, 0777);
}
static int change_open_mode(void) {
    return fchmod(tcp, 04777);
}
static int remove_folder_of_model(void) {
    return rmdir(folder);
}

Test(sandbox, nothing_is_written) {
    need_calls();
    for (int is_tight = 0; is_tight < 2; is_tight++) {
        expect_failure("the model", write_model, QINS_SANDBOX_RUNS, is_tight, EPERM);
        expect_failure("cut off the model", truncate_model, QINS_SANDBOX_RUNS, is_tight, EPERM);
        expect_failure("cut off the model by its name", truncate_by_name, QINS_SANDBOX_RUNS, is_tight, ENOSYS);
        expect_failure("a new file", create_other, QINS_SANDBOX_RUNS, is_tight, EPERM);
        expect_failure("a new file without a name", create_without_name, QINS_SANDBOX_RUNS, is_tight, EPERM);
        expect_failure("the code by /proc", write_own_memory, QINS_SANDBOX_RUNS, is_tight, EPERM);
        expect_failure("remove", remove_model, QINS_SANDBOX_RUNS, is_tight, ENOSYS);
        expect_failure("rename", rename_model, QINS_SANDBOX_RUNS, is_tight, ENOSYS);
        expect_failure("link", link_model, QINS_SANDBOX_RUNS, is_tight, ENOSYS);
        expect_failure("symbolic link", link_to_secret, QINS_SANDBOX_RUNS, is_tight, ENOSYS);
        expect_failure("folder", make_folder, QINS_SANDBOX_RUNS, is_tight, ENOSYS);
        expect_failure("mknod", make_device, QINS_SANDBOX_RUNS, is_tight, ENOSYS);
        expect_failure("chmod", change_mode, QINS_SANDBOX_RUNS, is_tight, ENOSYS);
    }
}

Test(sandbox, a_job_that_writes_does_so_in_its_folder_only) {
    need_files();
    expect_failure("the model", write_model, QINS_SANDBOX_WRITES, false, EACCES);
    expect_failure("a new file", create_other, QINS_SANDBOX_WRITES, false, EACCES);
    expect_failure("the code by /proc", write_own_memory, QINS_SANDBOX_WRITES, false, EACCES);
    expect_failure("remove", remove_model, QINS_SANDBOX_WRITES, false, EACCES);
    expect_failure("rename", rename_model, QINS_SANDBOX_WRITES, false, EACCES);
    expect_failure("chmod", change_mode, QINS_SANDBOX_WRITES, false, ENOSYS);
    expect_failure("fchmod", change_open_mode, QINS_SANDBOX_WRITES, false, ENOSYS);
    expect_failure("rmdir", remove_folder_of_model, QINS_SANDBOX_WRITES, false, ENOSYS);
}

static uid_t user;

static int lock_model(void) {
    const int fd = open_model();
    return fd >= 0 ? flock(fd, LOCK_EX | LOCK_NB) : -1;
}
static int own_files(void) {
    return geteuid() == user ? 0 : -1;
}

Test(sandbox, a_job_that_writes_locks_files_and_knows_its_own) {
    need_calls();
    user = geteuid();
    expect_failure("lock", lock_model, QINS_SANDBOX_WRITES, false, WORKED);
    expect_failure("lock, to read", lock_model, QINS_SANDBOX_RUNS, false, ENOSYS);
    expect_failure("the user", own_files, QINS_SANDBOX_WRITES, false, WORKED);
}

// --- programs and code ---

static int execute(void) {
    return execl("/bin/true", "true", (char *)NULL);
}
static int execute_by_descriptor(void) {
    return (int)syscall(SYS_execveat, tcp, "", NULL, NULL, AT_EMPTY_PATH);
}
static int fork_process(void) {
    return (int)fork();
}
static int fork_by_clone3(void) { // its arguments lie in memory, where a filter cannot see them
    unsigned long long arguments[11] = {[4] = SIGCHLD};
    return (int)syscall(SYS_clone3, arguments, sizeof arguments);
}
static int map_code(void) {
    return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0;
}
static int map_writable_code(void) {
    return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1
                                                                                                                  : 0;
}
static int make_executable(void) {
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return mprotect(page, 4096, PROT_READ | PROT_EXEC);
}
static int make_executable_with_key(void) {
    return (int)syscall(SYS_pkey_mprotect, NULL, (size_t)4096, PROT_READ | PROT_EXEC, 0);
}
static int imply_executable(void) {
    return (int)syscall(SYS_personality, 0x0400000UL); // READ_IMPLIES_EXEC
}

Test(sandbox, no_program_and_no_new_code_is_executed) {
    need_calls();
    expect_end("execve", execute, "execve");
    expect_end("execveat", execute_by_descriptor, "execveat");
    expect_end("fork", fork_process, "clone");
    expect_failure("clone3", fork_by_clone3, QINS_SANDBOX_RUNS, false, ENOSYS);
    expect_end("mmap", map_code, "mmap");
    expect_end("mmap, to write", map_writable_code, "mmap");
    expect_end("mprotect", make_executable, "mprotect");
    expect_end("pkey_mprotect", make_executable_with_key, "pkey_mprotect");
    expect_end("personality", imply_executable, "personality");
}

// --- the network ---

static int make_socket(void) {
    return socket(AF_INET, SOCK_STREAM, 0);
}
static int make_unix_socket(void) {
    return socket(AF_UNIX, SOCK_DGRAM, 0);
}
static int make_raw_socket(void) {
    return socket(AF_NETLINK, SOCK_RAW, 0);
}
static int connect_socket(void) {
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(80), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return connect(tcp, (const struct sockaddr *)&address, sizeof address);
}
static int bind_socket(void) {
    const struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return bind(tcp, (const struct sockaddr *)&address, sizeof address);
}
static int listen_at_socket(void) {
    return listen(tcp, 1);
}
static int send_by_socket(void) {
    return (int)send(tcp, "", 1, MSG_NOSIGNAL | MSG_FASTOPEN);
}

Test(sandbox, no_network) {
    need_calls();
    expect_end("socket", make_socket, "socket");
    expect_end("a socket of this machine", make_unix_socket, "socket");
    expect_end("netlink", make_raw_socket, "socket");
    expect_end("connect", connect_socket, "connect");
    char said[512];
    cr_expect_eq(outcome(connect_socket, QINS_SANDBOX_SERVES, true, said), 1, "a server connects: %s", said);
    expect_end("bind", bind_socket, "bind");
    expect_end("listen", listen_at_socket, "listen");
    expect_failure("send", send_by_socket, QINS_SANDBOX_RUNS, false, ENOSYS);
}

// A server has sockets: one that listens, and one for each client. None of them gets to another service.
static int door = -1, client = -1; // the latter of a pair
static struct sockaddr_in service = {.sin_family = AF_INET};

static int listen_anywhere(struct sockaddr_in *address) {
    socklen_t size = sizeof *address;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address->sin_port = 0;
    cr_assert_eq(bind(fd, (const struct sockaddr *)address, sizeof *address), 0);
    cr_assert_eq(listen(fd, 4), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)address, &size), 0);
    return fd;
}

static int connect_by_sending(void) {
    shutdown(door, SHUT_RDWR);
    return (int)sendto(door, "x", 1, MSG_NOSIGNAL | MSG_FASTOPEN, (const struct sockaddr *)&service, sizeof service);
}
static int send_to_address(void) {
    shutdown(door, SHUT_RDWR);
    return (int)sendto(door, "x", 1, MSG_NOSIGNAL, (const struct sockaddr *)&service, sizeof service);
}
static struct mmsghdr message(void) {
    static struct iovec bytes = {(void *)(uintptr_t) "x", 1};
    return (struct mmsghdr){.msg_hdr = {.msg_iov = &bytes, .msg_iovlen = 1}};
}
static struct mmsghdr message_to_service(void) {
    struct mmsghdr to = message();
    to.msg_hdr.msg_name = &service;
    to.msg_hdr.msg_namelen = sizeof service;
    return to;
}
static int connect_by_message(void) {
    const struct mmsghdr to = message_to_service();
    shutdown(door, SHUT_RDWR);
    return (int)sendmsg(door, &to.msg_hdr, MSG_NOSIGNAL | MSG_FASTOPEN);
}
static int connect_by_messages(void) {
    struct mmsghdr to = message_to_service();
    shutdown(door, SHUT_RDWR);
    return sendmmsg(door, &to, 1, MSG_NOSIGNAL | MSG_FASTOPEN);
}
static int send_message_to_address(void) {
    const struct mmsghdr to = message_to_service();
    shutdown(door, SHUT_RDWR);
    return (int)sendmsg(door, &to.msg_hdr, MSG_NOSIGNAL);
}
static int use_option_to_connect(void) {
    return setsockopt(door, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &(int){1}, sizeof(int));
}
static int push_at_once(void) {
    return setsockopt(door, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
}
static int receive_descriptors(void) {
    struct mmsghdr from = message();
    return (int)recvmsg(client, &from.msg_hdr, MSG_DONTWAIT);
}
static int answer_client(void) {
    const struct mmsghdr to = message();
    return send(client, "x", 1, MSG_NOSIGNAL) == 1 && sendmsg(client, &to.msg_hdr, MSG_NOSIGNAL) == 1 ? 0 : -1;
}

Test(sandbox, a_server_connects_to_no_other) {
    int pair[2];
    struct sockaddr_in own = {.sin_family = AF_INET};
    need_calls();
    door = listen_anywhere(&own);
    const int other_door = listen_anywhere(&service);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    client = pair[0];
    expect_failure("answer a client", answer_client, QINS_SANDBOX_SERVES, true, WORKED);
    expect_end_of(QINS_SANDBOX_SERVES, "connect by sendto", connect_by_sending, "sendto");
    expect_end_of(QINS_SANDBOX_SERVES, "sendto an address", send_to_address, "sendto");
    expect_end_of(QINS_SANDBOX_SERVES, "connect by sendmsg", connect_by_message, "sendmsg");
    expect_failure("connect by sendmmsg", connect_by_messages, QINS_SANDBOX_SERVES, true, ENOSYS);
    expect_failure("sendmsg to an address", send_message_to_address, QINS_SANDBOX_SERVES, true, EPIPE);
    expect_failure("an option to connect", use_option_to_connect, QINS_SANDBOX_SERVES, true, EPERM);
    expect_failure("an option to push", push_at_once, QINS_SANDBOX_SERVES, true, WORKED);
    expect_failure("receive descriptors", receive_descriptors, QINS_SANDBOX_SERVES, true, ENOSYS);
    cr_expect_eq(fcntl(other_door, F_SETFL, O_NONBLOCK), 0);
    cr_expect(accept(other_door, NULL, NULL) < 0 && errno == EAGAIN, "nobody has come");
    close(other_door);
    close(door);
    close(pair[0]);
    close(pair[1]);
}

// --- other processes ---

static int trace_parent(void) {
    return (int)ptrace(PTRACE_ATTACH, parent, NULL, NULL);
}
static int be_traced(void) {
    return (int)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}
static int read_parent(void) {
    char byte;
    struct iovec own = {&byte, 1}, its = {&byte, 1};
    return (int)process_vm_readv(parent, &own, 1, &its, 1, 0);
}
static int write_parent(void) {
    char byte = 0;
    struct iovec own = {&byte, 1}, its = {&byte, 1};
    return (int)process_vm_writev(parent, &own, 1, &its, 1, 0);
}
static int kill_parent(void) {
    return kill(parent, 0);
}
static int kill_all(void) {
    return kill(-1, 0);
}
static int kill_parents_thread(void) {
    return (int)syscall(SYS_tgkill, parent, parent, 0);
}
static int queue_signal(void) {
    return sigqueue(parent, 0, (union sigval){0});
}
static int limit_parent(void) {
    return prlimit(parent, RLIMIT_NOFILE, NULL, &(struct rlimit){0});
}
static int signal_by_descriptor(void) {
    return fcntl(tcp, F_SETOWN, parent);
}
static int type_at_terminal(void) {
    return ioctl(STDIN_FILENO, TIOCSTI, "x");
}
static int paste_at_terminal(void) {
    return ioctl(STDIN_FILENO, TIOCLINUX, "\3");
}
static int open_process(void) {
    return (int)syscall(SYS_pidfd_open, parent, 0);
}

Test(sandbox, other_processes_are_left_in_peace) {
    need_calls();
    expect_end("ptrace", trace_parent, "ptrace");
    expect_end("ptrace by another", be_traced, "ptrace");
    expect_end("process_vm_readv", read_parent, "process_vm_readv");
    expect_end("process_vm_writev", write_parent, "process_vm_writev");
    expect_end("kill", kill_parent, "kill");
    expect_end("kill all", kill_all, "kill");
    expect_end("tgkill", kill_parents_thread, "tgkill");
    expect_end("sigqueue", queue_signal, "rt_sigqueueinfo");
    expect_failure("prlimit", limit_parent, QINS_SANDBOX_RUNS, false, ENOSYS);
    expect_failure("F_SETOWN", signal_by_descriptor, QINS_SANDBOX_RUNS, false, EPERM);
    expect_failure("TIOCSTI", type_at_terminal, QINS_SANDBOX_RUNS, false, EPERM);
    expect_failure("TIOCLINUX", paste_at_terminal, QINS_SANDBOX_RUNS, false, EPERM);
    expect_failure("pidfd_open", open_process, QINS_SANDBOX_RUNS, false, ENOSYS);
}

// --- the kernel ---

static int begin_ring(void) {
    char parameters[256] = {0};
    return (int)syscall(SYS_io_uring_setup, 1, parameters);
}
static int load_bpf(void) {
    return (int)syscall(SYS_bpf, 0, NULL, 0);
}
static int make_namespace(void) {
    return (int)syscall(SYS_unshare, 0x10000000); // CLONE_NEWUSER
}
static int take_page_faults(void) {
    return (int)syscall(SYS_userfaultfd, 1); // UFFD_USER_MODE_ONLY
}
static int add_key(void) {
    return (int)syscall(SYS_add_key, "user", "qins", "x", (size_t)1, -3);
}
static int use_other_filter(void) {
    return (int)syscall(SYS_seccomp, 1, 0, NULL) < 0 && errno == EFAULT ? 0 : -1; // looked at: a filter may be added
}
static int use_numbers_of_x32(void) {
    return (int)syscall(0x40000000L + 59, "/bin/true", NULL, NULL);
}

Test(sandbox, the_kernel_has_a_small_surface) {
    need_calls();
    expect_end("io_uring", begin_ring, "io_uring_setup");
    expect_end("bpf", load_bpf, "bpf");
    expect_end("unshare", make_namespace, "unshare");
    expect_end("userfaultfd", take_page_faults, "userfaultfd");
    expect_failure("add_key", add_key, QINS_SANDBOX_RUNS, false, ENOSYS);
    expect_failure("seccomp", use_other_filter, QINS_SANDBOX_RUNS, false, WORKED);
    expect_failure("seccomp", use_other_filter, QINS_SANDBOX_RUNS, true, EPERM);
#ifdef __x86_64__
    expect_failure("x32", use_numbers_of_x32, QINS_SANDBOX_RUNS, false, ENOSYS);
#endif
}

// --- the end ---

static void go_on(int number) {
    (void)number;
}
static int handle_alarms(void) {
    signal(SIGSYS, go_on);
    return fork_process();
}
static int ignore_alarms(void) {
    signal(SIGSYS, SIG_IGN);
    return fork_process();
}
static int handle_faults(void) {
    signal(SIGSEGV, go_on);
    return 0;
}
static int move_over_code(void) {
    void *pages = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return mremap(pages, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, (char *)pages + 4096) == MAP_FAILED ? -1 : 0;
}
static int block_alarms(void) {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    return fork_process();
}
static int handle_interrupts(void) {
    return signal(SIGINT, go_on) == SIG_ERR ? -1 : 0;
}

Test(sandbox, nothing_goes_on_after_the_end) {
    char said[512];
    need_calls();
    expect_end("another handler", handle_alarms, "rt_sigaction");
    expect_end("no handler", ignore_alarms, "rt_sigaction");
    expect_end("a handler of faults", handle_faults, "rt_sigaction");
    expect_end("other code", move_over_code, "mremap");
    cr_expect_eq(outcome(block_alarms, QINS_SANDBOX_RUNS, true, said), -SIGSYS, "blocked: %s", said);
    expect_failure("a handler of interrupts", handle_interrupts, QINS_SANDBOX_RUNS, true, WORKED);
}

Test(sandbox, a_pipe_that_nobody_reads_does_not_delay_the_end) {
    int pipes[2], status;
    need_calls();
    cr_assert_eq(pipe2(pipes, O_NONBLOCK), 0);
    while (write(pipes[1], "x", 1) == 1) {
    }
    cr_assert_eq(fcntl(pipes[1], F_SETFL, 0), 0);
    const pid_t process = fork();
    if (process == 0) {
        dup2(pipes[1], STDERR_FILENO);
        enter(QINS_SANDBOX_RUNS);
        _exit(fork_process() >= 0 ? WORKED : errno);
    }
    pid_t ended = 0;
    for (int i = 0; i < 1000 && (ended = waitpid(process, &status, WNOHANG)) == 0; i++) poll(NULL, 0, 10);
    cr_expect_eq(ended, process, "it waits");
    if (ended == 0) kill(process, SIGKILL);
    cr_expect(ended != process || (WIFEXITED(status) && WEXITSTATUS(status) == 1));
    close(pipes[0]);
    close(pipes[1]);
}

#ifdef __x86_64__
static int use_old_calls(void) {
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(20L) : "memory", "r8", "r9", "r10", "r11"); // getpid of i386
    return result > 0 ? 0 : -1;
}

Test(sandbox, calls_of_another_architecture_end_it) {
    char said[512];
    need_calls();
    const int got = outcome(use_old_calls, QINS_SANDBOX_RUNS, false, said);
    cr_expect(got == -SIGSYS || got == -SIGSEGV, "got %d", got); // SIGSEGV: this kernel has no such calls
}
#endif

// --- threads ---

static void *do_nothing(void *argument) {
    return argument;
}

static int start_thread(void) {
    pthread_t thread;
    const int result = pthread_create(&thread, NULL, do_nothing, NULL);
    if (result == 0) pthread_join(thread, NULL);
    errno = result;
    return result == 0 ? 0 : -1;
}

static int make_memory_file(void) {
    qins_error error = {0};
    return qins_memory_file("test", &error);
}

// In a thread of a pool that was there before the sandbox was tightened.
static void start_thread_as_item(void *context, size_t item, size_t worker) {
    (void)worker;
    atomic_int *results = context;
    atomic_store(&results[item], start_thread() >= 0 ? WORKED : errno);
}

static int start_thread_in_worker(void) {
    enum { N = 64 };
    static atomic_int results[N];
    qins_error error = {0};
    qins_pool *pool = qins_pool_create(4, &error);
    if (pool == NULL) return 0;
    qins_sandbox_tighten();
    qins_pool_run(pool, N, start_thread_as_item, results);
    qins_pool_free(pool);
    for (int i = 0; i < N; i++)
        if (results[i] != EPERM) return 0;
    errno = EPERM;
    return -1;
}

Test(sandbox, threads_can_be_started_until_it_is_tightened) {
    need_calls();
    expect_failure("a thread", start_thread, QINS_SANDBOX_RUNS, false, WORKED);
    expect_failure("a thread", start_thread, QINS_SANDBOX_RUNS, true, EPERM);
    expect_failure("a file in memory", make_memory_file, QINS_SANDBOX_RUNS, false, WORKED);
    expect_failure("a file in memory", make_memory_file, QINS_SANDBOX_RUNS, true, EPERM);
    expect_failure("by another thread", start_thread_in_worker, QINS_SANDBOX_RUNS, false, EPERM);
}

static int open_secret_in_worker(void) {
    qins_error error = {0};
    qins_pool *pool = qins_pool_create(2, &error);
    (void)pool;
    return open_secret();
}

Test(sandbox, threads_are_in_it_too) {
    need_files();
    expect_failure("a file", open_secret_in_worker, QINS_SANDBOX_RUNS, false, EACCES);
}

// --- legitimate actions ---

static int do_the_job(void) {
    qins_error error = {0};
    const int fd = open_model();
    const uint8_t *mapped = qins_map_file(fd, model, 4, &error);
    char *reserved = qins_reserve((size_t)1 << 30, "test", &error);
    char *large = qins_alloc(1 << 26, 1, "test", &error);
    if (mapped == NULL || reserved == NULL || large == NULL || memcmp(mapped, "text", 4) != 0) return -1;
    reserved[1 << 29] = large[1 << 25] = 1;
    if (qins_memory_peak() < (size_t)1 << 26 || qins_memory_available() == SIZE_MAX) return -1;
    struct stat info;
    if (stat(secret, &info) != 0 || isatty(STDERR_FILENO)) return -1;
    free(large);
    return write(STDERR_FILENO, "done", 4) == 4 ? 0 : -1;
}

static int abort_as_a_check_would(void) {
    abort();
}

Test(sandbox, a_sound_program_does_its_job) {
    char said[512];
    cr_expect_eq(outcome(do_the_job, QINS_SANDBOX_RUNS, true, said), WORKED);
    cr_expect_str_eq(said, "done");
    cr_expect_eq(outcome(abort_as_a_check_would, QINS_SANDBOX_RUNS, true, said), -SIGABRT);
}

// A folder stands for its contents and the files that links in it lead to, but no more.
static char linked[64], linked_from[64], linked_folder[64], link_to_folder[64];

static int open_by_link(void) {
    return open(linked_from, O_RDONLY);
}
static int list_by_link(void) {
    return open(link_to_folder, O_RDONLY | O_DIRECTORY);
}

static int enter_folder(attempt *try) {
    int status;
    const pid_t process = fork();
    if (process == 0) {
        qins_error error = {0};
        qins_sandbox sandbox = qins_sandbox_plan(QINS_SANDBOX_RUNS, &error);
        qins_sandbox_reads(&sandbox, linked_folder);
        qins_sandbox_enter(&sandbox, "test");
        _exit(try() >= 0 ? WORKED : errno);
    }
    cr_assert_eq(waitpid(process, &status, 0), process);
    return WEXITSTATUS(status);
}

Test(sandbox, a_folder_is_read_with_what_its_links_lead_to) {
    need_files();
    make_file(linked, "blob");
    snprintf(linked_folder, sizeof linked_folder, "%s/snapshot", folder);
    snprintf(linked_from, sizeof linked_from, "%s/snapshot/model.safetensors", folder);
    cr_assert_eq(mkdir(linked_folder, 0700), 0);
    cr_assert_eq(symlink("../blob", linked_from), 0);
    cr_expect_eq(enter_folder(open_by_link), WORKED);
    cr_expect_eq(enter_folder(open_secret), EACCES);
    snprintf(link_to_folder, sizeof link_to_folder, "%s/snapshot/extra", folder);
    const char *const folders[] = {"..", "/"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        cr_assert_eq(symlink(folders[i], link_to_folder), 0);
        cr_expect_eq(enter_folder(list_by_link), EACCES, "a link to %s", folders[i]);
        cr_expect_eq(enter_folder(open_secret), EACCES, "a link to %s", folders[i]);
        cr_expect_eq(enter_folder(open_by_link), WORKED, "beside a link to %s", folders[i]);
        unlink(link_to_folder);
    }
    unlink(linked_from);
    unlink(linked);
    rmdir(linked_folder);
}

// With one descriptor more each time: the sandbox is made and lets the file in, or tells why it was not made.
static int enter_with_descriptors(rlim_t n) {
    int status;
    const pid_t process = fork();
    if (process == 0) {
        qins_error error = {0};
        setrlimit(RLIMIT_NOFILE, &(struct rlimit){n, n});
        qins_sandbox sandbox = qins_sandbox_plan(QINS_SANDBOX_RUNS, &error);
        qins_sandbox_reads(&sandbox, model);
        qins_sandbox_reads(&sandbox, folder);
        const bool is_entered = qins_sandbox_enter(&sandbox, "test") == QINS_OK;
        const bool says_why = strstr(error.message, strerror(EMFILE)) != NULL;
        _exit(!is_entered ? (says_why ? EMFILE : UNDONE) : open_model() >= 0 ? WORKED : errno);
    }
    cr_assert_eq(waitpid(process, &status, 0), process);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

Test(sandbox, too_few_descriptors_are_told_of) {
    need_files();
    int outcome = EMFILE, n = STDERR_FILENO + 1;
    while (outcome == EMFILE && n < 100) outcome = enter_with_descriptors((rlim_t)n++);
    cr_expect_eq(outcome, WORKED, "%d descriptors: %s", n - 1, strerror(outcome));
}
