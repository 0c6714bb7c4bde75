// Thread pool; see pool.h. Each free worker claims the next item; a job is over when its items are done, whether or not
// every worker woke up for it. Workers spin for a short while after a job (the next one usually follows within
// microseconds during a forward pass), then sleep on a condition variable.
#include "engine/base/pool.h"

#include "engine/base/memory.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { SPIN_ROUNDS = 4000 }; // about 20-50 microseconds

// A ticket is a job's number in the upper half and its next item in the lower. Claiming an item is a compare-and-swap
// of the whole, so a late worker can never claim an item of a job whose fields it did not read. Between jobs the ticket
// is closed: the fields may change.
#define CLOSED UINT32_MAX
static uint64_t make_ticket(uint32_t job, uint32_t item) {
    return (uint64_t)job << 32 | item;
}
static uint32_t ticket_job(uint64_t ticket) {
    return (uint32_t)(ticket >> 32);
}
static uint32_t ticket_item(uint64_t ticket) {
    return (uint32_t)ticket;
}

struct qins_pool {
    size_t n_threads;
    _Atomic uint64_t ticket;
    // The current job; atomic because a late worker may read them while the next job is being posted.
    qins_pool_job *_Atomic job;
    void *_Atomic context;
    atomic_size_t n_items;
    atomic_size_t n_done;
    atomic_bool stopping;
    atomic_size_t n_sleeping; // workers, or about to
    atomic_bool is_awaited;   // by a caller who sleeps, or is about to
    pthread_mutex_t mutex;    // for the two conditions
    pthread_cond_t job_posted;
    pthread_cond_t job_done;
    size_t n_started;
    struct worker {
        qins_pool *pool;
        size_t index;
        pthread_t thread;
    } workers[]; // [n_threads - 1], worker i has index i + 1
};

static inline void spin_pause(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

// Process items of the current job until none is left.
static void work(qins_pool *pool, size_t worker) {
    uint64_t ticket = atomic_load(&pool->ticket);
    for (;;) {
        qins_pool_job *job = atomic_load(&pool->job);
        void *context = atomic_load(&pool->context);
        size_t n_items = atomic_load(&pool->n_items);
        uint32_t item = ticket_item(ticket);
        if (item == CLOSED || item >= n_items) return;
        if (!atomic_compare_exchange_weak(&pool->ticket, &ticket, ticket + 1)) continue; // ticket was read again
        job(context, item, worker);
        if (atomic_fetch_add(&pool->n_done, 1) + 1 == n_items && atomic_load(&pool->is_awaited)) {
            pthread_mutex_lock(&pool->mutex);
            pthread_cond_signal(&pool->job_done);
            pthread_mutex_unlock(&pool->mutex);
        }
        ticket = atomic_load(&pool->ticket);
    }
}

// Is there an open job newer than *seen, which then becomes the one seen, or is it time to stop?
static bool has_news(qins_pool *pool, uint32_t *seen) {
    if (atomic_load(&pool->stopping)) return true;
    uint64_t ticket = atomic_load(&pool->ticket);
    if (ticket_job(ticket) == *seen || ticket_item(ticket) == CLOSED) return false;
    *seen = ticket_job(ticket);
    return true;
}

static void wait_for_news(qins_pool *pool, uint32_t *seen) {
    for (int round = 0; round < SPIN_ROUNDS; round++) {
        if (has_news(pool, seen)) return;
        spin_pause();
    }
    pthread_mutex_lock(&pool->mutex);
    atomic_fetch_add(&pool->n_sleeping, 1);
    while (!has_news(pool, seen)) pthread_cond_wait(&pool->job_posted, &pool->mutex);
    atomic_fetch_sub(&pool->n_sleeping, 1);
    pthread_mutex_unlock(&pool->mutex);
}

static void *worker_main(void *argument) {
    struct worker *self = argument;
    for (uint32_t seen = 0;;) {
        wait_for_news(self->pool, &seen);
        if (atomic_load(&self->pool->stopping)) return NULL;
        work(self->pool, self->index);
    }
}

// Wake the sleepers. A worker counts as sleeping before its last check for a job, so either it sees the job or this
// sees the worker; the lock keeps it from missing the signal between that check and its sleep.
static void wake_workers(qins_pool *pool) {
    if (atomic_load(&pool->n_sleeping) == 0) return;
    pthread_mutex_lock(&pool->mutex);
    pthread_cond_broadcast(&pool->job_posted);
    pthread_mutex_unlock(&pool->mutex);
}

qins_pool *qins_pool_create(size_t n_threads, qins_error *error) {
    size_t bytes;
    if (n_threads == 0 || !qins_multiply(n_threads, sizeof(struct worker), &bytes) ||
        !qins_add(bytes, sizeof(qins_pool), &bytes)) {
        qins_fail(error, QINS_USAGE, "%zu threads cannot be started", n_threads);
        return NULL;
    }
    qins_pool *pool = qins_alloc(1, bytes, "thread pool", error);
    if (pool == NULL) return NULL;
    pool->n_threads = n_threads;
    atomic_store(&pool->ticket, make_ticket(0, CLOSED));
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->job_posted, NULL);
    pthread_cond_init(&pool->job_done, NULL);
    for (; pool->n_started < n_threads - 1; pool->n_started++) {
        struct worker *worker = &pool->workers[pool->n_started];
        worker->pool = pool;
        worker->index = pool->n_started + 1;
        const int failure = pthread_create(&worker->thread, NULL, worker_main, worker);
        if (failure != 0) {
            errno = failure;
            qins_fail_errno(error, QINS_FAILED, "cannot start thread %zu of %zu; use fewer with -t", worker->index + 1,
                            n_threads);
            qins_pool_free(pool);
            return NULL;
        }
    }
    return pool;
}

void qins_pool_free(qins_pool *pool) {
    if (pool == NULL) return;
    atomic_store(&pool->stopping, true);
    wake_workers(pool);
    for (size_t i = 0; i < pool->n_started; i++) pthread_join(pool->workers[i].thread, NULL);
    pthread_cond_destroy(&pool->job_done);
    pthread_cond_destroy(&pool->job_posted);
    pthread_mutex_destroy(&pool->mutex);
    free(pool);
}

size_t qins_pool_threads(const qins_pool *pool) {
    return pool->n_threads;
}

static bool all_done(qins_pool *pool, size_t n_items) {
    return atomic_load(&pool->n_done) == n_items;
}

void qins_pool_run(qins_pool *pool, size_t n_items, qins_pool_job *job, void *context) {
    if (pool->n_threads == 1 || n_items <= 1 || n_items >= CLOSED) {
        for (size_t item = 0; item < n_items; item++) job(context, item, 0);
        return;
    }
    const uint32_t number = ticket_job(atomic_load(&pool->ticket)) + 1;
    atomic_store(&pool->ticket, make_ticket(number, CLOSED));
    atomic_store(&pool->job, job);
    atomic_store(&pool->context, context);
    atomic_store(&pool->n_items, n_items);
    atomic_store(&pool->n_done, 0);
    atomic_store(&pool->ticket, make_ticket(number, 0));
    wake_workers(pool);
    work(pool, 0);
    for (int round = 0; round < SPIN_ROUNDS; round++) {
        if (all_done(pool, n_items)) return;
        spin_pause();
    }
    pthread_mutex_lock(&pool->mutex);
    atomic_store(&pool->is_awaited, true);
    while (!all_done(pool, n_items)) pthread_cond_wait(&pool->job_done, &pool->mutex);
    atomic_store(&pool->is_awaited, false);
    pthread_mutex_unlock(&pool->mutex);
}
