// For what threads take turns at, and for what only the first of them does.
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

// Give the lock away until somebody calls qins_lock_wake, and take it again: by a thread that holds it, in a loop
// around what it waits for.
void qins_lock_wait(qins_lock *lock);
void qins_lock_wait_for(qins_lock *lock, unsigned ms); // at most so long
void qins_lock_wake(qins_lock *lock);                  // all that wait, by a thread that holds it

// True for the first caller, who does what there is to do and calls qins_once_end; the others wait for that. *state
// begins as 0.
bool qins_once_begin(atomic_int *state);
void qins_once_end(atomic_int *state);

#endif
