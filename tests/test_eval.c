// qinsrun eval: log-probabilities, answers and accuracies against those of transformers and tokenizers
// (tests/oracle/evaluate_model.py), changes against a reference, savings of the cache, and files that are refused.
#include "engine/measure/choices.h"
#include "engine/measure/evaluation.h"
#include "engine/measure/task.h"
#include "engine/runtime/logits.h"
#include "tests/command.h"
#include "tests/hf_model.h"
#include "tests/support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char REFERENCE_MODE[] = "--type f32 --kv-k f32 --kv-v f32 -t 2";

// Relative, of a sum of log-probabilities: ten times what was seen (2.2e-6), as another machine sums in another order.
static const double TOLERANCE = 2e-5;

static void append_number(char *line, const char *option, const qins_json *item) {
    double value;
    if (qins_json_number(item, &value)) sprintf(line + strlen(line), " %s %.0f", option, value);
}

// The command of a case whose files are in `base`.
static void command_of(char line[static 1024], const char *base, const qins_json *golden) {
    snprintf(line, 1024, "eval -m %s/%s --task %s/%s --json %s", base, qins_json_text(qins_json_get(golden, "model")),
             base, qins_json_text(qins_json_get(golden, "task")), REFERENCE_MODE);
    const char *examples = qins_json_text(qins_json_get(golden, "examples"));
    if (examples != NULL) {
        sprintf(line + strlen(line), " --examples %s/%s", base, examples);
        append_number(line, "--shots", qins_json_get(golden, "shots"));
    }
    append_number(line, "--bos", qins_json_get(golden, "bos"));
    append_number(line, "--limit", qins_json_get(golden, "limit"));
}

static void expect_same(const qins_json *json, const qins_json *golden, const char *key, double tolerance) {
    const double value = json_number_at(json, key), expected = json_number_at(golden, key);
    cr_expect_leq(fabs(value - expected), tolerance * fabs(expected), "%s of %s: %.9g, expected %.9g", key,
                  qins_json_text(qins_json_get(json, "task")), value, expected);
}

static void expect_case(const char *base, const qins_json *golden) {
    char line[1024], path[64];
    command_of(line, base, golden);
    qins_json *json = command_json(line);
    const qins_json *task = qins_json_first(qins_json_get(json, "tasks"));
    cr_expect_str_eq(qins_json_text(qins_json_get(task, "format")), qins_json_text(qins_json_get(golden, "format")));
    const size_t n = qins_json_count(qins_json_get(golden, "answers"));
    cr_expect_eq(qins_json_count(qins_json_get(task, "answers")), n);
    static const char *const figures[] = {"acc", "acc_se", "acc_norm", "acc_norm_se"};
    for (size_t i = 0; i < 4; i++) expect_same(task, golden, figures[i], 1e-12);
    const qins_json *answer = qins_json_first(qins_json_get(golden, "answers"));
    for (size_t i = 0; i < n; i++, answer = qins_json_next(answer)) {
        static const char *const picks[] = {"answer", "pick", "pick_norm"};
        for (size_t j = 0; j < 3; j++) {
            snprintf(path, sizeof path, "answers.%zu.%s", i, picks[j]);
            expect_same(task, golden, path, 0);
        }
        for (size_t j = 0; j < qins_json_count(qins_json_get(answer, "log_p")); j++) {
            snprintf(path, sizeof path, "answers.%zu.log_p.%zu", i, j);
            expect_same(task, golden, path, TOLERANCE);
        }
    }
    qins_json_free(json);
}

static void expect_cases(const char *base, const char *key) {
    qins_json *golden = hf_read_json("tests/data/tasks/figures.json");
    const qins_json *list = qins_json_get(golden, key);
    cr_assert_gt(qins_json_count(list), 0);
    for (const qins_json *item = qins_json_first(list); item != NULL; item = qins_json_next(item))
        expect_case(base, item);
    qins_json_free(golden);
}

Test(eval, figures_are_those_of_transformers) {
    expect_cases("tests/data", "own");
}

Test(eval, figures_of_the_public_sets_are_those_of_transformers) {
    char *base = hf_shared_path("");
    if (base == NULL) cr_skip_test("QINS_TEST_DATA is not set");
    expect_cases(base, "shared");
    free(base);
}

// --- a reference ---

