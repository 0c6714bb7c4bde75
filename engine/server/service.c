// The service; see service.h.
#include "engine/server/service.h"

#include "engine/base/lock.h"
#include "engine/base/memory.h"
#include "engine/runtime/model.h"
#include "engine/server/reply.h"

#include <stdlib.h>
#include <string.h>

// Bytes that a client leaves unread before its reply is paused, and below which it goes on.
enum { MOST_UNREAD = 1 << 18, FEW_UNREAD = 1 << 16 };
enum { PATIENCE_MS = 100 };

struct qins_service {
    const qins_model *model;
    const char *alias;
    qins_scheduler *scheduler;
    qins_lock *lock;  // of the members below, and of all answers
    size_t n_answers; // that have not been released
    qins_metrics metrics;
};

struct qins_answer {
    qins_service *service;
    qins_request request;
    qins_job job;
    // Under the lock:
    qins_reply reply;
    qins_buffer out;
    size_t n_taken; // bytes of it
    qins_error error;
    qins_listener listener;
    bool is_awaited; // the listener wants to know
    bool is_ended;   // the scheduler has let go of the job
    bool is_let_go;  // and the client of the answer
    bool is_paused;
    bool has_failed;
};

// --- the service ---

qins_service *qins_service_open(const qins_model *model, const char *alias, const qins_scheduler_options *options,
                                qins_error *error) {
    qins_service *service = qins_alloc(1, sizeof *service, "service", error);
    if (service == NULL) return NULL;
    service->model = model;
    service->alias = alias;
    qins_metrics_begin(&service->metrics);
    service->lock = qins_lock_create(error);
    if (service->lock != NULL) service->scheduler = qins_scheduler_create(model, options, error);
    if (service->scheduler != NULL) return service;
    qins_service_close(service);
    return NULL;
}

void qins_service_close(qins_service *service) {
    if (service == NULL) return;
    if (service->scheduler != NULL) {
        qins_lock_enter(service->lock);
        while (service->n_answers > 0) qins_lock_wait(service->lock);
        qins_lock_leave(service->lock);
    }
    qins_scheduler_free(service->scheduler);
    qins_lock_free(service->lock);
    free(service);
}

bool qins_service_can_answer(const qins_service *service, qins_refusal *refusal) {
    qins_error error = {0};
    if (qins_model_check(service->model, &error) == QINS_OK) return true;
    return qins_refuse(refusal, 503, "model_failed", NULL, "%s", error.message);
}

const qins_model *qins_service_model(const qins_service *service) {
    return service->model;
}

const char *qins_service_alias(const qins_service *service) {
    return service->alias;
}

qins_scheduler *qins_service_scheduler(qins_service *service) {
    return service->scheduler;
}

void qins_service_note_refusal(qins_service *service, unsigned status) {
    qins_lock_enter(service->lock);
    qins_metrics_note_refusal(&service->metrics, status);
    qins_lock_leave(service->lock);
}

void qins_service_print_metrics(qins_service *service, qins_buffer *out) {
    const qins_scheduler_state state = qins_scheduler_observe(service->scheduler);
    qins_lock_enter(service->lock);
    qins_metrics_print(&service->metrics, &state, out);
    qins_lock_leave(service->lock);
}

unsigned qins_service_retry_after(qins_service *service) {
    const qins_scheduler_state state = qins_scheduler_observe(service->scheduler);
    qins_lock_enter(service->lock);
    const unsigned seconds = qins_metrics_retry_after(&service->metrics, &state);
    qins_lock_leave(service->lock);
    return seconds;
}

// --- answers ---

static void release(qins_answer *answer) {
    qins_reply_free(&answer->reply);
    qins_request_free(&answer->request);
    qins_buffer_free(&answer->out);
    free(answer);
}

static bool is_stream(const qins_answer *answer) {
    return answer->request.stream;
}

static size_t unread(const qins_answer *answer) {
    return answer->out.size - answer->n_taken;
}

// Pause a stream that is not read, and go on when it is. The lock is held.
static void set_pace(qins_answer *answer) {
    const bool is_paused = unread(answer) > (answer->is_paused ? FEW_UNREAD : MOST_UNREAD);
    if (!is_stream(answer) || answer->is_ended || is_paused == answer->is_paused) return;
    answer->is_paused = is_paused;
    qins_scheduler_pause(answer->service->scheduler, &answer->job, is_paused);
}

static void tell_listener(qins_answer *answer) {
    if (!answer->is_awaited) return;
    answer->is_awaited = false;
    answer->listener.on_ready(answer->listener.context);
}

static bool has_something(const qins_answer *answer) {
    return answer->is_ended || (is_stream(answer) && unread(answer) > 0);
}

static void break_off(qins_answer *answer, const qins_error *reason) {
    qins_error ignored = {0};
    answer->has_failed = true;
    answer->out.error = &ignored; // a reply that cannot even say what failed is cut short
    if (!is_stream(answer)) answer->out.size = answer->n_taken = 0;
    qins_reply_break(&answer->reply, reason, &answer->out);
    answer->out.error = &answer->error;
}

static void add_event(qins_answer *answer, const qins_event *event) {
    const bool is_end = event->kind == QINS_EVENT_END;
    const bool is_failed = is_end && event->finish == QINS_FINISH_FAILED;
    if (is_end) qins_metrics_note_reply(&answer->service->metrics, &answer->job, event->finish);
    if (!answer->is_let_go && !is_failed && answer->error.status == QINS_OK)
        qins_reply_add(&answer->reply, event, &answer->job, &answer->out);
    if (answer->error.status != QINS_OK && !is_end) qins_scheduler_cancel(answer->service->scheduler, &answer->job);
    if (is_end && (is_failed || answer->error.status != QINS_OK))
        break_off(answer, is_failed ? &answer->job.error : &answer->error);
    answer->is_ended = is_end;
}

