// Measures how far a model's predictions are from a reference's. Gathers pairs of logit rows, then summarizes them;
// keeps 8 bytes per position, so quantiles are exact, but never a row.
#ifndef QINS_MEASURE_COMPARISON_H
#define QINS_MEASURE_COMPARISON_H

#include "engine/measure/windows.h"

// The place of a prediction: after `token`, the token at `index` of a window; `next` is the true next one, -1 at the
// end of the window.
typedef struct qins_position {
    size_t window, index;
    int32_t token, next;
} qins_position;

enum { QINS_MAX_CURVE_POINTS = 512 };

typedef struct qins_comparison {
    size_t vocab_size;
    double *kld; // owned, [count]: KL(reference || model) in nats
    size_t count, capacity;
    double max_kld;
    qins_position max_at;
    size_t n_same_top;
    // Sums over the predicted positions, those with a next token.
    size_t n_predicted;
    double nll, ref_nll;                        // -ln p(next)
    double log_ratio_squared, p_change_squared; // (ln p_ref - ln p)^2, (p - p_ref)^2
    // The KLD by position in the window: point i is the mean over indices [i * curve_step, (i + 1) * curve_step).
    size_t curve_step, n_points;
    double curve_sum[QINS_MAX_CURVE_POINTS];
    size_t curve_count[QINS_MAX_CURVE_POINTS];
} qins_comparison;

// For windows of at most window_size tokens. Release with qins_comparison_free.
void qins_comparison_init(qins_comparison *comparison, size_t vocab_size, size_t window_size);
void qins_comparison_free(qins_comparison *comparison);

// ref[vocab_size], logits[vocab_size]: finite rows for the same position.
qins_status qins_comparison_add(qins_comparison *comparison, const float *ref, const float *logits,
                                const qins_position *at, qins_error *error);

// Add every position of all windows, which both sessions run side by side; they must fit into the contexts. `progress`
// counts tokens.
qins_status qins_comparison_run(qins_comparison *comparison, qins_session *session, qins_session *reference,
                                qins_windows *windows, qins_progress *progress, void *context, qins_error *error);

// Standard errors are those of a mean of independent values; NAN for a single one.
typedef struct qins_comparison_summary {
    double mean, mean_se;           // KLD, nats
    double median, p90, p99, p99_9; // nearest rank
    double same_top;                // share of positions whose most probable tokens are the same
    double rms_p_change;            // root of the mean of (p - p_ref)^2, p the probability of the true next token
    double ppl, ref_ppl;
    double ppl_ratio, ppl_ratio_se; // ppl / ref_ppl = exp(mean of ln p_ref - ln p); its error from those differences
} qins_comparison_summary;

// Requires at least one position; sorts comparison->kld.
qins_comparison_summary qins_comparison_summarize(qins_comparison *comparison);

#endif
