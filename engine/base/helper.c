// Helpers; see helper.h.
#define _GNU_SOURCE // SOCK_CLOEXEC, prctl
#include "engine/base/helper.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

// Signals of the terminal are for the program.
static void become_helper(int fd, qins_helper_work *work, void *context, pid_t program) {
    static const int ignored[] = {SIGINT, SIGQUIT, SIGHUP, SIGTERM};
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++) signal(ignored[i], SIG_IGN);
    prctl(PR_SET_PDEATHSIG, (unsigned long)SIGTERM, 0L, 0L, 0L);
    if (getppid() == program) work(fd, context);
    _exit(0);
}

qins_status qins_helper_start(qins_helper *helper, qins_helper_work *work, void *context, qins_error *error) {
    int ends[2];
    *helper = (qins_helper){.fd = -1};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return qins_fail_errno(error, QINS_FAILED, "cannot start a helper");
    const pid_t program = getpid();
    fflush(NULL); // buffered output belongs to the program
    const pid_t process = fork();
    if (process == 0) {
        close(ends[0]);
        become_helper(ends[1], work, context, program);
    }
    close(ends[1]);
    if (process > 0) {
        *helper = (qins_helper){.fd = ends[0], .process = process};
        return QINS_OK;
    }
    qins_fail_errno(error, QINS_FAILED, "cannot start a helper");
    close(ends[0]);
    return error->status;
}

void qins_helper_end(qins_helper *helper) {
    if (helper->fd < 0) return;
    close(helper->fd);
    helper->fd = -1;
    while (waitpid(helper->process, NULL, 0) < 0 && errno == EINTR) {
    }
}

// --- messages ---

struct head {
    uint64_t kind, size;
};

// A write, unlike send, is allowed in every sandbox; the other side's end must not end this one by SIGPIPE.
static bool write_all(int fd, const void *data, size_t size) {
    for (const char *at = data; size > 0;) {
        const ssize_t n = write(fd, at, size);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        at += n;
        size -= (size_t)n;
    }
    return true;
}

static bool read_all(int fd, void *data, size_t size) {
    for (char *at = data; size > 0;) {
        const ssize_t n = read(fd, at, size);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        at += n;
        size -= (size_t)n;
    }
    return true;
}

bool qins_helper_send(int fd, uint32_t kind, const void *data, size_t size) {
    const struct head head = {kind, size};
    return write_all(fd, &head, sizeof head) && write_all(fd, data, size);
}

bool qins_helper_receive(int fd, size_t limit, uint32_t *kind, char **data, size_t *size) {
    struct head head;
    *data = NULL;
    if (!read_all(fd, &head, sizeof head) || head.size > limit) return false;
    char *text = malloc((size_t)head.size + 1);
    if (text == NULL || !read_all(fd, text, (size_t)head.size)) {
        free(text);
        return false;
    }
    text[head.size] = '\0';
    *kind = (uint32_t)head.kind;
    *size = (size_t)head.size;
    *data = text;
    return true;
}
