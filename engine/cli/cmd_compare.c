// qinsrun compare: how far a model's predictions are from a reference's, over the same text. Both models run side by
// side, a few positions at a time, so no logits are kept.
#include "engine/cli/compare_report.h"
#include "engine/cli/confine.h"
#include "engine/cli/input.h"

#include "engine/base/sandbox.h"

enum { DEFAULT_PROMPTS = 4 };

// Everything that a comparison needs.
struct setup {
    qins_options options, ref_options;
    qins_model *model, *ref_model;
    qins_engine *engine;
    qins_windows windows;
    qins_session *session, *reference;
};

static qins_status open_sessions(struct setup *setup, qins_error *error) {
    const qins_model *const models[] = {setup->model, setup->ref_model};
    qins_session_options *options = &setup->options.session, *ref_options = &setup->ref_options.session;
    const size_t n_steps = setup->options.measure.greedy, needed = qins_greedy_context(setup->windows.size, n_steps);
    options->n_ctx = n_steps > 0 && needed > setup->windows.size ? needed : setup->windows.size;
    ref_options->n_ctx = options->n_ctx;
    setup->engine = qins_engine_create(models, 2, setup->options.process.n_threads, error);
    if (setup->engine != NULL) setup->session = qins_session_create(setup->engine, setup->model, options, error);
    if (setup->session != NULL)
        setup->reference = qins_session_create(setup->engine, setup->ref_model, ref_options, error);
    qins_sandbox_tighten();
    return error->status;
}

static void close_sessions(struct setup *setup) {
    qins_session_free(setup->reference);
    qins_session_free(setup->session);
    qins_engine_free(setup->engine);
}

static qins_meter start_meter(const struct setup *setup, const char *label) {
    return qins_meter_start(setup->options.process.quiet ? NULL : label, "tok", 1, &qins_interrupted);
}

static qins_status compare(struct setup *setup, qins_error *error) {
    const qins_options *options = &setup->options;
    qins_greedy greedy = {.n_steps = options->measure.greedy};
    qins_comparison comparison;
    qins_comparison_init(&comparison, qins_session_config(setup->session)->vocab_size, setup->windows.size);
    qins_meter meter = start_meter(setup, "comparing");
    qins_comparison_run(&comparison, setup->session, setup->reference, &setup->windows, qins_meter_update, &meter,
                        error);
    qins_meter_end(&meter);
    if (options->measure.greedy > 0 && error->status == QINS_OK) {
        meter = start_meter(setup, "greedy");
        qins_greedy_run(&greedy, setup->session, setup->reference, &setup->windows,
                        options->measure.prompts > 0 ? options->measure.prompts : DEFAULT_PROMPTS, qins_meter_update,
                        &meter, error);
        qins_meter_end(&meter);
    }
    if (error->status == QINS_OK) qins_compare_report(&comparison, &greedy, options->output.json, error);
    qins_greedy_free(&greedy);
    qins_comparison_free(&comparison);
    return error->status;
}

qins_status qins_cmd_compare(const qins_options *given, qins_error *error) {
    if (given->model.ref == NULL) return qins_fail(error, QINS_USAGE, "compare needs --ref MODEL, the reference");
    struct setup setup = {.options = *given, .ref_options = *given};
    if (qins_confine(given, QINS_NEEDS_BLAS, error) == QINS_OK)
        setup.model = qins_open_model(given->model.path, &setup.options, error);
    if (setup.model != NULL) setup.ref_model = qins_open_reference(&setup.ref_options, setup.model, error);
    if (setup.ref_model != NULL && qins_read_windows(&setup.windows, &setup.options, setup.model, error) == QINS_OK &&
        open_sessions(&setup, error) == QINS_OK)
        compare(&setup, error);
    close_sessions(&setup);
    qins_windows_free(&setup.windows);
    qins_model_close(setup.ref_model);
    qins_model_close(setup.model);
    return error->status;
}
