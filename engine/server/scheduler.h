// The scheduler: a thread that computes all replies in progress together, in shared passes through the weights. Between
// steps, replies join and leave. A reply has one token in a step; prompts share a slice of it, in turns, so replies
// continue while long prompts are computed. Knows neither HTTP nor JSON.
#ifndef QINS_SERVER_SCHEDULER_H
#define QINS_SERVER_SCHEDULER_H

#include "engine/base/error.h"

#include <stdatomic.h>

enum { QINS_MAX_PARALLEL = 64 };

typedef struct qins_scheduler qins_scheduler;

typedef struct qins_scheduler_options {
    size_t n_threads;             // 0: one for each core
    size_t n_parallel;            // replies at a time, 1 to QINS_MAX_PARALLEL
    size_t n_queued;              // how many may wait
    size_t cache_bytes;           // of idle sessions
    qins_session_options session; // n_ctx 0: the largest that fits n_parallel times into available memory
} qins_scheduler_options;

// Seconds since an arbitrary start, of qins_clock; 0: not reached yet.
typedef struct qins_job_times {
    double submitted;
    double started; // it left the queue
    double first;   // token
    double ended;
} qins_job_times;

typedef struct qins_job qins_job;

// A requested reply. It belongs to the caller, who keeps it, and the data that `generation` points to, until END has
// been delivered.
struct qins_job {
    qins_generation_options generation;
    // Called by the scheduler's thread: TOKEN and TEXT, and END once at the very end, after which the scheduler no
    // longer touches the job. END by QINS_FINISH_FAILED has the reason in `error`.
    void (*on_event)(void *context, const qins_event *event);
    void *context;
    // The progress so far, for on_event:
    qins_error error;
    qins_job_times times;
    size_t n_cached; // tokens of the prompt that an idle session had computed
    size_t n_generated;
    // Of the scheduler:
    atomic_bool is_cancelled, is_paused;
    qins_job *next; // in the queue
};

typedef enum qins_admission { QINS_ADMITTED, QINS_QUEUE_FULL, QINS_DRAINING } qins_admission;

// Current state and totals.
typedef struct qins_scheduler_state {
    size_t n_running, n_waiting;
    size_t n_idle, idle_bytes; // sessions that keep their caches
    size_t n_steps, n_step_tokens;
    double step_seconds; // sum over steps
} qins_scheduler_state;

// Refuses (QINS_CONTEXT_OVERFLOW) contexts that do not fit into the memory. NULL and an error otherwise; release with
// qins_scheduler_free, after all jobs have ended.
qins_scheduler *qins_scheduler_create(const qins_model *model, const qins_scheduler_options *options,
                                      qins_error *error);
void qins_scheduler_free(qins_scheduler *scheduler);

size_t qins_scheduler_n_ctx(const qins_scheduler *scheduler); // tokens of each session
size_t qins_scheduler_threads(const qins_scheduler *scheduler);
qins_scheduler_state qins_scheduler_observe(qins_scheduler *scheduler);

// From any thread. Jobs start in the order in which they were submitted.
qins_admission qins_scheduler_submit(qins_scheduler *scheduler, qins_job *job);

// From any thread: the job ends before its next token. While a job is paused, it keeps its place but is not computed.
void qins_scheduler_cancel(qins_scheduler *scheduler, qins_job *job);
void qins_scheduler_pause(qins_scheduler *scheduler, qins_job *job, bool is_paused);

// Admit no more jobs; those that were admitted run to completion.
void qins_scheduler_drain(qins_scheduler *scheduler);

#endif
