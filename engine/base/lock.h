// Mutual exclusion, and work that only the first of several threads does.
#ifndef QINS_BASE_LOCK_H
#define QINS_BASE_LOCK_H

#include "engine/base/error.h"

#include <stdatomic.h>

typedef struct qins_lock qins_lock;

// NULL and an error otherwise. Release with qins_lock_free.
qins_lock *qins_lock_create(qins_error *error);
void qins_lock_free(qins_lock *lock);

void qins_lock_enter(qins_lock *lock); // not twice by one thread
void qins_lock_leave(qins_lock *lock);

// Release the lock until another thread calls qins_lock_wake, then take it again. Called by a thread that holds the
// lock, in a loop that tests the condition it waits for.
void qins_lock_wait(qins_lock *lock);
void qins_lock_wait_for(qins_lock *lock, unsigned ms); // at most this long
void qins_lock_wake(qins_lock *lock); // wakes all waiting threads; called by a thread that holds the lock

// True for the first caller, who does the work and then calls qins_once_end; the others wait for that. *state is
// initially 0.
bool qins_once_begin(atomic_int *state);
void qins_once_end(atomic_int *state);

#endif
