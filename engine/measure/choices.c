// Log-probabilities of choices; see choices.h.
#include "engine/measure/choices.h"

#include "engine/base/memory.h"
#include "engine/runtime/logits.h"

#include <stdlib.h>
#include <string.h>

qins_status qins_choice_scorer_init(qins_choice_scorer *scorer, qins_session *session, qins_error *error) {
    *scorer = (qins_choice_scorer){.session = session, .rows = qins_scorer_create(session, error)};
    if (scorer->rows == NULL) return error->status;
    scorer->row = qins_alloc(qins_session_config(session)->vocab_size, sizeof *scorer->row, "logits", error);
    return error->status;
}

void qins_choice_scorer_free(qins_choice_scorer *scorer) {
    qins_scorer_free(scorer->rows);
    free(scorer->row);
    *scorer = (qins_choice_scorer){0};
}

size_t qins_choice_overlong(const qins_choice *choice, size_t n_ctx) {
    const size_t n_run = choice->n_context + choice->n_continuation - 1;
    return n_run > n_ctx ? n_run - n_ctx : 0;
}

// Keep the logits after ids[n].
static qins_status run_context(qins_choice_scorer *scorer, const int32_t *ids, size_t n, qins_error *error) {
    const size_t vocab_size = qins_session_config(scorer->session)->vocab_size;
    if (qins_session_sync(scorer->session, ids, n, error) != QINS_OK) return error->status;
    memcpy(scorer->row, qins_session_logits(scorer->session), vocab_size * sizeof(float));
    scorer->row_lse = qins_log_sum_exp(scorer->row, vocab_size);
    scorer->n_computed += qins_session_computed(scorer->session);
    return QINS_OK;
}

// ln p of ids[first + 1 .. n], given all tokens before each; ids[n] are run.
static double score_after(qins_choice_scorer *scorer, const int32_t *ids, size_t first, size_t n, qins_error *error) {
    qins_session *session = scorer->session;
    const size_t vocab_size = qins_session_config(session)->vocab_size;
    const float *logits;
    size_t at, n_rows;
    double sum = 0.0;
    if (first == n || qins_scorer_begin(scorer->rows, ids, n, first, error) != QINS_OK) return 0.0;
    scorer->n_computed += qins_session_computed(session);
    while (qins_scorer_next(scorer->rows, &logits, &at, &n_rows, error) == QINS_OK && n_rows > 0) {
        for (size_t i = 0; i < n_rows; i++) {
            const float *row = logits + i * vocab_size;
            sum += (double)row[ids[at + i + 1]] - qins_log_sum_exp(row, vocab_size);
        }
    }
    return sum;
}

// Ids that are predicted need not be run, so they are checked only here.
static qins_status check_ids(const int32_t *ids, size_t n, size_t vocab_size, qins_error *error) {
    for (size_t i = 0; i < n; i++) {
        if (ids[i] < 0 || (size_t)ids[i] >= vocab_size)
            return qins_fail(error, QINS_USAGE, "token id %d is outside the vocabulary of %zu", ids[i], vocab_size);
    }
    return QINS_OK;
}

qins_status qins_choice_scorer_score(qins_choice_scorer *scorer, const qins_choice *choices, size_t n_choices,
                                     double *log_p, qins_error *error) {
    qins_session *session = scorer->session;
    const size_t n_ctx = qins_session_n_ctx(session), vocab_size = qins_session_config(session)->vocab_size;
    const int32_t *shared = NULL; // the context of the logits in `row`
    size_t n_shared = 0;
    for (size_t i = 0; i < n_choices && error->status == QINS_OK; i++) {
        const qins_choice *choice = &choices[i];
        const size_t n_dropped = qins_choice_overlong(choice, n_ctx);
        const int32_t *ids = choice->ids + n_dropped;
        const size_t n_context = choice->n_context - n_dropped, n_run = n_context + choice->n_continuation - 1;
        if (check_ids(ids + n_context, choice->n_continuation, vocab_size, error) != QINS_OK) return error->status;
        scorer->n_scored += n_run;
        if (!qins_session_same_factors(session, n_context, n_run)) { // the context is not computed as on its own
            log_p[i] = score_after(scorer, ids, n_context - 1, n_run, error);
            continue;
        }
        const bool is_shared = n_context == n_shared && memcmp(shared, ids, n_context * sizeof *ids) == 0;
        shared = ids;
        n_shared = n_context;
        if (!is_shared && run_context(scorer, ids, n_context, error) != QINS_OK) return error->status;
        log_p[i] = (double)scorer->row[ids[n_context]] - scorer->row_lse;
        log_p[i] += score_after(scorer, ids, n_context, n_run, error);
    }
    return error->status;
}
