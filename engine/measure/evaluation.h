// A model's answers to a task's questions: for each question, the choice whose text is the most probable.
#ifndef QINS_MEASURE_EVALUATION_H
#define QINS_MEASURE_EVALUATION_H

#include "engine/base/progress.h"
#include "engine/measure/choices.h"
#include "engine/measure/task.h"

// To a question.
typedef struct qins_answer {
    double log_p[QINS_MAX_CHOICES]; // of each choice, as it is
    size_t pick;                    // of the largest log_p
    size_t pick_norm;               // of the largest log_p per character of the choice
} qins_answer;

// Of one task file; [n] arrays are in the order of its questions.
typedef struct qins_evaluation {
    const char *path;
    qins_task task, examples;
    size_t n_shots;              // of the examples, before every question
    size_t n_truncated;          // questions whose prompts were too long for the context
    size_t n_scored, n_computed; // tokens; the difference is what the cache saved
    qins_answer *answers;        // owned, [n]
    qins_answer *ref_answers;    // owned, [n]; NULL without a reference
} qins_evaluation;
void qins_evaluation_free(qins_evaluation *evaluation);

// The evaluator: a session and, optionally, a reference's session for the same ids.
typedef struct qins_evaluator {
    const qins_tokenizer *tokenizer; // not owned
    int64_t bos;                     // before every sequence, -1: none
    bool has_reference;
    qins_choice_scorer scorer, ref_scorer;
    // Of the current question.
    qins_buffer examples, context, continuation;
    qins_ids ids[QINS_MAX_CHOICES];
} qins_evaluator;

// The tokenizer, the sessions (`reference` may be NULL) and `error` must outlive it. Release with qins_evaluator_free,
// also after a failure.
qins_status qins_evaluator_init(qins_evaluator *evaluator, const qins_tokenizer *tokenizer, int64_t bos,
                                qins_session *session, qins_session *reference, qins_error *error);
void qins_evaluator_free(qins_evaluator *evaluator);

// Encode every question, and count those that must be truncated. QINS_CONTEXT_OVERFLOW when one cannot be asked: better
// reported before the first one runs than after hours.
qins_status qins_evaluator_check(qins_evaluator *evaluator, qins_evaluation *evaluations, size_t n, qins_error *error);

// Answer the questions of evaluations[n], whose tasks have been read and checked. `progress` counts questions.
qins_status qins_evaluator_run(qins_evaluator *evaluator, qins_evaluation *evaluations, size_t n,
                               qins_progress *progress, void *context, qins_error *error);

// McNemar's exact test of the answers that only one of two models has right: the probability that they are divided at
// least this unevenly if each is equally likely to belong to either model, that is, for n = lost + gained fair coins:
// min(1, 2 sum_(k <= min(lost, gained)) C(n, k) / 2^n).
double qins_mcnemar(size_t lost, size_t gained);

#endif
