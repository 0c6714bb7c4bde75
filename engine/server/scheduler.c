// The scheduler; see scheduler.h.
#include "engine/server/scheduler.h"

#include "engine/base/clock.h"
#include "engine/base/lock.h"
#include "engine/base/memory.h"
#include "engine/base/thread.h"
#include "engine/runtime/memory_plan.h"
#include "engine/runtime/model.h"
#include "engine/server/session_cache.h"

#include <stdlib.h>

// In a step that replies wait for, prompts take as many tokens as the machine computes in this time, but at least a
// few. Without replies, prompts take whole steps.
static const double slice_seconds = 0.5;
enum { MIN_SLICE = 16 };

// A place for a running job. Only the scheduler's thread uses it.
struct slot {
    qins_job *job; // NULL: free
    qins_held *held;
    qins_generation *generation;
};

struct qins_scheduler {
    qins_engine *engine;
    qins_session_cache cache;
    size_t n_parallel, n_queued;
    struct slot slots[QINS_MAX_PARALLEL];
    double speed; // tokens per second of the last step that had a prompt's
    qins_thread *thread;
    qins_lock *lock; // of the members below
    qins_job *first, *last;
    bool is_draining, is_ending;
    qins_scheduler_state state;
};

// --- creation ---

// Choose the number of tokens of each session such that all of them fit.
static qins_status settle_context(qins_scheduler *scheduler, const qins_model *model,
                                  const qins_scheduler_options *options, qins_error *error) {
    const qins_config *config = qins_model_config(model);
    qins_session_options each = options->session;
    qins_memory_plan plan;
    const qins_plan_request request = {.config = config,
                                       .file_bytes = qins_image_bytes(model->image),
                                       .has_engine = true,
                                       .n_threads = qins_engine_threads(scheduler->engine),
                                       .session = &each};
    if (qins_plan_memory(&request, &plan, error) != QINS_OK) return error->status;
    const size_t taken = plan.scratch + options->cache_bytes;
    const size_t left = plan.available > taken ? plan.available - taken : 0;
    const size_t fit = left / plan.token_bytes / options->n_parallel;
    if (each.n_ctx == 0) each.n_ctx = fit / 2 < config->max_positions ? fit / 2 : config->max_positions;
    if (fit == 0)
        qins_fail(error, QINS_CONTEXT_OVERFLOW,
                  "%zu contexts do not fit into the %zu MiB of available memory with %zu MiB of idle sessions "
                  "(--cache-mib); lower that, or use fewer contexts (--parallel)",
                  options->n_parallel, plan.available >> 20, options->cache_bytes >> 20);
    else if (each.n_ctx > fit || each.n_ctx == 0)
        qins_fail(error, QINS_CONTEXT_OVERFLOW,
                  "%zu contexts of %zu tokens and %zu MiB of idle ones (--cache-mib) do not fit into the available "
                  "memory; %zu tokens each do (-c), or fewer contexts (--parallel)",
                  options->n_parallel, each.n_ctx, options->cache_bytes >> 20, fit);
    scheduler->cache.options = each;
    return error->status;
}

static void run(void *context);

static qins_status make_parts(qins_scheduler *scheduler, const qins_model *model, const qins_scheduler_options *options,
                              qins_error *error) {
    scheduler->n_parallel = options->n_parallel;
    scheduler->n_queued = options->n_queued;
    scheduler->engine = qins_engine_create(&model, 1, options->n_threads, error);
    if (scheduler->engine == NULL) return error->status;
    scheduler->cache =
        (qins_session_cache){.engine = scheduler->engine, .model = model, .max_bytes = options->cache_bytes};
    if (settle_context(scheduler, model, options, error) != QINS_OK) return error->status;
    scheduler->lock = qins_lock_create(error);
    if (scheduler->lock != NULL) scheduler->thread = qins_thread_start(run, scheduler, error);
    return error->status;
}

