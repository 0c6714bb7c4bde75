// Threads; see thread.h.
#include "engine/base/thread.h"

#include "engine/base/memory.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

struct qins_thread {
    pthread_t thread;
    void (*task)(void *context);
    void *context;
};

static void *run(void *argument) {
    const qins_thread *thread = argument;
    thread->task(thread->context);
    return NULL;
}

qins_thread *qins_thread_start(void (*task)(void *context), void *context, qins_error *error) {
    qins_thread *thread = qins_alloc(1, sizeof *thread, "thread", error);
    if (thread == NULL) return NULL;
    thread->task = task;
    thread->context = context;
    sigset_t blocked, before;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGINT);
    sigaddset(&blocked, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &blocked, &before);
    const int failure = pthread_create(&thread->thread, NULL, run, thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failure == 0) return thread;
    errno = failure;
    qins_fail_errno(error, QINS_FAILED, "cannot start a thread");
    free(thread);
    return NULL;
}

void qins_thread_join(qins_thread *thread) {
    if (thread == NULL) return;
    pthread_join(thread->thread, NULL);
    free(thread);
}
