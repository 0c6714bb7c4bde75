// The generation loop; see generate.h.
#include "engine/cli/generate.h"

#include "engine/base/clock.h"
#include "engine/base/escape.h"
#include "engine/cli/output.h"
#include "engine/cli/setup.h"
#include "engine/cli/statistics.h"
#include "engine/runtime/generation.h"
#include "engine/runtime/sampler.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

static void show_setup(const qins_options *options, const qins_model *model, qins_error *error) {
    const qins_plan_request request = {.config = qins_model_config(model),
                                       .file_bytes = qins_image_bytes(model->image),
                                       .n_threads = options->process.n_threads,
                                       .session = &options->session};
    qins_memory_plan plan;
    if (qins_plan_memory(&request, &plan, error) == QINS_OK)
        qins_print_setup(options, qins_model_config(model), &plan, stderr);
}

qins_status qins_generator_open(qins_generator *generator, qins_options *options, const qins_model *model,
                                qins_watch *watch, qins_error *error) {
    *generator = (qins_generator){.options = options, .model = model, .watch = watch};
    if (!options->sampling.seed_given &&
        getrandom(&options->sampling.sampler.seed, sizeof(uint32_t), 0) != sizeof(uint32_t))
        return qins_fail_errno(error, QINS_FAILED, "cannot get a random seed; give one with --seed");
    if (qins_sampler_check(&options->sampling.sampler, error) != QINS_OK) return error->status;
    if (options->process.verbose) show_setup(options, model, error);
    if (error->status == QINS_OK && qins_workplace_open(&generator->place, options, model, error) == QINS_OK)
        qins_watch_session(watch, generator->place.session, options->process.quiet);
    qins_catch_interrupts(NULL); // a reply stops within a token
    return error->status;
}

void qins_generator_close(qins_generator *generator) {
    qins_workplace_close(&generator->place);
    *generator = (qins_generator){0};
}

qins_status qins_encode_turn(const qins_prompt_options *options, const qins_model *model, bool begins,
                             const char *system, const char *text, size_t size, qins_ids *ids, qins_error *error) {
    const qins_tokenizer *tokenizer = qins_need_tokenizer(model, error);
    if (tokenizer == NULL) return error->status;
    if (model->chat_template.format == NULL)
        return qins_fail(error, QINS_USAGE,
                         "this model has no chat template that qins knows; use --raw, or choose one with "
                         "--chat-template when the model is converted");
    qins_message messages[2];
    size_t n_messages = 0;
    if (system != NULL) messages[n_messages++] = (qins_message){"system", system, strlen(system)};
    messages[n_messages++] = (qins_message){"user", text, size};
    const unsigned flags =
        QINS_CHAT_REPLY | (begins ? QINS_CHAT_BEGINS : 0) | (options->parse_special ? QINS_PARSE_SPECIAL : 0);
    return qins_chat_encode(tokenizer, &model->chat_template, messages, n_messages, flags, ids, error);
}

void qins_show_prompt(const qins_generator *generator, const qins_ids *ids, size_t first) {
    const qins_tokenizer *tokenizer = generator->model->tokenizer;
    for (size_t i = first; generator->options->output.verbose_prompt && i < ids->count; i++) {
        size_t size = 0;
        char text[256];
        const char *piece = tokenizer != NULL ? qins_tokenizer_piece(tokenizer, ids->data[i], &size) : NULL;
        fprintf(stderr, "%6zu  %6d  %s\n", i, ids->data[i], qins_escape(text, sizeof text, piece, size));
    }
}

qins_status qins_check_room(const qins_generator *generator, size_t n_tokens, qins_error *error) {
    return qins_generation_check_room(generator->place.session, n_tokens, generator->options->sampling.n_predict,
                                      error);
}

static qins_generation *begin(qins_generator *generator, const qins_ids *ids, qins_error *error) {
    const qins_sampling_options *given = &generator->options->sampling;
    qins_generation_options options = qins_generation_defaults();
    options.ids = ids->data;
    options.n_ids = ids->count;
    options.max_tokens = given->n_predict;
    options.sampler = given->sampler;
    options.sampler.seed += generator->n_replies++;
    options.stops = given->stops;
    options.n_stops = given->n_stops;
    options.wants_logprobs = generator->options->output.logprobs > 0;
    options.n_top = generator->options->output.logprobs;
    return qins_generation_create(generator->place.session, &options, error);
}

