// The report of qinsrun eval; see eval_report.h.
#include "engine/cli/eval_report.h"

#include "engine/base/plural.h"
#include "engine/cli/cli.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

// Shares of right answers, and standard errors of a mean of independent values (NAN for a single question).
struct accuracy {
    double raw, raw_se, norm, norm_se;
};

static double standard_error(double share, size_t n) {
    return sqrt(share * (1 - share) / (double)(n - 1));
}

static struct accuracy accuracy_of(const qins_task *task, const qins_answer *answers) {
    const size_t n = task->n_questions;
    struct accuracy accuracy = {0};
    for (size_t i = 0; i < n; i++) {
        accuracy.raw += answers[i].pick == task->questions[i].answer;
        accuracy.norm += answers[i].pick_norm == task->questions[i].answer;
    }
    accuracy.raw /= (double)n;
    accuracy.norm /= (double)n;
    accuracy.raw_se = standard_error(accuracy.raw, n);
    accuracy.norm_se = standard_error(accuracy.norm, n);
    return accuracy;
}

// Answers that are not the reference's.
struct changes {
    size_t n, n_norm;        // by log_p, and by log_p per character
    size_t n_lost, n_gained; // of the first: the reference was right; the model is
};

static struct changes changes_of(const qins_evaluation *result) {
    struct changes changes = {0};
    for (size_t i = 0; i < result->task.n_questions; i++) {
        const qins_answer *own = &result->answers[i], *ref = &result->ref_answers[i];
        const size_t right = result->task.questions[i].answer;
        const bool changed = own->pick != ref->pick;
        changes.n += changed;
        changes.n_norm += own->pick_norm != ref->pick_norm;
        changes.n_lost += changed && ref->pick == right;
        changes.n_gained += changed && own->pick == right;
    }
    return changes;
}

// --- JSON ---

static void add_accuracy(qins_json *object, const struct accuracy *accuracy, qins_error *error) {
    qins_json_add_number(object, "acc", accuracy->raw, error);
    qins_json_add_number(object, "acc_se", accuracy->raw_se, error);
    qins_json_add_number(object, "acc_norm", accuracy->norm, error);
    qins_json_add_number(object, "acc_norm_se", accuracy->norm_se, error);
}

static void add_reference(qins_json *object, const qins_evaluation *result, qins_error *error) {
    const struct accuracy accuracy = accuracy_of(&result->task, result->ref_answers);
    const struct changes changes = changes_of(result);
    qins_json *ref = qins_json_add_object(object, "ref", error);
    add_accuracy(ref, &accuracy, error);
    qins_json_add_number(ref, "changed", (double)changes.n, error);
    qins_json_add_number(ref, "changed_norm", (double)changes.n_norm, error);
    qins_json_add_number(ref, "lost", (double)changes.n_lost, error);
    qins_json_add_number(ref, "gained", (double)changes.n_gained, error);
    qins_json_add_number(ref, "mcnemar_p", qins_mcnemar(changes.n_lost, changes.n_gained), error);
}

static void add_answer(qins_json *object, const qins_answer *answer, size_t n_choices, qins_error *error) {
    qins_json_add_number(object, "pick", (double)answer->pick, error);
    qins_json_add_number(object, "pick_norm", (double)answer->pick_norm, error);
    qins_json *log_p = qins_json_add_array(object, "log_p", error);
    for (size_t i = 0; i < n_choices; i++) qins_json_append_number(log_p, answer->log_p[i], error);
}

static void add_question(qins_json *list, const qins_evaluation *result, size_t index, qins_error *error) {
    const qins_question *question = &result->task.questions[index];
    qins_json *object = qins_json_append_object(list, error);
    qins_json_add_number(object, "line", (double)question->line, error);
    qins_json_add_number(object, "answer", (double)question->answer, error);
    add_answer(object, &result->answers[index], question->n_choices, error);
    if (result->ref_answers == NULL) return;
    qins_json *ref = qins_json_add_object(object, "ref", error);
    add_answer(ref, &result->ref_answers[index], question->n_choices, error);
}

