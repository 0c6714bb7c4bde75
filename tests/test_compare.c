// qinsrun compare: its figures against those of transformers (tests/oracle/compare_models.py), the statistics at their
// edges, and greedy texts against plain loops.
#include "engine/measure/comparison.h"
#include "engine/measure/greedy.h"
#include "engine/runtime/logits.h"
#include "tests/command.h"
#include "tests/hf_model.h"
#include "tests/support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Logits agree to 2e-4 of their range (test_parity.c); means of their differences do no worse.
static const double TOLERANCE = 1e-3;

static void expect_close(const qins_json *json, const qins_json *golden, const char *path) {
    const double value = json_number_at(json, path), expected = json_number_at(golden, path);
    cr_expect_leq(fabs(value - expected), TOLERANCE * fabs(expected), "%s: %.9g, expected %.9g", path, value, expected);
}

Test(compare, figures_are_those_of_transformers) {
    static const char *const paths[] = {
        "kld.mean",          "kld.mean_se",      "kld.median",       "kld.p90",      "kld.p99",
        "kld.p99_9",         "kld.max",          "same_top",         "rms_p_change", "ppl",
        "ref_ppl",           "ppl_ratio",        "ppl_ratio_se",     "positions",    "predicted",
        "kld.max_at.window", "kld.max_at.index", "kld.max_at.token",
    };
    qins_json *golden = hf_read_json("tests/data/compare.json");
    const qins_json *expected = qins_json_get(golden, "figures");
    size_t n;
    int32_t *ids = hf_json_ids(qins_json_get(golden, "ids"), &n);
    char *folder = temporary_folder(), line[512], path[64];
    snprintf(
        line, sizeof line,
        "compare -m tests/data/%s --ref tests/data/%s --type f32 --kv-k f32 --kv-v f32 --ids-file %s -c %g --bos %g "
        "--greedy %g --prompts %g --json -t 2",
        qins_json_text(qins_json_get(golden, "model")), qins_json_text(qins_json_get(golden, "ref")),
        write_file(folder, "ids", ids, n * sizeof *ids), json_number_at(golden, "window"),
        json_number_at(golden, "bos"), json_number_at(golden, "greedy"), json_number_at(golden, "prompts"));
    qins_json *json = command_json(line);
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) expect_close(json, expected, paths[i]);
    const size_t n_points = qins_json_count(qins_json_get(qins_json_get(json, "kld_by_position"), "mean"));
    cr_expect_eq(n_points, qins_json_count(qins_json_get(qins_json_get(expected, "kld_by_position"), "mean")));
    for (size_t i = 0; i < n_points; i++) {
        snprintf(path, sizeof path, "kld_by_position.mean.%zu", i);
        expect_close(json, expected, path);
    }
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "greedy.prompts.%zu.gap", i);
        expect_close(json, expected, path);
    }
    qins_json_free(json);
    qins_json_free(golden);
    remove_folder(folder);
    free(ids);
}

Test(compare, refusals) {
    expect_command_fails("compare -m tests/data/demo", QINS_USAGE, "needs --ref");
    expect_command_fails("compare -m tests/data/demo --ref tests/data/tiny/tied-bf16 -p x", QINS_USAGE,
                         "cannot be compared");
    expect_command_fails("compare -m tests/data/demo --ref tests/data/demo -p one,two,three -c 4 --greedy 1000",
                         QINS_CONTEXT_OVERFLOW, "a context of 1002 tokens is more than this model's maximum of 512");
}

// Two tokens; the logit of the first is given, that of the second is 0.
static void add(qins_comparison *comparison, double ref, double logit, size_t index, int32_t next) {
    qins_error error = {0};
    const float ref_row[] = {(float)ref, 0}, row[] = {(float)logit, 0};
    const qins_position at = {3, index, 7, next};
    qins_comparison_add(comparison, ref_row, row, &at, &error);
    expect_ok(&error);
}

Test(compare, one_prediction_has_no_error) {
    qins_comparison comparison;
    qins_comparison_init(&comparison, 2, 8);
    add(&comparison, 0, log(3), 5, 0); // p: 1/2 of the reference, 3/4 of the model
    const qins_comparison_summary summary = qins_comparison_summarize(&comparison);
    const double kld = 0.5 * log(0.5 / 0.75) + 0.5 * log(0.5 / 0.25), rounding = 1e-7; // log 3 is rounded to float
    cr_expect_float_eq(summary.mean, kld, rounding);
    cr_expect_float_eq(summary.p99_9, kld, rounding);
    cr_expect(isnan(summary.mean_se) && isnan(summary.ppl_ratio_se));
    cr_expect_float_eq(summary.ppl_ratio, 2.0 / 3, rounding);
    cr_expect_float_eq(summary.rms_p_change, 0.25, rounding);
    cr_expect(comparison.max_at.window == 3 && comparison.max_at.index == 5 && comparison.max_at.token == 7);
    qins_comparison_free(&comparison);
}

Test(compare, equal_models_differ_by_nothing) {
    qins_comparison comparison;
    qins_comparison_init(&comparison, 2, 8);
    for (size_t i = 0; i < 8; i++) add(&comparison, (double)i / 3, (double)i / 3, i, i < 7 ? 1 : -1);
    const qins_comparison_summary summary = qins_comparison_summarize(&comparison);
    cr_expect(summary.mean == 0 && summary.mean_se == 0 && comparison.max_kld == 0 && summary.same_top == 1);
    cr_expect(summary.rms_p_change == 0 && summary.ppl_ratio == 1 && summary.ppl_ratio_se == 0);
    cr_expect_eq(comparison.n_predicted, 7);
    qins_comparison_free(&comparison);
}

