// What qinsrun eval measures (cmd_eval.c) and reports (eval_report.c).
#ifndef QINS_CLI_EVAL_H
#define QINS_CLI_EVAL_H

#include "engine/cli/task.h"

// A model's answers to a question.
typedef struct qins_answer {
    double log_p[QINS_MAX_CHOICES]; // of each choice, as it is
    size_t pick;                    // of the largest log_p
    size_t pick_norm;               // of the largest log_p per character of the choice
} qins_answer;

// Of one task file; [n] arrays are in the order of its questions.
typedef struct qins_eval_result {
    const char *path;
    qins_task task, examples;
    size_t n_shots;              // of the examples, before every question
    size_t n_truncated;          // questions whose prompts were too long for the context
    size_t n_scored, n_computed; // tokens; the difference is what the cache saved
    qins_answer *answers;        // owned, [n]
    qins_answer *ref_answers;    // owned, [n]; NULL without a reference
} qins_eval_result;

// McNemar's exact test of the answers that only one of two models has right: how probable it is that they are divided
// at least this unevenly if each is as likely to be the one's as the other's, which is that of n = lost + gained fair
// coins: min(1, 2 sum_(k <= min(lost, gained)) C(n, k) / 2^n).
double qins_mcnemar(size_t lost, size_t gained);

// Print the figures of all tasks, or JSON.
qins_status qins_eval_report(const qins_eval_result *results, size_t n_results, bool json, qins_error *error);

#endif