// Two different models; the changes must be those that the answers show.
Test(eval, changes_are_counted) {
    qins_json *json =
        command_json("eval -m tests/data/tiny/tied-bf16 --ref tests/data/tiny/plain-gqa-f32 --json "
                     "--task tests/data/tasks/winogrande_friends.jsonl --task tests/data/tasks/mmlu_facts.jsonl");
    size_t n_changed = 0;
    for (const qins_json *task = qins_json_first(qins_json_get(json, "tasks")); task != NULL;
         task = qins_json_next(task)) {
        double n = 0, lost = 0, gained = 0, ref_right = 0;
        const qins_json *item = qins_json_first(qins_json_get(task, "answers"));
        for (; item != NULL; item = qins_json_next(item)) {
            const double right = json_number_at(item, "answer"), pick = json_number_at(item, "pick");
            const double ref_pick = json_number_at(item, "ref.pick");
            n += pick != ref_pick;
            lost += pick != right && ref_pick == right;
            gained += pick == right && ref_pick != right;
            ref_right += ref_pick == right;
        }
        cr_expect_eq(json_number_at(task, "ref.changed"), n);
        cr_expect_eq(json_number_at(task, "ref.lost"), lost);
        cr_expect_eq(json_number_at(task, "ref.gained"), gained);
        cr_expect_eq(json_number_at(task, "ref.mcnemar_p"), qins_mcnemar((size_t)lost, (size_t)gained));
        cr_expect_float_eq(json_number_at(task, "ref.acc"), ref_right / json_number_at(task, "questions"), 1e-12);
        n_changed += (size_t)n;
    }
    cr_expect_gt(n_changed, 0, "the models agree, so the test shows nothing");
    qins_json_free(json);
}

