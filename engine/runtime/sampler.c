// Sampling; see sampler.h.
#include "engine/runtime/sampler.h"

#include "engine/base/memory.h"
#include "engine/runtime/logits.h"

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
    struct candidate *candidates; // [vocab_size], of which n_ordered are in order
    size_t n_ordered;
    float *logits;     // [vocab_size], penalized
    bool *seen;        // [vocab_size], all false between calls
    qins_bias *biases; // [n_biases]
    size_t n_biases;
};

qins_sampler_options qins_sampler_defaults(void) {
    return (qins_sampler_options){.top_p = 1.0f, .repeat_penalty = 1.0f};
}

qins_status qins_sampler_check(const qins_sampler_options *options, qins_error *error) {
    if (!(options->temperature >= 0 && options->temperature <= 100))
        return qins_fail(error, QINS_USAGE, "the temperature is %g; it must be from 0 to 100", options->temperature);
    if (!(options->top_p >= 0 && options->top_p <= 1))
        return qins_fail(error, QINS_USAGE, "top-p is %g; it must be from 0 to 1", options->top_p);
    if (!(options->min_p >= 0 && options->min_p <= 1))
        return qins_fail(error, QINS_USAGE, "min-p is %g; it must be from 0 to 1", options->min_p);
    if (!(options->repeat_penalty > 0 && options->repeat_penalty <= 100))
        return qins_fail(error, QINS_USAGE, "the repeat penalty is %g; it must be above 0 and at most 100",
                         options->repeat_penalty);
    if (!(fabsf(options->frequency_penalty) <= 100))
        return qins_fail(error, QINS_USAGE, "the frequency penalty is %g; it must be from -100 to 100",
                         options->frequency_penalty);
    if (!(fabsf(options->presence_penalty) <= 100))
        return qins_fail(error, QINS_USAGE, "the presence penalty is %g; it must be from -100 to 100",
                         options->presence_penalty);
    return QINS_OK;
}

static qins_status check_biases(const qins_bias *biases, size_t n_biases, size_t vocab_size, qins_error *error) {
    for (size_t i = 0; i < n_biases; i++) {
        if (biases[i].id < 0 || (size_t)biases[i].id >= vocab_size)
            return qins_fail(error, QINS_USAGE, "a bias for token id %d, which is outside the vocabulary of %zu",
                             biases[i].id, vocab_size);
        if (!(biases[i].bias < INFINITY))
            return qins_fail(error, QINS_USAGE, "the bias of token id %d is not a number below infinity", biases[i].id);
    }
    return QINS_OK;
}

qins_sampler *qins_sampler_create(const qins_sampler_options *options, const qins_bias *biases, size_t n_biases,
                                  size_t vocab_size, qins_error *error) {
    if (qins_sampler_check(options, error) != QINS_OK || check_biases(biases, n_biases, vocab_size, error) != QINS_OK)
        return NULL;
    qins_sampler *sampler = qins_alloc(1, sizeof *sampler, "sampler", error);
    if (sampler == NULL) return NULL;
    sampler->options = *options;
    sampler->vocab_size = vocab_size;
    sampler->state = options->seed;
    sampler->n_biases = n_biases;
    sampler->candidates = qins_alloc(vocab_size, sizeof *sampler->candidates, "sampler", error);
    sampler->logits = qins_alloc(vocab_size, sizeof *sampler->logits, "sampler", error);
    sampler->seen = qins_alloc(vocab_size, sizeof *sampler->seen, "sampler", error);
    sampler->biases = qins_alloc(n_biases, sizeof *sampler->biases, "sampler", error);
    if (error->status == QINS_OK) {
        if (n_biases > 0) memcpy(sampler->biases, biases, n_biases * sizeof *biases);
        return sampler;
    }
    qins_sampler_free(sampler);
    return NULL;
}

void qins_sampler_free(qins_sampler *sampler) {
    if (sampler == NULL) return;
    free(sampler->candidates);
    free(sampler->logits);
    free(sampler->seen);
    free(sampler->biases);
    free(sampler);
}

// Uniform in [0, 1): SplitMix64 (Steele, Lea, Flood 2014), whose state is a plain counter.
static double next_uniform(qins_sampler *sampler) {
    uint64_t z = sampler->state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

static void forget(qins_sampler *sampler, const int32_t *ids, size_t n) {
    for (size_t i = 0; i < n; i++) sampler->seen[ids[i]] = false;
}

// Every distinct token of ids[n] once.
static void penalize_repetition(qins_sampler *sampler, const int32_t *ids, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (sampler->seen[ids[i]]) continue;
        sampler->seen[ids[i]] = true;
        float *logit = &sampler->logits[ids[i]];
        *logit = *logit > 0 ? *logit / sampler->options.repeat_penalty : *logit * sampler->options.repeat_penalty;
    }
    forget(sampler, ids, n);
}

