// Generation; see generation.h. Events come from a small state machine: a token is chosen, its text is determined, and
// at the end the text that was held back follows, in at most two pieces.
#include "engine/runtime/generation.h"

#include "engine/base/memory.h"
#include "engine/runtime/logits.h"
#include "engine/runtime/sampler.h"
#include "engine/runtime/stop_text.h"

#include <stdlib.h>
#include <string.h>

enum phase {
    CHOOSE, // the next token is to be chosen, once its logits are available
    TEXT,   // the last token's text is to come
    ENDING, // the reply has ended, and the text that the stream holds back is to come
    HELD,   // then the text that may have begun a stop text
    ENDED
};

struct qins_generation {
    qins_session *session; // not owned
    qins_sampler *sampler;
    int32_t *ids; // [n_ctx + 1], a stop id may follow a full context
    size_t n_ids, n_prompt, n_generated, n_cached;
    size_t max_tokens;
    bool is_begun;            // the session has the ids
    qins_text_stream *stream; // NULL: the model has no tokenizer
    char *stops;              // the stop texts, each with its NUL
    const char **stop_list;   // [n_stops]
    qins_stop_text stop_text;
    bool wants_logprobs;
    int32_t *best;       // [n_top]
    qins_candidate *top; // [n_top]
    size_t n_top;
    enum phase phase;
    qins_finish finish;
    int32_t stop_id;
    atomic_bool cancelled;
};

qins_generation_options qins_generation_defaults(void) {
    return (qins_generation_options){.max_tokens = SIZE_MAX, .sampler = qins_sampler_defaults()};
}

// --- creation ---

qins_status qins_generation_check_room(const qins_session *session, size_t n_ids, size_t max_tokens,
                                       qins_error *error) {
    const size_t n_ctx = qins_session_n_ctx(session), wanted = max_tokens != SIZE_MAX ? max_tokens : 1;
    if (n_ids <= n_ctx && wanted <= n_ctx - n_ids) return QINS_OK;
    return qins_fail(error, QINS_CONTEXT_OVERFLOW,
                     "%zu tokens of prompt and %zu to generate do not fit into the context of %zu; "
                     "shorten the prompt, ask for fewer tokens or give a longer context",
                     n_ids, wanted, n_ctx);
}

static qins_status copy_stops(qins_generation *generation, const qins_generation_options *options, qins_error *error) {
    size_t bytes = 0;
    for (size_t i = 0; i < options->n_stops; i++) {
        if (options->stops[i][0] == '\0') return qins_fail(error, QINS_USAGE, "stop text %zu is empty", i + 1);
        bytes += strlen(options->stops[i]) + 1;
    }
    generation->stops = qins_alloc(bytes, 1, "stop texts", error);
    generation->stop_list = qins_alloc(options->n_stops, sizeof *generation->stop_list, "stop texts", error);
    if (error->status != QINS_OK) return error->status;
    char *next = generation->stops;
    for (size_t i = 0; i < options->n_stops; i++) {
        const size_t size = strlen(options->stops[i]) + 1;
        generation->stop_list[i] = memcpy(next, options->stops[i], size);
        next += size;
    }
    generation->stop_text = (qins_stop_text){.stops = generation->stop_list, .n_stops = options->n_stops};
    return QINS_OK;
}

static qins_status make_parts(qins_generation *generation, const qins_generation_options *options, qins_error *error) {
    const qins_session *session = generation->session;
    const qins_model *model = session->model;
    const size_t vocab_size = qins_model_vocab_size(model);
    if (options->n_ids == 0) return qins_fail(error, QINS_USAGE, "the prompt is empty; at least one token is needed");
    if (qins_generation_check_room(session, options->n_ids, options->max_tokens, error) != QINS_OK ||
        qins_session_check_ids(session, options->ids, options->n_ids, error) != QINS_OK)
        return error->status;
    generation->max_tokens = options->max_tokens;
    generation->wants_logprobs = options->wants_logprobs;
    generation->n_top = options->n_top < vocab_size ? options->n_top : vocab_size;
    generation->n_ids = generation->n_prompt = options->n_ids;
    generation->sampler = qins_sampler_create(&options->sampler, options->biases, options->n_biases, vocab_size, error);
    if (error->status != QINS_OK || copy_stops(generation, options, error) != QINS_OK) return error->status;
    generation->ids = qins_alloc(qins_session_n_ctx(session) + 1, sizeof *generation->ids, "token ids", error);
    generation->best = qins_alloc(generation->n_top, sizeof *generation->best, "list of the best tokens", error);
    generation->top = qins_alloc(generation->n_top, sizeof *generation->top, "list of the best tokens", error);
    if (model->tokenizer != NULL) generation->stream = qins_text_stream_create(model->tokenizer, true, error);
    if (error->status != QINS_OK) return error->status;
    memcpy(generation->ids, options->ids, options->n_ids * sizeof *options->ids);
    if (generation->stream != NULL) qins_text_stream_follow(generation->stream, options->ids[options->n_ids - 1]);
    return QINS_OK;
}

