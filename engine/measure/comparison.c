// Statistics over pairs of predictions; see comparison.h.
#include "engine/measure/comparison.h"

#include "engine/base/memory.h"
#include "engine/runtime/logits.h"
#include "engine/runtime/session.h"

#include <stdlib.h>

void qins_comparison_init(qins_comparison *comparison, size_t vocab_size, size_t window_size) {
    const size_t step = (window_size + QINS_MAX_CURVE_POINTS - 1) / QINS_MAX_CURVE_POINTS;
    *comparison = (qins_comparison){.vocab_size = vocab_size, .max_kld = -INFINITY, .curve_step = step};
    comparison->n_points = (window_size + step - 1) / step;
}

void qins_comparison_free(qins_comparison *comparison) {
    free(comparison->kld);
    comparison->kld = NULL;
}

// KL divergence of two rows of logits whose log-sum-exps are known.
static double divergence(const float *ref, double ref_lse, const float *logits, double lse, size_t n) {
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) {
        double log_ref = (double)ref[i] - ref_lse;
        sum += exp(log_ref) * (log_ref - ((double)logits[i] - lse));
    }
    return sum;
}

static void add_divergence(qins_comparison *comparison, double kld, const qins_position *at) {
    comparison->kld[comparison->count++] = kld;
    if (kld > comparison->max_kld) {
        comparison->max_kld = kld;
        comparison->max_at = *at;
    }
    comparison->curve_sum[at->index / comparison->curve_step] += kld;
    comparison->curve_count[at->index / comparison->curve_step]++;
}

static void add_prediction(qins_comparison *comparison, double log_ref, double log_p) {
    const double log_ratio = log_ref - log_p, p_change = exp(log_p) - exp(log_ref);
    comparison->n_predicted++;
    comparison->nll -= log_p;
    comparison->ref_nll -= log_ref;
    comparison->log_ratio_squared += log_ratio * log_ratio;
    comparison->p_change_squared += p_change * p_change;
}

qins_status qins_comparison_add(qins_comparison *comparison, const float *ref, const float *logits,
                                const qins_position *at, qins_error *error) {
    const size_t n = comparison->vocab_size;
    void *kld = comparison->kld;
    qins_grow(&kld, &comparison->capacity, comparison->count + 1, sizeof(double), error);
    comparison->kld = kld;
    if (error->status != QINS_OK) return error->status;
    const double lse = qins_log_sum_exp(logits, n), ref_lse = qins_log_sum_exp(ref, n);
    add_divergence(comparison, divergence(ref, ref_lse, logits, lse, n), at);
    comparison->n_same_top += qins_arg_max(ref, n) == qins_arg_max(logits, n);
    if (at->next >= 0) add_prediction(comparison, (double)ref[at->next] - ref_lse, (double)logits[at->next] - lse);
    return QINS_OK;
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

// Standard error of a mean of n values, from their mean and the mean of their squares.
static double standard_error(double mean, double mean_square, size_t n) {
    if (n < 2) return NAN;
    const double variance = mean_square - mean * mean; // rounding may take it below 0
    return variance > 0 ? sqrt(variance / (double)(n - 1)) : 0.0;
}

qins_comparison_summary qins_comparison_summarize(qins_comparison *comparison) {
    const size_t n = comparison->count;
    const double predicted = (double)comparison->n_predicted;
    const double log_ratio = (comparison->nll - comparison->ref_nll) / predicted;
    double sum = 0.0, squares = 0.0;
    for (size_t i = 0; i < n; i++) sum += comparison->kld[i];
    for (size_t i = 0; i < n; i++) squares += comparison->kld[i] * comparison->kld[i];
    qsort(comparison->kld, n, sizeof *comparison->kld, by_value);
    return (qins_comparison_summary){
        .mean = sum / (double)n,
        .mean_se = standard_error(sum / (double)n, squares / (double)n, n),
        .median = quantile(comparison->kld, n, 0.5),
        .p90 = quantile(comparison->kld, n, 0.9),
        .p99 = quantile(comparison->kld, n, 0.99),
        .p99_9 = quantile(comparison->kld, n, 0.999),
        .same_top = (double)comparison->n_same_top / (double)n,
        .rms_p_change = sqrt(comparison->p_change_squared / predicted),
        .ppl = exp(comparison->nll / predicted),
        .ref_ppl = exp(comparison->ref_nll / predicted),
        .ppl_ratio = exp(log_ratio),
        .ppl_ratio_se = exp(log_ratio) *
                        standard_error(log_ratio, comparison->log_ratio_squared / predicted, comparison->n_predicted),
    };
}

static qins_status add_window(qins_comparison *comparison, qins_scorer *scorer, qins_scorer *ref_scorer,
                              const int32_t *ids, size_t n, size_t window, qins_error *error) {
    const size_t vocab_size = comparison->vocab_size;
    const float *logits, *ref;
    size_t first, n_rows;
    qins_scorer_begin(scorer, ids, n, 0, error);
    if (error->status != QINS_OK || qins_scorer_begin(ref_scorer, ids, n, 0, error) != QINS_OK) return error->status;
    for (;;) { // both hand over the same number of rows: it depends only on the sequence's length
        qins_scorer_next(scorer, &logits, &first, &n_rows, error);
        if (error->status != QINS_OK || qins_scorer_next(ref_scorer, &ref, &first, &n_rows, error) != QINS_OK)
            return error->status;
        if (n_rows == 0) return QINS_OK;
        for (size_t i = 0; i < n_rows && error->status == QINS_OK; i++) {
            const size_t index = first + i;
            const qins_position at = {window, index, ids[index], index + 1 < n ? ids[index + 1] : -1};
            qins_comparison_add(comparison, ref + i * vocab_size, logits + i * vocab_size, &at, error);
        }
    }
}

qins_status qins_comparison_run(qins_comparison *comparison, qins_session *session, qins_session *reference,
                                qins_windows *windows, qins_progress *progress, void *context, qins_error *error) {
    qins_windows_watch watch = {progress, context, 0, (uint64_t)windows->count * windows->size};
    qins_scorer *scorer = qins_scorer_create(session, error);
    qins_scorer *ref_scorer = scorer != NULL ? qins_scorer_create(reference, error) : NULL;
    qins_windows_observe(&watch, session);
    qins_windows_observe(&watch, reference);
    for (size_t i = 0; i < windows->count && error->status == QINS_OK; i++) {
        const size_t n = qins_windows_load(windows, i);
        add_window(comparison, scorer, ref_scorer, windows->window, n, i, error);
        watch.before += n;
    }
    qins_session_observe(session, &(qins_observer){0});
    qins_session_observe(reference, &(qins_observer){0});
    qins_scorer_free(ref_scorer);
    qins_scorer_free(scorer);
    return error->status;
}
