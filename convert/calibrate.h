// Calibration: the model runs over a text, layer by layer, and each matrix is coded by what it is multiplied with there
// (feedback.h), before the run goes on with the coded matrix: so later layers see the errors of earlier ones. Beside it
// runs the model as it is in the checkpoint, which shows what the inputs would be without those errors.
#ifndef QINS_CONVERT_CALIBRATE_H
#define QINS_CONVERT_CALIBRATE_H

#include "convert/calibration_text.h"
#include "convert/encode_tensor.h"

// The converter's side.
typedef struct qins_calibration_calls {
    // Encode tensor `index` and every one before it that is not encoded yet; costs: NULL, or what errors cost; *encoded
    // (valid until the next call): it as it was stored.
    qins_status (*encode)(void *context, size_t index, const qins_input_costs *costs, qins_matrix *encoded,
                          qins_error *error);
    // Asked before each product; false ends the calibration (QINS_INTERRUPTED).
    bool (*goes_on)(void *context);
    void *context;
} qins_calibration_calls;

// Run the model of `header`, whose tensors in the checkpoint are rows[n_tensors], over the text and have every coded
// tensor encoded, in the order of the schema. is_search: only the checkpoint's model runs, and errors are weighed by
// the squares of its inputs.
qins_status qins_calibrate(const qins_header *header, const qins_rows *rows, const qins_calibration_text *text,
                           bool is_search, size_t n_threads, const qins_calibration_calls *calls, qins_error *error);

#endif