qins_generation *qins_generation_create(qins_session *session, const qins_generation_options *options,
                                        qins_error *error) {
    qins_generation *generation = qins_alloc(1, sizeof *generation, "generation", error);
    if (generation == NULL) return NULL;
    generation->session = session;
    if (make_parts(generation, options, error) == QINS_OK) return generation;
    qins_generation_free(generation);
    return NULL;
}

void qins_generation_free(qins_generation *generation) {
    if (generation == NULL) return;
    qins_sampler_free(generation->sampler);
    qins_text_stream_free(generation->stream);
    qins_stop_text_free(&generation->stop_text);
    free(generation->stop_list);
    free(generation->stops);
    free(generation->top);
    free(generation->best);
    free(generation->ids);
    free(generation);
}

// --- properties ---

void qins_generation_cancel(qins_generation *generation) {
    atomic_store(&generation->cancelled, true);
}

size_t qins_generation_cached(const qins_generation *generation) {
    return generation->n_cached;
}

size_t qins_generation_count(const qins_generation *generation) {
    return generation->n_generated;
}

const int32_t *qins_generation_ids(const qins_generation *generation, size_t *n_ids) {
    *n_ids = generation->n_ids;
    return generation->ids;
}

// --- events ---

static void end(qins_generation *generation, qins_finish finish) {
    generation->finish = finish;
    generation->phase = generation->stop_text.found == NULL ? ENDING : ENDED;
}

static bool is_stop_id(const qins_config *config, int32_t id) {
    for (size_t i = 0; i < config->n_stop_ids; i++)
        if (config->stop_ids[i] == id) return true;
    return false;
}

// Tell the session about the ids, unless it knows them and the logits are available or pending.
static qins_status begin(qins_generation *generation, qins_error *error) {
    qins_session *session = generation->session;
    if (generation->is_begun && (qins_session_pending(session) > 0 || session->has_logits)) return QINS_OK;
    if (qins_session_begin(session, generation->ids, generation->n_ids, error) != QINS_OK) return error->status;
    if (generation->n_generated == 0) generation->n_cached = generation->n_ids - qins_session_pending(session);
    generation->is_begun = true;
    return QINS_OK;
}

static void fill_logprobs(qins_generation *generation, qins_event *event, const float *logits) {
    const size_t vocab_size = qins_model_vocab_size(generation->session->model);
    const double lse = qins_log_sum_exp(logits, vocab_size);
    event->token.logprob = (double)logits[event->token.id] - lse;
    event->n_top = qins_find_top(logits, vocab_size, generation->n_top, generation->best);
    event->top = generation->top;
    for (size_t i = 0; i < event->n_top; i++) {
        const int32_t id = generation->best[i];
        generation->top[i] = (qins_candidate){id, (double)logits[id] - lse};
    }
}

// Choose a token, or find that the reply has ended. True: there is an event.
static bool choose(qins_generation *generation, qins_event *event, qins_error *error) {
    qins_session *session = generation->session;
    const qins_text_so_far text = {generation->ids, generation->n_ids, generation->n_prompt};
    if (qins_session_check(session, session->logits, generation->n_ids - 1, error) != QINS_OK) return false;
    const int32_t id = qins_sampler_next(generation->sampler, session->logits, &text);
    if (is_stop_id(qins_session_config(session), id)) {
        generation->stop_id = generation->ids[generation->n_ids++] = id;
        end(generation, QINS_FINISH_STOP_ID);
        return false;
    }
    if (generation->n_ids == qins_session_n_ctx(session)) {
        end(generation, QINS_FINISH_CONTEXT);
        return false;
    }
    *event = (qins_event){.kind = QINS_EVENT_TOKEN, .token.id = id};
    if (generation->wants_logprobs) fill_logprobs(generation, event, session->logits);
    generation->ids[generation->n_ids++] = id;
    generation->n_generated++;
    generation->is_begun = false;
    generation->phase = generation->stream != NULL ? TEXT : CHOOSE;
    return true;
}

