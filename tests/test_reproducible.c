// The promise of the arithmetic: the same file and the same ids give the same logits, bit for bit, at every tier of
// kernels, for any number of threads, however a sequence is cut, and whatever was in the cache before.
#include "engine/kernels/tiers.h"
#include "tests/quality.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static const char DEMO[] = "tests/data/demo";
enum { LENGTH = 150, MAX_THREADS = 4 };

static const hf_mode reference_mode = {0},
                     default_mode = {.weights = QINS_QINS8, .k_type = QINS_F16, .v_type = QINS_QINS8},
                     small_caches = {.weights = QINS_QINS4, .k_type = QINS_QINS8, .v_type = QINS_QINS4};

// LongRoPE's factors depend on the whole length of a sequence, and its parts are shorter: so they are the long ones
// from the start.
static qins_session *start(const hf_model *model, hf_mode mode, const char *tier, size_t n_threads) {
    qins_error error = {0};
    const qins_session_options options = {.k_type = mode.k_type, .v_type = mode.v_type, .rope_long = true};
    qins_tier_select(tier, &error);
    return session_open(model->model, &options, n_threads);
}

// logits[n, vocab_size] of ids[n], run `chunk` tokens at a time.
static float *score_in_chunks(qins_session *session, const int32_t *ids, size_t n, size_t chunk) {
    const size_t vocab_size = qins_session_config(session)->vocab_size;
    qins_error error = {0};
    float *all = malloc(n * vocab_size * sizeof *all);
    cr_assert_not_null(all);
    qins_scorer *scorer = qins_scorer_create(session, &error);
    cr_assert_not_null(scorer, "%s", error.message);
    for (size_t start = 0; start < n; start += chunk) {
        const size_t end = n - start < chunk ? n : start + chunk;
        const float *logits;
        size_t first, n_rows = 1;
        qins_scorer_begin(scorer, ids, end, start, &error);
        cr_assert_eq(qins_session_computed(session), end - start);
        while (n_rows > 0 && qins_scorer_next(scorer, &logits, &first, &n_rows, &error) == QINS_OK)
            memcpy(all + first * vocab_size, logits, n_rows * vocab_size * sizeof *all);
        cr_assert_eq(error.status, QINS_OK, "%s", error.message);
    }
    qins_scorer_free(scorer);
    return all;
}

// Every tier x number of threads x cut gives the bits of the scalar tier on one thread, all at once.
static void expect_same_logits(const char *folder, hf_mode mode, const int32_t *ids, size_t n) {
    const size_t chunks[] = {n, 128, 7, 1};
    hf_model model = hf_model_open(folder, mode);
    qins_session *session = start(&model, mode, "scalar", 1);
    const size_t vocab_size = qins_session_config(session)->vocab_size;
    float *expected = score_in_chunks(session, ids, n, n);
    session_close(session);
    for (size_t i = 0; i < qins_n_tiers * MAX_THREADS; i++) {
        const qins_tier *tier = &qins_tiers[i / MAX_THREADS];
        const size_t n_threads = i % MAX_THREADS + 1;
        if (!tier->is_available()) continue;
        session = start(&model, mode, tier->name, n_threads);
        for (size_t c = 0; c < sizeof chunks / sizeof chunks[0]; c++) {
            float *logits = score_in_chunks(session, ids, n, chunks[c]);
            for (size_t row = 0; row < n; row++)
                cr_assert_eq(
                    memcmp(logits + row * vocab_size, expected + row * vocab_size, vocab_size * sizeof *logits), 0,
                    "%s, %s, %zu threads, chunks of %zu: logits at position %zu differ", folder, tier->name, n_threads,
                    chunks[c], row);
            free(logits);
        }
        session_close(session);
    }
    free(expected);
    hf_model_close(&model);
}

// Ids below 256, which every vocabulary has.
static void fill_ids(int32_t *ids, size_t n, uint32_t seed) {
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        ids[i] = (int32_t)(seed >> 24);
    }
}

Test(reproducible, logits_of_the_demo_model) {
    int32_t ids[LENGTH];
    fill_ids(ids, LENGTH, 1);
    for (int type = QINS_QINS8; type < QINS_TYPE_COUNT; type++) {
        hf_mode mode = default_mode;
        mode.weights = (qins_type)type;
        expect_same_logits(DEMO, mode, ids, LENGTH);
    }
}

