// The session: prefixes, rewinding, LongRoPE's switch, refusals. Logits are compared bit by bit.
#include "engine/runtime/memory_plan.h"
#include "tests/hf_model.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static const char LONGROPE[] = "tests/data/tiny/longrope-su-bf16"; // short factors up to 16 tokens
static const char PLAIN[] = "tests/data/tiny/plain-gqa-f32";
enum { ORIGINAL = 16 };

// Deterministic ids below 256.
static void fill_ids(int32_t *ids, size_t n, unsigned seed) {
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        ids[i] = (int32_t)(seed >> 24);
    }
}

static const float *sync(hf_model *model, const int32_t *ids, size_t n) {
    qins_error error = {0};
    qins_session_sync(model->session, ids, n, &error);
    cr_assert_eq(error.status, QINS_OK, "%s", error.message);
    return qins_session_logits(model->session);
}

// Are the model's logits these?
static bool equals(const hf_model *model, const float *expected) {
    const size_t bytes = qins_session_config(model->session)->vocab_size * sizeof(float);
    return memcmp(qins_session_logits(model->session), expected, bytes) == 0;
}

Test(session, token_by_token_equals_one_prompt) {
    int32_t ids[40];
    fill_ids(ids, 40, 1);
    hf_model at_once = hf_model_open(PLAIN, (hf_mode){0}), stepwise = hf_model_open(PLAIN, (hf_mode){0});
    for (size_t n = 1; n <= 40; n++) sync(&stepwise, ids, n);
    cr_expect(equals(&stepwise, sync(&at_once, ids, 40)));
    hf_model_close(&at_once);
    hf_model_close(&stepwise);
}

Test(session, keeps_the_common_prefix_and_rewinds) {
    int32_t ids[30], other[30];
    fill_ids(ids, 30, 2);
    memcpy(other, ids, sizeof other);
    other[20] = ids[20] == 7 ? 8 : 7;
    hf_model model = hf_model_open(PLAIN, (hf_mode){0}), fresh = hf_model_open(PLAIN, (hf_mode){0});
    sync(&model, ids, 30);
    sync(&model, other, 30);
    cr_expect(equals(&model, sync(&fresh, other, 30)));
    sync(&model, ids, 5); // a prefix of what is cached
    hf_model again = hf_model_open(PLAIN, (hf_mode){0});
    cr_expect(equals(&model, sync(&again, ids, 5)));
    hf_model_close(&model);
    hf_model_close(&fresh);
    hf_model_close(&again);
}

struct recomputes {
    int count;
    size_t n_tokens;
    bool to_long;
};

static void count_recompute(void *context, size_t n_tokens, bool to_long) {
    struct recomputes *recomputes = context;
    recomputes->count++;
    recomputes->n_tokens = n_tokens;
    recomputes->to_long = to_long;
}

static qins_session *counting_session(const hf_model *model, struct recomputes *recomputes, bool rope_long) {
    const qins_session_options options = {.rope_long = rope_long};
    qins_session *session = session_open(model->model, &options, 1);
    qins_session_observe(session, &(qins_observer){NULL, count_recompute, recomputes});
    return session;
}

Test(session, longrope_recomputes_once_when_crossing_and_once_when_coming_back) {
    int32_t ids[ORIGINAL + 4];
    fill_ids(ids, ORIGINAL + 4, 3);
    hf_model model = hf_model_open(LONGROPE, (hf_mode){0});
    session_close(model.session);
    struct recomputes recomputes = {0};
    model.session = counting_session(&model, &recomputes, false);
    for (size_t n = 1; n <= ORIGINAL; n++) sync(&model, ids, n);
    cr_expect_eq(recomputes.count, 0);
    sync(&model, ids, ORIGINAL + 1);
    cr_expect(recomputes.count == 1 && recomputes.to_long && recomputes.n_tokens == ORIGINAL + 1);
    sync(&model, ids, ORIGINAL + 4);
    cr_expect_eq(recomputes.count, 1);
    sync(&model, ids, ORIGINAL);
    cr_expect(recomputes.count == 2 && !recomputes.to_long);
    hf_model fresh = hf_model_open(LONGROPE, (hf_mode){0});
    cr_expect(equals(&model, sync(&fresh, ids, ORIGINAL)));
    hf_model_close(&fresh);
    hf_model_close(&model);
}

