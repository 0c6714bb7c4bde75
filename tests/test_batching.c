// Sessions that share steps in every mixture: their logits are those of each alone, byte for byte, whatever the
// lengths, the slices, the types in their caches, and the models.
#include "engine/runtime/engine.h"
#include "tests/hf_model.h"
#include "tests/support.h"

#include <stdlib.h>
#include <string.h>

static const char DEMO[] = "tests/data/demo"; // short factors up to 128 tokens
enum { N_SEQUENCES = 7, N_STEPS = 6, MAX_TOKENS = 256 };

// A prompt that goes on for N_STEPS greedy tokens.
struct sequence {
    const qins_model *model;
    qins_session_options options;
    size_t n_prompt;
    int32_t ids[MAX_TOKENS];
    float *logits; // [N_STEPS, vocab_size], of the session that ran alone
    // On its way through shared steps:
    qins_session *session;
    size_t step;
};

static size_t vocab_of(const struct sequence *sequence) {
    return qins_model_vocab_size(sequence->model);
}

static int32_t best_of(const float *logits, size_t n) {
    size_t best = 0;
    for (size_t i = 1; i < n; i++) best = logits[i] > logits[best] ? i : best;
    return (int32_t)best;
}

// Its results when it runs alone, on one thread.
static void run_alone(struct sequence *sequence) {
    const size_t vocab_size = vocab_of(sequence);
    qins_error error = {0};
    qins_session *session = session_open(sequence->model, &sequence->options, 1);
    sequence->logits = malloc(N_STEPS * vocab_size * sizeof(float));
    cr_assert_not_null(sequence->logits);
    for (size_t step = 0; step < N_STEPS; step++) {
        const size_t n = sequence->n_prompt + step;
        qins_session_sync(session, sequence->ids, n, &error);
        expect_ok(&error);
        memcpy(sequence->logits + step * vocab_size, qins_session_logits(session), vocab_size * sizeof(float));
        sequence->ids[n] = best_of(qins_session_logits(session), vocab_size);
    }
    session_close(session);
}

// Sequences around LongRoPE's switch and far from it, of two models, with all types of keys and values.
static void make_sequences(struct sequence *sequences, const hf_model *model, const hf_model *other) {
    static const struct {
        size_t n_prompt;
        qins_type k_type, v_type;
        bool is_other, rope_long;
    } cases[N_SEQUENCES] = {{1, QINS_F16, QINS_QINS8, false, false},   {17, QINS_F16, QINS_QINS8, false, false},
                            {125, QINS_F16, QINS_QINS8, false, false}, {200, QINS_QINS8, QINS_QINS4, false, false},
                            {126, QINS_F32, QINS_F16, false, false},   {60, QINS_F16, QINS_QINS8, false, true},
                            {123, QINS_QINS8, QINS_QINS8, true, false}};
    test_random random = {1};
    for (size_t i = 0; i < N_SEQUENCES; i++) {
        struct sequence *sequence = &sequences[i];
        *sequence = (struct sequence){.model = cases[i].is_other ? other->model : model->model,
                                      .options = {.n_ctx = MAX_TOKENS,
                                                  .k_type = cases[i].k_type,
                                                  .v_type = cases[i].v_type,
                                                  .rope_long = cases[i].rope_long},
                                      .n_prompt = cases[i].n_prompt};
        for (size_t t = 0; t < sequence->n_prompt; t++) sequence->ids[t] = (int32_t)random_below(&random, 256);
        run_alone(sequence);
    }
}

// Some of the sequences that wait for tokens, each with a slice.
static size_t choose(struct sequence *sequences, test_random *random, qins_entry *entries) {
    size_t n = 0, room = QINS_STEP_TOKENS;
    for (size_t i = 0; i < N_SEQUENCES; i++) {
        const size_t pending = qins_session_pending(sequences[i].session);
        if (pending == 0 || random_below(random, 3) == 0) continue;
        const size_t most = pending < 40 ? pending : 40, whole = pending < room ? pending : room;
        const size_t slice = random_below(random, 4) == 0 ? whole : 1 + random_below(random, most < room ? most : room);
        if (slice == 0) continue;
        entries[n++] = (qins_entry){sequences[i].session, slice, true};
        room -= slice;
    }
    return n;
}

// Compare the logits that a sequence now has, and go on with its next token.
static void take_logits(struct sequence *sequence, uint64_t seed) {
    const size_t vocab_size = vocab_of(sequence);
    const float *logits = qins_session_logits(sequence->session);
    qins_error error = {0};
    cr_assert_not_null(logits);
    cr_assert(memcmp(logits, sequence->logits + sequence->step * vocab_size, vocab_size * sizeof *logits) == 0,
              "mixture %d: logits after %zu tokens differ", (int)seed, sequence->n_prompt + sequence->step);
    if (++sequence->step == N_STEPS) return;
    qins_session_begin(sequence->session, sequence->ids, sequence->n_prompt + sequence->step, &error);
    expect_ok(&error);
}

static void run_mixture(struct sequence *sequences, qins_engine *engine, uint64_t seed) {
    test_random random = {seed};
    qins_entry entries[N_SEQUENCES];
    qins_error error = {0};
    for (size_t i = 0; i < N_SEQUENCES; i++) {
        sequences[i].step = 0;
        qins_session_begin(sequences[i].session, sequences[i].ids, sequences[i].n_prompt, &error);
    }
    expect_ok(&error);
    for (size_t left = N_SEQUENCES; left > 0;) {
        const size_t n = choose(sequences, &random, entries);
        qins_engine_step(engine, entries, n, &error);
        expect_ok(&error);
        left = 0;
        for (size_t i = 0; i < N_SEQUENCES; i++) {
            if (sequences[i].step < N_STEPS && qins_session_pending(sequences[i].session) == 0)
                take_logits(&sequences[i], seed);
            left += sequences[i].step < N_STEPS;
        }
    }
}

