// Calibration: the model runs over a text, layer by layer, and each matrix is coded for the inputs that it is
// multiplied by there (feedback.h), before the run continues with the coded matrix; later layers therefore see the
// errors of earlier ones. The model as it is in the checkpoint runs alongside, and gives the inputs without those
// errors.
#ifndef QINS_CONVERT_CALIBRATE_H
#define QINS_CONVERT_CALIBRATE_H

#include "convert/calibration_text.h"
#include "convert/tensor_writer.h"

// Run the checkpoint's model over the text and write every coded tensor, in the order of the schema, with codes that
// suit its inputs; the tensors between them are written, too, and those after the last one are left to the caller. With
// options->calibrate_search only the checkpoint's model runs, and errors are weighted by the squares of its inputs.
// Progress is called before each product; it may end the calibration (QINS_INTERRUPTED).
qins_status qins_calibrate(qins_tensor_writer *tensors, const qins_calibration_text *text, qins_error *error);

#endif
