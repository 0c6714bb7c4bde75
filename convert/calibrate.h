// Calibration: the model runs over a text, layer by layer, and each matrix is coded by what it is multiplied with there
// (feedback.h), before the run goes on with the coded matrix: so later layers see the errors of earlier ones. Beside it
// runs the model as it is in the checkpoint, which shows what the inputs would be without those errors.
#ifndef QINS_CONVERT_CALIBRATE_H
#define QINS_CONVERT_CALIBRATE_H

#include "convert/encode.h"
#include "tokenizer/tokenizer.h"

// Sequences of token ids, run one by one.
typedef struct qins_calibration_text {
    int32_t *ids;               // owned, [n_sequences, length]
    size_t n_sequences, length; // length: tokens
    qins_source source;         // the file
} qins_calibration_text;

// Read the text file `path` and cut its first n_tokens tokens (at least one sequence) into sequences, each with the
// tokens that the tokenizer puts in front of a text; markers such as <|user|> have their meaning. A text without a
// whole sequence is an error. Release with qins_calibration_text_free, also after a failure.
qins_status qins_calibration_text_read(qins_calibration_text *text, const char *path, const qins_tokenizer *tokenizer,
                                       const qins_config *config, size_t n_tokens, qins_error *error);
void qins_calibration_text_free(qins_calibration_text *text);

// The converter's side.
typedef struct qins_calibration_calls {
    // The checkpoint's tensor `index` of the schema.
    qins_rows (*rows)(void *context, size_t index);
    // Encode tensor `index` and every one in front of it that is not encoded yet; *encoded (valid until the next call):
    // it as it was stored.
    qins_status (*encode)(void *context, size_t index, const qins_feedback *feedback, qins_matrix *encoded,
                          qins_error *error);
    // Asked before each product; false ends the calibration (QINS_INTERRUPTED).
    bool (*goes_on)(void *context);
    void *context;
} qins_calibration_calls;

// Run the model of `header` over the text and have every coded tensor encoded, in the order of the schema.
qins_status qins_calibrate(const qins_header *header, const qins_calibration_text *text, size_t n_threads,
                           const qins_calibration_calls *calls, qins_error *error);

#endif
