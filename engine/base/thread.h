// A thread with its own task, unlike the pool's, which share one.
#ifndef QINS_BASE_THREAD_H
#define QINS_BASE_THREAD_H

#include "engine/base/error.h"

typedef struct qins_thread qins_thread;

// Run `task` in a new thread that blocks signals: those go to the caller's thread. NULL and an error otherwise.
qins_thread *qins_thread_start(void (*task)(void *context), void *context, qins_error *error);

// Wait until the task has returned, and release the thread. NULL is fine.
void qins_thread_join(qins_thread *thread);

#endif
