// The generation loop; see generate.h.
#include "engine/cli/generate.h"

#include "engine/base/clock.h"
#include "engine/cli/stop_text.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

qins_status qins_generator_open(qins_generator *generator, qins_options *options, qins_model *model, qins_watch *watch,
                                qins_error *error) {
    *generator = (qins_generator){.options = options, .model = model, .watch = watch};
    if (!options->seed_given && getrandom(&options->sampler.seed, sizeof(uint32_t), 0) != sizeof(uint32_t))
        return qins_fail_errno(error, QINS_FAILED, "cannot get a random seed; give one with --seed");
    qins_watch_session(watch, &options->session);
    const size_t vocab_size = qins_image_header(model->image)->config.vocab_size;
    generator->sampler = qins_sampler_create(&options->sampler, vocab_size, error);
    if (error->status == QINS_OK) generator->session = qins_session_create(model->image, &options->session, error);
    return error->status;
}

void qins_generator_close(qins_generator *generator) {
    qins_session_free(generator->session);
    qins_sampler_free(generator->sampler);
    *generator = (qins_generator){0};
}

qins_status qins_encode_turn(const qins_options *options, const qins_model *model, const char *system, const char *text,
                             size_t size, qins_ids *ids, qins_error *error) {
    const qins_tokenizer *tokenizer = qins_model_tokenizer(model, error);
    if (tokenizer == NULL) return error->status;
    if (model->chat_template == QINS_CHAT_NONE)
        return qins_fail(error, QINS_USAGE, "this model has no chat template that is known here; use --raw");
    qins_message messages[2];
    size_t n_messages = 0;
    if (system != NULL) messages[n_messages++] = (qins_message){"system", system, strlen(system)};
    messages[n_messages++] = (qins_message){"user", text, size};
    return qins_chat_encode(tokenizer, model->chat_template, messages, n_messages, true, options->parse_special, ids,
                            error);
}

qins_status qins_check_room(const qins_generator *generator, size_t n_tokens, qins_error *error) {
    const size_t n_ctx = qins_session_n_ctx(generator->session);
    const qins_options *options = generator->options;
    size_t wanted = options->n_predict != SIZE_MAX ? options->n_predict : 1;
    if (n_tokens + wanted <= n_ctx) return QINS_OK;
    return qins_fail(error, QINS_CONTEXT_OVERFLOW,
                     "%zu tokens of prompt and %zu to generate do not fit into the context of %zu; "
                     "shorten the prompt, lower -n or raise -c",
                     n_tokens, wanted, n_ctx);
}

// The reply's way to stdout: ids or text, the text through the stop texts.
struct printer {
    const qins_options *options;
    qins_text_stream *stream; // NULL: print ids
    qins_stop_text stop_text;
    bool first;
};

static qins_status printer_open(struct printer *printer, const qins_generator *generator, qins_error *error) {
    const qins_options *options = generator->options;
    *printer = (struct printer){.options = options, .first = true};
    printer->stop_text = (qins_stop_text){.stops = options->stops, .n_stops = options->n_stops, .held.error = error};
    if (options->ids_out) return QINS_OK;
    const qins_tokenizer *tokenizer = qins_model_tokenizer(generator->model, error);
    if (tokenizer != NULL) printer->stream = qins_text_stream_create(tokenizer, true, error);
    return error->status;
}

static void printer_close(struct printer *printer) {
    qins_text_stream_free(printer->stream);
    qins_stop_text_free(&printer->stop_text);
}

static qins_status print_id(struct printer *printer, int32_t id, qins_error *error) {
    qins_printf(error, printer->first ? "%d" : " %d", id);
    printer->first = false;
    return qins_flush(error);
}

static qins_status print_token(struct printer *printer, int32_t id, qins_error *error) {
    if (printer->stream == NULL) return print_id(printer, id, error);
    const char *text, *shown;
    size_t size, shown_size;
    if (qins_text_stream_push(printer->stream, id, &text, &size, error) != QINS_OK) return error->status;
    if (qins_stop_text_push(&printer->stop_text, text, size, &shown, &shown_size) != QINS_OK) return error->status;
    qins_print(shown, shown_size, error);
    return qins_flush(error);
}

// Print what was held back and the newline that ends the output.
static qins_status print_end(struct printer *printer, qins_error *error) {
    const char *text, *shown;
    size_t size, shown_size;
    if (printer->stream != NULL && printer->stop_text.found == NULL) {
        if (qins_text_stream_finish(printer->stream, &text, &size, error) != QINS_OK) return error->status;
        if (qins_stop_text_push(&printer->stop_text, text, size, &shown, &shown_size) != QINS_OK) return error->status;
        qins_print(shown, shown_size, error);
        qins_stop_text_finish(&printer->stop_text, &shown, &shown_size);
        qins_print(shown, shown_size, error);
    }
    qins_print("\n", 1, error);
    return qins_flush(error);
}

static bool is_stop_id(const qins_config *config, int32_t id) {
    for (size_t i = 0; i < config->n_stop_ids; i++) {
        if (config->stop_ids[i] == id) return true;
    }
    return false;
}

