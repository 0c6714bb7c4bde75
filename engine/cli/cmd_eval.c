// qinsrun eval: multiple-choice questions, answered by the choice whose text is the most probable.
#include "engine/cli/cli.h"
#include "engine/cli/confine.h"
#include "engine/cli/eval.h"
#include "engine/cli/evaluator.h"

#include "engine/base/memory.h"
#include "engine/base/sandbox.h"

#include <stdlib.h>

enum {
    DEFAULT_SHOTS = 5,
    DEFAULT_CONTEXT = 4096 // tokens: five examples of MMLU fit
};

struct eval {
    qins_options options, ref_options;
    qins_model *model, *ref_model; // the latter NULL: there is none
    qins_engine *engine;
    qins_session *session, *ref_session;
    qins_evaluator evaluator, reference;
    qins_meter meter;
    uint64_t done, total; // questions
    // Of the current question.
    qins_buffer examples, context, continuation;
    qins_ids ids[QINS_MAX_CHOICES];
};

// --- texts to ids ---

static qins_status encode(const struct eval *eval, const qins_buffer *text, qins_ids *ids, qins_error *error) {
    return qins_tokenizer_encode(eval->model->tokenizer, (const char *)text->data, text->size, 0, ids, error);
}

// As lm-evaluation-harness does it: the continuation's tokens are those that the whole text has beyond the context's.
static qins_status encode_choice(struct eval *eval, qins_ids *ids, qins_choice *choice, qins_error *error) {
    qins_ids whole = {0};
    const size_t n_bos = eval->options.bos >= 0;
    ids->count = 0;
    if (n_bos > 0) qins_ids_append(ids, (int32_t)eval->options.bos, error);
    if (error->status == QINS_OK) encode(eval, &eval->context, ids, error);
    const size_t n_context = ids->count - n_bos;
    qins_buffer_append(&eval->context, eval->continuation.data, eval->continuation.size); // now the whole text
    if (error->status == QINS_OK) encode(eval, &eval->context, &whole, error);
    for (size_t i = n_context; i < whole.count && error->status == QINS_OK; i++)
        qins_ids_append(ids, whole.data[i], error);
    if (error->status == QINS_OK && (ids->count == n_context + n_bos || n_context + n_bos == 0))
        qins_fail(error, QINS_USAGE, "a context or a choice has no tokens of its own; --bos puts one in front");
    qins_ids_free(&whole);
    *choice = (qins_choice){ids->data, n_context + n_bos, ids->count - n_context - n_bos};
    return error->status;
}

// The ids of all choices of question `index`, after the examples.
static qins_status encode_question(struct eval *eval, const qins_eval_result *result, size_t index,
                                   qins_choice *choices, qins_error *error) {
    const qins_question *question = &result->task.questions[index];
    const qins_task_format format = result->task.format;
    eval->examples.size = 0;
    qins_task_append_examples(question, format, &result->examples, result->n_shots, &eval->examples);
    for (size_t i = 0; i < question->n_choices && error->status == QINS_OK; i++) {
        eval->context.size = eval->continuation.size = 0;
        qins_buffer_append(&eval->context, eval->examples.data, eval->examples.size);
        qins_task_append_choice(question, format, i, &eval->context, &eval->continuation);
        if (error->status == QINS_OK) encode_choice(eval, &eval->ids[i], &choices[i], error);
    }
    return qins_error_context(error, "%s, line %zu", result->path, question->line);
}

