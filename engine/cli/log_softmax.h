// Sums over a row of logits, in double.
#ifndef QINS_CLI_LOG_SOFTMAX_H
#define QINS_CLI_LOG_SOFTMAX_H

#include <math.h>
#include <stddef.h>

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

#endif
