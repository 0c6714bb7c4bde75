// Equality with Hugging Face transformers in float32: the checkpoints of tests/data with their goldens
// (tests/oracle/make_goldens.py), in reference mode.
#include "tests/hf_model.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Largest difference of logits, as a share of the range of the golden row. Two FP32 implementations that sum in another
// order differ by about 1e-6 of the range a layer; this is the figure the project promises.
static const double TOLERANCE = 2e-4;

static double range_of(const double *row, size_t n) {
    double low = row[0], high = row[0];
    for (size_t i = 1; i < n; i++) {
        low = fmin(low, row[i]);
        high = fmax(high, row[i]);
    }
    return high - low;
}

// Largest |logits - golden| / range for one golden row, a JSON array of vocab_size numbers.
static double row_difference(const qins_json *golden, const float *logits, size_t vocab_size) {
    double *row = malloc(vocab_size * sizeof *row), largest = 0;
    cr_assert_not_null(row);
    cr_assert_eq(qins_json_count(golden), vocab_size);
    size_t i = 0;
    for (const qins_json *item = qins_json_first(golden); item != NULL; item = qins_json_next(item))
        cr_assert(qins_json_number(item, &row[i++]));
    for (i = 0; i < vocab_size; i++) largest = fmax(largest, fabs(row[i] - (double)logits[i]));
    largest /= range_of(row, vocab_size);
    free(row);
    return largest;
}

// "rows": [[position, [logit, ...]], ...] against logits[.., vocab_size]; returns how many rows there were.
static size_t check_rows(const qins_json *rows, const float *logits, size_t vocab_size, const char *name) {
    size_t count = 0;
    for (const qins_json *row = qins_json_first(rows); row != NULL; row = qins_json_next(row), count++) {
        int64_t position;
        const qins_json *number = qins_json_first(row);
        cr_assert(qins_json_integer(number, &position));
        double difference = row_difference(qins_json_next(number), logits + (size_t)position * vocab_size, vocab_size);
        cr_expect_leq(difference, TOLERANCE, "%s, row %lld: %.2e of the range", name, (long long)position, difference);
    }
    return count;
}

static size_t check_cases(hf_model *model, const qins_json *cases, size_t vocab_size) {
    size_t n_rows = 0;
    for (const qins_json *item = qins_json_first(cases); item != NULL; item = qins_json_next(item)) {
        size_t n;
        int32_t *ids = hf_json_ids(qins_json_get(item, "ids"), &n);
        float *logits = hf_model_score(model, ids, n);
        n_rows +=
            check_rows(qins_json_get(item, "rows"), logits, vocab_size, qins_json_text(qins_json_get(item, "name")));
        free(logits);
        free(ids);
    }
    return n_rows;
}

static size_t arg_max(const float *logits, size_t n) {
    size_t best = 0;
    for (size_t i = 1; i < n; i++) best = logits[i] > logits[best] ? i : best;
    return best;
}

// Follow a golden generation step by step through the cache: the same token wherever the golden's best two are further
// apart than two logits may differ, and the same logits where the golden has them.
static size_t check_generation(hf_model *model, const qins_json *item, size_t vocab_size) {
    const char *name = qins_json_text(qins_json_get(item, "name"));
    size_t n_prompt, n_steps, n_rows = 0;
    int32_t *prompt = hf_json_ids(qins_json_get(item, "prompt"), &n_prompt);
    int32_t *steps = hf_json_ids(qins_json_get(item, "ids"), &n_steps);
    int32_t *ids = malloc((n_prompt + n_steps) * sizeof *ids);
    float *logits = malloc(n_steps * vocab_size * sizeof *logits);
    cr_assert(ids != NULL && logits != NULL);
    memcpy(ids, prompt, n_prompt * sizeof *ids);
    memcpy(ids + n_prompt, steps, n_steps * sizeof *ids);
    const qins_json *gap_item = qins_json_first(qins_json_get(item, "gap"));
    for (size_t step = 0; step < n_steps; step++, gap_item = qins_json_next(gap_item)) {
        qins_error error = {0};
        qins_session_sync(model->session, ids, n_prompt + step, &error);
        cr_assert_eq(error.status, QINS_OK, "%s", error.message);
        float *row = logits + step * vocab_size;
        memcpy(row, qins_session_logits(model->session), vocab_size * sizeof *row);
        double gap, low = INFINITY, high = -INFINITY;
        cr_assert(qins_json_number(gap_item, &gap));
        for (size_t i = 0; i < vocab_size; i++) {
            low = fmin(low, (double)row[i]);
            high = fmax(high, (double)row[i]);
        }
        if (gap > TOLERANCE * (high - low))
            cr_expect_eq((int32_t)arg_max(row, vocab_size), steps[step], "%s, step %zu", name, step);
    }
    if (qins_json_get(item, "rows") != NULL) n_rows = check_rows(qins_json_get(item, "rows"), logits, vocab_size, name);
    free(prompt);
    free(steps);
    free(ids);
    free(logits);
    return n_rows;
}

// By value: Criterion hands parameters to another process.
struct folder {
    char path[64];
};

static struct folder folders[] = {
    {"tests/data/demo"},
    {"tests/data/tiny/plain-gqa-f32"},
    {"tests/data/tiny/tied-bf16"},
    {"tests/data/tiny/partial-longrope-bf16"},
    {"tests/data/tiny/longrope-su-bf16"},
    {"tests/data/tiny/longrope-odd-f16"},
    {"tests/data/tiny/sharded-f16"},
    {"tests/data/tiny/window-gqa-bf16"},
    {"tests/data/tiny/phi4-mini-bf16"},
};

ParameterizedTestParameters(parity, reference_mode) {
    return cr_make_param_array(struct folder, folders, sizeof folders / sizeof folders[0]);
}

ParameterizedTest(struct folder *folder, parity, reference_mode) {
    char path[256];
    snprintf(path, sizeof path, "%s/golden.json", folder->path);
    qins_json *golden = hf_read_json(path);
    hf_model model = hf_model_open(folder->path, (hf_mode){0});
    const size_t vocab_size = qins_session_config(model.session)->vocab_size;

    cr_expect_gt(check_cases(&model, qins_json_get(golden, "cases"), vocab_size), 0);
    const char *const lists[] = {"generations", "chats"};
    for (int i = 0; i < 2; i++) {
        const qins_json *list = qins_json_get(golden, lists[i]);
        for (const qins_json *item = qins_json_first(list); item != NULL; item = qins_json_next(item))
            check_generation(&model, item, vocab_size);
    }
    hf_model_close(&model);
    qins_json_free(golden);
}
