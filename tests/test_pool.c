// The thread pool: every item once, worker indexes in range, many jobs back to back, sleepers wake.
#include "engine/base/pool.h"
#include "tests/support.h"

#include <stdatomic.h>
#include <sys/resource.h>
#include <time.h>

enum { MAX_THREADS = 8, MAX_ITEMS = 1000 };

struct tally {
    size_t n_threads;
    atomic_int runs[MAX_ITEMS];
    atomic_int bad_workers;
    size_t by_worker[MAX_THREADS]; // not atomic: a worker's index belongs to one thread at a time
};

static void count_item(void *context, size_t item, size_t worker) {
    struct tally *tally = context;
    if (worker >= tally->n_threads) {
        atomic_fetch_add(&tally->bad_workers, 1);
        return;
    }
    atomic_fetch_add(&tally->runs[item], 1);
    tally->by_worker[worker]++;
}

static void run_and_check(qins_pool *pool, size_t n_threads, size_t n_items) {
    struct tally tally = {.n_threads = n_threads};
    qins_pool_run(pool, n_items, count_item, &tally);
    size_t total = 0;
    for (size_t i = 0; i < n_threads; i++) total += tally.by_worker[i];
    cr_assert_eq(total, n_items, "%zu threads, %zu items", n_threads, n_items);
    cr_assert_eq(tally.bad_workers, 0);
    for (size_t i = 0; i < MAX_ITEMS; i++)
        cr_assert_eq(tally.runs[i], i < n_items, "item %zu of %zu, %zu threads", i, n_items, n_threads);
}

Test(pool, runs_every_item_exactly_once) {
    const size_t sizes[] = {0, 1, 2, 3, 7, 8, 9, 64, MAX_ITEMS};
    for (size_t n_threads = 1; n_threads <= MAX_THREADS; n_threads++) {
        qins_error error = {0};
        qins_pool *pool = qins_pool_create(n_threads, &error);
        expect_ok(&error);
        cr_expect_eq(qins_pool_threads(pool), n_threads);
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) run_and_check(pool, n_threads, sizes[i]);
        qins_pool_free(pool);
    }
}

static void add_plainly(void *context, size_t item, size_t worker) {
    (void)worker;
    ((size_t *)context)[item]++; // not atomic: an item has one owner, and jobs follow each other
}

Test(pool, many_small_jobs_back_to_back) {
    for (size_t n_threads = 1; n_threads <= MAX_THREADS; n_threads += n_threads < 4 ? 1 : 4) {
        enum { JOBS = 3000, ITEMS = 5 };
        qins_error error = {0};
        qins_pool *pool = qins_pool_create(n_threads, &error);
        expect_ok(&error);
        size_t counts[ITEMS] = {0};
        for (int job = 0; job < JOBS; job++) qins_pool_run(pool, ITEMS, add_plainly, counts);
        for (int i = 0; i < ITEMS; i++) cr_assert_eq(counts[i], JOBS);
        qins_pool_free(pool);
    }
}

Test(pool, sleeping_workers_wake) {
    const struct timespec nap = {.tv_nsec = 20 * 1000 * 1000}; // workers spin for well under a millisecond
    qins_error error = {0};
    qins_pool *pool = qins_pool_create(4, &error);
    expect_ok(&error);
    for (int i = 0; i < 5; i++) {
        nanosleep(&nap, NULL);
        run_and_check(pool, 4, 100);
    }
    nanosleep(&nap, NULL);
    qins_pool_free(pool); // wakes them once more
}

struct meeting {
    atomic_int arrived;
    int expected;
    bool seen[MAX_THREADS];
};

// An item that ends only when all threads are inside one: each worker has to take part.
static void meet(void *context, size_t item, size_t worker) {
    (void)item;
    struct meeting *meeting = context;
    meeting->seen[worker] = true;
    atomic_fetch_add(&meeting->arrived, 1);
    while (atomic_load(&meeting->arrived) < meeting->expected) nanosleep(&(struct timespec){.tv_nsec = 1000}, NULL);
}

Test(pool, all_threads_work_at_the_same_time, .timeout = 60) {
    for (int n_threads = 2; n_threads <= MAX_THREADS; n_threads++) {
        qins_error error = {0};
        qins_pool *pool = qins_pool_create((size_t)n_threads, &error);
        expect_ok(&error);
        struct meeting meeting = {.expected = n_threads};
        qins_pool_run(pool, (size_t)n_threads, meet, &meeting);
        for (int i = 0; i < n_threads; i++) cr_assert(meeting.seen[i], "worker %d of %d", i, n_threads);
        qins_pool_free(pool);
    }
}

Test(pool, impossible_numbers_of_threads_are_refused) {
    qins_error error = {0};
    const size_t numbers[] = {0, SIZE_MAX, SIZE_MAX / 8, SIZE_MAX / 16, SIZE_MAX / 24, SIZE_MAX / 32};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        cr_expect_null(qins_pool_create(numbers[i], &error));
        cr_expect_neq(error.status, QINS_OK);
        error = (qins_error){0};
    }
    qins_pool_free(NULL);
}

Test(pool, a_thread_that_cannot_start_says_why) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    cr_skip_test("a build with sanitizers reserves more address space than that");
#endif
    qins_error error = {0};
    struct rlimit limit;
    cr_assert_eq(getrlimit(RLIMIT_AS, &limit), 0);
    setrlimit(RLIMIT_AS, &(struct rlimit){1 << 30, limit.rlim_max}); // each thread reserves a stack of some MiB
    cr_expect_null(qins_pool_create(2000, &error));
    setrlimit(RLIMIT_AS, &limit);
    expect_error(&error, QINS_FAILED, "use fewer with -t: Resource temporarily unavailable");
}