Test(session, rope_long_never_switches) {
    int32_t ids[ORIGINAL + 4];
    fill_ids(ids, ORIGINAL + 4, 4);
    hf_model model = hf_model_open(LONGROPE, (hf_mode){0}), automatic = hf_model_open(LONGROPE, (hf_mode){0});
    session_close(model.session);
    struct recomputes recomputes = {0};
    model.session = counting_session(&model, &recomputes, true);
    for (size_t n = 1; n <= ORIGINAL + 4; n++) sync(&model, ids, n);
    cr_expect_eq(recomputes.count, 0);
    cr_expect(equals(&model, sync(&automatic, ids, ORIGINAL + 4)));
    sync(&model, ids, 4);
    cr_expect(!equals(&model, sync(&automatic, ids, 4))); // other factors, other numbers
    hf_model_close(&model);
    hf_model_close(&automatic);
}

// Plain BLAS sums in another order; nothing else differs.
Test(session, sgemm_is_near) {
    const float tolerance = 2e-4f;
    int32_t ids[40];
    fill_ids(ids, 40, 5);
    hf_model model = hf_model_open(PLAIN, (hf_mode){0}), blas = hf_model_open(PLAIN, (hf_mode){0});
    session_close(blas.session);
    const qins_session_options options = {.matmul = QINS_MATMUL_SGEMM};
    blas.session = session_open(blas.model, &options, 2);
    cr_expect_eq(qins_session_matmul(blas.session), QINS_MATMUL_SGEMM);
    cr_expect_eq(qins_session_matmul(model.session), QINS_MATMUL_EXACT);
    const float *expected = sync(&model, ids, 40), *logits = sync(&blas, ids, 40);
    for (size_t i = 0; i < qins_session_config(model.session)->vocab_size; i++)
        cr_expect_float_eq(logits[i], expected[i], tolerance);
    hf_model_close(&model);
    hf_model_close(&blas);
}

Test(session, refuses_what_it_cannot_run) {
    hf_model model = hf_model_open(PLAIN, (hf_mode){0});
    const size_t n_ctx = qins_session_n_ctx(model.session);
    int32_t *ids = calloc(n_ctx + 1, sizeof *ids);
    cr_assert_not_null(ids);
    qins_error error = {0};
    cr_expect_eq(qins_session_sync(model.session, ids, 0, &error), QINS_USAGE);
    error = (qins_error){0};
    cr_expect_eq(qins_session_sync(model.session, ids, n_ctx + 1, &error), QINS_CONTEXT_OVERFLOW);
    for (int32_t bad = -1; bad < 1 << 20; bad += 1 << 20) { // -1 and beyond the vocabulary
        error = (qins_error){0};
        ids[1] = bad == -1 ? -1 : (int32_t)qins_session_config(model.session)->vocab_size;
        cr_expect_eq(qins_session_sync(model.session, ids, 2, &error), QINS_USAGE);
        cr_expect(strstr(error.message, "outside the vocabulary") != NULL);
    }
    ids[1] = 0;
    sync(&model, ids, 2); // still usable
    free(ids);
    hf_model_close(&model);
}

Test(session, context_is_checked_against_model_and_memory) {
    hf_model model = hf_model_open(PLAIN, (hf_mode){0});
    qins_error error = {0};
    qins_memory_plan plan;
    qins_session_options options = qins_session_defaults();
    const qins_config *config = qins_session_config(model.session);
    const size_t file_bytes = qins_image_bytes(model.model->image);
    qins_plan_request request = {.config = config, .file_bytes = file_bytes, .n_threads = 1, .session = &options};
    options.n_ctx = config->max_positions + 1;
    cr_expect_eq(qins_plan_memory(&request, &plan, &error), QINS_CONTEXT_OVERFLOW);
    options.n_ctx = 0;
    error = (qins_error){0};
    for (int is_converted = 0; is_converted < 2; is_converted++) {
        request.is_converted = is_converted;
        cr_assert_eq(qins_plan_memory(&request, &plan, &error), QINS_OK, "%s", error.message);
        cr_expect_eq(plan.n_ctx, config->max_positions);
        cr_expect_eq(plan.kv, plan.n_ctx * plan.token_bytes);
        cr_expect_geq(plan.available, plan.scratch + plan.kv + (is_converted ? file_bytes : 0));
        cr_expect_gt(plan.program, 0);
    }
    // A mapped file may be larger than the memory, one that is made in memory may not.
    request.file_bytes = plan.available + ((size_t)1 << 40);
    request.is_converted = false;
    cr_expect_eq(qins_plan_memory(&request, &plan, &error), QINS_OK, "%s", error.message);
    request.is_converted = true;
    cr_expect_eq(qins_plan_memory(&request, &plan, &error), QINS_FAILED);
    cr_expect_not_null(strstr(error.message, "converted weights and buffers"), "%s", error.message);
    hf_model_close(&model);
}

