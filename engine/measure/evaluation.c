// Answers to multiple-choice questions; see evaluation.h.
#include "engine/measure/evaluation.h"

#include "engine/base/memory.h"

#include <math.h>
#include <stdlib.h>

void qins_evaluation_free(qins_evaluation *evaluation) {
    qins_task_free(&evaluation->task);
    qins_task_free(&evaluation->examples);
    free(evaluation->answers);
    free(evaluation->ref_answers);
    *evaluation = (qins_evaluation){0};
}

qins_status qins_evaluator_init(qins_evaluator *evaluator, const qins_tokenizer *tokenizer, int64_t bos,
                                qins_session *session, qins_session *reference, qins_error *error) {
    *evaluator = (qins_evaluator){.tokenizer = tokenizer, .bos = bos, .has_reference = reference != NULL};
    evaluator->examples.error = evaluator->context.error = evaluator->continuation.error = error;
    if (qins_choice_scorer_init(&evaluator->scorer, session, error) == QINS_OK && reference != NULL)
        qins_choice_scorer_init(&evaluator->ref_scorer, reference, error);
    return error->status;
}

void qins_evaluator_free(qins_evaluator *evaluator) {
    qins_choice_scorer_free(&evaluator->ref_scorer);
    qins_choice_scorer_free(&evaluator->scorer);
    qins_buffer_free(&evaluator->examples);
    qins_buffer_free(&evaluator->context);
    qins_buffer_free(&evaluator->continuation);
    for (size_t i = 0; i < QINS_MAX_CHOICES; i++) qins_ids_free(&evaluator->ids[i]);
}

// --- texts to ids ---

static qins_status encode(const qins_evaluator *evaluator, const qins_buffer *text, qins_ids *ids, qins_error *error) {
    return qins_tokenizer_encode(evaluator->tokenizer, (const char *)text->data, text->size, 0, ids, error);
}

// As lm-evaluation-harness does it: the continuation's tokens are those that the whole text has beyond the context's.
static qins_status encode_choice(qins_evaluator *evaluator, qins_ids *ids, qins_choice *choice, qins_error *error) {
    qins_ids whole = {0};
    const size_t n_bos = evaluator->bos >= 0;
    ids->count = 0;
    if (n_bos > 0) qins_ids_append(ids, (int32_t)evaluator->bos, error);
    if (error->status == QINS_OK) encode(evaluator, &evaluator->context, ids, error);
    const size_t n_context = ids->count - n_bos;
    qins_buffer_append(&evaluator->context, evaluator->continuation.data,
                       evaluator->continuation.size); // now the whole text
    if (error->status == QINS_OK) encode(evaluator, &evaluator->context, &whole, error);
    for (size_t i = n_context; i < whole.count && error->status == QINS_OK; i++)
        qins_ids_append(ids, whole.data[i], error);
    if (error->status == QINS_OK && (ids->count == n_context + n_bos || n_context + n_bos == 0))
        qins_fail(error, QINS_USAGE, "a context or a choice has no tokens of its own; --bos adds one before it");
    qins_ids_free(&whole);
    *choice = (qins_choice){ids->data, n_context + n_bos, ids->count - n_context - n_bos};
    return error->status;
}

// The ids of all choices of question `index`, after the examples.
static qins_status encode_question(qins_evaluator *evaluator, const qins_evaluation *evaluation, size_t index,
                                   qins_choice *choices, qins_error *error) {
    const qins_question *question = &evaluation->task.questions[index];
    const qins_task_format format = evaluation->task.format;
    evaluator->examples.size = 0;
    qins_task_append_examples(question, format, &evaluation->examples, evaluation->n_shots, &evaluator->examples);
    for (size_t i = 0; i < question->n_choices && error->status == QINS_OK; i++) {
        evaluator->context.size = evaluator->continuation.size = 0;
        qins_buffer_append(&evaluator->context, evaluator->examples.data, evaluator->examples.size);
        qins_task_append_choice(question, format, i, &evaluator->context, &evaluator->continuation);
        if (error->status == QINS_OK) encode_choice(evaluator, &evaluator->ids[i], &choices[i], error);
    }
    return qins_error_context(error, "%s, line %zu", evaluation->path, question->line);
}

static qins_status check_questions(qins_evaluator *evaluator, qins_evaluation *evaluation, qins_error *error) {
    const size_t n_ctx = qins_session_n_ctx(evaluator->scorer.session);
    qins_choice choices[QINS_MAX_CHOICES];
    for (size_t i = 0; i < evaluation->task.n_questions; i++) {
        const qins_question *question = &evaluation->task.questions[i];
        bool is_truncated = false;
        if (encode_question(evaluator, evaluation, i, choices, error) != QINS_OK) return error->status;
        for (size_t j = 0; j < question->n_choices; j++) {
            const size_t n_dropped = qins_choice_overlong(&choices[j], n_ctx);
            is_truncated |= n_dropped > 0;
            if (n_dropped >= choices[j].n_context)
                return qins_fail(error, QINS_CONTEXT_OVERFLOW,
                                 "%s, line %zu: a choice of %zu tokens leaves no room in the context of %zu",
                                 evaluation->path, question->line, choices[j].n_continuation, n_ctx);
        }
        evaluation->n_truncated += is_truncated;
    }
    return QINS_OK;
}

