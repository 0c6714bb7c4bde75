// qinsrun compare: how far a model's predictions are from a reference's, over the same text. Both models run side by
// side, a few positions at a time, so no logits are kept.
#include "engine/cli/log_softmax.h"
#include "engine/cli/windows.h"

#include "engine/base/memory.h"

#include <stdio.h>
#include <stdlib.h>

struct comparison {
    size_t vocab_size;
    double *kld; // [n_positions] KL(reference || model), nats
    size_t n_positions, capacity;
    size_t n_same_top;
    double nll, ref_nll; // sums of -ln p of the true next token
    size_t n_predicted;
};

// KL divergence of two rows of logits whose log-sum-exps are known.
static double divergence(const float *ref, double ref_lse, const float *logits, double lse, size_t n) {
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) {
        double log_ref = (double)ref[i] - ref_lse;
        sum += exp(log_ref) * (log_ref - ((double)logits[i] - lse));
    }
    return sum;
}

// `next`: the true next token, -1 at the end of a window.
static qins_status compare_rows(struct comparison *comparison, const float *ref, const float *logits, int32_t next,
                                qins_error *error) {
    const size_t n = comparison->vocab_size;
    void *kld = comparison->kld;
    qins_grow(&kld, &comparison->capacity, comparison->n_positions + 1, sizeof(double), error);
    comparison->kld = kld;
    if (error->status != QINS_OK) return error->status;
    const double lse = qins_log_sum_exp(logits, n), ref_lse = qins_log_sum_exp(ref, n);
    comparison->kld[comparison->n_positions++] = divergence(ref, ref_lse, logits, lse, n);
    comparison->n_same_top += qins_arg_max(ref, n) == qins_arg_max(logits, n);
    if (next < 0) return QINS_OK;
    comparison->nll += lse - (double)logits[next];
    comparison->ref_nll += ref_lse - (double)ref[next];
    comparison->n_predicted++;
    return QINS_OK;
}

static qins_status compare_window(qins_session *session, qins_session *reference, const int32_t *ids, size_t n,
                                  struct comparison *comparison, qins_error *error) {
    const size_t vocab_size = comparison->vocab_size;
    const float *logits, *ref;
    size_t first, n_rows;
    qins_session_score_begin(session, ids, n, error);
    if (error->status != QINS_OK || qins_session_score_begin(reference, ids, n, error) != QINS_OK) return error->status;
    for (;;) { // both hand over the same number of rows: it depends on the sequence's length alone
        qins_session_score_next(session, &logits, &first, &n_rows, error);
        if (error->status != QINS_OK || qins_session_score_next(reference, &ref, &first, &n_rows, error) != QINS_OK)
            return error->status;
        if (n_rows == 0) return QINS_OK;
        for (size_t i = 0; i < n_rows && error->status == QINS_OK; i++) {
            int32_t next = first + i + 1 < n ? ids[first + i + 1] : -1;
            compare_rows(comparison, ref + i * vocab_size, logits + i * vocab_size, next, error);
        }
    }
}

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// Nearest-rank quantile of sorted values.
static double quantile(const double *sorted, size_t n, double q) {
    size_t rank = (size_t)ceil(q * (double)n);
    return sorted[rank > 0 ? rank - 1 : 0];
}

static qins_status print_comparison(struct comparison *comparison, bool json, qins_error *error) {
    const size_t n = comparison->n_positions;
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) sum += comparison->kld[i];
    qsort(comparison->kld, n, sizeof *comparison->kld, by_value);
    const double mean = sum / (double)n, median = quantile(comparison->kld, n, 0.5);
    const double p99 = quantile(comparison->kld, n, 0.99), max = comparison->kld[n - 1];
    const double same_top = (double)comparison->n_same_top / (double)n;
    const double ppl = exp(comparison->nll / (double)comparison->n_predicted);
    const double ref_ppl = exp(comparison->ref_nll / (double)comparison->n_predicted);
    if (json)
        qins_printf(error,
                    "{\"kld\":{\"mean\":%.9g,\"median\":%.9g,\"p99\":%.9g,\"max\":%.9g},\"same_top\":%.9g,"
                    "\"ppl\":%.9g,\"ref_ppl\":%.9g,\"positions\":%zu}\n",
                    mean, median, p99, max, same_top, ppl, ref_ppl, n);
    else
        qins_printf(error,
                    "KL divergence from the reference, nats: mean %.3e  median %.3e  99 %% %.3e  max %.3e\n"
                    "same most probable token: %.3f %% of %zu positions\n"
                    "perplexity %.6f, reference %.6f\n",
                    mean, median, p99, max, 100 * same_top, n, ppl, ref_ppl);
    return qins_flush(error);
}

static qins_status compare(qins_session *session, qins_session *reference, qins_windows *windows,
                           qins_windows_meter *meter, bool json, qins_error *error) {
    struct comparison comparison = {.vocab_size = qins_session_config(session)->vocab_size};
    if (qins_session_config(reference)->vocab_size != comparison.vocab_size)
        return qins_fail(error, QINS_USAGE,
                         "the models have vocabularies of %zu and %zu tokens; they cannot be compared",
                         comparison.vocab_size, qins_session_config(reference)->vocab_size);
    for (size_t i = 0; i < windows->count && error->status == QINS_OK; i++) {
        size_t n = qins_windows_load(windows, i);
        compare_window(session, reference, windows->window, n, &comparison, error);
        meter->before += n;
    }
    qins_meter_end(&meter->meter);
    if (error->status == QINS_OK) print_comparison(&comparison, json, error);
    free(comparison.kld);
    return error->status;
}

// The reference computes with nothing taken away: as its file has it, K and V uncompressed.
static qins_status open_reference(qins_model *model, qins_options *options, qins_error *error) {
    options->convert.weight_type = QINS_F32;
    options->convert.head_given = false;
    options->session.k_type = options->session.v_type = QINS_F32;
    options->session.matmul = QINS_MATMUL_SGEMM;
    return qins_model_open(model, options->ref, options, error);
}

qins_status qins_cmd_compare(const qins_options *given, qins_error *error) {
    if (given->ref == NULL) return qins_fail(error, QINS_USAGE, "compare needs --ref MODEL, the reference");
    qins_options options = *given, ref_options = *given;
    qins_model model = {0}, ref_model = {0};
    qins_windows windows = {0};
    qins_windows_meter meter;
    qins_session *session = NULL, *reference = NULL;
    if (qins_model_open(&model, options.model, &options, error) == QINS_OK &&
        open_reference(&ref_model, &ref_options, error) == QINS_OK &&
        qins_windows_open(&windows, &options, &model, error) == QINS_OK) {
        options.session.n_ctx = ref_options.session.n_ctx = windows.size;
        qins_windows_watch(&meter, &windows, "comparing", &options);
        ref_options.session.progress = options.session.progress;
        ref_options.session.context = options.session.context;
        session = qins_session_create(model.image, &options.session, error);
        if (session != NULL) reference = qins_session_create(ref_model.image, &ref_options.session, error);
    }
    if (reference != NULL) compare(session, reference, &windows, &meter, options.json, error);
    qins_session_free(reference);
    qins_session_free(session);
    qins_windows_free(&windows);
    qins_model_close(&ref_model);
    qins_model_close(&model);
    return error->status;
}