// Rows after a prefix are those of scoring the whole; only what the prefix lacks in the cache is computed.
static void expect_rows_after(hf_model *model, const float *whole, const int32_t *ids, size_t n, size_t first,
                              size_t n_computed) {
    const size_t vocab_size = qins_session_config(model->session)->vocab_size;
    qins_error error = {0};
    const float *logits;
    size_t at, n_rows, expected = first;
    qins_scorer *scorer = qins_scorer_create(model->session, &error);
    cr_assert_not_null(scorer, "%s", error.message);
    qins_scorer_begin(scorer, ids, n, first, &error);
    cr_expect_eq(qins_session_computed(model->session), n_computed);
    while (qins_scorer_next(scorer, &logits, &at, &n_rows, &error) == QINS_OK && n_rows > 0) {
        cr_expect_eq(at, expected);
        cr_assert_eq(memcmp(logits, whole + at * vocab_size, n_rows * vocab_size * sizeof *logits), 0);
        expected += n_rows;
    }
    cr_expect_eq(error.status, QINS_OK, "%s", error.message);
    cr_expect_eq(expected, n);
    qins_scorer_free(scorer);
}

Test(session, scores_after_a_prefix) {
    enum { N = 50 };
    int32_t ids[N];
    fill_ids(ids, N, 9);
    hf_model model = hf_model_open(PLAIN, (hf_mode){0});
    float *whole = hf_model_score(&model, ids, N);
    expect_rows_after(&model, whole, ids, N, 0, N); // the cached tokens do not count
    expect_rows_after(&model, whole, ids, N, 20, N - 20);
    expect_rows_after(&model, whole, ids, 30, 29, 1);
    sync(&model, ids, 10);
    expect_rows_after(&model, whole, ids, N, 40, N - 10); // the prefix is computed as far as it is missing
    ids[5] = ids[5] == 7 ? 8 : 7;
    free(whole);
    whole = hf_model_score(&model, ids, N);
    ids[5] = ids[5] == 7 ? 8 : 7;
    sync(&model, ids, N);
    ids[5] = ids[5] == 7 ? 8 : 7;
    expect_rows_after(&model, whole, ids, N, 40, N - 5); // from where it differs
    free(whole);
    hf_model_close(&model);
}

static bool stop_at_once(void *context, uint64_t done, uint64_t total) {
    (void)context, (void)done, (void)total;
    return false;
}

Test(session, an_interrupted_prompt_leaves_it_usable) {
    hf_model model = hf_model_open(PLAIN, (hf_mode){0}), fresh = hf_model_open(PLAIN, (hf_mode){0});
    session_close(model.session);
    qins_error error = {0};
    model.session = session_open(model.model, &(qins_session_options){0}, 2);
    qins_session_observe(model.session, &(qins_observer){stop_at_once, NULL, NULL});
    int32_t ids[30];
    fill_ids(ids, 30, 6);
    cr_expect_eq(qins_session_sync(model.session, ids, 30, &error), QINS_INTERRUPTED);
    for (size_t n = 1; n <= 30; n++) sync(&model, ids, n); // single tokens are not asked about
    cr_expect(equals(&model, sync(&fresh, ids, 30)));
    hf_model_close(&model);
    hf_model_close(&fresh);
}

// A pretended sequence counts as cached up to its end; one that begins otherwise is computed as ever.
Test(session, pretends_to_have_computed) {
    hf_model model = hf_model_open(PLAIN, (hf_mode){0}), fresh = hf_model_open(PLAIN, (hf_mode){0});
    int32_t ids[50], other[50];
    fill_ids(ids, 50, 7);
    fill_ids(other, 50, 8);
    other[0] = ids[0] == 7 ? 8 : 7; // nothing in common
    qins_error error = {0};
    cr_assert_eq(qins_session_pretend(model.session, ids, 40, &error), QINS_OK, "%s", error.message);
    sync(&model, ids, 50);
    cr_expect_eq(qins_session_computed(model.session), 10);
    cr_expect(!equals(&model, sync(&fresh, ids, 50))); // other keys, other numbers
    sync(&model, other, 50);
    cr_expect(equals(&model, sync(&fresh, other, 50)));
    cr_assert_eq(qins_session_pretend(model.session, other, 0, &error), QINS_OK);
    sync(&model, other, 50);
    cr_expect_eq(qins_session_computed(model.session), 50);
    ids[3] = -1;
    cr_expect_eq(qins_session_pretend(model.session, ids, 40, &error), QINS_USAGE);
    hf_model_close(&model);
    hf_model_close(&fresh);
}
