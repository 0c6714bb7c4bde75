// The scheduler: every reply is the one that its prompt gets alone, whatever else runs; limits, order, cancellation,
// and the caches of idle sessions.
#include "engine/base/lock.h"
#include "engine/base/memory.h"
#include "engine/runtime/session.h"
#include "engine/server/scheduler.h"
#include "engine/server/session_cache.h"
#include "tests/failing_allocation.h"
#include "tests/hf_model.h"
#include "tests/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_JOBS = 12, MOST = 400 };

static hf_model model;

static void open_model(void) {
    model = hf_model_open_demo();
}

static void close_model(void) {
    hf_model_close(&model);
}

TestSuite(scheduler, .init = open_model, .fini = close_model);

// A job and its outcome.
struct client {
    qins_job job;
    qins_scheduler *scheduler;
    qins_lock *lock;
    int32_t prompt[MOST], ids[MOST];
    size_t n_ids, leaves_after; // SIZE_MAX: stays
    qins_finish finish;
    bool has_ended;
};

static void on_event(void *context, const qins_event *event) {
    struct client *client = context;
    if (event->kind == QINS_EVENT_TOKEN) {
        cr_assert_lt(client->n_ids, MOST);
        client->ids[client->n_ids++] = event->token.id;
        if (client->n_ids == client->leaves_after) qins_scheduler_cancel(client->scheduler, &client->job);
    }
    if (event->kind != QINS_EVENT_END) return;
    qins_lock_enter(client->lock);
    client->finish = event->finish;
    client->has_ended = true;
    qins_lock_wake(client->lock);
    qins_lock_leave(client->lock);
}

static void wait_for(struct client *client) {
    qins_lock_enter(client->lock);
    while (!client->has_ended) qins_lock_wait(client->lock);
    qins_lock_leave(client->lock);
}

static qins_scheduler *make_scheduler(size_t n_parallel, size_t n_queued, size_t cache_bytes) {
    qins_error error = {0};
    const qins_scheduler_options options = {.n_threads = 2,
                                            .n_parallel = n_parallel,
                                            .n_queued = n_queued,
                                            .cache_bytes = cache_bytes,
                                            .session = {.n_ctx = MOST, .k_type = QINS_F16, .v_type = QINS_QINS8}};
    qins_scheduler *scheduler = qins_scheduler_create(model.model, &options, &error);
    expect_ok(&error);
    return scheduler;
}

// A client with a prompt of n random tokens, of its own for each seed.
static struct client *make_client(qins_scheduler *scheduler, size_t n, size_t max_tokens, uint64_t seed) {
    qins_error error = {0};
    struct client *client = calloc(1, sizeof *client);
    test_random random = {seed};
    client->scheduler = scheduler;
    client->lock = qins_lock_create(&error);
    client->leaves_after = SIZE_MAX;
    for (size_t i = 0; i < n; i++) client->prompt[i] = (int32_t)random_below(&random, 256);
    client->job = (qins_job){.generation = qins_generation_defaults(), .on_event = on_event, .context = client};
    client->job.generation.ids = client->prompt;
    client->job.generation.n_ids = n;
    client->job.generation.max_tokens = max_tokens;
    client->job.generation.sampler.temperature = seed % 2 == 0 ? 0.8f : 0;
    client->job.generation.sampler.seed = seed;
    return client;
}

static void free_client(struct client *client) {
    qins_lock_free(client->lock);
    free(client);
}

static struct client *run_alone(size_t n, size_t max_tokens, uint64_t seed) {
    qins_scheduler *scheduler = make_scheduler(1, 0, 0);
    struct client *client = make_client(scheduler, n, max_tokens, seed);
    cr_assert_eq(qins_scheduler_submit(scheduler, &client->job), QINS_ADMITTED);
    wait_for(client);
    qins_scheduler_free(scheduler);
    return client;
}

static void expect_same(const struct client *got, const struct client *alone) {
    cr_expect_eq(got->finish, alone->finish);
    cr_expect(got->n_ids == alone->n_ids && memcmp(got->ids, alone->ids, got->n_ids * sizeof *got->ids) == 0,
              "%zu tokens, alone %zu", got->n_ids, alone->n_ids);
}

