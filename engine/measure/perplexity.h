// A model's predictions of a text: perplexity is exp of the mean of -ln p over all predicted tokens.
#ifndef QINS_MEASURE_PERPLEXITY_H
#define QINS_MEASURE_PERPLEXITY_H

#include "engine/measure/windows.h"

typedef struct qins_perplexity {
    double nll; // mean of -ln p(next token), nats
    size_t n_predicted;
} qins_perplexity;

// Of all windows, which must fit into the session's context; `progress` counts tokens.
qins_status qins_perplexity_measure(qins_session *session, qins_windows *windows, qins_progress *progress,
                                    void *context, qins_perplexity *perplexity, qins_error *error);

#endif