// --- answers ---

// Characters of UTF-8.
static double length_of(const char *text) {
    size_t n = 0;
    for (; *text != '\0'; text++) n += ((unsigned char)*text & 0xC0) != 0x80;
    return (double)n;
}

// The divisor of a choice's score: the length of the choice, or 1 where another text is scored.
static double norm_of(const qins_question *question, qins_task_format format, size_t choice) {
    return format == QINS_MMLU || format == QINS_WINOGRANDE ? 1.0 : length_of(question->choices[choice]);
}

static qins_status answer_question(qins_choice_scorer *scorer, const qins_question *question, qins_task_format format,
                                   const qins_choice *choices, qins_answer *answer, qins_error *error) {
    const double *log_p = answer->log_p;
    size_t pick = 0, pick_norm = 0;
    if (qins_choice_scorer_score(scorer, choices, question->n_choices, answer->log_p, error) != QINS_OK)
        return error->status;
    for (size_t i = 1; i < question->n_choices; i++) { // the first of equal ones
        if (log_p[i] > log_p[pick]) pick = i;
        if (log_p[i] / norm_of(question, format, i) > log_p[pick_norm] / norm_of(question, format, pick_norm))
            pick_norm = i;
    }
    answer->pick = pick;
    answer->pick_norm = pick_norm;
    return QINS_OK;
}

// Question `index`, by both models.
static qins_status run_question(qins_evaluator *evaluator, qins_evaluation *evaluation, size_t index,
                                qins_error *error) {
    const qins_question *question = &evaluation->task.questions[index];
    const qins_task_format format = evaluation->task.format;
    qins_choice choices[QINS_MAX_CHOICES];
    if (encode_question(evaluator, evaluation, index, choices, error) != QINS_OK) return error->status;
    answer_question(&evaluator->scorer, question, format, choices, &evaluation->answers[index], error);
    if (evaluator->has_reference && error->status == QINS_OK)
        answer_question(&evaluator->ref_scorer, question, format, choices, &evaluation->ref_answers[index], error);
    return error->status;
}

// --- tasks ---

// Questions, of which a session reports the tokens.
struct watch {
    qins_progress *progress;
    void *context;
    uint64_t done, total;
};

static bool watch_tokens(void *context, uint64_t done, uint64_t total) {
    const struct watch *watch = context;
    (void)done, (void)total; // tokens of a prompt
    return watch->progress == NULL || watch->progress(watch->context, watch->done, watch->total);
}

static qins_status run_task(qins_evaluator *evaluator, qins_evaluation *evaluation, struct watch *watch,
                            qins_error *error) {
    const size_t n = evaluation->task.n_questions;
    const size_t n_scored = evaluator->scorer.n_scored, n_computed = evaluator->scorer.n_computed;
    evaluation->answers = qins_alloc(n, sizeof *evaluation->answers, "answers", error);
    if (evaluator->has_reference)
        evaluation->ref_answers = qins_alloc(n, sizeof *evaluation->answers, "answers", error);
    for (size_t i = 0; i < n && error->status == QINS_OK; i++) {
        run_question(evaluator, evaluation, i, error);
        watch->done++;
        if (!watch_tokens(watch, 0, 0)) qins_fail(error, QINS_INTERRUPTED, "interrupted");
    }
    evaluation->n_scored = evaluator->scorer.n_scored - n_scored;
    evaluation->n_computed = evaluator->scorer.n_computed - n_computed;
    return error->status;
}

qins_status qins_evaluator_check(qins_evaluator *evaluator, qins_evaluation *evaluations, size_t n, qins_error *error) {
    for (size_t i = 0; i < n && error->status == QINS_OK; i++) check_questions(evaluator, &evaluations[i], error);
    return error->status;
}

// Let `observer` (NULL: none) watch the sessions.
static void observe(qins_evaluator *evaluator, const qins_observer *observer) {
    qins_session_observe(evaluator->scorer.session, observer);
    if (evaluator->has_reference) qins_session_observe(evaluator->ref_scorer.session, observer);
}

qins_status qins_evaluator_run(qins_evaluator *evaluator, qins_evaluation *evaluations, size_t n,
                               qins_progress *progress, void *context, qins_error *error) {
    struct watch watch = {.progress = progress, .context = context};
    for (size_t i = 0; i < n; i++) watch.total += evaluations[i].task.n_questions;
    observe(evaluator, &(qins_observer){watch_tokens, NULL, &watch});
    for (size_t i = 0; i < n && error->status == QINS_OK; i++) run_task(evaluator, &evaluations[i], &watch, error);
    observe(evaluator, &(qins_observer){0});
    return error->status;
}

double qins_mcnemar(size_t lost, size_t gained) {
    const size_t n = lost + gained, few = lost < gained ? lost : gained;
    double log_term = -(double)n * log(2), sum = 0; // logarithms: 2^n may be beyond a double
    for (size_t k = 0; k <= few; k++) {
        sum += exp(log_term);
        log_term += log((double)(n - k) / (double)(k + 1));
    }
    return fmin(1, 2 * sum);
}
