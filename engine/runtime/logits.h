// Sums over a row of logits, in double, and its largest ones.
#ifndef QINS_RUNTIME_LOGITS_H
#define QINS_RUNTIME_LOGITS_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

// ln sum exp(logits[n])
static inline double qins_log_sum_exp(const float *logits, size_t n) {
    float max = logits[0];
    for (size_t i = 1; i < n; i++) max = logits[i] > max ? logits[i] : max;
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) sum += exp((double)(logits[i] - max));
    return (double)max + log(sum);
}

static inline size_t qins_arg_max(const float *logits, size_t n) {
    size_t best = 0;
    for (size_t i = 1; i < n; i++) best = logits[i] > logits[best] ? i : best;
    return best;
}

// Ids of the `top` largest logits, largest first, equal ones in the order of their ids. best[top].
static inline size_t qins_find_top(const float *logits, size_t vocab_size, size_t top, int32_t *best) {
    size_t n = 0;
    for (size_t id = 0; id < vocab_size; id++) {
        if (n == top && (top == 0 || !(logits[id] > logits[best[n - 1]]))) continue;
        if (n < top) n++;
        size_t at = n - 1;
        for (; at > 0 && logits[id] > logits[best[at - 1]]; at--) best[at] = best[at - 1];
        best[at] = (int32_t)id;
    }
    return n;
}

#endif
