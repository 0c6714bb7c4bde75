// The engine: threads and scratch, and the steps that take sessions through the weights together. The public part is in
// qins.h.
#ifndef QINS_RUNTIME_ENGINE_H
#define QINS_RUNTIME_ENGINE_H

#include "engine/runtime/session.h"

// An observer of a step. Both parts may be NULL.
typedef struct qins_onlooker {
    qins_on_layer *on_layer; // false stops the step
    void *context;
    float *hidden; // [n_tokens, hidden_dim]: receives the output of the final norm of a step with one entry
} qins_onlooker;

// qins_engine_step with an observer. QINS_INTERRUPTED when on_layer stopped it: then nothing has changed.
qins_status qins_engine_run(qins_engine *engine, const qins_entry *entries, size_t n_entries,
                            const qins_onlooker *onlooker, qins_error *error);

// logits[n, vocab_size] of hidden[n, hidden_dim] of a session; n <= QINS_LOGIT_ROWS.
void qins_engine_logits(qins_engine *engine, const qins_session *session, float *logits, const float *hidden, size_t n);

bool qins_engine_has_model(const qins_engine *engine, const qins_model *model);
qins_pool *qins_engine_pool(qins_engine *engine);

#endif