Test(reproducible, logits_with_small_caches) {
    int32_t ids[LENGTH];
    fill_ids(ids, LENGTH, 5);
    expect_same_logits(DEMO, small_caches, ids, LENGTH);
}

// A coded embedding that is the head, too.
Test(reproducible, logits_with_a_tied_head) {
    int32_t ids[64];
    fill_ids(ids, 64, 3);
    expect_same_logits("tests/data/tiny/tied-bf16", small_caches, ids, 64);
}

Test(reproducible, logits_without_codes) {
    int32_t ids[LENGTH];
    fill_ids(ids, LENGTH, 2);
    expect_same_logits(DEMO, reference_mode, ids, LENGTH);
}

Test(reproducible, logits_with_grouped_heads) {
    const char *const folders[] = {"tests/data/tiny/plain-gqa-f32", "tests/data/tiny/partial-longrope-bf16",
                                   "tests/data/tiny/window-gqa-bf16"};
    int32_t ids[64];
    fill_ids(ids, 64, 3);
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        expect_same_logits(folders[i], default_mode, ids, 64);
        expect_same_logits(folders[i], small_caches, ids, 64);
    }
}

static const float *sync(qins_session *session, const int32_t *ids, size_t n) {
    qins_error error = {0};
    qins_session_sync(session, ids, n, &error);
    cr_assert_eq(error.status, QINS_OK, "%s", error.message);
    return qins_session_logits(session);
}

// A text goes on the same whether its beginning is in the cache or computed anew before each token.
Test(reproducible, text_with_and_without_the_cache) {
    enum { PROMPT = 40 };
    int32_t ids[LENGTH], other[3] = {250, 251, 252};
    fill_ids(ids, PROMPT, 4);
    hf_model model = hf_model_open(DEMO, default_mode);
    qins_session *reusing = start(&model, default_mode, NULL, 2), *fresh = start(&model, default_mode, NULL, 1);
    const size_t vocab_size = qins_session_config(reusing)->vocab_size;
    for (size_t n = PROMPT; n < LENGTH; n++) {
        const float *logits = sync(reusing, ids, n);
        sync(fresh, other, 3);
        cr_assert_eq(memcmp(sync(fresh, ids, n), logits, vocab_size * sizeof *logits), 0, "token %zu", n);
        cr_assert(qins_session_computed(fresh) == n && (n == PROMPT || qins_session_computed(reusing) == 1));
        ids[n] = 0;
        for (size_t i = 1; i < vocab_size; i++) ids[n] = logits[i] > logits[ids[n]] ? (int32_t)i : ids[n];
    }
    session_close(reusing);
    session_close(fresh);
    hf_model_close(&model);
}

static void check_logits_of_every_machine(hf_mode mode, uint64_t golden) {
    hf_model model = hf_model_open(DEMO, mode);
    text_windows text = windows_of_text("tests/data/demo/held_out.txt", model.model->image, LENGTH, 1);
    qins_session *session = start(&model, mode, NULL, 2);
    const size_t vocab_size = qins_session_config(session)->vocab_size;
    float *logits = score_in_chunks(session, text.ids, LENGTH, LENGTH);
    const uint64_t hash = XXH3_64bits(logits, LENGTH * vocab_size * sizeof *logits);
    cr_expect_eq(hash, golden, "%s, K %s, V %s: XXH3-64 of the logits is 0x%016" PRIX64, qins_types[mode.weights].name,
                 qins_types[mode.k_type].name, qins_types[mode.v_type].name, hash);
    free(logits);
    free(text.ids);
    session_close(session);
    hf_model_close(&model);
}

static void check_logits_of_weights(qins_type weights, uint64_t golden) {
    hf_mode mode = default_mode;
    mode.weights = weights;
    check_logits_of_every_machine(mode, golden);
}

// The logits of a text by the demo model in each code, and with the small caches. Every machine gets these bits; a
// change that alters them is a change of the arithmetic, of the encoder, or of the demo model, and says so.
Test(reproducible, logits_of_every_machine) {
    check_logits_of_weights(QINS_QINS8, 0x3156F972480681D8);
    check_logits_of_weights(QINS_QINS6, 0xD2154064D918EC27);
    check_logits_of_weights(QINS_QINS5, 0x721989E73D96FC11);
    check_logits_of_weights(QINS_QINS4, 0xA906EAA538CC72C9);
    check_logits_of_every_machine(small_caches, 0x6DC6FD8F3701D43C);
}
