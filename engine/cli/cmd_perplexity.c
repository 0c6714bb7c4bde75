// qinsrun perplexity: exp of the mean of -ln p over all predicted tokens of a text.
#include "engine/cli/confine.h"
#include "engine/cli/windows.h"
#include "engine/runtime/log_softmax.h"
#include "engine/runtime/scorer.h"

#include <stdio.h>

struct tally {
    double nll; // sum of -ln p
    size_t n_predicted;
};

static qins_status measure_window(qins_scorer *scorer, size_t vocab_size, const int32_t *ids, size_t n,
                                  struct tally *tally, qins_error *error) {
    const float *logits;
    size_t first, n_rows;
    if (qins_scorer_begin(scorer, ids, n, 0, error) != QINS_OK) return error->status;
    while (qins_scorer_next(scorer, &logits, &first, &n_rows, error) == QINS_OK && n_rows > 0) {
        for (size_t i = 0; i < n_rows && first + i + 1 < n; i++) {
            const float *row = logits + i * vocab_size;
            tally->nll += qins_log_sum_exp(row, vocab_size) - (double)row[ids[first + i + 1]];
            tally->n_predicted++;
        }
    }
    return error->status;
}

static qins_status measure(qins_scorer *scorer, size_t vocab_size, qins_windows *windows, qins_windows_meter *meter,
                           const qins_options *options, qins_error *error) {
    struct tally tally = {0};
    for (size_t i = 0; i < windows->count && error->status == QINS_OK; i++) {
        size_t n = qins_windows_load(windows, i);
        measure_window(scorer, vocab_size, windows->window, n, &tally, error);
        meter->before += n;
    }
    qins_meter_end(&meter->meter);
    if (error->status != QINS_OK) return error->status;
    const double mean = tally.nll / (double)tally.n_predicted;
    if (options->json)
        qins_printf(error, "{\"ppl\":%.9g,\"nll\":%.9g,\"predicted\":%zu,\"windows\":%zu}\n", exp(mean), mean,
                    tally.n_predicted, windows->count);
    else
        qins_printf(error, "perplexity %.6f  (mean -ln p %.8f over %zu tokens in %zu windows of %zu)\n", exp(mean),
                    mean, tally.n_predicted, windows->count, windows->size);
    return qins_flush(error);
}

static void measure_model(qins_options *options, const qins_model *model, qins_windows *windows, qins_error *error) {
    qins_workplace place;
    qins_windows_meter meter;
    qins_scorer *scorer = NULL;
    options->session.n_ctx = windows->size;
    qins_windows_watch(&meter, "perplexity", (uint64_t)windows->count * windows->size, options->quiet);
    if (qins_workplace_open(&place, options, model, error) == QINS_OK) {
        qins_session_observe(place.session, &(qins_observer){qins_windows_progress, NULL, &meter});
        scorer = qins_scorer_create(place.session, error);
    }
    if (scorer != NULL) measure(scorer, qins_model_vocab_size(model), windows, &meter, options, error);
    qins_scorer_free(scorer);
    qins_workplace_close(&place);
}

qins_status qins_cmd_perplexity(const qins_options *given, qins_error *error) {
    qins_options options = *given;
    qins_windows windows = {0};
    qins_model *model = NULL;
    if (qins_confine(&options, 0, error) == QINS_OK) model = qins_open_model(options.model, &options, error);
    if (model != NULL && qins_windows_open(&windows, &options, model, error) == QINS_OK)
        measure_model(&options, model, &windows, error);
    qins_windows_free(&windows);
    qins_model_close(model);
    return error->status;
}
