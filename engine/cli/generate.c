// The generation loop; see generate.h.
#include "engine/cli/generate.h"

#include "engine/base/clock.h"
#include "engine/base/escape.h"
#include "engine/cli/output.h"
#include "engine/cli/setup.h"
#include "engine/cli/statistics.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

static void show_setup(const qins_options *options, const qins_image *image, qins_error *error) {
    const qins_config *config = &qins_image_header(image)->config;
    qins_memory_plan plan;
    if (qins_session_plan(config, qins_image_bytes(image), false, &options->session, &plan, error) == QINS_OK)
        qins_print_setup(options, config, &plan, stderr);
}

qins_status qins_generator_open(qins_generator *generator, qins_options *options, qins_model *model, qins_watch *watch,
                                qins_error *error) {
    *generator = (qins_generator){.options = options, .model = model, .watch = watch};
    if (!options->seed_given && getrandom(&options->sampler.seed, sizeof(uint32_t), 0) != sizeof(uint32_t))
        return qins_fail_errno(error, QINS_FAILED, "cannot get a random seed; give one with --seed");
    qins_watch_session(watch, &options->session, options->quiet);
    const size_t vocab_size = qins_image_header(model->image)->config.vocab_size;
    generator->sampler = qins_sampler_create(&options->sampler, vocab_size, error);
    if (error->status == QINS_OK && options->verbose) show_setup(options, model->image, error);
    if (error->status == QINS_OK) generator->session = qins_session_create(model->image, &options->session, error);
    qins_catch_interrupts(NULL); // a reply stops within a token
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

void qins_show_prompt(const qins_generator *generator, const qins_ids *ids, size_t first) {
    const qins_tokenizer *tokenizer = generator->model->tokenizer;
    for (size_t i = first; generator->options->verbose_prompt && i < ids->count; i++) {
        size_t size = 0;
        char text[256];
        const char *piece = tokenizer != NULL ? qins_tokenizer_piece(tokenizer, ids->data[i], &size) : NULL;
        fprintf(stderr, "%6zu  %6d  %s\n", i, ids->data[i], qins_escape(text, sizeof text, piece, size));
    }
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

static bool is_stop_id(const qins_config *config, int32_t id) {
    for (size_t i = 0; i < config->n_stop_ids; i++) {
        if (config->stop_ids[i] == id) return true;
    }
    return false;
}

// The loop itself: reply->end says why it ended.
static qins_status generate_tokens(qins_generator *generator, qins_output *output, qins_ids *ids, qins_reply *reply,
                                   qins_error *error) {
    qins_session *session = generator->session;
    const qins_config *config = qins_session_config(session);
    double start = qins_clock();
    for (;; reply->n_generated++) {
        reply->end = qins_interrupted ? QINS_END_INTERRUPTED : QINS_END_LENGTH;
        if (qins_interrupted || reply->n_generated == generator->options->n_predict) break;
        if (qins_session_sync(session, ids->data, ids->count, error) != QINS_OK) return error->status;
        qins_watch_end(generator->watch);
        if (reply->n_generated == 0) {
            reply->n_computed = qins_session_computed(session);
            reply->prompt_seconds = qins_clock() - start;
            start += reply->prompt_seconds;
        }
        const float *logits = qins_session_logits(session);
        const int32_t id = qins_sampler_next(generator->sampler, logits, ids->data, ids->count);
        if (is_stop_id(config, id)) {
            reply->end = QINS_END_STOP_ID;
            reply->stop_id = id;
            if (qins_ids_append(ids, id, error) != QINS_OK) return error->status;
            break;
        }
        reply->end = QINS_END_CONTEXT;
        if (ids->count == qins_session_n_ctx(session)) break;
        if (qins_ids_append(ids, id, error) != QINS_OK) return error->status;
        if (qins_output_push(output, id, logits, error) != QINS_OK) return error->status;
        if (output->stop_text.found != NULL) {
            reply->end = QINS_END_STOP_TEXT;
            reply->stop_text = output->stop_text.found;
            reply->n_generated++;
            break;
        }
    }
    reply->generation_seconds = qins_clock() - start;
    return QINS_OK;
}

qins_status qins_generate(qins_generator *generator, qins_ids *ids, qins_reply *reply, qins_error *error) {
    *reply = (qins_reply){.n_prompt = ids->count, .n_computed = ids->count};
    qins_output output;
    if (qins_output_open(&output, generator->options, generator->model, generator->is_chat, error) == QINS_OK) {
        qins_watch_begin(generator->watch, "prompt");
        generator->watch->column = output.is_terminal ? &output.wrap.column : NULL;
        generate_tokens(generator, &output, ids, reply, error);
        qins_watch_end(generator->watch);
        generator->watch->column = NULL;
        if (error->status == QINS_INTERRUPTED) {
            *error = (qins_error){0};
            reply->end = QINS_END_INTERRUPTED;
        }
        const qins_error failure = *error; // what was held back is shown all the same
        *error = (qins_error){0};
        qins_output_end(&output, error);
        if (failure.status != QINS_OK) *error = failure;
        if (error->status == QINS_OK && output.record != NULL) {
            qins_statistics_add(output.record, generator, reply, error);
            qins_output_print_record(&output, error);
        }
    }
    qins_output_close(&output);
    return error->status;
}