// Many more than there are places, with prompts of all lengths; every third leaves in its middle.
Test(scheduler, replies_are_those_of_each_alone) {
    for (size_t round = 0; round < 3; round++) {
        qins_scheduler *scheduler = make_scheduler(1 + 3 * round, N_JOBS, round * 100000);
        struct client *clients[N_JOBS];
        for (size_t i = 0; i < N_JOBS; i++) {
            clients[i] = make_client(scheduler, 1 + 17 * i, 20, i);
            if (i % 3 == 2) clients[i]->leaves_after = 3;
            cr_assert_eq(qins_scheduler_submit(scheduler, &clients[i]->job), QINS_ADMITTED);
        }
        for (size_t i = 0; i < N_JOBS; i++) {
            wait_for(clients[i]);
            struct client *alone = run_alone(1 + 17 * i, 20, i);
            if (clients[i]->finish == QINS_FINISH_CANCELLED)
                cr_expect(i % 3 == 2 && memcmp(clients[i]->ids, alone->ids, 3 * sizeof(int32_t)) == 0);
            else
                expect_same(clients[i], alone);
            free_client(alone);
            free_client(clients[i]);
        }
        qins_scheduler_free(scheduler);
    }
}

// Prompts that are longer than the rest of a step, which a reply shares: none of the steps takes more than it may.
Test(scheduler, many_prompts_beside_a_reply) {
    qins_scheduler *scheduler = make_scheduler(5, 0, 0);
    struct client *clients[5];
    for (size_t i = 0; i < 5; i++) {
        clients[i] = make_client(scheduler, i == 0 ? 10 : 380, i == 0 ? 50 : 5, i);
        qins_scheduler_pause(scheduler, &clients[i]->job, true); // so that they begin together
        cr_assert_eq(qins_scheduler_submit(scheduler, &clients[i]->job), QINS_ADMITTED);
    }
    for (size_t i = 0; i < 5; i++) qins_scheduler_pause(scheduler, &clients[i]->job, false);
    for (size_t i = 0; i < 5; i++) {
        wait_for(clients[i]);
        struct client *alone = run_alone(i == 0 ? 10 : 380, i == 0 ? 50 : 5, i);
        cr_expect_eq(clients[i]->job.error.status, QINS_OK, "%s", clients[i]->job.error.message);
        expect_same(clients[i], alone);
        free_client(alone);
        free_client(clients[i]);
    }
    qins_scheduler_free(scheduler);
}

Test(scheduler, a_full_queue_and_draining_refuse) {
    qins_scheduler *scheduler = make_scheduler(1, 2, 0);
    struct client *clients[5];
    for (size_t i = 0; i < 5; i++) clients[i] = make_client(scheduler, 5, 50, 1);
    qins_scheduler_pause(scheduler, &clients[0]->job, true); // so that the others wait
    for (size_t i = 0; i < 3; i++)
        cr_expect_eq(qins_scheduler_submit(scheduler, &clients[i]->job), QINS_ADMITTED, "job %zu", i);
    cr_expect_eq(qins_scheduler_submit(scheduler, &clients[3]->job), QINS_QUEUE_FULL);
    qins_scheduler_cancel(scheduler, &clients[1]->job); // one that waits
    wait_for(clients[1]);
    cr_expect(clients[1]->finish == QINS_FINISH_CANCELLED && clients[1]->n_ids == 0);
    cr_expect_eq(qins_scheduler_submit(scheduler, &clients[3]->job), QINS_ADMITTED);
    qins_scheduler_drain(scheduler);
    cr_expect_eq(qins_scheduler_submit(scheduler, &clients[4]->job), QINS_DRAINING);
    qins_scheduler_pause(scheduler, &clients[0]->job, false);
    for (size_t i = 0; i < 4; i++) wait_for(clients[i]);
    expect_same(clients[2], clients[0]);
    expect_same(clients[3], clients[0]);
    cr_expect_leq(clients[0]->job.times.ended, clients[2]->job.times.started, "they come in their order");
    cr_expect_leq(clients[2]->job.times.ended, clients[3]->job.times.started);
    for (size_t i = 0; i < 5; i++) free_client(clients[i]);
    qins_scheduler_free(scheduler);
}

