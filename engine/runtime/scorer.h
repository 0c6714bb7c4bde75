// Logits after every token of a sequence, a few rows at a time, so memory does not grow with the sequence.
#ifndef QINS_RUNTIME_SCORER_H
#define QINS_RUNTIME_SCORER_H

#include "engine/runtime/session.h"

typedef struct qins_scorer qins_scorer;

// For a session, which must outlive it. NULL and an error otherwise; release with qins_scorer_free.
qins_scorer *qins_scorer_create(qins_session *session, qins_error *error);
void qins_scorer_free(qins_scorer *scorer);

// Begin with ids[n], then take the logits after the tokens from position `first` on in order. The prefix that the
// tokens before `first` share with the session's cached sequence is kept; with 0 the cache starts out empty. The
// session must not be used for anything else until all rows have been taken.
qins_status qins_scorer_begin(qins_scorer *scorer, const int32_t *ids, size_t n, size_t first, qins_error *error);

// The next rows: logits[n_rows, vocab_size] (valid until the next call) after the tokens at position first, first + 1,
// ... of the sequence; n_rows = 0 when all have been handed over.
qins_status qins_scorer_next(qins_scorer *scorer, const float **logits, size_t *first, size_t *n_rows,
                             qins_error *error);

#endif