// From the scheduler's thread.
static void on_event(void *context, const qins_event *event) {
    qins_answer *answer = context;
    qins_service *service = answer->service;
    qins_lock_enter(service->lock);
    add_event(answer, event);
    set_pace(answer);
    if (has_something(answer)) tell_listener(answer);
    const bool is_over = answer->is_ended && answer->is_let_go;
    if (is_over) service->n_answers--;
    if (answer->is_ended) qins_lock_wake(service->lock);
    qins_lock_leave(service->lock);
    if (is_over) release(answer);
}

static bool submit(qins_answer *answer, qins_refusal *refusal) {
    qins_service *service = answer->service;
    answer->job.generation = answer->request.generation;
    answer->job.on_event = on_event;
    answer->job.context = answer;
    const qins_admission admission = qins_scheduler_submit(service->scheduler, &answer->job);
    if (admission == QINS_QUEUE_FULL)
        return qins_refuse(refusal, 429, "queue_full", NULL, "too many requests are already waiting; try again later");
    if (admission == QINS_DRAINING)
        return qins_refuse(refusal, 503, "shutting_down", NULL, "the server is shutting down");
    return true;
}

static bool prepare(qins_answer *answer, qins_request_kind kind, const char *body, size_t size, qins_refusal *refusal) {
    const qins_service *service = answer->service;
    const qins_request_reader reader = {service->model, service->alias, qins_scheduler_n_ctx(service->scheduler)};
    qins_error error = {0};
    if (!qins_request_read(&answer->request, kind, body, size, &reader, refusal)) return false;
    if (qins_reply_begin(&answer->reply, &answer->request, service->model, service->alias, &error) == QINS_OK)
        return true;
    return qins_refuse_error(refusal, NULL, NULL, &error);
}

static void count_answer(qins_service *service, int change) {
    qins_lock_enter(service->lock);
    service->n_answers += (size_t)change;
    qins_lock_wake(service->lock);
    qins_lock_leave(service->lock);
}

qins_answer *qins_answer_begin(qins_service *service, qins_request_kind kind, const char *body, size_t size,
                               const qins_listener *listener, qins_refusal *refusal) {
    qins_error error = {0};
    qins_answer *answer = qins_alloc(1, sizeof *answer, "answer", &error);
    if (answer == NULL) {
        qins_refuse_error(refusal, NULL, NULL, &error);
        return NULL;
    }
    answer->service = service;
    if (listener != NULL) answer->listener = *listener;
    answer->out.error = &answer->error;
    count_answer(service, 1); // before the scheduler may end it
    if (qins_service_can_answer(service, refusal) && prepare(answer, kind, body, size, refusal) &&
        submit(answer, refusal))
        return answer;
    count_answer(service, -1);
    release(answer);
    return NULL;
}

void qins_answer_free(qins_answer *answer) {
    if (answer == NULL) return;
    qins_service *service = answer->service;
    qins_lock_enter(service->lock);
    answer->is_let_go = true;
    answer->is_awaited = false;
    const bool is_over = answer->is_ended;
    if (is_over)
        service->n_answers--;
    else
        qins_scheduler_cancel(service->scheduler, &answer->job);
    qins_lock_wake(service->lock);
    qins_lock_leave(service->lock);
    if (is_over) release(answer);
}

bool qins_answer_is_stream(const qins_answer *answer) {
    return is_stream(answer);
}

// Room that has been read is used again.
static void move_up(qins_buffer *out, size_t *n_taken) {
    if (*n_taken < out->size && *n_taken < FEW_UNREAD) return;
    memmove(out->data, out->data + *n_taken, out->size - *n_taken);
    out->size -= *n_taken;
    *n_taken = 0;
}

static qins_answer_state take(qins_answer *answer, char *to, size_t capacity, size_t *size) {
    const size_t ready = is_stream(answer) || answer->is_ended ? unread(answer) : 0;
    *size = ready < capacity ? ready : capacity;
    if (*size == 0) {
        if (answer->is_ended) return QINS_ANSWER_ENDED;
        answer->is_awaited = answer->listener.on_wait != NULL;
        if (answer->is_awaited) answer->listener.on_wait(answer->listener.context);
        return QINS_ANSWER_WAITS;
    }
    memcpy(to, answer->out.data + answer->n_taken, *size);
    answer->n_taken += *size;
    move_up(&answer->out, &answer->n_taken);
    set_pace(answer);
    return QINS_ANSWER_FLOWS;
}

qins_answer_state qins_answer_take(qins_answer *answer, char *to, size_t capacity, size_t *size) {
    qins_lock_enter(answer->service->lock);
    const qins_answer_state state = take(answer, to, capacity, size);
    qins_lock_leave(answer->service->lock);
    return state;
}

void qins_answer_wake(qins_answer *answer) {
    qins_lock_enter(answer->service->lock);
    tell_listener(answer);
    qins_lock_leave(answer->service->lock);
}

bool qins_answer_wait(qins_answer *answer, const volatile sig_atomic_t *stop) {
    qins_lock_enter(answer->service->lock);
    while (!answer->is_ended && !*stop) qins_lock_wait_for(answer->service->lock, PATIENCE_MS); // signals wake no one
    const bool is_whole = answer->is_ended;
    qins_lock_leave(answer->service->lock);
    return is_whole;
}

unsigned qins_answer_status(qins_answer *answer) {
    qins_lock_enter(answer->service->lock);
    const unsigned status = answer->has_failed ? 500 : 200;
    qins_lock_leave(answer->service->lock);
    return status;
}
