// qinsrun perplexity: the perplexity of a text.
#include "engine/cli/confine.h"
#include "engine/cli/input.h"
#include "engine/measure/perplexity.h"

#include "engine/base/plural.h"

#include <math.h>
#include <stdio.h>

static qins_status print(const qins_perplexity *perplexity, const qins_windows *windows, bool json, qins_error *error) {
    const double nll = perplexity->nll;
    if (json)
        qins_printf(error, "{\"ppl\":%.9g,\"nll\":%.9g,\"predicted\":%zu,\"windows\":%zu}\n", exp(nll), nll,
                    perplexity->n_predicted, windows->count);
    else
        qins_printf(error, "perplexity %.6f  (mean -ln p %.8f over %zu tokens in %zu window%s of %zu)\n", exp(nll), nll,
                    perplexity->n_predicted, windows->count, qins_plural(windows->count), windows->size);
    return qins_flush(error);
}

static qins_status measure(qins_options *options, const qins_model *model, qins_windows *windows, qins_error *error) {
    qins_workplace place;
    qins_perplexity perplexity;
    options->session.n_ctx = windows->size;
    if (qins_workplace_open(&place, options, model, error) == QINS_OK) {
        qins_meter meter = qins_meter_start(options->process.quiet ? NULL : "perplexity", "tok", 1, &qins_interrupted);
        qins_perplexity_measure(place.session, windows, qins_meter_update, &meter, &perplexity, error);
        qins_meter_end(&meter);
    }
    qins_workplace_close(&place);
    return error->status == QINS_OK ? print(&perplexity, windows, options->output.json, error) : error->status;
}

qins_status qins_cmd_perplexity(const qins_options *given, qins_error *error) {
    qins_options options = *given;
    qins_windows windows = {0};
    qins_model *model = NULL;
    if (qins_confine(&options, 0, error) == QINS_OK) model = qins_open_model(options.model.path, &options, error);
    if (model != NULL && qins_read_windows(&windows, &options, model, error) == QINS_OK)
        measure(&options, model, &windows, error);
    qins_windows_free(&windows);
    qins_model_close(model);
    return error->status;
}
