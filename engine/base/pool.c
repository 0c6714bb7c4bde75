// Thread pool; see pool.h. Workers spin for a short while after a job (the next one usually follows within
// microseconds during a forward pass), then sleep on a condition variable.
#define _GNU_SOURCE // sched_getaffinity
#include "engine/base/pool.h"

#include "engine/base/memory.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { SPIN_ROUNDS = 4000 }; // about 20-50 microseconds

struct qins_pool {
    size_t n_threads;
    qins_pool_job *job;
    void *context;
    size_t n_items;
    atomic_size_t next_item;
    atomic_size_t n_working; // other threads that have not finished the current job
    atomic_uint generation;  // counts jobs; a change wakes the workers
    atomic_bool stopping;
    pthread_mutex_t mutex;
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

static void work(qins_pool *pool, size_t worker) {
    for (size_t item; (item = atomic_fetch_add(&pool->next_item, 1)) < pool->n_items;)
        pool->job(pool->context, item, worker);
}

// Wait until a job newer than `seen` is posted or the pool stops; returns its generation.
static unsigned wait_for_job(qins_pool *pool, unsigned seen) {
    for (int round = 0; round < SPIN_ROUNDS; round++) {
        unsigned now = atomic_load_explicit(&pool->generation, memory_order_acquire);
        if (now != seen) return now;
        spin_pause();
    }
    pthread_mutex_lock(&pool->mutex);
    while (atomic_load(&pool->generation) == seen) pthread_cond_wait(&pool->job_posted, &pool->mutex);
    pthread_mutex_unlock(&pool->mutex);
    return atomic_load(&pool->generation);
}

static void *worker_main(void *argument) {
    struct worker *self = argument;
    qins_pool *pool = self->pool;
    for (unsigned seen = 0;;) {
        seen = wait_for_job(pool, seen);
        if (atomic_load(&pool->stopping)) return NULL;
        work(pool, self->index);
        if (atomic_fetch_sub(&pool->n_working, 1) == 1) {
            pthread_mutex_lock(&pool->mutex);
            pthread_cond_signal(&pool->job_done);
            pthread_mutex_unlock(&pool->mutex);
        }
    }
}

// Make the posted job (or the stop request) visible and wake whoever sleeps.
static void post(qins_pool *pool) {
    pthread_mutex_lock(&pool->mutex);
    atomic_fetch_add_explicit(&pool->generation, 1, memory_order_release);
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
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->job_posted, NULL);
    pthread_cond_init(&pool->job_done, NULL);
    for (; pool->n_started < n_threads - 1; pool->n_started++) {
        struct worker *worker = &pool->workers[pool->n_started];
        worker->pool = pool;
        worker->index = pool->n_started + 1;
        if (pthread_create(&worker->thread, NULL, worker_main, worker) != 0) {
            qins_fail(error, QINS_FAILED, "cannot start thread %zu of %zu; use fewer with -t", worker->index + 1,
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
    post(pool);
    for (size_t i = 0; i < pool->n_started; i++) pthread_join(pool->workers[i].thread, NULL);
    pthread_cond_destroy(&pool->job_done);
    pthread_cond_destroy(&pool->job_posted);
    pthread_mutex_destroy(&pool->mutex);
    free(pool);
}

size_t qins_pool_threads(const qins_pool *pool) {
    return pool->n_threads;
}

void qins_pool_run(qins_pool *pool, size_t n_items, qins_pool_job *job, void *context) {
    if (pool->n_threads == 1 || n_items == 1) {
        for (size_t item = 0; item < n_items; item++) job(context, item, 0);
        return;
    }
    pool->job = job;
    pool->context = context;
    pool->n_items = n_items;
    atomic_store(&pool->next_item, 0);
    atomic_store(&pool->n_working, pool->n_threads - 1);
    post(pool);
    work(pool, 0);
    for (int round = 0; round < SPIN_ROUNDS; round++) {
        if (atomic_load(&pool->n_working) == 0) return;
        spin_pause();
    }
    pthread_mutex_lock(&pool->mutex);
    while (atomic_load(&pool->n_working) != 0) pthread_cond_wait(&pool->job_done, &pool->mutex);
    pthread_mutex_unlock(&pool->mutex);
}

size_t qins_processor_count(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    int count = CPU_COUNT(&set);
    return count < 1 ? 1 : (size_t)count;
}
