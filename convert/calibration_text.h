// Text that a model is calibrated with, as sequences of token ids.
#ifndef QINS_CONVERT_CALIBRATION_TEXT_H
#define QINS_CONVERT_CALIBRATION_TEXT_H

#include "engine/format/header.h"
#include "tokenizer/tokenizer.h"

// Sequences of token ids, run one by one.
typedef struct qins_calibration_text {
    int32_t *ids;               // owned, [n_sequences, length]
    size_t n_sequences, length; // length: tokens
    qins_source source;         // the file
} qins_calibration_text;

// The name of the built-in text, given instead of a path.
extern const char QINS_DEFAULT_TEXT[]; // "default"

// Read the text file `path`, or the built-in text, and take n_tokens tokens of it (at least one sequence) in sequences
// spread evenly over the text, each with the tokens that the tokenizer puts before a text; markers such as <|user|> act
// as markers. A text too short for one sequence is an error. Release with qins_calibration_text_free, also after a
// failure.
qins_status qins_calibration_text_read(qins_calibration_text *text, const char *path, const qins_tokenizer *tokenizer,
                                       const qins_config *config, size_t n_tokens, qins_error *error);
void qins_calibration_text_free(qins_calibration_text *text);

#endif
