// qinsrun compare: how far a model's predictions are from a reference's, over the same text. Both models run side by
// side, a few positions at a time, so no logits are kept.
#include "engine/cli/compare.h"
#include "engine/cli/confine.h"
#include "engine/cli/windows.h"
#include "engine/runtime/scorer.h"

#include "engine/base/memory.h"
#include "engine/base/sandbox.h"

#include <stdlib.h>
#include <string.h>

enum { DEFAULT_PROMPTS = 4 };

// Everything that a comparison needs.
struct setup {
    qins_options options, ref_options;
    qins_model *model, *ref_model;
    qins_engine *engine;
    qins_windows windows;
    qins_windows_meter meter;
    qins_session *session, *reference;
    qins_scorer *scorer, *ref_scorer;
};

static qins_status compare_window(struct setup *setup, size_t window, size_t n, qins_comparison *comparison,
                                  qins_error *error) {
    const int32_t *ids = setup->windows.window;
    const size_t vocab_size = comparison->vocab_size;
    const float *logits, *ref;
    size_t first, n_rows;
    qins_scorer_begin(setup->scorer, ids, n, 0, error);
    if (error->status != QINS_OK || qins_scorer_begin(setup->ref_scorer, ids, n, 0, error) != QINS_OK)
        return error->status;
    for (;;) { // both hand over the same number of rows: it depends on the sequence's length alone
        qins_scorer_next(setup->scorer, &logits, &first, &n_rows, error);
        if (error->status != QINS_OK || qins_scorer_next(setup->ref_scorer, &ref, &first, &n_rows, error) != QINS_OK)
            return error->status;
        if (n_rows == 0) return QINS_OK;
        for (size_t i = 0; i < n_rows && error->status == QINS_OK; i++) {
            const size_t index = first + i;
            const qins_position at = {window, index, ids[index], index + 1 < n ? ids[index + 1] : -1};
            qins_comparison_add(comparison, ref + i * vocab_size, logits + i * vocab_size, &at, error);
        }
    }
}

static qins_status compare_windows(struct setup *setup, qins_comparison *comparison, qins_error *error) {
    for (size_t i = 0; i < setup->windows.count && error->status == QINS_OK; i++) {
        const size_t n = qins_windows_load(&setup->windows, i);
        compare_window(setup, i, n, comparison, error);
        setup->meter.before += n;
    }
    qins_meter_end(&setup->meter.meter);
    return error->status;
}

// Tokens of a window that are a prompt for greedy text: the first half.
static size_t prompt_of(size_t n_window) {
    return (n_window + 1) / 2;
}

// Greedy text after the first halves of the first windows.
static qins_status compare_greedy(struct setup *setup, qins_greedy_report *report, qins_error *error) {
    qins_windows *windows = &setup->windows;
    qins_windows_meter *meter = &setup->meter;
    const size_t n_prompt = prompt_of(windows->size), room = n_prompt + report->n_steps;
    int32_t *text = qins_alloc(room, sizeof *text, "text", error), *own = qins_alloc(room, sizeof *own, "text", error);
    qins_windows_watch(meter, "greedy", report->n_prompts * qins_greedy_tokens(n_prompt, report->n_steps),
                       setup->options.quiet);
    for (size_t i = 0; i < report->n_prompts && error->status == QINS_OK; i++) {
        qins_greedy_match *match = &report->matches[i];
        *match = (qins_greedy_match){.window = i, .n_prompt = prompt_of(qins_windows_load(windows, i))};
        memcpy(text, windows->window, match->n_prompt * sizeof *text);
        qins_greedy_compare(setup->session, setup->reference, text, own, report->n_steps, qins_windows_progress, meter,
                            match, error);
        meter->before += qins_greedy_tokens(match->n_prompt, report->n_steps);
    }
    qins_meter_end(&meter->meter);
    free(text);
    free(own);
    return error->status;
}

static qins_session *open_session(struct setup *setup, const qins_model *model, const qins_session_options *options,
                                  qins_scorer **scorer, qins_error *error) {
    qins_session *session = qins_session_create(setup->engine, model, options, error);
    if (session == NULL) return NULL;
    qins_session_observe(session, &(qins_observer){qins_windows_progress, NULL, &setup->meter});
    *scorer = qins_scorer_create(session, error);
    return session;
}

static qins_status open_sessions(struct setup *setup, qins_error *error) {
    const qins_model *const models[] = {setup->model, setup->ref_model};
    qins_session_options *options = &setup->options.session, *ref_options = &setup->ref_options.session;
    const size_t n_steps = setup->options.greedy, needed = prompt_of(setup->windows.size) + n_steps;
    options->n_ctx = n_steps > 0 && needed > setup->windows.size ? needed : setup->windows.size;
    ref_options->n_ctx = options->n_ctx;
    qins_windows_watch(&setup->meter, "comparing", (uint64_t)setup->windows.count * setup->windows.size,
                       setup->options.quiet);
    setup->engine = qins_engine_create(models, 2, setup->options.n_threads, error);
    if (setup->engine != NULL) setup->session = open_session(setup, setup->model, options, &setup->scorer, error);
    if (error->status == QINS_OK)
        setup->reference = open_session(setup, setup->ref_model, ref_options, &setup->ref_scorer, error);
    qins_sandbox_tighten();
    return error->status;
}

static void close_sessions(struct setup *setup) {
    qins_scorer_free(setup->ref_scorer);
    qins_scorer_free(setup->scorer);
    qins_session_free(setup->reference);
    qins_session_free(setup->session);
    qins_engine_free(setup->engine);
}

static qins_status compare(struct setup *setup, qins_error *error) {
    const qins_options *options = &setup->options;
    qins_greedy_report greedy = {.n_steps = options->greedy};
    qins_comparison comparison;
    qins_comparison_init(&comparison, qins_session_config(setup->session)->vocab_size, setup->windows.size);
    compare_windows(setup, &comparison, error);
    if (options->greedy > 0 && error->status == QINS_OK) {
        greedy.n_prompts = options->prompts > 0 ? options->prompts : DEFAULT_PROMPTS;
        if (greedy.n_prompts > setup->windows.count) greedy.n_prompts = setup->windows.count;
        greedy.matches = qins_alloc(greedy.n_prompts, sizeof *greedy.matches, "greedy matches", error);
        if (error->status == QINS_OK) compare_greedy(setup, &greedy, error);
    }
    if (error->status == QINS_OK) qins_compare_report(&comparison, &greedy, options->json, error);
    free(greedy.matches);
    qins_comparison_free(&comparison);
    return error->status;
}

qins_status qins_cmd_compare(const qins_options *given, qins_error *error) {
    if (given->ref == NULL) return qins_fail(error, QINS_USAGE, "compare needs --ref MODEL, the reference");
    struct setup setup = {.options = *given, .ref_options = *given};
    if (qins_confine(given, QINS_NEEDS_BLAS, error) == QINS_OK)
        setup.model = qins_open_model(given->model, &setup.options, error);
    if (setup.model != NULL) setup.ref_model = qins_open_reference(&setup.ref_options, setup.model, error);
    if (setup.ref_model != NULL && qins_windows_open(&setup.windows, &setup.options, setup.model, error) == QINS_OK &&
        open_sessions(&setup, error) == QINS_OK)
        compare(&setup, error);
    close_sessions(&setup);
    qins_windows_free(&setup.windows);
    qins_model_close(setup.ref_model);
    qins_model_close(setup.model);
    return error->status;
}
