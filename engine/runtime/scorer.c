// Rows of logits; see qins.h.
#include "engine/runtime/session.h"

#include "engine/base/map.h"
#include "engine/base/memory.h"
#include "engine/runtime/engine.h"

#include <stdlib.h>

struct qins_scorer {
    qins_session *session; // not owned
    float *hidden;         // owned, reserved, [QINS_STEP_TOKENS, hidden_dim]: of the last step
    float *logits;         // owned, reserved, [QINS_LOGIT_ROWS, vocab_size]
    size_t step_start;     // position of the last step's first token
    size_t next_row;       // position of the next row
};

static size_t hidden_bytes(const qins_session *session) {
    return QINS_STEP_TOKENS * qins_session_config(session)->hidden_dim * sizeof(float);
}

static size_t logits_bytes(const qins_session *session) {
    return QINS_LOGIT_ROWS * qins_session_config(session)->vocab_size * sizeof(float);
}

qins_scorer *qins_scorer_create(qins_session *session, qins_error *error) {
    qins_scorer *scorer = qins_alloc(1, sizeof *scorer, "scorer", error);
    if (scorer == NULL) return NULL;
    scorer->session = session;
    scorer->hidden = qins_reserve(hidden_bytes(session), "hidden states", error);
    if (scorer->hidden != NULL) scorer->logits = qins_reserve(logits_bytes(session), "logits", error);
    if (error->status == QINS_OK) return scorer;
    qins_scorer_free(scorer);
    return NULL;
}

void qins_scorer_free(qins_scorer *scorer) {
    if (scorer == NULL) return;
    qins_unmap(scorer->hidden, hidden_bytes(scorer->session));
    qins_unmap(scorer->logits, logits_bytes(scorer->session));
    free(scorer);
}

qins_status qins_scorer_begin(qins_scorer *scorer, const int32_t *ids, size_t n, size_t first, qins_error *error) {
    scorer->next_row = first;
    return qins_session_restart(scorer->session, ids, n, first, error);
}

qins_status qins_scorer_next(qins_scorer *scorer, const float **logits, size_t *first, size_t *n_rows,
                             qins_error *error) {
    qins_session *session = scorer->session;
    *n_rows = 0;
    *first = scorer->next_row;
    *logits = scorer->logits;
    if (scorer->next_row >= session->n) return QINS_OK;
    while (session->n_cached <= scorer->next_row) {
        scorer->step_start = session->n_cached;
        if (qins_session_advance(session, scorer->hidden, error) != QINS_OK) return error->status;
    }
    const qins_config *config = qins_session_config(session);
    const size_t left = session->n_cached - scorer->next_row;
    *n_rows = left < QINS_LOGIT_ROWS ? left : QINS_LOGIT_ROWS;
    qins_engine_logits(session->engine, session, scorer->logits,
                       scorer->hidden + (scorer->next_row - scorer->step_start) * config->hidden_dim, *n_rows);
    scorer->next_row += *n_rows;
    for (size_t i = 0; i < *n_rows; i++)
        qins_session_check(session, scorer->logits + i * config->vocab_size, *first + i, error);
    return error->status;
}