// Tokens of the reply, by their number and for their presence.
static void penalize_reply(qins_sampler *sampler, const int32_t *ids, size_t n) {
    for (size_t i = 0; i < n; i++) {
        sampler->logits[ids[i]] -= sampler->options.frequency_penalty;
        if (!sampler->seen[ids[i]]) sampler->logits[ids[i]] -= sampler->options.presence_penalty;
        sampler->seen[ids[i]] = true;
    }
    forget(sampler, ids, n);
}

// sampler->logits: the logits with penalties and bias.
static void adjust(qins_sampler *sampler, const float *logits, const qins_text_so_far *text) {
    const qins_sampler_options *options = &sampler->options;
    memcpy(sampler->logits, logits, sampler->vocab_size * sizeof *logits);
    if (options->repeat_penalty != 1.0f) penalize_repetition(sampler, text->ids, text->n);
    if (options->frequency_penalty != 0.0f || options->presence_penalty != 0.0f)
        penalize_reply(sampler, text->ids + text->n_prompt, text->n - text->n_prompt);
    for (size_t i = 0; i < sampler->n_biases; i++) sampler->logits[sampler->biases[i].id] += sampler->biases[i].bias;
}

// --- candidates in their order: most probable first, as far as needed ---

// Equal logits are in the order of their ids, which makes the order total.
static bool comes_before(const struct candidate *x, const struct candidate *y) {
    return x->logit != y->logit ? x->logit > y->logit : x->id < y->id;
}

static void swap(struct candidate *x, struct candidate *y) {
    const struct candidate old = *x;
    *x = *y;
    *y = old;
}

// Make a heap of heap[n] again, in which only the candidate at i may be too high up.
static void sift_down(struct candidate *heap, size_t n, size_t i) {
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && comes_before(&heap[child + 1], &heap[child])) child++;
        if (comes_before(&heap[i], &heap[child])) return;
        swap(&heap[i], &heap[child]);
    }
}

static void begin_order(qins_sampler *sampler) {
    struct candidate *candidates = sampler->candidates;
    const size_t n = sampler->vocab_size;
    for (size_t i = 0; i < n; i++) candidates[i] = (struct candidate){sampler->logits[i], (int32_t)i};
    for (size_t i = n / 2; i-- > 0;) sift_down(candidates, n, i);
    sampler->n_ordered = 0;
}

// The candidate at `rank`: a heapsort that runs only as far as it must. Its results lie at the end, the first one last.
static const struct candidate *candidate_at(qins_sampler *sampler, size_t rank) {
    struct candidate *candidates = sampler->candidates;
    while (sampler->n_ordered <= rank) {
        const size_t last = sampler->vocab_size - ++sampler->n_ordered;
        swap(&candidates[0], &candidates[last]);
        sift_down(candidates, last, 0);
    }
    return &candidates[sampler->vocab_size - 1 - rank];
}

// --- the draw ---

// Probability relative to the first candidate's. The temperature divides the difference: dividing logits by a tiny one
// would overflow.
static double weight_of(qins_sampler *sampler, float logit) {
    const double best = candidate_at(sampler, 0)->logit;
    return exp(((double)logit - best) / (double)sampler->options.temperature);
}

static double weight_at(qins_sampler *sampler, size_t rank) {
    return weight_of(sampler, candidate_at(sampler, rank)->logit);
}

// Of the first n candidates. All of them are added in the order of their ids.
static double total_weight(qins_sampler *sampler, size_t n) {
    double total = 0.0;
    if (n == sampler->vocab_size)
        for (size_t id = 0; id < n; id++) total += weight_of(sampler, sampler->logits[id]);
    else
        for (size_t rank = 0; rank < n; rank++) total += weight_at(sampler, rank);
    return total;
}

// The number of candidates that survive top-k, top-p and min-p; at least one.
static size_t count_kept(qins_sampler *sampler) {
    const qins_sampler_options *options = &sampler->options;
    const size_t n = sampler->vocab_size;
    size_t kept = options->top_k > 0 && options->top_k < n ? options->top_k : n;
    if (options->top_p < 1.0f) {
        const double enough = (double)options->top_p * total_weight(sampler, kept);
        double sum = 0.0;
        size_t count = 0;
        while (count < kept && sum < enough) sum += weight_at(sampler, count++);
        kept = count;
    }
    if (options->min_p > 0.0f) {
        size_t count = 1;
        while (count < kept && weight_at(sampler, count) >= (double)options->min_p) count++;
        kept = count;
    }
    return kept == 0 ? 1 : kept;
}

int32_t qins_sampler_next(qins_sampler *sampler, const float *logits, const qins_text_so_far *text) {
    adjust(sampler, logits, text);
    if (sampler->options.temperature == 0.0f) return (int32_t)qins_arg_max(sampler->logits, sampler->vocab_size);
    begin_order(sampler);
    const size_t kept = count_kept(sampler);
    const double target = next_uniform(sampler) * total_weight(sampler, kept);
    double sum = 0.0;
    size_t rank = 0;
    while (rank + 1 < kept && (sum += weight_at(sampler, rank)) <= target) rank++;
    return candidate_at(sampler, rank)->id;
}
