// Log-probabilities of a question's choices, each a continuation of a context. Tokens that choices share with one
// another and with the previous question are computed once: the cache keeps it, and the logits after a shared context
// are kept here.
#ifndef QINS_MEASURE_CHOICES_H
#define QINS_MEASURE_CHOICES_H

#include "engine/runtime/session.h"

// ids[n_context + n_continuation]: both parts, encoded.
typedef struct qins_choice {
    int32_t *ids;
    size_t n_context, n_continuation; // at least one token each
} qins_choice;

typedef struct qins_choice_scorer {
    qins_session *session; // not owned
    qins_scorer *rows;     // owned
    float *row;            // owned, [vocab_size]: logits after the context
    double row_lse;        // their log-sum-exp
    // Tokens, over all questions: of all contexts and continuations, and those that had to be computed.
    size_t n_scored, n_computed;
} qins_choice_scorer;

// The session must outlive it. Release with qins_choice_scorer_free, also after a failure.
qins_status qins_choice_scorer_init(qins_choice_scorer *scorer, qins_session *session, qins_error *error);
void qins_choice_scorer_free(qins_choice_scorer *scorer);

// Tokens that must be dropped from the front of a choice to fit it into a context of n_ctx: as in
// lm-evaluation-harness, the end is kept. Its last token is predicted, but need not be run.
size_t qins_choice_overlong(const qins_choice *choice, size_t n_ctx);

// log_p[n_choices]: ln p(continuation | context), the sum over its tokens, each choice as one sequence (LongRoPE's
// factors are those of its length). For choices that keep some context: those
// with qins_choice_overlong below n_context.
qins_status qins_choice_scorer_score(qins_choice_scorer *scorer, const qins_choice *choices, size_t n_choices,
                                     double *log_p, qins_error *error);

#endif
