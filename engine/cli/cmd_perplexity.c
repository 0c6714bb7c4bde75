// qinsrun perplexity: exp of the mean of -ln p over all predicted tokens of a text.
#include "engine/cli/log_softmax.h"
#include "engine/cli/windows.h"

#include <stdio.h>

struct tally {
    double nll; // sum of -ln p
    size_t n_predicted;
};

static qins_status measure_window(qins_session *session, const int32_t *ids, size_t n, struct tally *tally,
                                  qins_error *error) {
    const size_t vocab_size = qins_session_config(session)->vocab_size;
    const float *logits;
    size_t first, n_rows;
    if (qins_session_score_begin(session, ids, n, 0, error) != QINS_OK) return error->status;
    while (qins_session_score_next(session, &logits, &first, &n_rows, error) == QINS_OK && n_rows > 0) {
        for (size_t i = 0; i < n_rows && first + i + 1 < n; i++) {
            const float *row = logits + i * vocab_size;
            tally->nll += qins_log_sum_exp(row, vocab_size) - (double)row[ids[first + i + 1]];
            tally->n_predicted++;
        }
    }
    return error->status;
}

static qins_status measure(qins_session *session, qins_windows *windows, qins_windows_meter *meter,
                           const qins_options *options, qins_error *error) {
    struct tally tally = {0};
    for (size_t i = 0; i < windows->count && error->status == QINS_OK; i++) {
        size_t n = qins_windows_load(windows, i);
        measure_window(session, windows->window, n, &tally, error);
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

qins_status qins_cmd_perplexity(const qins_options *given, qins_error *error) {
    qins_options options = *given;
    qins_model model;
    qins_windows windows = {0};
    qins_windows_meter meter;
    qins_session *session = NULL;
    if (qins_model_open(&model, options.model, &options, error) == QINS_OK &&
        qins_windows_open(&windows, &options, &model, error) == QINS_OK) {
        options.session.n_ctx = windows.size;
        qins_windows_watch(&meter, "perplexity", (uint64_t)windows.count * windows.size, &options);
        session = qins_session_create(model.image, &options.session, error);
    }
    if (session != NULL) measure(session, &windows, &meter, &options, error);
    qins_session_free(session);
    qins_windows_free(&windows);
    qins_model_close(&model);
    return error->status;
}