Test(scheduler, a_paused_job_that_is_cancelled_ends) {
    qins_scheduler *scheduler = make_scheduler(2, 0, 0);
    struct client *client = make_client(scheduler, 5, 50, 1);
    qins_scheduler_pause(scheduler, &client->job, true);
    cr_assert_eq(qins_scheduler_submit(scheduler, &client->job), QINS_ADMITTED);
    qins_scheduler_cancel(scheduler, &client->job);
    wait_for(client);
    cr_expect_eq(client->finish, QINS_FINISH_CANCELLED);
    free_client(client);
    qins_scheduler_free(scheduler);
}

// The reply to the client's prompt from a scheduler of its own is the same.
static void expect_same_alone(const struct client *client) {
    qins_scheduler *scheduler = make_scheduler(1, 0, 0);
    struct client *alone = make_client(scheduler, client->job.generation.n_ids, client->job.generation.max_tokens, 1);
    memcpy(alone->prompt, client->prompt, sizeof alone->prompt);
    qins_scheduler_submit(scheduler, &alone->job);
    wait_for(alone);
    cr_expect_eq(alone->job.n_cached, 0);
    expect_same(client, alone);
    qins_scheduler_free(scheduler);
    free_client(alone);
}

// The second turn of a conversation computes its own tokens only.
Test(scheduler, a_second_turn_computes_its_own_tokens) {
    qins_scheduler *scheduler = make_scheduler(2, 0, 1 << 24);
    struct client *first = make_client(scheduler, 60, 10, 1), *second = make_client(scheduler, 75, 10, 1);
    qins_scheduler_submit(scheduler, &first->job);
    wait_for(first);
    memcpy(second->prompt + 60, first->ids, first->n_ids * sizeof *first->ids);
    const size_t before = qins_scheduler_observe(scheduler).n_step_tokens;
    qins_scheduler_submit(scheduler, &second->job);
    wait_for(second);
    const size_t cached = 60 + first->n_ids - 1; // the last token was never computed
    cr_expect_eq(second->job.n_cached, cached);
    cr_expect_leq(qins_scheduler_observe(scheduler).n_step_tokens - before, 75 - cached + second->n_ids);
    expect_same_alone(second);
    qins_scheduler_free(scheduler);
    free_client(first);
    free_client(second);
}

// A short beginning of a long sequence is copied, and the long one is kept.
Test(scheduler, a_beginning_is_copied) {
    qins_scheduler *scheduler = make_scheduler(1, 0, 1 << 24);
    struct client *first = make_client(scheduler, 100, 10, 1), *second = make_client(scheduler, 40, 10, 1);
    second->prompt[20] = second->prompt[20] == 0;
    qins_scheduler_submit(scheduler, &first->job);
    wait_for(first);
    qins_scheduler_submit(scheduler, &second->job);
    wait_for(second);
    cr_expect_eq(second->job.n_cached, 20);
    cr_expect_eq(qins_scheduler_observe(scheduler).n_idle, 2);
    expect_same_alone(second);
    qins_scheduler_free(scheduler);
    free_client(first);
    free_client(second);
}

// --- idle sessions ---

static qins_session_cache make_cache(size_t max_bytes) {
    return (qins_session_cache){.engine = model.session->engine,
                                .model = model.model,
                                .options = {.n_ctx = 512, .k_type = QINS_F16, .v_type = QINS_QINS8},
                                .max_bytes = max_bytes};
}

static qins_held *take(qins_session_cache *cache, const int32_t *ids, size_t n) {
    qins_error error = {0};
    qins_held *held = qins_session_cache_take(cache, ids, n, &error);
    expect_ok(&error);
    return held;
}

static void use(qins_session_cache *cache, qins_held *held, const int32_t *ids, size_t n) {
    qins_error error = {0};
    qins_session_sync(held->session, ids, n, &error);
    expect_ok(&error);
    qins_session_cache_give(cache, held, n);
}

