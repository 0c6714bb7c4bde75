// Mutexes; see lock.h.
#include "engine/base/lock.h"

#include "engine/base/memory.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

struct qins_lock {
    pthread_mutex_t mutex;
    pthread_cond_t woken;
};

qins_lock *qins_lock_create(qins_error *error) {
    qins_lock *lock = qins_alloc(1, sizeof *lock, "lock", error);
    if (lock == NULL) return NULL;
    pthread_condattr_t attributes;
    pthread_mutex_init(&lock->mutex, NULL); // none of these can fail in glibc
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&lock->woken, &attributes);
    pthread_condattr_destroy(&attributes);
    return lock;
}

void qins_lock_free(qins_lock *lock) {
    if (lock == NULL) return;
    pthread_cond_destroy(&lock->woken);
    pthread_mutex_destroy(&lock->mutex);
    free(lock);
}

void qins_lock_enter(qins_lock *lock) {
    pthread_mutex_lock(&lock->mutex);
}

void qins_lock_leave(qins_lock *lock) {
    pthread_mutex_unlock(&lock->mutex);
}

void qins_lock_wait(qins_lock *lock) {
    pthread_cond_wait(&lock->woken, &lock->mutex);
}

void qins_lock_wait_for(qins_lock *lock, unsigned ms) {
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += ms / 1000;
    end.tv_nsec += (long)(ms % 1000) * 1000000;
    if (end.tv_nsec >= 1000000000) end = (struct timespec){end.tv_sec + 1, end.tv_nsec - 1000000000};
    pthread_cond_timedwait(&lock->woken, &lock->mutex, &end);
}

void qins_lock_wake(qins_lock *lock) {
    pthread_cond_broadcast(&lock->woken);
}

enum { NOT_BEGUN, BEGUN, DONE };

bool qins_once_begin(atomic_int *state) {
    int expected = NOT_BEGUN;
    if (atomic_compare_exchange_strong(state, &expected, BEGUN)) return true;
    while (atomic_load(state) != DONE) sched_yield();
    return false;
}

void qins_once_end(atomic_int *state) {
    atomic_store(state, DONE);
}
