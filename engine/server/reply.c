// Replies; see reply.h.
#include "engine/server/reply.h"

#include "engine/runtime/model.h"
#include "engine/server/logprobs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

qins_status qins_reply_begin(qins_reply *reply, const qins_request *request, const qins_model *model, const char *alias,
                             qins_error *error) {
    *reply = (qins_reply){.request = request, .model = model, .alias = alias, .created = (int64_t)time(NULL)};
    uint64_t number;
    if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number)
        return qins_fail_errno(error, QINS_FAILED, "cannot get a random number");
    snprintf(reply->id, sizeof reply->id, "%s-%016" PRIx64, request->kind == QINS_CHAT_REQUEST ? "chatcmpl" : "cmpl",
             number);
    return qins_logprobs_begin(reply, error);
}

void qins_reply_free(qins_reply *reply) {
    qins_buffer_free(&reply->text);
    for (size_t i = 0; i < QINS_LOGPROB_LISTS; i++) qins_buffer_free(&reply->lists[i]);
    qins_text_stream_free(reply->texts);
}

// --- parts ---

static bool is_chat(const qins_reply *reply) {
    return reply->request->kind == QINS_CHAT_REQUEST;
}

static void add_usage(qins_json *object, const qins_job *job, qins_error *error) {
    const size_t n_prompt = job->generation.n_ids;
    qins_json *usage = qins_json_add_object(object, "usage", error);
    qins_json_add_number(usage, "prompt_tokens", (double)n_prompt, error);
    qins_json_add_number(usage, "completion_tokens", (double)job->n_generated, error);
    qins_json_add_number(usage, "total_tokens", (double)(n_prompt + job->n_generated), error);
    qins_json *details = qins_json_add_object(usage, "prompt_tokens_details", error);
    qins_json_add_number(details, "cached_tokens", (double)job->n_cached, error);
}

// Milliseconds, each and in all, and their inverse.
static void add_phase(qins_json *timings, const char *name, size_t n, double seconds, qins_error *error) {
    const struct {
        const char *suffix;
        double value;
    } numbers[] = {{"_n", (double)n},
                   {"_ms", 1e3 * seconds},
                   {"_per_token_ms", n > 0 ? 1e3 * seconds / (double)n : 0},
                   {"_per_second", seconds > 0 ? (double)n / seconds : 0}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        char key[64];
        snprintf(key, sizeof key, "%s%s", name, numbers[i].suffix);
        qins_json_add_number(timings, key, numbers[i].value, error);
    }
}

// With llama-server's names. The first token comes with the prompt's last step.
static void add_timings(qins_json *object, const qins_job *job, qins_error *error) {
    const qins_job_times *times = &job->times;
    qins_json *timings = qins_json_add_object(object, "timings", error);
    const double first = times->first > 0 ? times->first : times->ended;
    qins_json_add_number(timings, "queue_ms", 1e3 * (times->started - times->submitted), error);
    qins_json_add_number(timings, "cache_n", (double)job->n_cached, error);
    add_phase(timings, "prompt", job->generation.n_ids - job->n_cached, first - times->started, error);
    add_phase(timings, "predicted", job->n_generated, times->ended - first, error);
}

// The object around a choice. NULL `finish`: the reply goes on.
static qins_json *new_object(const qins_reply *reply, qins_error *error) {
    static const char *const kinds[][2] = {[QINS_CHAT_REQUEST] = {"chat.completion", "chat.completion.chunk"},
                                           [QINS_TEXT_REQUEST] = {"text_completion", "text_completion"}};
    qins_json *object = qins_json_new_object(error);
    qins_json_add_string(object, "id", reply->id, error);
    qins_json_add_string(object, "object", kinds[reply->request->kind][reply->request->stream], error);
    qins_json_add_number(object, "created", (double)reply->created, error);
    qins_json_add_string(object, "model", reply->alias, error);
    qins_json_add_string(object, "system_fingerprint", qins_version(), error);
    return object;
}