Test(scheduler, idle_sessions) {
    const int32_t a[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, b[] = {1, 2, 20, 21, 22, 23, 24, 25, 26, 27};
    qins_session_cache cache = make_cache(0);
    qins_held *first = take(&cache, a, 10), *second;
    const size_t each = qins_session_touched_bytes(first->session, 10);
    cache.max_bytes = 5 * each / 2;
    use(&cache, first, a, 10);
    second = take(&cache, b, 10);
    cr_expect_neq(second, first, "two shared tokens are not worth ten");
    cr_expect_eq(qins_session_shared(second->session, b, 10), 2, "but copied");
    use(&cache, second, b, 10);
    cr_expect(cache.n_idle == 2 && cache.idle_bytes == 2 * each);
    cr_expect_eq(take(&cache, a, 10), first, "the longest common beginning");
    use(&cache, first, a, 10);
    int32_t c[200];
    for (size_t i = 0; i < 200; i++) c[i] = (int32_t)(30 + i);
    qins_held *third = take(&cache, c, 200);
    const size_t most = qins_session_touched_bytes(third->session, 200);
    cr_assert(most > each && each + most < cache.max_bytes && 2 * each + most > cache.max_bytes);
    use(&cache, third, c, 200);
    cr_expect(cache.n_idle == 2 && cache.idle_bytes == each + most,
              "the one that was not used for longest is released");
    cr_expect_eq(take(&cache, c, 200), third);
    use(&cache, third, c, 3);
    cr_expect_eq(cache.idle_bytes, each + most, "memory that was touched counts");
    qins_session_cache_free(&cache);
    cr_expect(cache.n_idle == 0 && cache.idle_bytes == 0);
    cache = make_cache(0);
    use(&cache, take(&cache, a, 10), a, 10);
    cr_expect_eq(cache.n_idle, 0, "nothing is kept");
}

static bool has_huge_pages(void) {
    char text[64] = "";
    FILE *file = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "r");
    if (file == NULL) return false;
    const bool is_read = fgets(text, sizeof text, file) != NULL;
    fclose(file);
    return is_read && strstr(text, "[always]") != NULL;
}

// Short sequences take whole pages of each layer and head.
Test(scheduler, idle_sessions_count_the_memory_that_they_take) {
    enum { N = 100 };
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    cr_skip_test("sanitizers take memory of their own");
#endif
    if (has_huge_pages()) cr_skip_test("the system gives huge pages to all");
    qins_session_cache cache = make_cache(SIZE_MAX);
    int32_t ids[8] = {0};
    use(&cache, take(&cache, ids, 8), ids, 8); // the engine's scratch is touched now
    const size_t resident = qins_memory_resident(), idle = cache.idle_bytes;
    for (int32_t i = 1; i <= N; i++) {
        for (size_t j = 0; j < 8; j++) ids[j] = i;
        use(&cache, take(&cache, ids, 8), ids, 8);
    }
    const double grown = (double)(qins_memory_resident() - resident), counted = (double)(cache.idle_bytes - idle);
    cr_expect_eq(cache.n_idle, N + 1);
    cr_expect(counted > 0.9 * grown && counted < 1.1 * grown, "%.0f bytes counted, %.0f taken", counted, grown);
    qins_session_cache_free(&cache);
}

Test(scheduler, contexts_that_do_not_fit_are_refused) {
    qins_error error = {0};
    const qins_scheduler_options options = {.n_threads = 1,
                                            .n_parallel = 1,
                                            .cache_bytes = SIZE_MAX / 2,
                                            .session = {.n_ctx = MOST, .k_type = QINS_F16, .v_type = QINS_QINS8}};
    cr_expect_null(qins_scheduler_create(model.model, &options, &error));
    expect_error(&error, QINS_CONTEXT_OVERFLOW, "--cache-mib");
    qins_scheduler_options longest = options;
    longest.cache_bytes = 0;
    longest.session.n_ctx = qins_model_max_tokens(model.model) + 1;
    error = (qins_error){0};
    cr_expect_null(qins_scheduler_create(model.model, &longest, &error));
    expect_error(&error, QINS_CONTEXT_OVERFLOW, "this model's maximum");
}

// Out of memory or threads at every place of a creation.
Test(scheduler, creation_that_fails) {
    const qins_scheduler_options options = {
        .n_threads = 2, .n_parallel = 2, .session = {.n_ctx = MOST, .k_type = QINS_F16, .v_type = QINS_QINS8}};
    bool hit = true;
    for (size_t n = 1; hit; n++) {
        qins_error error = {0};
        failing_allocation_set(n);
        qins_scheduler *scheduler = qins_scheduler_create(model.model, &options, &error);
        hit = failing_allocation_hit();
        failing_allocation_set(0);
        cr_assert_eq(scheduler == NULL, hit, "call %zu: %s", n, error.message);
        cr_assert_eq(error.status != QINS_OK, hit);
        qins_scheduler_free(scheduler);
    }
}
