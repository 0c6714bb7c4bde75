// Generations: their events, alone and in steps together; stop texts, limits, cancellation, errors.
#include "engine/runtime/session.h"
#include "tests/hf_model.h"
#include "tests/support.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 1024, PROMPTS = 5 };

static const char *const questions[PROMPTS] = {"What is the capital of France?", "What colour is the sky?", "Hello",
                                               "Count to ten.", "What is the capital of Peru?"};
static hf_model model;

static void open_model(void) {
    model = hf_model_open_demo();
}

static void close_model(void) {
    hf_model_close(&model);
}

TestSuite(generation, .init = open_model, .fini = close_model);

static qins_ids prompt_of(const char *question) {
    qins_error error = {0};
    qins_ids ids = {0};
    const qins_message message = {"user", question, strlen(question)};
    qins_model_encode_chat(model.model, &message, 1, 0, &ids, &error);
    expect_ok(&error);
    return ids;
}

// The results of a generation.
struct reply {
    char text[MOST];
    size_t size;
    int32_t ids[MOST];
    size_t n_ids;
    double sum; // of log-probabilities
    qins_event end;
};

static void note(struct reply *reply, const qins_event *event) {
    if (event->kind == QINS_EVENT_TOKEN) {
        cr_assert_lt(reply->n_ids, MOST);
        reply->ids[reply->n_ids++] = event->token.id;
        reply->sum += event->token.logprob;
    } else if (event->kind == QINS_EVENT_TEXT) {
        cr_assert(event->size > 0 && reply->size + event->size < MOST);
        memcpy(reply->text + reply->size, event->text, event->size);
        reply->size += event->size;
    } else if (event->kind == QINS_EVENT_END) {
        reply->end = *event;
    }
}

static struct reply run(qins_generation *generation) {
    qins_error error = {0};
    struct reply reply = {0};
    qins_event event = {.kind = QINS_EVENT_WAIT};
    while (event.kind != QINS_EVENT_END && qins_generation_next(generation, &event, &error) == QINS_OK)
        note(&reply, &event);
    expect_ok(&error);
    return reply;
}

static struct reply reply_to(const char *question, qins_generation_options options) {
    qins_error error = {0};
    qins_ids ids = prompt_of(question);
    options.ids = ids.data;
    options.n_ids = ids.count;
    qins_generation *generation = qins_generation_create(model.session, &options, &error);
    expect_ok(&error);
    struct reply reply = run(generation);
    cr_expect_eq(qins_generation_count(generation), reply.n_ids);
    size_t n;
    const int32_t *all = qins_generation_ids(generation, &n);
    cr_expect_eq(n, ids.count + reply.n_ids + (reply.end.finish == QINS_FINISH_STOP_ID));
    cr_expect(memcmp(all + ids.count, reply.ids, reply.n_ids * sizeof *all) == 0);
    if (reply.end.stop_text != NULL) reply.end.stop_text = options.stops[0];
    qins_generation_free(generation);
    qins_ids_free(&ids);
    return reply;
}

Test(generation, text_is_that_of_the_tokens) {
    qins_generation_options options = qins_generation_defaults();
    options.wants_logprobs = true;
    options.n_top = 3;
    const struct reply reply = reply_to(questions[0], options);
    qins_error error = {0};
    char *text;
    size_t size;
    qins_model_decode(model.model, reply.ids, reply.n_ids, &text, &size, &error);
    expect_ok(&error);
    cr_expect(size == reply.size && memcmp(text, reply.text, size) == 0, "%.*s", (int)reply.size, reply.text);
    cr_expect(reply.end.finish == QINS_FINISH_STOP_ID && reply.end.stop_id == 775, "%d %d", reply.end.finish,
              reply.end.stop_id);
    cr_expect(isfinite(reply.sum) && reply.sum < 0);
    qins_free(text);
}

// The text of a continuation is the rest of the whole's after the prompt's; here that begins with a space.
Test(generation, text_continues_the_prompt) {
    static const char prompt[] = "The capital of France is";
    qins_error error = {0};
    qins_ids ids = {0};
    qins_model_encode(model.model, prompt, strlen(prompt), QINS_ADD_PREFIX, &ids, &error);
    qins_generation_options options = qins_generation_defaults();
    options.ids = ids.data;
    options.n_ids = ids.count;
    options.max_tokens = 5;
    qins_generation *generation = qins_generation_create(model.session, &options, &error);
    expect_ok(&error);
    const struct reply reply = run(generation);
    size_t n, size;
    char *text;
    const int32_t *all = qins_generation_ids(generation, &n);
    qins_model_decode(model.model, all, ids.count + reply.n_ids, &text, &size, &error);
    expect_ok(&error);
    cr_expect_eq(size, strlen(prompt) + reply.size);
    cr_expect(memcmp(text + strlen(prompt), reply.text, reply.size) == 0 && reply.text[0] == ' ', "%s", reply.text);
    qins_free(text);
    qins_generation_free(generation);
    qins_ids_free(&ids);
}