qins_scheduler *qins_scheduler_create(const qins_model *model, const qins_scheduler_options *options,
                                      qins_error *error) {
    qins_scheduler *scheduler = qins_alloc(1, sizeof *scheduler, "scheduler", error);
    if (scheduler == NULL) return NULL;
    if (make_parts(scheduler, model, options, error) == QINS_OK) return scheduler;
    qins_scheduler_free(scheduler);
    return NULL;
}

void qins_scheduler_free(qins_scheduler *scheduler) {
    if (scheduler == NULL) return;
    if (scheduler->thread != NULL) {
        qins_lock_enter(scheduler->lock);
        scheduler->is_ending = true;
        qins_lock_wake(scheduler->lock);
        qins_lock_leave(scheduler->lock);
        qins_thread_join(scheduler->thread);
    }
    qins_session_cache_free(&scheduler->cache);
    qins_lock_free(scheduler->lock);
    qins_engine_free(scheduler->engine);
    free(scheduler);
}

size_t qins_scheduler_n_ctx(const qins_scheduler *scheduler) {
    return scheduler->cache.options.n_ctx;
}

size_t qins_scheduler_threads(const qins_scheduler *scheduler) {
    return qins_engine_threads(scheduler->engine);
}

// --- from other threads ---

qins_scheduler_state qins_scheduler_observe(qins_scheduler *scheduler) {
    qins_lock_enter(scheduler->lock);
    const qins_scheduler_state state = scheduler->state;
    qins_lock_leave(scheduler->lock);
    return state;
}

static qins_admission admit(qins_scheduler *scheduler, qins_job *job) {
    qins_scheduler_state *state = &scheduler->state;
    if (scheduler->is_draining) return QINS_DRAINING;
    if (state->n_running + state->n_waiting >= scheduler->n_parallel + scheduler->n_queued) return QINS_QUEUE_FULL;
    job->next = NULL;
    job->times = (qins_job_times){.submitted = qins_clock()};
    if (scheduler->first == NULL)
        scheduler->first = job;
    else
        scheduler->last->next = job;
    scheduler->last = job;
    state->n_waiting++;
    qins_lock_wake(scheduler->lock);
    return QINS_ADMITTED;
}

qins_admission qins_scheduler_submit(qins_scheduler *scheduler, qins_job *job) {
    qins_lock_enter(scheduler->lock);
    const qins_admission admission = admit(scheduler, job);
    qins_lock_leave(scheduler->lock);
    return admission;
}

static void set(qins_scheduler *scheduler, atomic_bool *flag, bool value) {
    qins_lock_enter(scheduler->lock);
    atomic_store(flag, value);
    qins_lock_wake(scheduler->lock);
    qins_lock_leave(scheduler->lock);
}

void qins_scheduler_cancel(qins_scheduler *scheduler, qins_job *job) {
    set(scheduler, &job->is_cancelled, true);
}

void qins_scheduler_pause(qins_scheduler *scheduler, qins_job *job, bool is_paused) {
    set(scheduler, &job->is_paused, is_paused);
}

void qins_scheduler_drain(qins_scheduler *scheduler) {
    qins_lock_enter(scheduler->lock);
    scheduler->is_draining = true;
    qins_lock_leave(scheduler->lock);
}

// --- jobs in their slots ---

// The job has ended. Its caller may release it at once.
static void end_job(qins_job *job, qins_finish finish) {
    job->times.ended = qins_clock();
    job->on_event(job->context, &(qins_event){.kind = QINS_EVENT_END, .finish = finish, .stop_id = -1});
}

