// Perplexity of a text; see perplexity.h.
#include "engine/measure/perplexity.h"

#include "engine/runtime/logits.h"
#include "engine/runtime/session.h"

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

qins_status qins_perplexity_measure(qins_session *session, qins_windows *windows, qins_progress *progress,
                                    void *context, qins_perplexity *perplexity, qins_error *error) {
    struct tally tally = {0};
    qins_windows_watch watch = {progress, context, 0, (uint64_t)windows->count * windows->size};
    qins_scorer *scorer = qins_scorer_create(session, error);
    qins_windows_observe(&watch, session);
    for (size_t i = 0; i < windows->count && error->status == QINS_OK; i++) {
        const size_t n = qins_windows_load(windows, i);
        measure_window(scorer, qins_session_config(session)->vocab_size, windows->window, n, &tally, error);
        watch.before += n;
    }
    qins_session_observe(session, &(qins_observer){0});
    qins_scorer_free(scorer);
    *perplexity = (qins_perplexity){tally.nll / (double)tally.n_predicted, tally.n_predicted};
    return error->status;
}