// A choice with the text and log-probabilities that have not been handed on; `finish` is NULL while the reply goes on.
static void add_choice(qins_reply *reply, qins_json *object, const char *finish, qins_error *error) {
    const char *text = reply->text.size > 0 ? (const char *)reply->text.data : "";
    qins_json *choice = qins_json_append_object(qins_json_add_array(object, "choices", error), error), *place = choice;
    qins_json_add_number(choice, "index", 0, error);
    if (is_chat(reply)) place = qins_json_add_object(choice, reply->request->stream ? "delta" : "message", error);
    if (is_chat(reply) && !reply->has_begun) qins_json_add_string(place, "role", "assistant", error);
    if (reply->text.size > 0 || !reply->request->stream || !is_chat(reply) || !reply->has_begun)
        qins_json_add_text(place, is_chat(reply) ? "content" : "text", text, reply->text.size, error);
    qins_logprobs_take(reply, choice, error);
    if (finish != NULL)
        qins_json_add_string(choice, "finish_reason", finish, error);
    else
        qins_json_add_null(choice, "finish_reason", error);
    reply->text.size = 0;
    reply->has_begun = true;
}

// --- output ---

static void append_text(qins_buffer *out, const char *text) {
    qins_buffer_append(out, text, strlen(text));
}

// Append an object, which is released.
static void print(const qins_reply *reply, qins_json *object, qins_buffer *out) {
    char *text = qins_json_print(object, out->error);
    if (text != NULL) {
        if (reply->request->stream) append_text(out, "data: ");
        append_text(out, text);
        append_text(out, reply->request->stream ? "\n\n" : "\n");
    }
    free(text);
    qins_json_free(object);
}

// The output so far, as a chunk of a stream.
static void add_chunk(qins_reply *reply, qins_buffer *out) {
    qins_json *chunk = new_object(reply, out->error);
    add_choice(reply, chunk, NULL, out->error);
    if (reply->request->include_usage) qins_json_add_null(chunk, "usage", out->error);
    print(reply, chunk, out);
}

static const char *finish_reason(qins_finish finish) {
    return finish == QINS_FINISH_STOP_ID || finish == QINS_FINISH_STOP_TEXT ? "stop" : "length";
}

static void add_end(qins_reply *reply, qins_finish finish, const qins_job *job, qins_buffer *out) {
    const qins_request *request = reply->request;
    qins_error *error = out->error;
    if (request->stream && !reply->has_begun) add_chunk(reply, out);
    qins_json *last = new_object(reply, error);
    add_choice(reply, last, finish_reason(finish), error);
    if (!request->stream)
        add_usage(last, job, error);
    else if (request->include_usage)
        qins_json_add_null(last, "usage", error);
    add_timings(last, job, error);
    print(reply, last, out);
    if (!request->stream) return;
    if (request->include_usage) {
        qins_json *usage = new_object(reply, error);
        qins_json_add_array(usage, "choices", error);
        add_usage(usage, job, error);
        print(reply, usage, out);
    }
    append_text(out, "data: [DONE]\n\n");
}

qins_status qins_reply_add(qins_reply *reply, const qins_event *event, const qins_job *job, qins_buffer *out) {
    reply->text.error = out->error;
    if (event->kind == QINS_EVENT_TOKEN && reply->request->generation.wants_logprobs)
        qins_logprobs_add(reply, event, out->error);
    if (event->kind == QINS_EVENT_TEXT) {
        qins_buffer_append(&reply->text, event->text, event->size);
        if (reply->request->stream) add_chunk(reply, out);
    }
    if (event->kind == QINS_EVENT_END) add_end(reply, event->finish, job, out);
    return out->error->status;
}

void qins_reply_break(qins_reply *reply, const qins_error *reason, qins_buffer *out) {
    qins_refusal refusal = {0};
    qins_refuse(&refusal, 500, NULL, NULL, "%s", reason->message);
    if (reply->request->stream) append_text(out, "data: ");
    qins_refusal_print(&refusal, out);
    if (reply->request->stream) append_text(out, "\ndata: [DONE]\n\n");
}
