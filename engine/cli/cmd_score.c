// qinsrun score: log-probabilities and best logits of every position, one JSON line each.
#include "engine/cli/cli.h"
#include "engine/cli/input.h"
#include "engine/cli/log_softmax.h"

#include "engine/base/memory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct scorer {
    const qins_ids *ids;
    size_t vocab_size, top;
    int32_t *best;  // [top]
    double logprob; // of the next id
};

static qins_status print_position(struct scorer *scorer, size_t position, const float *logits, qins_error *error) {
    const double lse = qins_log_sum_exp(logits, scorer->vocab_size);
    qins_printf(error, "{\"pos\":%zu,\"id\":%d,\"logprob\":", position, scorer->ids->data[position]);
    if (position == 0)
        qins_printf(error, "null");
    else
        qins_printf(error, "%.9g", scorer->logprob);
    qins_printf(error, ",\"lse\":%.9g,\"top\":[", lse);
    size_t n = qins_find_top(logits, scorer->vocab_size, scorer->top, scorer->best);
    for (size_t i = 0; i < n; i++)
        qins_printf(error, "%s[%d,%.9g]", i == 0 ? "" : ",", scorer->best[i], (double)logits[scorer->best[i]]);
    if (position + 1 < scorer->ids->count) scorer->logprob = (double)logits[scorer->ids->data[position + 1]] - lse;
    return qins_printf(error, "]}\n");
}

static qins_status score(qins_session *session, struct scorer *scorer, qins_error *error) {
    const float *logits;
    size_t first, n_rows;
    if (qins_session_score_begin(session, scorer->ids->data, scorer->ids->count, 0, error) != QINS_OK)
        return error->status;
    while (qins_session_score_next(session, &logits, &first, &n_rows, error) == QINS_OK && n_rows > 0) {
        for (size_t i = 0; i < n_rows && error->status == QINS_OK; i++)
            print_position(scorer, first + i, logits + i * scorer->vocab_size, error);
    }
    return qins_flush(error);
}

qins_status qins_cmd_score(const qins_options *given, qins_error *error) {
    qins_options options = *given;
    qins_model model = {0};
    qins_ids ids = {0};
    qins_session *session = NULL;
    qins_watch watch;
    struct scorer scorer = {.ids = &ids};
    if (options.ids == NULL) return qins_fail(error, QINS_USAGE, "score needs --ids FILE (- for standard input)");
    qins_read_ids(options.ids, &ids, error);
    if (error->status == QINS_OK) qins_model_open(&model, options.model, &options, error);
    if (error->status == QINS_OK) {
        qins_watch_session(&watch, &options.session, options.quiet);
        scorer.vocab_size = qins_image_header(model.image)->config.vocab_size;
        scorer.top = options.top < scorer.vocab_size ? options.top : scorer.vocab_size;
        scorer.best = qins_alloc(scorer.top, sizeof *scorer.best, "list of the best tokens", error);
    }
    if (error->status == QINS_OK) session = qins_session_create(model.image, &options.session, error);
    if (session != NULL) score(session, &scorer, error);
    free(scorer.best);
    qins_session_free(session);
    qins_model_close(&model);
    qins_ids_free(&ids);
    return error->status;
}