// The loop itself: reply->end says why it ended.
static qins_status generate_tokens(qins_generator *generator, struct printer *printer, qins_ids *ids, qins_reply *reply,
                                   qins_error *error) {
    qins_session *session = generator->session;
    const qins_config *config = qins_session_config(session);
    double start = qins_clock();
    for (;; reply->n_generated++) {
        reply->end = qins_interrupted ? QINS_END_INTERRUPTED : QINS_END_LENGTH;
        if (qins_interrupted || reply->n_generated == generator->options->n_predict) break;
        if (qins_session_sync(session, ids->data, ids->count, error) != QINS_OK) return error->status;
        if (reply->n_generated == 0) {
            qins_meter_end(&generator->watch->meter);
            reply->n_computed = qins_session_computed(session);
            reply->prompt_seconds = qins_clock() - start;
            start += reply->prompt_seconds;
        }
        int32_t id = qins_sampler_next(generator->sampler, qins_session_logits(session), ids->data, ids->count);
        if (is_stop_id(config, id)) {
            reply->end = QINS_END_STOP_ID;
            reply->stop_id = id;
            if (qins_ids_append(ids, id, error) != QINS_OK) return error->status;
            break;
        }
        reply->end = QINS_END_CONTEXT;
        if (ids->count == qins_session_n_ctx(session)) break;
        if (qins_ids_append(ids, id, error) != QINS_OK) return error->status;
        if (print_token(printer, id, error) != QINS_OK) return error->status;
        if (printer->stop_text.found != NULL) {
            reply->end = QINS_END_STOP_TEXT;
            reply->stop_text = printer->stop_text.found;
            reply->n_generated++;
            break;
        }
    }
    reply->generation_seconds = qins_clock() - start;
    return QINS_OK;
}

qins_status qins_generate(qins_generator *generator, qins_ids *ids, qins_reply *reply, qins_error *error) {
    *reply = (qins_reply){.n_prompt = ids->count, .n_computed = ids->count};
    struct printer printer;
    if (printer_open(&printer, generator, error) == QINS_OK) {
        generator->watch->meter = qins_meter_start("prompt", "tok", 1, &qins_interrupted);
        generate_tokens(generator, &printer, ids, reply, error);
        qins_meter_end(&generator->watch->meter);
        if (error->status == QINS_INTERRUPTED) {
            *error = (qins_error){0};
            reply->end = QINS_END_INTERRUPTED;
        }
        if (error->status == QINS_OK || reply->n_generated > 0) print_end(&printer, error);
    }
    printer_close(&printer);
    return error->status;
}

static double rate(size_t n, double seconds) {
    return seconds > 0 ? (double)n / seconds : 0;
}

void qins_print_statistics(const qins_generator *generator, const qins_reply *reply) {
    const qins_tokenizer *tokenizer = generator->model->tokenizer;
    // The first generated token comes with the prompt's pass; the others are what the generation time was spent on.
    size_t timed = reply->n_generated > 0 ? reply->n_generated - (reply->end != QINS_END_STOP_ID) : 0;
    fprintf(stderr, "qinsrun: prompt %zu tokens", reply->n_prompt);
    if (reply->n_computed < reply->n_prompt)
        fprintf(stderr, " (%zu from the cache)", reply->n_prompt - reply->n_computed);
    fprintf(stderr, ", %.1f tok/s; reply %zu tokens, %.1f tok/s; ", rate(reply->n_computed, reply->prompt_seconds),
            reply->n_generated, rate(timed, reply->generation_seconds));
    size_t size = 0;
    const char *piece = NULL;
    switch (reply->end) {
    case QINS_END_STOP_ID:
        if (tokenizer != NULL) piece = qins_tokenizer_piece(tokenizer, reply->stop_id, &size);
        fprintf(stderr, "ended by %.*s (%d)", (int)size, piece == NULL ? "" : piece, reply->stop_id);
        break;
    case QINS_END_STOP_TEXT:
        fprintf(stderr, "ended by --stop %s", reply->stop_text);
        break;
    case QINS_END_LENGTH:
        fprintf(stderr, "ended by -n");
        break;
    case QINS_END_CONTEXT:
        fprintf(stderr, "ended because the context is full");
        break;
    case QINS_END_INTERRUPTED:
        fprintf(stderr, "interrupted");
        break;
    }
    fprintf(stderr, "; context %zu of %zu; %zu threads", reply->n_prompt + reply->n_generated,
            qins_session_n_ctx(generator->session), qins_session_threads(generator->session));
    if (generator->options->sampler.temperature > 0)
        fprintf(stderr, "; seed %llu", (unsigned long long)generator->options->sampler.seed);
    size_t saturated = qins_session_saturated(generator->session);
    if (saturated > 0)
        fprintf(stderr, "; %zu cached values clamped to FP16's range (--kv-k f32 and --kv-v f32 keep them)", saturated);
    fputc('\n', stderr);
}