Test(generation, limits_and_stop_texts_end_it) {
    qins_generation_options options = qins_generation_defaults();
    const struct reply whole = reply_to(questions[0], options);
    options.max_tokens = 3;
    const struct reply three = reply_to(questions[0], options);
    cr_expect(three.end.finish == QINS_FINISH_LENGTH && three.n_ids == 3);
    cr_expect(memcmp(three.ids, whole.ids, sizeof(int32_t[3])) == 0);
    options.max_tokens = 0;
    cr_expect_eq(reply_to(questions[0], options).end.finish, QINS_FINISH_LENGTH);
    options.max_tokens = SIZE_MAX;
    const char *const stops[] = {"Paris"};
    options.stops = stops;
    options.n_stops = 1;
    const struct reply stopped = reply_to(questions[0], options);
    const char *place = strstr(whole.text, stops[0]);
    cr_assert_not_null(place, "%s", whole.text);
    cr_expect_eq(stopped.end.finish, QINS_FINISH_STOP_TEXT);
    cr_expect(stopped.size == (size_t)(place - whole.text) && memcmp(stopped.text, whole.text, stopped.size) == 0);
    cr_expect_eq(stopped.end.stop_text, stops[0]);
}

// At the end of the tokens a stop text is found in what was held back: for a longer one that did not come, or in bytes
// that might have gone on.
Test(generation, a_stop_text_at_the_end_is_the_reason) {
    qins_generation_options options = qins_generation_defaults();
    const struct reply whole = reply_to(questions[0], options);
    const char *const hidden[] = {"Paris. Or", "aris"};
    options.stops = hidden;
    options.n_stops = 2;
    for (int is_limited = 0; is_limited < 2; is_limited++) {
        options.max_tokens = is_limited ? whole.n_ids : SIZE_MAX;
        const struct reply reply = reply_to(questions[0], options);
        cr_expect_str_eq(reply.text, "The capital of France is P");
        cr_expect_eq(reply.end.finish, QINS_FINISH_STOP_TEXT);
        cr_expect_eq(reply.end.stop_id, -1);
    }
    const char *const line_feed[] = {"\n"};
    const qins_bias bias = {3 + '\n', 100};
    options.biases = &bias;
    options.stops = line_feed;
    options.n_biases = options.n_stops = options.max_tokens = 1;
    const struct reply reply = reply_to(questions[0], options);
    cr_expect(reply.end.finish == QINS_FINISH_STOP_TEXT && reply.size == 0 && reply.ids[0] == 3 + '\n');
}

Test(generation, a_full_context_ends_it) {
    qins_error error = {0};
    qins_ids ids = prompt_of(questions[0]);
    qins_session_options wanted = qins_session_defaults();
    wanted.n_ctx = ids.count + 2;
    qins_session *session = qins_session_create(model.session->engine, model.model, &wanted, &error);
    expect_ok(&error);
    qins_generation_options options = qins_generation_defaults();
    options.ids = ids.data;
    options.n_ids = ids.count;
    qins_generation *generation = qins_generation_create(session, &options, &error);
    const struct reply reply = run(generation);
    cr_expect(reply.end.finish == QINS_FINISH_CONTEXT && reply.n_ids == 2);
    options.max_tokens = 3;
    cr_expect_null(qins_generation_create(session, &options, &error));
    expect_error(&error, QINS_CONTEXT_OVERFLOW, "3 to generate do not fit");
    options.max_tokens = SIZE_MAX;
    options.n_ids = 0;
    cr_expect_null(qins_generation_create(session, &options, &error));
    expect_error(&error, QINS_USAGE, "prompt is empty");
    static const int32_t outside[] = {1, -1};
    cr_expect_null(qins_generation_create(
        model.session, &(qins_generation_options){.ids = outside, .n_ids = 2, .max_tokens = 1}, &error));
    expect_error(&error, QINS_USAGE, "token id -1 at position 1 is outside the vocabulary");
    options.n_ids = 1;
    options.stops = (const char *const[]){"a", ""};
    options.n_stops = 2;
    cr_expect_null(qins_generation_create(session, &options, &error));
    expect_error(&error, QINS_USAGE, "stop text 2 is empty");
    qins_generation_free(generation);
    qins_session_free(session);
    qins_ids_free(&ids);
}

// A reply is as it was when the session has it, or part of it, in its cache already.
Test(generation, the_cache_saves_work_and_changes_nothing) {
    qins_error error = {0};
    qins_ids ids = prompt_of(questions[1]);
    qins_generation_options options = qins_generation_defaults();
    options.ids = ids.data;
    options.n_ids = ids.count;
    struct reply replies[2];
    size_t cached[2];
    for (int i = 0; i < 2; i++) {
        qins_generation *generation = qins_generation_create(model.session, &options, &error);
        replies[i] = run(generation);
        cached[i] = qins_generation_cached(generation);
        qins_generation_free(generation);
    }
    cr_expect(cached[0] == 0 && cached[1] == ids.count - 1, "%zu, %zu", cached[0], cached[1]);
    cr_expect_str_eq(replies[0].text, replies[1].text);
    qins_ids_free(&ids);
}