Test(compare, long_windows_share_points_of_the_curve) {
    qins_comparison comparison;
    qins_comparison_init(&comparison, 2, QINS_MAX_CURVE_POINTS + 1);
    cr_expect(comparison.curve_step == 2 && comparison.n_points == QINS_MAX_CURVE_POINTS / 2 + 1);
    add(&comparison, 0, 0, QINS_MAX_CURVE_POINTS, -1); // the last index
    cr_expect_eq(comparison.curve_count[comparison.n_points - 1], 1);
    qins_comparison_free(&comparison);
}

// --- greedy texts ---

enum { N_PROMPT = 12, N_STEPS = 40, N_TEXT = N_PROMPT + N_STEPS };

// Extend ids[n_prompt] to N_TEXT greedily.
static void write_text(hf_model *model, int32_t *ids) {
    qins_error error = {0};
    for (size_t n = N_PROMPT; n < N_TEXT; n++) {
        qins_session_sync(model->session, ids, n, &error);
        expect_ok(&error);
        ids[n] =
            (int32_t)qins_arg_max(qins_session_logits(model->session), qins_session_config(model->session)->vocab_size);
    }
}

// Steps after `text` at which the model chooses its token.
static size_t count_forced(hf_model *model, const int32_t *text) {
    int32_t ids[N_TEXT];
    size_t count = 0;
    for (size_t n = N_PROMPT; n < N_TEXT; n++) {
        qins_error error = {0};
        memcpy(ids, text, n * sizeof *ids);
        qins_session_sync(model->session, ids, n, &error);
        expect_ok(&error);
        count += qins_arg_max(qins_session_logits(model->session), qins_session_config(model->session)->vocab_size) ==
                 (size_t)text[n];
    }
    return count;
}

static bool count_calls(void *context, uint64_t done, uint64_t total) {
    cr_expect_leq(done, total);
    *(uint64_t *)context = done;
    return true;
}

// Coded weights choose otherwise now and then; not from the start, nor never.
Test(compare, greedy_texts_are_those_of_plain_loops) {
    hf_model model = hf_model_open("tests/data/demo", (hf_mode){.weights = QINS_QINS8});
    hf_model reference = hf_model_open("tests/data/demo", (hf_mode){0});
    test_random random = {5};
    size_t n_diverging = 0, n_same_start = 0;
    for (int trial = 0; trial < 12; trial++) {
        int32_t own[N_TEXT], theirs[N_TEXT], text[N_TEXT], scratch[N_TEXT];
        for (size_t i = 0; i < N_PROMPT; i++)
            text[i] = own[i] = theirs[i] = (int32_t)(300 + random_below(&random, 400));
        write_text(&model, own);
        write_text(&reference, theirs);
        size_t n_equal = 0, first = N_STEPS;
        for (size_t i = N_STEPS; i-- > 0;) {
            n_equal += own[N_PROMPT + i] == theirs[N_PROMPT + i];
            if (own[N_PROMPT + i] != theirs[N_PROMPT + i]) first = i;
        }
        qins_error error = {0};
        uint64_t done = 0;
        qins_greedy_match match = {.n_prompt = N_PROMPT};
        qins_greedy_compare(model.session, reference.session, text, scratch, N_STEPS, count_calls, &done, &match,
                            &error);
        expect_ok(&error);
        cr_expect_arr_eq(text, theirs, sizeof text);
        cr_expect(match.first_difference == first && match.n_free == n_equal);
        cr_expect_eq(match.n_forced, count_forced(&model, theirs));
        cr_expect(first == N_STEPS ? match.gap == 0 : match.gap > 0);
        cr_expect_gt(done, 0);
        n_diverging += first < N_STEPS;
        n_same_start += first > 0;
    }
    cr_expect(n_diverging > 0 && n_same_start > 0, "the trials show nothing");
    hf_model_close(&model);
    hf_model_close(&reference);
}

static bool stop_at_once(void *context, uint64_t done, uint64_t total) {
    (void)context, (void)done, (void)total;
    return false;
}

Test(compare, greedy_texts_can_be_interrupted) {
    hf_model model = hf_model_open("tests/data/tiny/plain-gqa-f32", (hf_mode){0});
    hf_model reference = hf_model_open("tests/data/tiny/plain-gqa-f32", (hf_mode){0});
    int32_t text[3] = {1, 2}, own[3];
    qins_error error = {0};
    qins_greedy_match match = {.n_prompt = 2};
    qins_greedy_compare(model.session, reference.session, text, own, 1, stop_at_once, NULL, &match, &error);
    expect_error(&error, QINS_INTERRUPTED, "interrupted");
    hf_model_close(&model);
    hf_model_close(&reference);
}

Test(compare, survives_failing_allocations) {
    char *folder = temporary_folder(), line[1024];
    int n = snprintf(line, sizeof line, "compare -m %s", command_model(folder, "tied-bf16"));
    snprintf(line + n, sizeof line - (size_t)n,
             " --ref %s -t 2 --json -c 8 --max-windows 2 -f tests/data/tasks/README.md --greedy 2",
             command_model(folder, "plain-gqa-f32"));
    expect_command_survives_failures(line);
    remove_folder(folder);
}
