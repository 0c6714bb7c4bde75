// A lock for what threads take turns at.
#ifndef QINS_BASE_LOCK_H
#define QINS_BASE_LOCK_H

#include "engine/base/error.h"

typedef struct qins_lock qins_lock;

// NULL and an error otherwise. Release with qins_lock_free.
qins_lock *qins_lock_create(qins_error *error);
void qins_lock_free(qins_lock *lock);

void qins_lock_enter(qins_lock *lock); // not twice by one thread
void qins_lock_leave(qins_lock *lock);

#endif
