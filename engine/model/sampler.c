// Sampling; see sampler.h.
#include "engine/model/sampler.h"

#include "engine/base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct candidate {
    float logit;
    int32_t id;
};

struct qins_sampler {
    qins_sampler_options options;
    size_t vocab_size;
    uint64_t state;               // of the random numbers
    struct candidate *candidates; // [vocab_size]
    float *logits;                // [vocab_size], penalized
    bool *seen;                   // [vocab_size], all false between calls
};

static qins_status check_options(const qins_sampler_options *options, qins_error *error) {
    if (!(options->temperature >= 0 && options->temperature <= 100))
        return qins_fail(error, QINS_USAGE, "the temperature is %g; it must be from 0 to 100", options->temperature);
    if (!(options->top_p >= 0 && options->top_p <= 1))
        return qins_fail(error, QINS_USAGE, "top-p is %g; it must be from 0 to 1", options->top_p);
    if (!(options->min_p >= 0 && options->min_p <= 1))
        return qins_fail(error, QINS_USAGE, "min-p is %g; it must be from 0 to 1", options->min_p);
    if (!(options->repeat_penalty > 0 && options->repeat_penalty <= 100))
        return qins_fail(error, QINS_USAGE, "the repeat penalty is %g; it must be above 0 and at most 100",
                         options->repeat_penalty);
    return QINS_OK;
}

qins_sampler *qins_sampler_create(const qins_sampler_options *options, size_t vocab_size, qins_error *error) {
    if (check_options(options, error) != QINS_OK) return NULL;
    qins_sampler *sampler = qins_alloc(1, sizeof *sampler, "sampler", error);
    if (sampler == NULL) return NULL;
    sampler->options = *options;
    sampler->vocab_size = vocab_size;
    sampler->state = options->seed;
    sampler->candidates = qins_alloc(vocab_size, sizeof *sampler->candidates, "sampler", error);
    sampler->logits = qins_alloc(vocab_size, sizeof *sampler->logits, "sampler", error);
    sampler->seen = qins_alloc(vocab_size, sizeof *sampler->seen, "sampler", error);
    if (error->status == QINS_OK) return sampler;
    qins_sampler_free(sampler);
    return NULL;
}

void qins_sampler_free(qins_sampler *sampler) {
    if (sampler == NULL) return;
    free(sampler->candidates);
    free(sampler->logits);
    free(sampler->seen);
    free(sampler);
}

qins_status qins_sampler_set(qins_sampler *sampler, const qins_sampler_options *options, qins_error *error) {
    if (check_options(options, error) != QINS_OK) return error->status;
    if (options->seed != sampler->options.seed) sampler->state = options->seed;
    sampler->options = *options;
    return QINS_OK;
}

// Uniform in [0, 1): SplitMix64 (Steele, Lea, Flood 2014), whose state is a plain counter.
static double next_uniform(qins_sampler *sampler) {
    uint64_t z = sampler->state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

// sampler->logits: the logits with every distinct token of the history penalized once.
static void penalize(qins_sampler *sampler, const float *logits, const int32_t *history, size_t n_history) {
    memcpy(sampler->logits, logits, sampler->vocab_size * sizeof *logits);
    if (sampler->options.repeat_penalty == 1.0f) return;
    for (size_t i = 0; i < n_history; i++) {
        int32_t id = history[i];
        if (sampler->seen[id]) continue;
        sampler->seen[id] = true;
        float *logit = &sampler->logits[id];
        *logit = *logit > 0 ? *logit / sampler->options.repeat_penalty : *logit * sampler->options.repeat_penalty;
    }
    for (size_t i = 0; i < n_history; i++) sampler->seen[history[i]] = false;
}

static int32_t arg_max(const float *logits, size_t n) {
    size_t best = 0;
    for (size_t i = 1; i < n; i++) best = logits[i] > logits[best] ? i : best;
    return (int32_t)best;
}

// Most probable first; equal logits in the order of their ids, so that the order is complete.
static int by_logit(const void *a, const void *b) {
    const struct candidate *x = a, *y = b;
    if (x->logit != y->logit) return x->logit > y->logit ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

// Probability relative to the first one's. The temperature divides the difference: dividing logits by a tiny one would
// overflow.
static double probability_weight(const qins_sampler_options *options, const struct candidate *candidates, size_t i) {
    return exp(((double)candidates[i].logit - (double)candidates[0].logit) / (double)options->temperature);
}

// How many of the sorted candidates survive top-k, top-p and min-p; at least one.
static size_t count_kept(const qins_sampler_options *options, const struct candidate *candidates, size_t n) {
    size_t kept = options->top_k > 0 && options->top_k < n ? options->top_k : n;
    if (options->top_p < 1.0f) {
        double total = 0.0, sum = 0.0;
        for (size_t i = 0; i < kept; i++) total += probability_weight(options, candidates, i);
        size_t count = 0;
        while (count < kept && sum < (double)options->top_p * total)
            sum += probability_weight(options, candidates, count++);
        kept = count;
    }
    if (options->min_p > 0.0f) {
        size_t count = 1;
        while (count < kept && probability_weight(options, candidates, count) >= (double)options->min_p) count++;
        kept = count;
    }
    return kept == 0 ? 1 : kept;
}

int32_t qins_sampler_next(qins_sampler *sampler, const float *logits, const int32_t *history, size_t n_history) {
    penalize(sampler, logits, history, n_history);
    if (sampler->options.temperature == 0.0f) return arg_max(sampler->logits, sampler->vocab_size);

    const qins_sampler_options *options = &sampler->options;
    struct candidate *candidates = sampler->candidates;
    for (size_t i = 0; i < sampler->vocab_size; i++) candidates[i] = (struct candidate){sampler->logits[i], (int32_t)i};
    qsort(candidates, sampler->vocab_size, sizeof *candidates, by_logit);
    size_t kept = count_kept(options, candidates, sampler->vocab_size);

    double total = 0.0;
    for (size_t i = 0; i < kept; i++) total += probability_weight(options, candidates, i);
    double target = next_uniform(sampler) * total, sum = 0.0;
    for (size_t i = 0; i + 1 < kept; i++) {
        sum += probability_weight(options, candidates, i);
        if (target < sum) return candidates[i].id;
    }
    return candidates[kept - 1].id;
}