static bool next_token(qins_generation *generation, qins_event *event, qins_error *error) {
    if (atomic_load(&generation->cancelled)) {
        end(generation, QINS_FINISH_CANCELLED);
    } else if (generation->n_generated == generation->max_tokens) {
        end(generation, QINS_FINISH_LENGTH);
    } else if (begin(generation, error) == QINS_OK) {
        if (qins_session_pending(generation->session) == 0) return choose(generation, event, error);
        *event = (qins_event){.kind = QINS_EVENT_WAIT};
        return true;
    }
    return false;
}

// An event for the part of a text that can be shown; false if that is empty.
static bool show(qins_event *event, const char *text, size_t size) {
    *event = (qins_event){.kind = QINS_EVENT_TEXT, .text = text, .size = size};
    return size > 0;
}

// The text of the last token, and whether it ends the reply.
static bool token_text(qins_generation *generation, qins_event *event, qins_error *error) {
    const char *text;
    size_t size;
    generation->phase = CHOOSE;
    if (qins_text_stream_push(generation->stream, generation->ids[generation->n_ids - 1], &text, &size, error) !=
            QINS_OK ||
        qins_stop_text_push(&generation->stop_text, text, size, &text, &size) != QINS_OK)
        return false;
    if (generation->stop_text.found != NULL) end(generation, QINS_FINISH_STOP_TEXT);
    return show(event, text, size);
}

// A stop text in the held-back text has cut the text, whatever ended the tokens.
static void note_stop_text(qins_generation *generation) {
    const bool is_whole = generation->finish != QINS_FINISH_CANCELLED && generation->finish != QINS_FINISH_FAILED;
    if (!is_whole || generation->stop_text.found == NULL) return;
    generation->n_ids -= generation->finish == QINS_FINISH_STOP_ID;
    generation->finish = QINS_FINISH_STOP_TEXT;
}

static bool last_text(qins_generation *generation, qins_event *event, qins_error *error) {
    const char *text;
    size_t size;
    generation->phase = generation->stream != NULL ? HELD : ENDED;
    if (generation->stream == NULL || qins_text_stream_finish(generation->stream, &text, &size, error) != QINS_OK ||
        qins_stop_text_push(&generation->stop_text, text, size, &text, &size) != QINS_OK)
        return false;
    note_stop_text(generation);
    return show(event, text, size);
}

static bool held_text(qins_generation *generation, qins_event *event) {
    const char *text;
    size_t size;
    generation->phase = ENDED;
    qins_stop_text_finish(&generation->stop_text, &text, &size);
    note_stop_text(generation);
    return show(event, text, size);
}

static bool tell_end(const qins_generation *generation, qins_event *event) {
    *event = (qins_event){.kind = QINS_EVENT_END, .finish = generation->finish, .stop_id = -1};
    if (generation->finish == QINS_FINISH_STOP_ID) event->stop_id = generation->stop_id;
    if (generation->finish == QINS_FINISH_STOP_TEXT) event->stop_text = generation->stop_text.found;
    return true;
}

qins_status qins_generation_poll(qins_generation *generation, qins_event *event, qins_error *error) {
    generation->stop_text.held.error = error;
    for (bool is_told = false; !is_told && error->status == QINS_OK;) {
        switch (generation->phase) {
        case CHOOSE:
            is_told = next_token(generation, event, error);
            break;
        case TEXT:
            is_told = token_text(generation, event, error);
            break;
        case ENDING:
            is_told = last_text(generation, event, error);
            break;
        case HELD:
            is_told = held_text(generation, event);
            break;
        case ENDED:
            is_told = tell_end(generation, event);
            break;
        }
    }
    if (error->status != QINS_OK && generation->phase < ENDING) end(generation, QINS_FINISH_FAILED);
    return error->status;
}

qins_status qins_generation_next(qins_generation *generation, qins_event *event, qins_error *error) {
    while (qins_generation_poll(generation, event, error) == QINS_OK && event->kind == QINS_EVENT_WAIT) {
        generation->session->cancelled = &generation->cancelled;
        qins_session_advance(generation->session, NULL, error);
        generation->session->cancelled = NULL;
        if (error->status == QINS_INTERRUPTED) { // by a cancellation or the session's observer
            *error = (qins_error){0};
            qins_generation_cancel(generation);
        } else if (error->status != QINS_OK) {
            end(generation, QINS_FINISH_FAILED);
            break;
        }
    }
    return error->status;
}
