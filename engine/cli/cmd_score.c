// qinsrun score: log-probabilities and best logits of every position, one JSON line each.
#include "engine/cli/cli.h"
#include "engine/cli/confine.h"
#include "engine/cli/input.h"
#include "engine/runtime/logits.h"
#include "engine/runtime/session.h"

#include "engine/base/memory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct printer {
    const qins_ids *ids;
    size_t vocab_size, top;
    int32_t *best;  // [top]
    double logprob; // of the next id
};

static qins_status print_position(struct printer *printer, size_t position, const float *logits, qins_error *error) {
    const double lse = qins_log_sum_exp(logits, printer->vocab_size);
    qins_printf(error, "{\"pos\":%zu,\"id\":%d,\"logprob\":", position, printer->ids->data[position]);
    if (position == 0)
        qins_printf(error, "null");
    else
        qins_printf(error, "%.9g", printer->logprob);
    qins_printf(error, ",\"lse\":%.9g,\"top\":[", lse);
    size_t n = qins_find_top(logits, printer->vocab_size, printer->top, printer->best);
    for (size_t i = 0; i < n; i++)
        qins_printf(error, "%s[%d,%.9g]", i == 0 ? "" : ",", printer->best[i], (double)logits[printer->best[i]]);
    if (position + 1 < printer->ids->count) printer->logprob = (double)logits[printer->ids->data[position + 1]] - lse;
    return qins_printf(error, "]}\n");
}

static qins_status score(qins_scorer *scorer, struct printer *printer, qins_error *error) {
    const float *logits;
    size_t first, n_rows;
    if (qins_scorer_begin(scorer, printer->ids->data, printer->ids->count, 0, error) != QINS_OK) return error->status;
    while (qins_scorer_next(scorer, &logits, &first, &n_rows, error) == QINS_OK && n_rows > 0) {
        for (size_t i = 0; i < n_rows && error->status == QINS_OK; i++)
            print_position(printer, first + i, logits + i * printer->vocab_size, error);
    }
    return qins_flush(error);
}

static qins_status score_model(const qins_options *options, qins_model *model, struct printer *printer,
                               qins_error *error) {
    qins_watch watch;
    qins_workplace place = {0};
    qins_scorer *scorer = NULL;
    printer->vocab_size = qins_model_vocab_size(model);
    printer->top = options->measure.top < printer->vocab_size ? options->measure.top : printer->vocab_size;
    printer->best = qins_alloc(printer->top, sizeof *printer->best, "list of the best tokens", error);
    if (error->status == QINS_OK && qins_workplace_open(&place, options, model, error) == QINS_OK) {
        qins_watch_session(&watch, place.session, options->process.quiet);
        scorer = qins_scorer_create(place.session, error);
    }
    if (scorer != NULL) score(scorer, printer, error);
    qins_scorer_free(scorer);
    qins_workplace_close(&place);
    free(printer->best);
    return error->status;
}

qins_status qins_cmd_score(const qins_options *options, qins_error *error) {
    qins_ids ids = {0};
    struct printer printer = {.ids = &ids};
    if (options->prompt.ids == NULL)
        return qins_fail(error, QINS_USAGE, "score needs --ids FILE (- for standard input)");
    qins_read_ids(options->prompt.ids, &ids, error);
    qins_confine(options, 0, error);
    qins_model *model = error->status == QINS_OK ? qins_open_model(options->model.path, options, error) : NULL;
    if (model != NULL) score_model(options, model, &printer, error);
    qins_model_close(model);
    qins_ids_free(&ids);
    return error->status;
}
