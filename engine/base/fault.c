// Faults of mapped files; see fault.h.
#define _XOPEN_SOURCE 700 // si_code
#include "engine/base/fault.h"

#include <errno.h>
#include <signal.h>

static struct sigaction before; // the process's own action for SIGBUS

static void on_bus_error(int number, siginfo_t *info, void *context) {
    const int saved = errno;
    const bool is_fault = info->si_code > 0; // not a signal that a process sent
    if (is_fault && qins_file_fault(info->si_addr)) {
        errno = saved;
        return;
    }
    if (before.sa_flags & SA_SIGINFO)
        before.sa_sigaction(number, info, context);
    else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN)
        before.sa_handler(number);
    else { // the fault recurs, and ends the program as it would have
        signal(number, SIG_DFL);
        if (!is_fault) raise(number);
    }
    errno = saved;
}

qins_status qins_catch_faults(qins_error *error) {
    struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGBUS, &action, &before) == 0) return error->status;
    return qins_fail_errno(error, QINS_FAILED, "cannot catch SIGBUS");
}
