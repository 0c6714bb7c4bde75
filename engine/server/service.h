// Shared by the server and qinsrun batch: a model with its scheduler and metrics, and answers, each of which turns a
// request's JSON into the JSON of its reply.
#ifndef QINS_SERVER_SERVICE_H
#define QINS_SERVER_SERVICE_H

#include "engine/server/metrics.h"
#include "engine/server/request.h"

#include <signal.h>

typedef struct qins_service qins_service;
typedef struct qins_answer qins_answer;

// `alias` is the model's name, which must outlive the service, as must the model. NULL and an error otherwise; release
// with qins_service_close, after all answers: it waits for the generations of answers that were released early.
qins_service *qins_service_open(const qins_model *model, const char *alias, const qins_scheduler_options *options,
                                qins_error *error);
void qins_service_close(qins_service *service);

// Refuse (503) a request that needs a model whose file has failed (qins_image_check): the model can no longer be used,
// but the server can.
bool qins_service_can_answer(const qins_service *service, qins_refusal *refusal);

const qins_model *qins_service_model(const qins_service *service);
const char *qins_service_alias(const qins_service *service);
qins_scheduler *qins_service_scheduler(qins_service *service);

// Count a refusal. Append the metrics. Seconds for Retry-After.
void qins_service_note_refusal(qins_service *service, unsigned status);
void qins_service_print_metrics(qins_service *service, qins_buffer *out);
unsigned qins_service_retry_after(qins_service *service);

// The listener to an answer. It is told that qins_answer_take has found nothing and then, once, by another thread, that
// something has arrived. The calls do not overlap, and must not block.
typedef struct qins_listener {
    void (*on_wait)(void *context);
    void (*on_ready)(void *context);
    void *context;
} qins_listener;

// Begin to answer a request; `listener` may be NULL. NULL when it is refused: 429 when the queue is full, 503 while the
// service drains or when its model has failed. Release with qins_answer_free.
qins_answer *qins_answer_begin(qins_service *service, qins_request_kind kind, const char *body, size_t size,
                               const qins_listener *listener, qins_refusal *refusal);

// Ends the generation if it still runs.
void qins_answer_free(qins_answer *answer);

bool qins_answer_is_stream(const qins_answer *answer);

typedef enum qins_answer_state { QINS_ANSWER_WAITS, QINS_ANSWER_FLOWS, QINS_ANSWER_ENDED } qins_answer_state;

// Take up to `capacity` bytes of the reply; *size: how many. ENDED when there are no more, WAITS when there are none
// yet. An answer in one piece flows once it is complete.
qins_answer_state qins_answer_take(qins_answer *answer, char *to, size_t capacity, size_t *size);

// Call the listener if it waits, even if nothing has arrived.
void qins_answer_wake(qins_answer *answer);

// Wait until an answer in one piece is complete; false: *stop was set before.
bool qins_answer_wait(qins_answer *answer, const volatile sig_atomic_t *stop);

// HTTP status of a complete answer in one piece: 200, or 500.
unsigned qins_answer_status(qins_answer *answer);

#endif