// The slot's session becomes idle, and its job ends.
static void leave(qins_scheduler *scheduler, struct slot *slot, qins_finish finish) {
    qins_job *job = slot->job;
    size_t n_ids = 0;
    if (slot->generation != NULL) qins_generation_ids(slot->generation, &n_ids);
    qins_generation_free(slot->generation);
    if (slot->held != NULL) qins_session_cache_give(&scheduler->cache, slot->held, n_ids);
    *slot = (struct slot){0};
    qins_lock_enter(scheduler->lock);
    scheduler->state.n_running--;
    scheduler->state.n_idle = scheduler->cache.n_idle;
    scheduler->state.idle_bytes = scheduler->cache.idle_bytes;
    qins_lock_leave(scheduler->lock);
    end_job(job, finish);
}

static void start(qins_scheduler *scheduler, struct slot *slot, qins_job *job) {
    const qins_generation_options *wanted = &job->generation;
    slot->job = job;
    job->times.started = qins_clock();
    slot->held = qins_session_cache_take(&scheduler->cache, wanted->ids, wanted->n_ids, &job->error);
    if (slot->held != NULL) slot->generation = qins_generation_create(slot->held->session, wanted, &job->error);
    if (slot->generation == NULL) leave(scheduler, slot, QINS_FINISH_FAILED);
}

// Pass on the events available. True: the job waits for a step.
static bool take_events(qins_scheduler *scheduler, struct slot *slot) {
    qins_job *job = slot->job;
    qins_event event;
    if (atomic_load(&job->is_cancelled)) qins_generation_cancel(slot->generation);
    while (qins_generation_poll(slot->generation, &event, &job->error) == QINS_OK && event.kind != QINS_EVENT_WAIT) {
        if (event.kind == QINS_EVENT_END) {
            leave(scheduler, slot, event.finish);
            return false;
        }
        job->n_cached = qins_generation_cached(slot->generation);
        job->n_generated = qins_generation_count(slot->generation);
        if (job->times.first == 0) job->times.first = qins_clock();
        job->on_event(job->context, &event);
    }
    if (job->error.status == QINS_OK) return true;
    leave(scheduler, slot, QINS_FINISH_FAILED);
    return false;
}

// --- steps ---

// A step in the making.
struct step {
    qins_entry entries[QINS_MAX_PARALLEL];
    struct slot *slots[QINS_MAX_PARALLEL];
    size_t n, n_tokens;
    bool has_prompts;
};

static void add(struct step *step, struct slot *slot, size_t n_tokens) {
    step->slots[step->n] = slot;
    step->entries[step->n++] = (qins_entry){slot->held->session, n_tokens, true};
    step->n_tokens += n_tokens;
}

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

// Tokens of prompts in a step with replies.
static size_t slice_tokens(const qins_scheduler *scheduler) {
    const double n = scheduler->speed * slice_seconds;
    return n < MIN_SLICE ? MIN_SLICE : n > QINS_STEP_TOKENS ? QINS_STEP_TOKENS : (size_t)n;
}

// A slice of each prompt, all of the same size.
static void add_prompts(qins_scheduler *scheduler, struct step *step, const bool *is_prompt, size_t n_prompts) {
    if (n_prompts == 0) return;
    const size_t left = QINS_STEP_TOKENS - step->n_tokens;
    const size_t all = step->n > 0 ? least(slice_tokens(scheduler), left) : left;
    const size_t share = all > n_prompts ? all / n_prompts : 1;
    step->has_prompts = true;
    for (size_t i = 0; i < scheduler->n_parallel; i++) {
        struct slot *slot = &scheduler->slots[i];
        if (is_prompt[i]) add(step, slot, least(qins_session_pending(slot->held->session), share));
    }
}

static void plan_step(qins_scheduler *scheduler, struct step *step) {
    bool is_prompt[QINS_MAX_PARALLEL] = {false};
    size_t n_prompts = 0;
    for (size_t i = 0; i < scheduler->n_parallel; i++) {
        struct slot *slot = &scheduler->slots[i];
        if (slot->job == NULL || !take_events(scheduler, slot) || atomic_load(&slot->job->is_paused)) continue;
        is_prompt[i] = qins_session_pending(slot->held->session) > 1;
        if (is_prompt[i])
            n_prompts++;
        else
            add(step, slot, 1);
    }
    add_prompts(scheduler, step, is_prompt, n_prompts);
}

