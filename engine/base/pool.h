// A fixed set of threads that run one job at a time. Items of a job are handed out in order to whichever worker is
// free, so a job's result must not depend on which worker ran an item; this keeps every output independent of the
// thread count.
#ifndef QINS_BASE_POOL_H
#define QINS_BASE_POOL_H

#include "engine/base/error.h"

#include <stddef.h>

typedef struct qins_pool qins_pool;

// Process item `item` of [0, n_items); `worker` in [0, n_threads) names the scratch that belongs to this thread.
typedef void qins_pool_job(void *context, size_t item, size_t worker);

// n_threads >= 1 counts the calling thread, which works too. NULL and an error when a thread cannot be created.
qins_pool *qins_pool_create(size_t n_threads, qins_error *error);
void qins_pool_free(qins_pool *pool);
size_t qins_pool_threads(const qins_pool *pool);

// Run all items and return when all are done. Not reentrant.
void qins_pool_run(qins_pool *pool, size_t n_items, qins_pool_job *job, void *context);

#endif