// --- together ---

static qins_generation_options options_of(size_t i) {
    qins_generation_options options = qins_generation_defaults();
    options.sampler.temperature = i % 2 == 0 ? 0 : 1.5f;
    options.sampler.seed = i;
    options.sampler.frequency_penalty = 0.25f;
    options.max_tokens = 30 + 40 * i; // the later ones go beyond LongRoPE's switch
    options.wants_logprobs = true;
    return options;
}

// All in shared steps: prompts in slices, and generation i joins before step 2 i.
static void run_together(qins_generation **generations, qins_session **sessions, struct reply *replies) {
    qins_error error = {0};
    size_t n_running = PROMPTS;
    for (size_t step = 0; n_running > 0; step++) {
        qins_entry entries[PROMPTS];
        size_t n = 0;
        n_running = 0;
        for (size_t i = 0; i < PROMPTS; i++) {
            qins_event event = {.kind = QINS_EVENT_TOKEN};
            n_running += replies[i].end.kind != QINS_EVENT_END;
            if (replies[i].end.kind == QINS_EVENT_END || step < 2 * i) continue;
            while (event.kind != QINS_EVENT_WAIT && event.kind != QINS_EVENT_END) {
                qins_generation_poll(generations[i], &event, &error);
                expect_ok(&error);
                note(&replies[i], &event);
            }
            const size_t pending = qins_session_pending(sessions[i]);
            if (event.kind == QINS_EVENT_WAIT)
                entries[n++] = (qins_entry){sessions[i], pending < 7 ? pending : 7, true};
        }
        qins_engine_step(model.session->engine, entries, n, &error);
        expect_ok(&error);
    }
}

Test(generation, together_each_gives_what_it_gives_alone) {
    qins_generation *generations[PROMPTS];
    qins_session *sessions[PROMPTS];
    static struct reply replies[PROMPTS];
    qins_error error = {0};
    const qins_session_options wanted = qins_session_defaults();
    for (size_t i = 0; i < PROMPTS; i++) {
        qins_ids ids = prompt_of(questions[i]);
        qins_generation_options options = options_of(i);
        options.ids = ids.data;
        options.n_ids = ids.count;
        sessions[i] = qins_session_create(model.session->engine, model.model, &wanted, &error);
        generations[i] = qins_generation_create(sessions[i], &options, &error);
        expect_ok(&error);
        qins_ids_free(&ids);
    }
    run_together(generations, sessions, replies);
    for (size_t i = 0; i < PROMPTS; i++) {
        const struct reply alone = reply_to(questions[i], options_of(i));
        cr_expect_str_eq(replies[i].text, alone.text);
        cr_expect(replies[i].n_ids == alone.n_ids &&
                  memcmp(replies[i].ids, alone.ids, alone.n_ids * sizeof *alone.ids) == 0);
        cr_expect(replies[i].sum == alone.sum && replies[i].end.finish == alone.end.finish);
        qins_generation_free(generations[i]);
        qins_session_free(sessions[i]);
    }
}

// --- cancellation ---

static qins_generation *long_generation(const int32_t *ids, size_t n) {
    qins_error error = {0};
    qins_generation_options options = qins_generation_defaults();
    options.ids = ids;
    options.n_ids = n;
    const qins_bias never[] = {{768, -INFINITY}, {769, -INFINITY}, {775, -INFINITY}};
    options.biases = never;
    options.n_biases = 3;
    qins_generation *generation = qins_generation_create(model.session, &options, &error);
    expect_ok(&error);
    return generation;
}

static void *cancel(void *generation) {
    qins_generation_cancel(generation);
    return NULL;
}

static bool cancel_at_once(void *generation, uint64_t done, uint64_t total) {
    (void)done, (void)total;
    qins_generation_cancel(generation);
    return true;
}

Test(generation, cancelling_ends_it) {
    static const int32_t ids[300] = {1};
    qins_error error = {0};
    qins_event event;
    pthread_t thread;
    qins_generation *generation = long_generation(ids, 5);
    for (int i = 0; i < 5; i++) qins_generation_next(generation, &event, &error);
    cr_assert_eq(pthread_create(&thread, NULL, cancel, generation), 0);
    cr_expect_eq(run(generation).end.finish, QINS_FINISH_CANCELLED);
    pthread_join(thread, NULL);
    cr_expect_eq(run(generation).end.finish, QINS_FINISH_CANCELLED, "it stays so");
    qins_generation_free(generation);
    // Within a prompt: after the first layer.
    generation = long_generation(ids, 300);
    qins_session_observe(model.session, &(qins_observer){cancel_at_once, NULL, generation});
    const struct reply reply = run(generation);
    cr_expect(reply.end.finish == QINS_FINISH_CANCELLED && reply.n_ids == 0);
    cr_expect_eq(qins_session_pending(model.session), 300);
    qins_session_observe(model.session, &(qins_observer){0});
    qins_generation_free(generation);
    cr_expect_eq(reply_to(questions[0], qins_generation_defaults()).end.finish, QINS_FINISH_STOP_ID);
}