Test(batching, mixtures_give_the_logits_of_each_alone) {
    static struct sequence sequences[N_SEQUENCES];
    hf_model model = hf_model_open(DEMO, (hf_mode){.weights = QINS_QINS8});
    hf_model other = hf_model_open(DEMO, (hf_mode){.weights = QINS_QINS4});
    const qins_model *const models[] = {model.model, other.model};
    qins_error error = {0};
    qins_engine *engine = qins_engine_create(models, 2, 3, &error);
    expect_ok(&error);
    make_sequences(sequences, &model, &other);
    for (size_t i = 0; i < N_SEQUENCES; i++) {
        sequences[i].session = qins_session_create(engine, sequences[i].model, &sequences[i].options, &error);
        expect_ok(&error);
    }
    for (uint64_t seed = 1; seed <= 20; seed++) run_mixture(sequences, engine, seed);
    for (size_t i = 0; i < N_SEQUENCES; i++) {
        qins_session_free(sequences[i].session);
        free(sequences[i].logits);
    }
    qins_engine_free(engine);
    hf_model_close(&model);
    hf_model_close(&other);
}

// More sessions want logits than are computed at once.
Test(batching, many_sessions_get_their_own_logits) {
    enum { N = 2 * QINS_LOGIT_ROWS + 5 };
    const qins_session_options options = {.n_ctx = 8};
    hf_model model = hf_model_open(DEMO, (hf_mode){.weights = QINS_QINS8});
    const size_t bytes = qins_model_vocab_size(model.model) * sizeof(float);
    qins_error error = {0};
    qins_session *sessions[N];
    qins_entry entries[N];
    for (int32_t i = 0; i < N; i++) {
        const int32_t ids[] = {i, 2 * i};
        sessions[i] = qins_session_create(model.session->engine, model.model, &options, &error);
        expect_ok(&error);
        qins_session_begin(sessions[i], ids, 2, &error);
        entries[i] = (qins_entry){sessions[i], 2, i % 3 != 0};
    }
    qins_engine_step(model.session->engine, entries, N, &error);
    expect_ok(&error);
    for (int32_t i = 0; i < N; i++) {
        const int32_t ids[] = {i, 2 * i};
        qins_session_sync(model.session, ids, 2, &error);
        cr_expect(i % 3 != 0 || qins_session_logits(sessions[i]) == NULL);
        cr_expect(i % 3 == 0 ||
                  memcmp(qins_session_logits(sessions[i]), qins_session_logits(model.session), bytes) == 0);
        qins_session_free(sessions[i]);
    }
    hf_model_close(&model);
}

Test(batching, steps_refuse_what_they_cannot_do) {
    hf_model model = hf_model_open("tests/data/tiny/plain-gqa-f32", (hf_mode){0});
    hf_model other = hf_model_open("tests/data/tiny/plain-gqa-f32", (hf_mode){0});
    qins_session *session = model.session;
    const int32_t ids[] = {1, 2, 3};
    qins_error error = {0};
    qins_session_begin(session, ids, 3, &error);
    qins_session_begin(other.session, ids, 3, &error);
    expect_ok(&error);
    const struct {
        qins_entry entries[2];
        const char *message;
    } cases[] = {{{{session, 4, true}, {session, 0, true}}, "has 4 tokens; its session awaits 3"},
                 {{{session, 1, true}, {session, 1, true}}, "the same session"},
                 {{{session, 0, true}, {session, 1, true}}, "has 0 tokens"},
                 {{{session, 1, true}, {other.session, 1, true}}, "another engine"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        qins_engine_step(session->engine, cases[i].entries, 2, &error);
        expect_error(&error, QINS_USAGE, cases[i].message);
        cr_expect_eq(qins_session_pending(session), 3);
    }
    cr_expect_null(qins_session_create(session->engine, other.model, &(qins_session_options){0}, &error));
    expect_error(&error, QINS_USAGE, "not made for this model");
    cr_expect_null(
        qins_session_create(session->engine, model.model, &(qins_session_options){.k_type = QINS_QINS4}, &error));
    expect_error(&error, QINS_USAGE, "keys are stored as");
    cr_expect_null(qins_engine_create(NULL, 0, 1, &error));
    expect_error(&error, QINS_USAGE, "needs at least one model");
    hf_model_close(&model);
    hf_model_close(&other);
}

Test(batching, a_session_tells_what_it_can_reuse_and_what_it_takes) {
    hf_model model = hf_model_open(DEMO, (hf_mode){.k_type = QINS_F16, .v_type = QINS_QINS8});
    int32_t ids[140] = {0};
    qins_error error = {0};
    qins_session_sync(model.session, ids, 50, &error);
    cr_expect_eq(qins_session_shared(model.session, ids, 60), 50);
    cr_expect_eq(qins_session_shared(model.session, ids, 50), 49, "the last one is computed for its logits");
    cr_expect_eq(qins_session_shared(model.session, ids, 140), 0, "other factors");
    ids[20] = 1;
    cr_expect_eq(qins_session_shared(model.session, ids, 60), 20);
    cr_expect_eq(qins_session_shared(model.session, ids, 0), 0);
    qins_session_options options = qins_session_defaults();
    options.n_ctx = 64;
    const size_t at_64 = qins_session_bytes(model.model, &options);
    options.n_ctx = 128;
    const size_t token = qins_kvcache_token_bytes(qins_model_config(model.model), QINS_F16, QINS_QINS8);
    cr_expect_eq(qins_session_bytes(model.model, &options) - at_64, 64 * (token + sizeof(int32_t)));
    hf_model_close(&model);
}