// Has the prompt been computed when this is the first event?
static bool tells_of_prompt(const qins_event *event) {
    return event->kind != QINS_EVENT_END || event->finish == QINS_FINISH_STOP_ID ||
           event->finish == QINS_FINISH_CONTEXT;
}

static const char *find_stop(const qins_sampling_options *options, const char *text) {
    size_t i = 0;
    while (strcmp(options->stops[i], text) != 0) i++;
    return options->stops[i];
}

static void note_end(const qins_sampling_options *options, const qins_event *event, qins_ids *ids, qins_reply *reply,
                     qins_error *error) {
    reply->finish = event->finish;
    reply->stop_id = event->stop_id;
    if (event->finish == QINS_FINISH_STOP_ID) qins_ids_append(ids, event->stop_id, error);
    if (event->finish == QINS_FINISH_STOP_TEXT) reply->stop_text = find_stop(options, event->stop_text);
}

// Take all events: text goes to the output, ids to *ids as well, times and the end into the reply.
static void take_events(qins_generator *generator, qins_generation *generation, qins_output *output, qins_ids *ids,
                        qins_reply *reply, qins_error *error) {
    const double start = qins_clock();
    qins_event event = {.kind = QINS_EVENT_WAIT};
    for (bool is_first = true; event.kind != QINS_EVENT_END && error->status == QINS_OK; is_first = false) {
        if (qins_interrupted) qins_generation_cancel(generation);
        if (qins_generation_next(generation, &event, error) != QINS_OK) break;
        qins_watch_end(generator->watch);
        if (is_first && tells_of_prompt(&event)) {
            reply->n_computed = reply->n_prompt - qins_generation_cached(generation);
            reply->prompt_seconds = qins_clock() - start;
        }
        if (event.kind == QINS_EVENT_TOKEN) qins_ids_append(ids, event.token.id, error);
        if (event.kind == QINS_EVENT_END)
            note_end(&generator->options->sampling, &event, ids, reply, error);
        else if (error->status == QINS_OK)
            qins_output_push(output, &event, error);
    }
    reply->n_generated = qins_generation_count(generation);
    reply->generation_seconds = qins_clock() - start - reply->prompt_seconds;
}

// After a failure, text that was held back is still shown.
static void show_rest(qins_generation *generation, qins_output *output) {
    qins_error ignored = {0};
    qins_event event = {.kind = QINS_EVENT_WAIT};
    while (event.kind != QINS_EVENT_END && qins_generation_next(generation, &event, &ignored) == QINS_OK)
        qins_output_push(output, &event, &ignored);
}

static void run(qins_generator *generator, qins_generation *generation, qins_output *output, qins_ids *ids,
                qins_reply *reply, qins_error *error) {
    qins_watch_begin(generator->watch, "prompt");
    generator->watch->column = output->is_terminal ? &output->wrap.column : NULL;
    take_events(generator, generation, output, ids, reply, error);
    qins_watch_end(generator->watch);
    generator->watch->column = NULL;
    const qins_error failure = *error;
    *error = (qins_error){0};
    if (failure.status != QINS_OK) {
        qins_generation_cancel(generation);
        show_rest(generation, output);
    }
    qins_output_end(output, error);
    if (failure.status != QINS_OK) *error = failure;
    if (error->status == QINS_OK && output->record != NULL) {
        qins_statistics_add(output->record, generator, reply, error);
        qins_output_print_record(output, error);
    }
}

qins_status qins_generate(qins_generator *generator, qins_ids *ids, qins_reply *reply, qins_error *error) {
    *reply = (qins_reply){.n_prompt = ids->count, .n_computed = ids->count, .finish = QINS_FINISH_FAILED};
    qins_output output;
    qins_generation *generation = NULL;
    if (qins_output_open(&output, &generator->options->output, generator->model, generator->is_chat, error) == QINS_OK)
        generation = begin(generator, ids, error);
    if (generation != NULL) run(generator, generation, &output, ids, reply, error);
    qins_generation_free(generation);
    qins_output_close(&output);
    return error->status;
}
