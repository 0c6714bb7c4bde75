// Statistics of the server's work so far, for GET /metrics: counters and histograms in Prometheus's text format. Its
// functions may be called by one thread at a time.
#ifndef QINS_SERVER_METRICS_H
#define QINS_SERVER_METRICS_H

#include "engine/base/buffer.h"
#include "engine/server/scheduler.h"

enum { QINS_HISTOGRAM_BUCKETS = 10 };

typedef struct qins_histogram {
    const double *bounds; // [QINS_HISTOGRAM_BUCKETS]
    size_t counts[QINS_HISTOGRAM_BUCKETS + 1];
    size_t count;
    double sum;
} qins_histogram;

typedef struct qins_metrics {
    size_t finished[QINS_FINISH_FAILED + 1]; // replies, by how they ended
    size_t refused[600];                     // requests, by HTTP status
    size_t prompt_tokens, cached_tokens, generated_tokens;
    qins_histogram queue_seconds, first_token_seconds, reply_seconds, tokens_per_second;
} qins_metrics;

void qins_metrics_begin(qins_metrics *metrics);
void qins_metrics_note_refusal(qins_metrics *metrics, unsigned status);
void qins_metrics_note_reply(qins_metrics *metrics, const qins_job *job, qins_finish finish);

// Estimated seconds until there may be a free place in the queue, for Retry-After: 1 to 60.
unsigned qins_metrics_retry_after(const qins_metrics *metrics, const qins_scheduler_state *state);

void qins_metrics_print(const qins_metrics *metrics, const qins_scheduler_state *state, qins_buffer *out);

#endif
