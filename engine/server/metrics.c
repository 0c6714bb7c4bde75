// Metrics; see metrics.h.
#include "engine/server/metrics.h"

#include "engine/base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const double seconds_bounds[QINS_HISTOGRAM_BUCKETS] = {0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120},
                    rate_bounds[QINS_HISTOGRAM_BUCKETS] = {0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256};

void qins_metrics_begin(qins_metrics *metrics) {
    *metrics = (qins_metrics){.queue_seconds.bounds = seconds_bounds,
                              .first_token_seconds.bounds = seconds_bounds,
                              .reply_seconds.bounds = seconds_bounds,
                              .tokens_per_second.bounds = rate_bounds};
}

static void note(qins_histogram *histogram, double value) {
    size_t i = 0;
    while (i < QINS_HISTOGRAM_BUCKETS && value > histogram->bounds[i]) i++;
    histogram->counts[i]++;
    histogram->count++;
    histogram->sum += value;
}

void qins_metrics_note_refusal(qins_metrics *metrics, unsigned status) {
    metrics->refused[status < 600 ? status : 599]++;
}

void qins_metrics_note_reply(qins_metrics *metrics, const qins_job *job, qins_finish finish) {
    const qins_job_times *times = &job->times;
    metrics->finished[finish]++;
    if (times->started == 0) return;
    note(&metrics->queue_seconds, times->started - times->submitted);
    note(&metrics->reply_seconds, times->ended - times->submitted);
    if (times->first == 0) return;
    metrics->prompt_tokens += job->generation.n_ids;
    metrics->cached_tokens += job->n_cached;
    metrics->generated_tokens += job->n_generated;
    note(&metrics->first_token_seconds, times->first - times->submitted);
    if (job->n_generated > 1 && times->ended > times->first)
        note(&metrics->tokens_per_second, (double)(job->n_generated - 1) / (times->ended - times->first));
}

unsigned qins_metrics_retry_after(const qins_metrics *metrics, const qins_scheduler_state *state) {
    const qins_histogram *replies = &metrics->reply_seconds;
    const double mean = replies->count > 0 ? replies->sum / (double)replies->count : 1;
    const double seconds = state->n_running > 0 ? mean / (double)state->n_running : 1;
    return seconds < 1 ? 1 : seconds > 60 ? 60 : (unsigned)seconds;
}

// --- text ---

QINS_PRINTF(2, 3) static void print(qins_buffer *out, const char *format, ...) {
    char line[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    qins_buffer_append(out, line, strlen(line));
}

static void print_head(qins_buffer *out, const char *name, const char *kind, const char *help) {
    print(out, "# HELP qins_%s %s\n# TYPE qins_%s %s\n", name, help, name, kind);
}

static void print_value(qins_buffer *out, const char *name, const char *kind, const char *help, double value) {
    print_head(out, name, kind, help);
    print(out, "qins_%s %.17g\n", name, value);
}

static void print_histogram(qins_buffer *out, const char *name, const char *help, const qins_histogram *histogram) {
    size_t count = 0;
    print_head(out, name, "histogram", help);
    for (size_t i = 0; i < QINS_HISTOGRAM_BUCKETS; i++) {
        count += histogram->counts[i];
        print(out, "qins_%s_bucket{le=\"%g\"} %zu\n", name, histogram->bounds[i], count);
    }
    print(out, "qins_%s_bucket{le=\"+Inf\"} %zu\nqins_%s_sum %.17g\nqins_%s_count %zu\n", name, histogram->count, name,
          histogram->sum, name, histogram->count);
}

static void print_replies(qins_buffer *out, const qins_metrics *metrics) {
    static const char *const names[] = {
        [QINS_FINISH_STOP_ID] = "stop_token", [QINS_FINISH_STOP_TEXT] = "stop_text", [QINS_FINISH_LENGTH] = "length",
        [QINS_FINISH_CONTEXT] = "context",    [QINS_FINISH_CANCELLED] = "cancelled", [QINS_FINISH_FAILED] = "failed"};
    print_head(out, "replies_total", "counter", "Replies by finish reason; cancelled: the client left.");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        print(out, "qins_replies_total{end=\"%s\"} %zu\n", names[i], metrics->finished[i]);
    print_head(out, "refused_total", "counter", "Requests refused, by HTTP status.");
    for (size_t i = 0; i < sizeof metrics->refused / sizeof *metrics->refused; i++)
        if (metrics->refused[i] > 0) print(out, "qins_refused_total{status=\"%zu\"} %zu\n", i, metrics->refused[i]);
}

void qins_metrics_print(const qins_metrics *metrics, const qins_scheduler_state *state, qins_buffer *out) {
    const struct {
        const char *name, *kind, *help;
        double value;
    } values[] = {
        {"prompt_tokens_total", "counter", "Tokens of prompts.", (double)metrics->prompt_tokens},
        {"cached_tokens_total", "counter", "Tokens of prompts that an idle session had computed.",
         (double)metrics->cached_tokens},
        {"generated_tokens_total", "counter", "Tokens of replies.", (double)metrics->generated_tokens},
        {"steps_total", "counter", "Passes through the weights.", (double)state->n_steps},
        {"step_tokens_total", "counter", "Tokens computed by passes through the weights.",
         (double)state->n_step_tokens},
        {"step_seconds_total", "counter", "Time of passes through the weights.", state->step_seconds},
        {"replies_running", "gauge", "Replies in progress.", (double)state->n_running},
        {"replies_waiting", "gauge", "Requests in the queue.", (double)state->n_waiting},
        {"idle_sessions", "gauge", "Idle sessions that keep their caches.", (double)state->n_idle},
        {"idle_bytes", "gauge", "Memory of idle sessions' caches.", (double)state->idle_bytes},
        {"resident_bytes", "gauge", "Memory of the process, mapped files included.", (double)qins_memory_resident()},
    };
    print_replies(out, metrics);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        print_value(out, values[i].name, values[i].kind, values[i].help, values[i].value);
    print_histogram(out, "queue_seconds", "From a request's arrival to its start.", &metrics->queue_seconds);
    print_histogram(out, "first_token_seconds", "From a request's arrival to its first token.",
                    &metrics->first_token_seconds);
    print_histogram(out, "reply_seconds", "From a request's arrival to its end.", &metrics->reply_seconds);
    print_histogram(out, "reply_tokens_per_second", "Speed of a reply after its first token.",
                    &metrics->tokens_per_second);
}