// The formula in Python's integers and fractions.
Test(eval, mcnemar) {
    static const struct {
        size_t lost, gained;
        double p;
    } cases[] = {{0, 0, 1},
                 {1, 0, 1},
                 {0, 10, 0.001953125},
                 {9, 3, 0.14599609375},
                 {19, 19, 1},
                 {20, 18, 0.8714146793645341},
                 {900, 1100, 8.457089535503927e-06}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_expect_float_eq(qins_mcnemar(cases[i].lost, cases[i].gained), cases[i].p, 1e-9 * cases[i].p,
                           "%zu and %zu: %.9g", cases[i].lost, cases[i].gained,
                           qins_mcnemar(cases[i].lost, cases[i].gained));
}

// --- the cache ---

static size_t score(qins_choice_scorer *scorer, const qins_choice *choices, size_t n, double *log_p) {
    const size_t before = scorer->n_computed;
    qins_error error = {0};
    qins_choice_scorer_score(scorer, choices, n, log_p, &error);
    expect_ok(&error);
    return scorer->n_computed - before;
}

Test(eval, only_new_tokens_are_computed) {
    hf_model model = hf_model_open("tests/data/tiny/plain-gqa-f32", (hf_mode){0});
    qins_session *fresh_session = session_open(model.model, &(qins_session_options){0}, 1);
    qins_choice_scorer scorer;
    qins_error error = {0};
    qins_choice_scorer_init(&scorer, model.session, &error);
    expect_ok(&error);
    int32_t one[] = {5, 6, 7, 8, 20}, two[] = {5, 6, 7, 8, 30, 31, 32}, next[] = {5, 6, 9, 40, 41};
    const qins_choice shared[] = {{one, 4, 1}, {two, 4, 3}, {two, 4, 2}}, other[] = {{next, 3, 2}};
    double log_p[3], again[1];
    // 4 of the context; none for one token; 30 and 31, after which 31 and 32 are predicted; 30.
    cr_expect_eq(score(&scorer, shared, 3, log_p), 4 + 0 + 2 + 1);
    cr_expect_eq(scorer.n_scored, 4 + 6 + 5);
    cr_expect_eq(score(&scorer, other, 1, again), 1 + 1); // 9, then 40
    qins_choice_scorer fresh;
    qins_choice_scorer_init(&fresh, fresh_session, &error);
    expect_ok(&error);
    double alone;
    cr_expect_eq(score(&fresh, &shared[1], 1, &alone), 6);
    // The same sums in another order; see test_session.c.
    cr_expect_float_eq(alone, log_p[1], 3 * 2e-4);
    cr_expect_gt(fabs(log_p[1] - log_p[2]), 3 * 2e-4);
    qins_choice_scorer_free(&fresh);
    qins_choice_scorer_free(&scorer);
    session_close(fresh_session);
    hf_model_close(&model);
}

// Hugging Face runs a choice as one sequence: beyond the switch, all of it has LongRoPE's long factors.
Test(eval, a_choice_across_the_switch_of_longrope_is_one_sequence) {
    const qins_config config = tiny_config();
    qins_model *model = model_of_image(model_image(&config, 3, QINS_F32));
    qins_session *session = session_open(model, &(qins_session_options){0}, 1);
    qins_error error = {0};
    qins_choice_scorer scorer;
    qins_choice_scorer_init(&scorer, session, &error);
    expect_ok(&error);
    int32_t ids[3][12] = {{1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13},
                          {1, 2, 3, 4, 5, 6, 8, 14, 15, 16, 17, 18},
                          {1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13}};
    const qins_choice choices[] = {{ids[0], 7, 4}, {ids[1], 7, 2}, {ids[2], 7, 5}}; // run 10, 8 and 11 tokens
    double log_p[3];
    qins_choice_scorer_score(&scorer, choices, 3, log_p, &error);
    expect_ok(&error);
    for (size_t i = 0; i < 3; i++) {
        const size_t n = choices[i].n_context + choices[i].n_continuation - 1;
        const float *logits;
        size_t first, n_rows;
        double sum = 0;
        qins_scorer_begin(scorer.rows, ids[i], n, 0, &error);
        while (qins_scorer_next(scorer.rows, &logits, &first, &n_rows, &error) == QINS_OK && n_rows > 0) {
            for (size_t row = 0; row < n_rows; row++, logits += config.vocab_size)
                if (first + row + 1 >= choices[i].n_context)
                    sum += (double)logits[ids[i][first + row + 1]] - qins_log_sum_exp(logits, config.vocab_size);
        }
        cr_expect_float_eq(log_p[i], sum, 1e-12, "choice %zu: %.15g, as one sequence %.15g", i, log_p[i], sum);
    }
    qins_choice_scorer_free(&scorer);
    session_close(session);
    qins_model_close(model);
}

Test(eval, predicted_ids_must_be_the_models) {
    const qins_config config = tiny_config();
    qins_model *model = model_of_image(model_image(&config, 3, QINS_F32));
    qins_session *session = session_open(model, &(qins_session_options){0}, 1);
    qins_error error = {0};
    qins_choice_scorer scorer;
    qins_choice_scorer_init(&scorer, session, &error);
    int32_t ids[] = {1, 2, 50};
    for (size_t n_context = 1; n_context <= 2; n_context++) {
        const qins_choice choice = {ids, n_context, 3 - n_context};
        double log_p;
        qins_choice_scorer_score(&scorer, &choice, 1, &log_p, &error);
        expect_error(&error, QINS_USAGE, "token id 50 is outside the vocabulary of 50");
    }
    qins_choice_scorer_free(&scorer);
    session_close(session);
    qins_model_close(model);
}

Test(eval, prompts_too_long_keep_their_end) {
    int32_t ids[12] = {0};
    cr_expect_eq(qins_choice_overlong(&(qins_choice){ids, 8, 4}, 11), 0); // the last one is not run
    cr_expect_eq(qins_choice_overlong(&(qins_choice){ids, 8, 4}, 10), 1);
    expect_command_fails("eval -m tests/data/tiny/plain-gqa-f32 --task tests/data/tasks/hellaswag_stories.jsonl -c 2",
                         QINS_CONTEXT_OVERFLOW, "line 1: a choice of 19 tokens leaves no room in the context of 2");
}

// --- files ---

static void expect_refused(const char *text, const char *message) {
    char *folder = temporary_folder();
    qins_error error = {0};
    qins_task task;
    qins_task_read(&task, write_file(folder, "questions", text, strlen(text)), QINS_WINOGRANDE, SIZE_MAX, &error);
    expect_error(&error, QINS_USAGE, message);
    qins_task_free(&task);
    remove_folder(folder);
}

Test(eval, bad_questions_are_refused_by_line) {
    static const char GOOD[] = "{\"question\":\"a _ b\",\"choices\":[\"c\",\"d\"],\"answer\":1}\n";
    char text[256];
    snprintf(text, sizeof text, "%s\n%s{\"question\":", GOOD, GOOD);
    expect_refused(text, "line 4: not valid JSON");
    expect_refused("", "has no questions");
    expect_refused("{\"choices\":[\"c\",\"d\"],\"answer\":1}", "line 1: \"question\"");
    expect_refused("{\"question\":\"a _ b\",\"choices\":[\"c\"],\"answer\":0}", "2 to 10 choices");
    expect_refused("{\"question\":\"a _ b\",\"answer\":0}", "2 to 10 choices");
    expect_refused("{\"question\":\"a _ b\",\"choices\":[\"c\",1],\"answer\":0}", "a choice is not a text");
    expect_refused("{\"question\":\"a _ b\",\"choices\":[\"c\",\"\"],\"answer\":0}", "a choice is not a text");
    expect_refused("{\"question\":\"a _ b\",\"choices\":[\"c\",\"d\"],\"answer\":2}", "\"answer\" must be");
    expect_refused("{\"question\":\"a _ b\",\"choices\":[\"c\",\"d\"]}", "\"answer\" is missing");
    expect_refused("{\"question\":\"a b\",\"choices\":[\"c\",\"d\"],\"answer\":0}", "has no _");
    expect_refused("[]", "choices");
}

// A file cut off anywhere has its whole lines, or none of them, and never half a question.
Test(eval, cut_off_files_are_noticed) {
    static const char TEXT[] = "{\"question\":\"a _ b\",\"choices\":[\"c\",\"d\"],\"answer\":1}\n"
                               "{\"question\":\"_ e\",\"choices\":[\"c\",\"d\"],\"answer\":0}";
    const size_t line = (size_t)(strchr(TEXT, '\n') - TEXT), size = strlen(TEXT);
    char *folder = temporary_folder();
    for (size_t n = 0; n <= size; n++) {
        qins_error error = {0};
        qins_task task;
        qins_task_read(&task, write_file(folder, "questions", TEXT, n), QINS_WINOGRANDE, SIZE_MAX, &error);
        if (n == line || n == line + 1 || n == size)
            cr_expect(error.status == QINS_OK && task.n_questions == (n == size ? 2 : 1), "%zu bytes", n);
        else
            cr_expect(error.status == QINS_USAGE, "%zu bytes", n);
        qins_task_free(&task);
    }
    remove_folder(folder);
}

Test(eval, misuse_is_refused) {
    static const char DEMO[] = "eval -m tests/data/demo";
    char line[256];
    expect_command_fails(DEMO, QINS_USAGE, "needs --task");
    snprintf(line, sizeof line, "%s --task README.md", DEMO);
    expect_command_fails(line, QINS_USAGE, "give one with --format");
    snprintf(line, sizeof line, "%s --task tests/data/tasks/arc_animals.jsonl --format hellaswag", DEMO);
    expect_command_fails(line, QINS_USAGE, "line 1: a question needs a list");
    snprintf(line, sizeof line,
             "%s --task tests/data/tasks/mmlu_facts.jsonl --examples tests/data/tasks/mmlu_examples.jsonl", DEMO);
    expect_command_fails(line, QINS_USAGE, "there are 2 examples for \"world_geography\", --shots asks for 5");
    snprintf(line, sizeof line, "%s --task tests/data/tasks/mmlu_facts.jsonl --shots 2", DEMO);
    expect_command_fails(line, QINS_USAGE, "--shots needs --examples");
    snprintf(line, sizeof line, "%s --task tests/data/nothing-arc.jsonl --format arc", DEMO);
    expect_command_fails(line, QINS_USAGE, "No such file");
}

Test(eval, survives_failing_allocations) {
    char *folder = temporary_folder(), line[1024];
    int n = snprintf(line, sizeof line, "eval -m %s", command_model(folder, "tied-bf16"));
    snprintf(line + n, sizeof line - (size_t)n,
             " --ref %s -t 2 --json -c 24 --limit 1 "
             "--task tests/data/tasks/winogrande_friends.jsonl --examples tests/data/tasks/winogrande_friends.jsonl "
             "--shots 1",
             command_model(folder, "plain-gqa-f32"));
    expect_command_survives_failures(line);
    remove_folder(folder);
}
