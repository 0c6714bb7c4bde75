// Calibration: the model runs over a text, layer by layer, and each matrix is coded by what it is multiplied with there
// (feedback.h), before the run goes on with the coded matrix: so later layers see the errors of earlier ones. Beside it
// runs the model as it is in the checkpoint, which shows what the inputs would be without those errors.
#ifndef QINS_CONVERT_CALIBRATE_H
#define QINS_CONVERT_CALIBRATE_H

#include "convert/calibration_text.h"
#include "convert/tensor_writer.h"

// Run the checkpoint's model over the text and write every coded tensor, in the order of the schema, with codes that
// suit its inputs; the tensors between them are written, too, and those after the last one are left to the caller. With
// options->calibrate_search only the checkpoint's model runs, and errors are weighed by the squares of its inputs.
// Progress is asked before each product; it may end the calibration (QINS_INTERRUPTED).
qins_status qins_calibrate(qins_tensor_writer *tensors, const qins_calibration_text *text, qins_error *error);

#endif
