// Statistics of a reply; see statistics.h.
#include "engine/cli/statistics.h"

#include "engine/base/escape.h"
#include "engine/base/memory.h"
#include "engine/base/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// The reason why the reply ended, for messages; valid until the next call.
static const char *end_text(const qins_generator *generator, const qins_reply *reply, char *text, size_t capacity) {
    const qins_tokenizer *tokenizer = generator->model->tokenizer;
    size_t size = 0;
    const char *piece = NULL;
    char shown[64];
    switch (reply->finish) {
    case QINS_FINISH_STOP_ID:
        if (tokenizer != NULL) piece = qins_tokenizer_piece(tokenizer, reply->stop_id, &size);
        snprintf(text, capacity, "ended by %s (%d)", qins_escape(shown, sizeof shown, piece, size), reply->stop_id);
        break;
    case QINS_FINISH_STOP_TEXT:
        qins_escape(shown, sizeof shown, reply->stop_text, strlen(reply->stop_text));
        snprintf(text, capacity, "ended by --stop %s", shown);
        break;
    case QINS_FINISH_LENGTH:
        snprintf(text, capacity, "ended by -n");
        break;
    case QINS_FINISH_CONTEXT:
        snprintf(text, capacity, "ended because the context is full");
        break;
    case QINS_FINISH_CANCELLED:
        snprintf(text, capacity, "interrupted");
        break;
    case QINS_FINISH_FAILED:
        snprintf(text, capacity, "failed");
        break;
    }
    return text;
}

static double rate(size_t n, double seconds) {
    return seconds > 0 ? (double)n / seconds : 0;
}

static double prompt_rate(const qins_reply *reply) {
    return rate(reply->n_computed, reply->prompt_seconds);
}

// The first generated token comes with the prompt's pass; the others are what the generation time was spent on.
static double generation_rate(const qins_reply *reply) {
    const bool has_stop_pass = reply->finish == QINS_FINISH_STOP_ID;
    const size_t timed = reply->n_generated > 0 ? reply->n_generated - !has_stop_pass : 0;
    return rate(timed, reply->generation_seconds);
}

static void print_line(const qins_generator *generator, const qins_reply *reply) {
    char end[512];
    const qins_session *session = generator->place.session;
    fprintf(stderr, "qinsrun: prompt %zu tokens", reply->n_prompt);
    if (reply->n_computed < reply->n_prompt)
        fprintf(stderr, " (%zu from the cache)", reply->n_prompt - reply->n_computed);
    fprintf(stderr, ", %.1f tok/s; reply %zu tokens, %.1f tok/s; %s; context %zu of %zu; %zu threads",
            prompt_rate(reply), reply->n_generated, generation_rate(reply), end_text(generator, reply, end, sizeof end),
            reply->n_prompt + reply->n_generated, qins_session_n_ctx(session), qins_session_threads(session));
    if (generator->options->sampling.sampler.temperature > 0)
        fprintf(stderr, "; seed %" PRIu64, generator->options->sampling.sampler.seed);
    const size_t saturated = qins_session_saturated(session);
    if (saturated > 0)
        fprintf(stderr, "; %zu cached values clamped to FP16's range (--kv-k f32 and --kv-v f32 keep them)", saturated);
    fputc('\n', stderr);
}

void qins_statistics_print_short(const qins_generator *generator, const qins_reply *reply) {
    if (generator->options->process.quiet) return;
    const char *no_color = getenv("NO_COLOR");
    const bool is_dim = qins_can_redraw(STDERR_FILENO) && (no_color == NULL || no_color[0] == '\0');
    fprintf(stderr, "%s%.1f tok/s, %zu of %zu tokens of context%s%s\n", is_dim ? "\033[2m" : "", generation_rate(reply),
            reply->n_prompt + reply->n_generated, qins_session_n_ctx(generator->place.session),
            reply->finish == QINS_FINISH_CANCELLED ? ", stopped" : "", is_dim ? "\033[0m" : "");
}

void qins_statistics_add(qins_json *record, const qins_generator *generator, const qins_reply *reply,
                         qins_error *error) {
    static const char *const reasons[] = {
        [QINS_FINISH_STOP_ID] = "stop_token", [QINS_FINISH_STOP_TEXT] = "stop_text",   [QINS_FINISH_LENGTH] = "length",
        [QINS_FINISH_CONTEXT] = "context",    [QINS_FINISH_CANCELLED] = "interrupted", [QINS_FINISH_FAILED] = "failed"};
    const struct {
        const char *key;
        double value;
    } numbers[] = {{"prompt_tokens", (double)reply->n_prompt},
                   {"computed_tokens", (double)reply->n_computed},
                   {"generated_tokens", (double)reply->n_generated},
                   {"prompt_seconds", reply->prompt_seconds},
                   {"generation_seconds", reply->generation_seconds},
                   {"prompt_tok_s", prompt_rate(reply)},
                   {"generation_tok_s", generation_rate(reply)},
                   {"context_tokens", (double)qins_session_n_ctx(generator->place.session)},
                   {"threads", (double)qins_session_threads(generator->place.session)},
                   {"saturated", (double)qins_session_saturated(generator->place.session)},
                   {"peak_mib", (double)qins_memory_peak() / (1 << 20)}};
    qins_json_add_string(record, "finish_reason", reasons[reply->finish], error);
    if (reply->finish == QINS_FINISH_STOP_ID) qins_json_add_number(record, "stop_id", reply->stop_id, error);
    if (reply->finish == QINS_FINISH_STOP_TEXT) qins_json_add_string(record, "stop_text", reply->stop_text, error);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        qins_json_add_number(record, numbers[i].key, numbers[i].value, error);
    if (generator->options->sampling.sampler.temperature > 0) { // 64 bits, which not every reader's numbers hold
        char seed[24];
        snprintf(seed, sizeof seed, "%" PRIu64, generator->options->sampling.sampler.seed);
        qins_json_add_string(record, "seed", seed, error);
    }
}

void qins_statistics_print(const qins_generator *generator, const qins_reply *reply, qins_error *error) {
    if (generator->options->process.quiet) return;
    if (!generator->options->output.stats_json) {
        print_line(generator, reply);
        return;
    }
    qins_json *record = qins_json_new_object(error);
    qins_statistics_add(record, generator, reply, error);
    char *text = qins_json_print(record, error);
    if (text != NULL) fprintf(stderr, "%s\n", text);
    free(text);
    qins_json_free(record);
}
