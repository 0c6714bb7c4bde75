// Choice of the next token from logits. Steps in Hugging Face's order: repetition penalty, temperature, top-k, top-p,
// min-p, then one draw (transformers generation/logits_process.py). Temperature 0 is greedy: the first of the largest.
#ifndef QINS_MODEL_SAMPLER_H
#define QINS_MODEL_SAMPLER_H

#include "engine/base/error.h"

#include <stddef.h>
#include <stdint.h>

typedef struct qins_sampler_options {
    float temperature;    // 0: greedy
    size_t top_k;         // keep the k most probable tokens; 0: all
    float top_p;          // keep the smallest set whose probabilities sum to top_p or more, at least one; 1: all
    float min_p;          // keep tokens of at least min_p times the largest probability; 0: all
    float repeat_penalty; // for tokens already seen: positive logits are divided by it, others multiplied; 1: off
    uint64_t seed;
} qins_sampler_options;

typedef struct qins_sampler qins_sampler;

// NULL and an error (QINS_USAGE for a value out of range). Release with qins_sampler_free.
qins_sampler *qins_sampler_create(const qins_sampler_options *options, size_t vocab_size, qins_error *error);
void qins_sampler_free(qins_sampler *sampler);

// Take other options; the random numbers go on unless the seed is another one. On failure nothing changes.
qins_status qins_sampler_set(qins_sampler *sampler, const qins_sampler_options *options, qins_error *error);

// The next token after history[n_history], from logits[vocab_size] (unchanged, all finite). The same seed gives the
// same tokens for the same calls.
int32_t qins_sampler_next(qins_sampler *sampler, const float *logits, const int32_t *history, size_t n_history);

#endif
