// A helper: a second process of the program that stays outside of the sandbox and does one thing when it is asked, such
// as to give a finished file its name. It is started before the sandbox is entered, and works through a connection that
// only the two have. What comes from the program is untrusted to the helper: it is to do no more than its thing.
#ifndef QINS_BASE_HELPER_H
#define QINS_BASE_HELPER_H

#include "engine/base/error.h"

#include <stddef.h>
#include <stdint.h>

typedef struct qins_helper {
    int fd; // of the connection; -1: there is no helper
    int process;
} qins_helper;

// What a helper does until the other side ends the connection; then it returns. SIGTERM tells it that the program is
// gone.
typedef void qins_helper_work(int fd, void *context);

// Start one, while there is a single thread. It begins with what the program has now, *context included.
qins_status qins_helper_start(qins_helper *helper, qins_helper_work *work, void *context, qins_error *error);

// End the connection and wait until the helper has ended. Also without one, and in signal handlers.
void qins_helper_end(qins_helper *helper);

// Either side: send a message, receive one. `kind` is the two's affair. A message of more than `limit` bytes is none.
// false: the other side is gone. *data is released with free(), and has a NUL after it.
bool qins_helper_send(int fd, uint32_t kind, const void *data, size_t size);
bool qins_helper_receive(int fd, size_t limit, uint32_t *kind, char **data, size_t *size);

#endif