static void take_step(qins_scheduler *scheduler, struct step *step) {
    qins_error error = {0};
    const double start_time = qins_clock();
    qins_engine_step(scheduler->engine, step->entries, step->n, &error);
    const double seconds = qins_clock() - start_time;
    if (step->has_prompts && seconds > 0) scheduler->speed = (double)step->n_tokens / seconds;
    qins_lock_enter(scheduler->lock);
    scheduler->state.n_steps++;
    scheduler->state.n_step_tokens += step->n_tokens;
    scheduler->state.step_seconds += seconds;
    qins_lock_leave(scheduler->lock);
    for (size_t i = 0; i < step->n && error.status != QINS_OK; i++) {
        step->slots[i]->job->error = error;
        leave(scheduler, step->slots[i], QINS_FINISH_FAILED);
    }
}

// --- the thread ---

static struct slot *free_slot(qins_scheduler *scheduler) {
    for (size_t i = 0; i < scheduler->n_parallel; i++)
        if (scheduler->slots[i].job == NULL) return &scheduler->slots[i];
    return NULL;
}

// The next job of the queue, which is not empty. The lock is held.
static qins_job *pop(qins_scheduler *scheduler) {
    qins_job *job = scheduler->first;
    scheduler->first = job->next;
    scheduler->state.n_waiting--;
    return job;
}

// The first cancelled job of the queue, taken out of it; NULL: there is none. The lock is held.
static qins_job *pop_cancelled(qins_scheduler *scheduler) {
    qins_job *before = NULL;
    for (qins_job *job = scheduler->first; job != NULL; before = job, job = job->next) {
        if (!atomic_load(&job->is_cancelled)) continue;
        if (before == NULL) return pop(scheduler);
        before->next = job->next;
        if (scheduler->last == job) scheduler->last = before;
        scheduler->state.n_waiting--;
        return job;
    }
    return NULL;
}

// Is there a job that can go on?
static bool has_work(const qins_scheduler *scheduler) {
    for (size_t i = 0; i < scheduler->n_parallel; i++) {
        const qins_job *job = scheduler->slots[i].job;
        if (job != NULL && (!atomic_load(&job->is_paused) || atomic_load(&job->is_cancelled))) return true;
    }
    return false;
}

// Bring the next job into its slot, or a cancelled one out of the queue. False: there is none. The lock is held, but
// released meanwhile.
static bool join_job(qins_scheduler *scheduler) {
    struct slot *slot = free_slot(scheduler);
    qins_job *dropped = pop_cancelled(scheduler);
    qins_job *job = dropped == NULL && slot != NULL && scheduler->first != NULL ? pop(scheduler) : NULL;
    if (dropped == NULL && job == NULL) return false;
    scheduler->state.n_running += job != NULL;
    qins_lock_leave(scheduler->lock);
    if (job != NULL)
        start(scheduler, slot, job);
    else
        end_job(dropped, QINS_FINISH_CANCELLED);
    qins_lock_enter(scheduler->lock);
    return true;
}

// Wait until there is something to compute. False: it is time to end.
static bool join_jobs(qins_scheduler *scheduler) {
    qins_lock_enter(scheduler->lock);
    while (!scheduler->is_ending) {
        if (join_job(scheduler)) continue;
        if (has_work(scheduler)) break;
        qins_lock_wait(scheduler->lock);
    }
    const bool goes_on = !scheduler->is_ending;
    qins_lock_leave(scheduler->lock);
    return goes_on;
}

static void run(void *context) {
    qins_scheduler *scheduler = context;
    while (join_jobs(scheduler)) {
        struct step step = {.n = 0};
        plan_step(scheduler, &step);
        if (step.n > 0) take_step(scheduler, &step);
    }
}