// Encode every question once before the first is run: what cannot be asked is told now, not after hours.
static qins_status check_questions(struct eval *eval, qins_eval_result *result, qins_error *error) {
    const size_t n_ctx = qins_session_n_ctx(eval->evaluator.session);
    qins_choice choices[QINS_MAX_CHOICES];
    for (size_t i = 0; i < result->task.n_questions; i++) {
        const qins_question *question = &result->task.questions[i];
        bool is_truncated = false;
        if (encode_question(eval, result, i, choices, error) != QINS_OK) return error->status;
        for (size_t j = 0; j < question->n_choices; j++) {
            const size_t n_dropped = qins_choice_overlong(&choices[j], n_ctx);
            is_truncated |= n_dropped > 0;
            if (n_dropped >= choices[j].n_context)
                return qins_fail(error, QINS_CONTEXT_OVERFLOW,
                                 "%s, line %zu: a choice of %zu tokens leaves no room in the context of %zu",
                                 result->path, question->line, choices[j].n_continuation, n_ctx);
        }
        result->n_truncated += is_truncated;
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

// What the score of a choice is divided by: the length of what distinguishes it, none where that is not scored.
static double norm_of(const qins_question *question, qins_task_format format, size_t choice) {
    return format == QINS_MMLU || format == QINS_WINOGRANDE ? 1.0 : length_of(question->choices[choice]);
}

static qins_status answer_question(qins_evaluator *evaluator, const qins_question *question, qins_task_format format,
                                   const qins_choice *choices, qins_answer *answer, qins_error *error) {
    const double *log_p = answer->log_p;
    size_t pick = 0, pick_norm = 0;
    if (qins_evaluator_score(evaluator, choices, question->n_choices, answer->log_p, error) != QINS_OK)
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
static qins_status run_question(struct eval *eval, qins_eval_result *result, size_t index, qins_error *error) {
    const qins_question *question = &result->task.questions[index];
    const qins_task_format format = result->task.format;
    qins_choice choices[QINS_MAX_CHOICES];
    if (encode_question(eval, result, index, choices, error) != QINS_OK) return error->status;
    answer_question(&eval->evaluator, question, format, choices, &result->answers[index], error);
    if (eval->ref_session != NULL && error->status == QINS_OK)
        answer_question(&eval->reference, question, format, choices, &result->ref_answers[index], error);
    return error->status;
}

// --- tasks ---

static bool show_progress(void *context, uint64_t done, uint64_t total) {
    struct eval *eval = context;
    (void)done, (void)total; // tokens of a prompt
    return qins_meter_update(&eval->meter, eval->done, eval->total);
}

static qins_status run_task(struct eval *eval, qins_eval_result *result, qins_error *error) {
    const size_t n = result->task.n_questions;
    const size_t n_scored = eval->evaluator.n_scored, n_computed = eval->evaluator.n_computed;
    result->answers = qins_alloc(n, sizeof *result->answers, "answers", error);
    if (eval->ref_session != NULL) result->ref_answers = qins_alloc(n, sizeof *result->answers, "answers", error);
    for (size_t i = 0; i < n && error->status == QINS_OK; i++) {
        run_question(eval, result, i, error);
        eval->done++;
        if (!show_progress(eval, 0, 0)) qins_fail(error, QINS_INTERRUPTED, "interrupted");
    }
    result->n_scored = eval->evaluator.n_scored - n_scored;
    result->n_computed = eval->evaluator.n_computed - n_computed;
    return error->status;
}

static qins_status read_tasks(struct eval *eval, qins_eval_result *results, qins_error *error) {
    const qins_options *options = &eval->options;
    for (size_t i = 0; i < options->n_tasks && error->status == QINS_OK; i++) {
        qins_eval_result *result = &results[i];
        result->path = options->tasks[i];
        qins_task_read(&result->task, result->path, options->task_format, options->limit, error);
        eval->total += result->task.n_questions;
        if (options->examples == NULL || error->status != QINS_OK) continue;
        qins_task_read(&result->examples, options->examples, result->task.format, SIZE_MAX, error);
        result->n_shots = options->shots > 0 ? options->shots : DEFAULT_SHOTS;
    }
    return error->status;
}

static qins_status run_tasks(struct eval *eval, qins_eval_result *results, size_t n_results, qins_error *error) {
    for (size_t i = 0; i < n_results && error->status == QINS_OK; i++) check_questions(eval, &results[i], error);
    eval->meter = qins_meter_start(eval->options.quiet ? NULL : "eval", "questions", 1, &qins_interrupted);
    for (size_t i = 0; i < n_results && error->status == QINS_OK; i++) run_task(eval, &results[i], error);
    qins_meter_end(&eval->meter);
    return error->status;
}

static qins_status open_models(struct eval *eval, qins_error *error) {
    qins_session_options *options = &eval->options.session, *ref_options = &eval->ref_options.session;
    eval->model = qins_open_model(eval->options.model, &eval->options, error);
    if (eval->model == NULL || qins_need_tokenizer(eval->model, error) == NULL) return error->status;
    const size_t most = qins_model_max_tokens(eval->model);
    if (options->n_ctx == 0) options->n_ctx = most < DEFAULT_CONTEXT ? most : DEFAULT_CONTEXT;
    *ref_options = *options;
    if (eval->options.ref != NULL) eval->ref_model = qins_open_reference(&eval->ref_options, eval->model, error);
    return error->status;
}

// A session and what scores by it.
static qins_session *open_evaluator(struct eval *eval, const qins_model *model, const qins_session_options *options,
                                    qins_evaluator *evaluator, qins_error *error) {
    qins_session *session = qins_session_create(eval->engine, model, options, error);
    if (session == NULL) return NULL;
    qins_session_observe(session, &(qins_observer){show_progress, NULL, eval});
    qins_evaluator_init(evaluator, session, error);
    return session;
}

static qins_status open_evaluators(struct eval *eval, qins_error *error) {
    const qins_model *const models[] = {eval->model, eval->ref_model};
    const bool has_reference = eval->ref_model != NULL;
    eval->engine = qins_engine_create(models, has_reference ? 2 : 1, eval->options.n_threads, error);
    if (eval->engine != NULL)
        eval->session = open_evaluator(eval, eval->model, &eval->options.session, &eval->evaluator, error);
    if (error->status == QINS_OK && has_reference)
        eval->ref_session = open_evaluator(eval, eval->ref_model, &eval->ref_options.session, &eval->reference, error);
    qins_sandbox_tighten();
    return error->status;
}

static void close_models(struct eval *eval) {
    qins_evaluator_free(&eval->reference);
    qins_evaluator_free(&eval->evaluator);
    qins_session_free(eval->ref_session);
    qins_session_free(eval->session);
    qins_engine_free(eval->engine);
    qins_model_close(eval->ref_model);
    qins_model_close(eval->model);
    qins_buffer_free(&eval->examples);
    qins_buffer_free(&eval->context);
    qins_buffer_free(&eval->continuation);
    for (size_t i = 0; i < QINS_MAX_CHOICES; i++) qins_ids_free(&eval->ids[i]);
}

qins_status qins_cmd_eval(const qins_options *given, qins_error *error) {
    struct eval eval = {.options = *given, .ref_options = *given};
    qins_eval_result results[QINS_MAX_TASKS] = {0};
    eval.examples.error = eval.context.error = eval.continuation.error = error;
    if (given->n_tasks == 0) return qins_fail(error, QINS_USAGE, "eval needs --task FILE, a file of questions");
    if (qins_confine(given, given->ref != NULL ? QINS_NEEDS_BLAS : 0, error) == QINS_OK &&
        read_tasks(&eval, results, error) == QINS_OK && open_models(&eval, error) == QINS_OK &&
        open_evaluators(&eval, error) == QINS_OK && run_tasks(&eval, results, given->n_tasks, error) == QINS_OK)
        qins_eval_report(results, given->n_tasks, given->json, error);
    for (size_t i = 0; i < given->n_tasks; i++) {
        qins_task_free(&results[i].task);
        qins_task_free(&results[i].examples);
        free(results[i].answers);
        free(results[i].ref_answers);
    }
    close_models(&eval);
    return error->status;
}