static void add_result(qins_json *list, const qins_evaluation *result, qins_error *error) {
    const struct accuracy accuracy = accuracy_of(&result->task, result->answers);
    qins_json *object = qins_json_append_object(list, error);
    qins_json_add_string(object, "task", result->path, error);
    qins_json_add_string(object, "format", qins_task_format_names[result->task.format], error);
    qins_json_add_number(object, "shots", (double)result->n_shots, error);
    qins_json_add_number(object, "questions", (double)result->task.n_questions, error);
    qins_json_add_number(object, "truncated", (double)result->n_truncated, error);
    add_accuracy(object, &accuracy, error);
    if (result->ref_answers != NULL) add_reference(object, result, error);
    qins_json_add_number(object, "tokens", (double)result->n_scored, error);
    qins_json_add_number(object, "computed", (double)result->n_computed, error);
    qins_json *answers = qins_json_add_array(object, "answers", error);
    for (size_t i = 0; i < result->task.n_questions; i++) add_question(answers, result, i, error);
}

static qins_status print_json(const qins_evaluation *results, size_t n_results, qins_error *error) {
    qins_json *root = qins_json_new_object(error);
    qins_json *list = qins_json_add_array(root, "tasks", error);
    for (size_t i = 0; i < n_results; i++) add_result(list, &results[i], error);
    return qins_print_json(root, error);
}

// --- text ---

static void print_accuracy(const char *name, const struct accuracy *accuracy, qins_error *error) {
    if (isnan(accuracy->raw_se)) // one question has no spread
        qins_printf(error, "  %-10s %.2f %% right; by log-probability per character %.2f %%\n", name,
                    100 * accuracy->raw, 100 * accuracy->norm);
    else
        qins_printf(error, "  %-10s %.2f %% +- %.2f right; by log-probability per character %.2f %% +- %.2f\n", name,
                    100 * accuracy->raw, 100 * accuracy->raw_se, 100 * accuracy->norm, 100 * accuracy->norm_se);
}

static char letter(size_t choice) {
    return (char)('A' + choice);
}

static void print_changes(const qins_evaluation *result, qins_error *error) {
    const struct accuracy accuracy = accuracy_of(&result->task, result->ref_answers);
    const struct changes changes = changes_of(result);
    print_accuracy("reference", &accuracy, error);
    qins_printf(error,
                "  %zu answers changed: %zu no longer right, %zu now right (McNemar's p = %.2g); "
                "per character: %zu changed\n",
                changes.n, changes.n_lost, changes.n_gained, qins_mcnemar(changes.n_lost, changes.n_gained),
                changes.n_norm);
    for (size_t i = 0; i < result->task.n_questions; i++) {
        const qins_question *question = &result->task.questions[i];
        const size_t pick = result->answers[i].pick, ref_pick = result->ref_answers[i].pick;
        if (pick != ref_pick)
            qins_printf(error, "    line %zu: %c instead of %c; %c is right\n", question->line, letter(pick),
                        letter(ref_pick), letter(question->answer));
    }
}

static void print_result(const qins_evaluation *result, qins_error *error) {
    const struct accuracy accuracy = accuracy_of(&result->task, result->answers);
    qins_printf(error, "%s (%s): %zu question%s, %zu shot%s\n", result->path,
                qins_task_format_names[result->task.format], result->task.n_questions,
                qins_plural(result->task.n_questions), result->n_shots, qins_plural(result->n_shots));
    print_accuracy("model", &accuracy, error);
    if (result->ref_answers != NULL) print_changes(result, error);
    qins_printf(error, "  %zu of %zu tokens computed, the others were in the cache\n", result->n_computed,
                result->n_scored);
    if (result->n_truncated > 0)
        qins_printf(error, "  %zu prompts were cut at their beginning: too long for the context\n",
                    result->n_truncated);
}

qins_status qins_eval_report(const qins_evaluation *results, size_t n_results, bool json, qins_error *error) {
    if (json) return print_json(results, n_results, error);
    for (size_t i = 0; i < n_results; i++) print_result(&results[i], error);
    return qins_flush(error);
}
