// qinsrun batch: requests from standard input, a line of JSON each, replies in their order to standard output. As many
// as fit run together.
#include "engine/cli/confine.h"
#include "engine/cli/lines.h"
#include "engine/cli/serving.h"

#include "engine/base/buffer.h"
#include "engine/base/file.h"
#include "engine/base/memory.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// A request in progress, or the reason why it was refused.
struct entry {
    qins_answer *answer; // NULL: refused
    qins_refusal refusal;
};

struct batch {
    qins_service *service;
    struct entry *ring; // [capacity]
    size_t capacity, first, count;
    size_t n_skipped, n_done, n_refused;
    qins_meter meter;
    qins_lines lines;
};

// --- requests ---

static qins_request_kind kind_of(const char *line, size_t size) {
    qins_error ignored = {0};
    qins_json *json = qins_json_parse_limited(line, size, QINS_MAX_BODY_VALUES, QINS_USAGE, &ignored);
    const bool is_text = qins_json_get(json, "prompt") != NULL && qins_json_get(json, "messages") == NULL;
    qins_json_free(json);
    return is_text ? QINS_TEXT_REQUEST : QINS_CHAT_REQUEST;
}

static void submit(struct batch *batch, const char *line, size_t size) {
    struct entry *entry = &batch->ring[(batch->first + batch->count++) % batch->capacity];
    *entry = (struct entry){0};
    if (size > QINS_MAX_BODY_BYTES)
        qins_refuse(&entry->refusal, 413, NULL, NULL, "the request has more than %d bytes", QINS_MAX_BODY_BYTES);
    else
        entry->answer = qins_answer_begin(batch->service, kind_of(line, size), line, size, NULL, &entry->refusal);
    if (entry->answer == NULL || !qins_answer_is_stream(entry->answer)) return;
    qins_answer_free(entry->answer);
    entry->answer = NULL;
    qins_refuse(&entry->refusal, 400, "unsupported_value", "stream", "replies of a batch come in one piece");
}

// The next line that is not blank; false at the end of the input, after an interrupt, and at an error.
static bool read_request(struct batch *batch, const char **line, size_t *size, qins_error *error) {
    while (qins_lines_next(&batch->lines, line, size, error)) {
        while (*size > 0 && strchr(" \t\r", (*line)[*size - 1]) != NULL) --*size;
        if (*size > 0) return true;
    }
    return false;
}

// --- replies ---

static qins_status print_refusal(const qins_refusal *refusal, qins_error *error) {
    qins_buffer out = {.error = error};
    qins_refusal_print(refusal, &out);
    if (error->status == QINS_OK) qins_print(out.data, out.size, error);
    qins_buffer_free(&out);
    return error->status;
}

static qins_status print_answer(const qins_model *model, qins_answer *answer, qins_error *error) {
    char block[1 << 14];
    size_t size;
    qins_model_check(model, error);
    while (error->status == QINS_OK && qins_answer_take(answer, block, sizeof block, &size) == QINS_ANSWER_FLOWS)
        qins_print(block, size, error);
    return error->status;
}

static qins_status fail_interrupted(const struct batch *batch, qins_error *error) {
    return qins_fail(error, QINS_INTERRUPTED, "interrupted; replies printed: %zu; continue with --skip-done",
                     batch->n_done);
}

// Print the oldest reply, waiting for it until an interrupt; after one, only complete replies are printed. A line is
// written whole, so that --skip-done can count it.
static qins_status print_first(struct batch *batch, qins_error *error) {
    struct entry *entry = &batch->ring[batch->first];
    if (entry->answer != NULL && !qins_answer_wait(entry->answer, &qins_interrupted))
        return fail_interrupted(batch, error);
    batch->first = (batch->first + 1) % batch->capacity;
    batch->count--;
    if (entry->answer != NULL)
        print_answer(qins_service_model(batch->service), entry->answer, error);
    else
        print_refusal(&entry->refusal, error);
    batch->n_refused += entry->answer == NULL || qins_answer_status(entry->answer) != 200;
    qins_answer_free(entry->answer);
    if (error->status != QINS_OK || qins_flush(error) != QINS_OK) return error->status;
    batch->n_done++;
    qins_meter_update(&batch->meter, batch->n_done, batch->n_done + batch->count);
    return QINS_OK;
}

// A client that writes its next request only after reading a reply must get that reply.
static void print_complete(void *context, qins_error *error) {
    static const volatile sig_atomic_t at_once = true;
    struct batch *batch = context;
    while (batch->count > 0 && error->status == QINS_OK) {
        const struct entry *entry = &batch->ring[batch->first];
        if (entry->answer != NULL && !qins_answer_wait(entry->answer, &at_once)) return;
        print_first(batch, error);
    }
}

// --- replies of an earlier run ---

static size_t count_lines(const char *path, qins_error *error) {
    size_t size, n = 0;
    char *text = qins_file_read_all(path, SIZE_MAX / 2, &size, QINS_USAGE, error);
    if (text == NULL) return 0;
    for (size_t i = 0; i < size; i++) n += text[i] == '\n';
    if (size > 0 && text[size - 1] != '\n')
        qins_fail(error, QINS_USAGE, "%s ends with an incomplete line; remove that first: sed -i '$d' FILE", path);
    free(text);
    return n;
}

static qins_status run(struct batch *batch, const qins_options *options, qins_error *error) {
    const char *line;
    size_t size, n_skip = options->server.skip_done != NULL ? count_lines(options->server.skip_done, error) : 0;
    while (error->status == QINS_OK && read_request(batch, &line, &size, error)) {
        if (batch->n_skipped < n_skip) {
            batch->n_skipped++;
            continue;
        }
        if (batch->count == batch->capacity && print_first(batch, error) != QINS_OK) break;
        submit(batch, line, size);
    }
    while (error->status == QINS_OK && batch->count > 0) print_first(batch, error);
    if (error->status == QINS_OK && qins_interrupted && !batch->lines.is_at_end) fail_interrupted(batch, error);
    while (batch->count > 0) { // after a failure: the rest is not needed
        qins_answer_free(batch->ring[batch->first].answer);
        batch->first = (batch->first + 1) % batch->capacity;
        batch->count--;
    }
    if (error->status == QINS_OK && batch->n_skipped < n_skip)
        return qins_fail(error, QINS_USAGE, "%s has %zu replies, but there are only %zu requests",
                         options->server.skip_done, n_skip, batch->n_skipped);
    return error->status;
}

qins_status qins_cmd_batch(const qins_options *options, qins_error *error) {
    qins_serving serving = {0};
    qins_options own = *options;
    own.server.queue = options->server.parallel; // so a free slot never waits for a request
    if (qins_confine(options, 0, error) == QINS_OK && qins_serving_open(&serving, &own, error) == QINS_OK) {
        struct batch batch = {.service = serving.service, .capacity = own.server.parallel + own.server.queue};
        batch.ring = qins_alloc(batch.capacity, sizeof *batch.ring, "batch", error);
        batch.lines.on_idle = print_complete;
        batch.lines.context = &batch;
        batch.meter = qins_meter_start(options->process.quiet ? NULL : "replies", "", 1, &qins_interrupted);
        if (batch.ring != NULL) run(&batch, options, error);
        qins_meter_end(&batch.meter);
        if (!options->process.quiet && error->status == QINS_OK)
            fprintf(stderr, "qinsrun: replies: %zu, %zu of them errors\n", batch.n_done, batch.n_refused);
        qins_lines_free(&batch.lines);
        free(batch.ring);
    }
    qins_serving_close(&serving);
    return error->status;
}
