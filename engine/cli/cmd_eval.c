// qinsrun eval: multiple-choice questions, answered by the choice whose text is the most probable.
#include "engine/cli/cli.h"
#include "engine/cli/confine.h"
#include "engine/cli/eval_report.h"

#include "engine/base/sandbox.h"

enum {
    DEFAULT_SHOTS = 5,
    DEFAULT_CONTEXT = 4096 // tokens: five examples of MMLU fit
};

struct eval {
    qins_options options, ref_options;
    qins_model *model, *ref_model; // the latter NULL: there is none
    qins_engine *engine;
    qins_session *session, *ref_session;
    qins_evaluator evaluator;
    qins_evaluation evaluations[QINS_MAX_TASKS]; // of options.eval.tasks
};

static qins_status read_tasks(struct eval *eval, qins_error *error) {
    const qins_options *options = &eval->options;
    for (size_t i = 0; i < options->eval.n_tasks && error->status == QINS_OK; i++) {
        qins_evaluation *evaluation = &eval->evaluations[i];
        evaluation->path = options->eval.tasks[i];
        qins_task_read(&evaluation->task, evaluation->path, options->eval.format, options->eval.limit, error);
        if (options->eval.examples == NULL || error->status != QINS_OK) continue;
        qins_task_read(&evaluation->examples, options->eval.examples, evaluation->task.format, SIZE_MAX, error);
        evaluation->n_shots = options->eval.shots > 0 ? options->eval.shots : DEFAULT_SHOTS;
    }
    return error->status;
}

static qins_status open_models(struct eval *eval, qins_error *error) {
    qins_session_options *options = &eval->options.session, *ref_options = &eval->ref_options.session;
    eval->model = qins_open_model(eval->options.model.path, &eval->options, error);
    if (eval->model == NULL || qins_need_tokenizer(eval->model, error) == NULL) return error->status;
    const size_t most = qins_model_max_tokens(eval->model);
    if (options->n_ctx == 0) options->n_ctx = most < DEFAULT_CONTEXT ? most : DEFAULT_CONTEXT;
    *ref_options = *options;
    if (eval->options.model.ref != NULL) eval->ref_model = qins_open_reference(&eval->ref_options, eval->model, error);
    return error->status;
}

static qins_status open_evaluator(struct eval *eval, qins_error *error) {
    const qins_model *const models[] = {eval->model, eval->ref_model};
    const bool has_reference = eval->ref_model != NULL;
    eval->engine = qins_engine_create(models, has_reference ? 2 : 1, eval->options.process.n_threads, error);
    if (eval->engine != NULL)
        eval->session = qins_session_create(eval->engine, eval->model, &eval->options.session, error);
    if (eval->session != NULL && has_reference)
        eval->ref_session = qins_session_create(eval->engine, eval->ref_model, &eval->ref_options.session, error);
    if (error->status == QINS_OK)
        qins_evaluator_init(&eval->evaluator, eval->model->tokenizer, eval->options.measure.bos, eval->session,
                            eval->ref_session, error);
    qins_sandbox_tighten();
    return error->status;
}

static qins_status run_tasks(struct eval *eval, qins_error *error) {
    const size_t n = eval->options.eval.n_tasks;
    if (qins_evaluator_check(&eval->evaluator, eval->evaluations, n, error) != QINS_OK) return error->status;
    qins_meter meter = qins_meter_start(eval->options.process.quiet ? NULL : "eval", "questions", 1, &qins_interrupted);
    qins_evaluator_run(&eval->evaluator, eval->evaluations, n, qins_meter_update, &meter, error);
    qins_meter_end(&meter);
    return error->status;
}

static void close_all(struct eval *eval) {
    for (size_t i = 0; i < eval->options.eval.n_tasks; i++) qins_evaluation_free(&eval->evaluations[i]);
    qins_evaluator_free(&eval->evaluator);
    qins_session_free(eval->ref_session);
    qins_session_free(eval->session);
    qins_engine_free(eval->engine);
    qins_model_close(eval->ref_model);
    qins_model_close(eval->model);
}

qins_status qins_cmd_eval(const qins_options *given, qins_error *error) {
    struct eval eval = {.options = *given, .ref_options = *given};
    if (given->eval.n_tasks == 0) return qins_fail(error, QINS_USAGE, "eval needs --task FILE, a file of questions");
    if (qins_confine(given, given->model.ref != NULL ? QINS_NEEDS_BLAS : 0, error) == QINS_OK &&
        read_tasks(&eval, error) == QINS_OK && open_models(&eval, error) == QINS_OK &&
        open_evaluator(&eval, error) == QINS_OK && run_tasks(&eval, error) == QINS_OK)
        qins_eval_report(eval.evaluations, given->eval.n_tasks, given->output.json, error);
    close_all(&eval);
    return error->status;
}
