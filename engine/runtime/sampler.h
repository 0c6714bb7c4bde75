// Choice of the next token from logits, in Hugging Face's order (transformers generation/logits_process.py). The
// options and the order of steps are in qins.h.
#ifndef QINS_RUNTIME_SAMPLER_H
#define QINS_RUNTIME_SAMPLER_H

#include "engine/base/error.h"

typedef struct qins_sampler qins_sampler;

// QINS_USAGE for a value out of range.
qins_status qins_sampler_check(const qins_sampler_options *options, qins_error *error);

// With biases[n_biases], which are copied. NULL and an error (QINS_USAGE for a value out of range). Release with
// qins_sampler_free.
qins_sampler *qins_sampler_create(const qins_sampler_options *options, const qins_bias *biases, size_t n_biases,
                                  size_t vocab_size, qins_error *error);
void qins_sampler_free(qins_sampler *sampler);

// The text before the next token: ids[n], of which the first n_prompt are the prompt and the others the reply.
typedef struct qins_text_so_far {
    const int32_t *ids;
    size_t n, n_prompt;
} qins_text_so_far;

// The next token, from logits[vocab_size] (unchanged, all finite). The same seed gives the same tokens for the same
// calls.
int32_t qins_sampler_next(qins_sampler *sampler, const float *logits, const qins_text_so_far *text);

#endif
