// A helper: a second process of the program that stays outside the sandbox and does one thing on request, such as
// giving a finished file its name. It is started before the sandbox is entered, and communicates through a connection
// that only the two processes have. The helper does not trust messages from the program: it must do no more than its
// one task.
#ifndef QINS_BASE_HELPER_H
#define QINS_BASE_HELPER_H

#include "engine/base/error.h"

#include <stddef.h>
#include <stdint.h>

typedef struct qins_helper {
    int fd; // of the connection; -1: there is no helper
    int process;
} qins_helper;

// The work of a helper until the other side closes the connection; then it returns. SIGTERM tells it that the program
// is gone.
typedef void qins_helper_work(int fd, void *context);

// Start a helper, while there is only one thread. It starts with a copy of the program's memory, *context included.
qins_status qins_helper_start(qins_helper *helper, qins_helper_work *work, void *context, qins_error *error);

// Close the connection and wait until the helper has ended. May be called without a helper, and in signal handlers.
void qins_helper_end(qins_helper *helper);

// For either side: send a message, receive one. The meaning of `kind` is up to the two sides. false: the other side is
// gone, or its message has more than `limit` bytes. *data is released with free(), and has a NUL after it.
bool qins_helper_send(int fd, uint32_t kind, const void *data, size_t size);
bool qins_helper_receive(int fd, size_t limit, uint32_t *kind, char **data, size_t *size);

#endif
