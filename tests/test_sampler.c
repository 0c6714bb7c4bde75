// The sampler on small distributions worked out by hand, and a chi-square test of many draws.
#include "engine/runtime/sampler.h"
#include "tests/support.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_VOCAB = 8, DRAWS = 20000 };

static const qins_sampler_options defaults = {.temperature = 1, .top_p = 1, .repeat_penalty = 1, .seed = 1};

static qins_sampler *make(const qins_sampler_options *options, size_t vocab_size) {
    qins_error error = {0};
    qins_sampler *sampler = qins_sampler_create(options, NULL, 0, vocab_size, &error);
    expect_ok(&error);
    return sampler;
}

// After a prompt.
static int32_t next(qins_sampler *sampler, const float *logits, const int32_t *prompt, size_t n) {
    return qins_sampler_next(sampler, logits, &(qins_text_so_far){prompt, n, n});
}

static int32_t draw_once(const qins_sampler_options *options, const float *logits, size_t n, const int32_t *history,
                         size_t n_history) {
    qins_sampler *sampler = make(options, n);
    int32_t id = next(sampler, logits, history, n_history);
    qins_sampler_free(sampler);
    return id;
}

Test(sampler, greedy_takes_the_first_of_the_largest) {
    qins_sampler_options greedy = defaults;
    greedy.temperature = 0;
    cr_expect_eq(draw_once(&greedy, (float[]){1, 3, 2}, 3, NULL, 0), 1);
    cr_expect_eq(draw_once(&greedy, (float[]){1, 3, 3, 3}, 4, NULL, 0), 1);
    cr_expect_eq(draw_once(&greedy, (float[]){-5, -3, -4}, 3, NULL, 0), 1);
    cr_expect_eq(draw_once(&greedy, (float[]){7}, 1, NULL, 0), 0);
    cr_expect_eq(draw_once(&greedy, (float[]){FLT_MAX, -FLT_MAX}, 2, NULL, 0), 0);
}

// Count how often each token is drawn.
static void draw_many(const qins_sampler_options *options, const float *logits, size_t n,
                      int counts[static MAX_VOCAB]) {
    float copy[MAX_VOCAB];
    memset(counts, 0, MAX_VOCAB * sizeof *counts);
    memcpy(copy, logits, n * sizeof *copy);
    qins_sampler *sampler = make(options, n);
    for (int i = 0; i < DRAWS; i++) {
        int32_t id = next(sampler, copy, NULL, 0);
        cr_assert(id >= 0 && (size_t)id < n);
        counts[id]++;
    }
    cr_assert_eq(memcmp(copy, logits, n * sizeof *copy), 0, "the logits stay as they are");
    qins_sampler_free(sampler);
}

// Draws from `probabilities` (as logits) with these options give `expected`: zero where nothing may come, and a
// chi-square below 30, which true draws exceed once in 10^5 at 5 degrees of freedom. The seed is fixed.
static void expect_distribution(const char *what, const qins_sampler_options *options, const double *probabilities,
                                size_t n, const double *expected) {
    float logits[MAX_VOCAB] = {0};
    int counts[MAX_VOCAB];
    double chi_square = 0;
    for (size_t i = 0; i < n; i++) logits[i] = (float)log(probabilities[i]) + 3.5f;
    draw_many(options, logits, n, counts);
    for (size_t i = 0; i < n; i++) {
        double wanted = expected[i] * DRAWS;
        if (wanted == 0) cr_assert_eq(counts[i], 0, "%s: token %zu may not come", what, i);
        if (wanted > 0) chi_square += (counts[i] - wanted) * (counts[i] - wanted) / wanted;
    }
    cr_expect_lt(chi_square, 30, "%s: chi-square %g", what, chi_square);
}

static const double five[] = {0.15, 0.4, 0.05, 0.3, 0.1}; // sorted: 1, 3, 0, 4, 2

Test(sampler, draws_follow_the_softmax) {
    expect_distribution("plain", &defaults, five, 5, five);
    qins_sampler_options options = defaults;
    options.temperature = 2; // square roots
    double expected[5], sum = 0;
    for (int i = 0; i < 5; i++) sum += expected[i] = sqrt(five[i]);
    for (int i = 0; i < 5; i++) expected[i] /= sum;
    expect_distribution("temperature 2", &options, five, 5, expected);
    options.temperature = 0.5f; // squares
    sum = 0;
    for (int i = 0; i < 5; i++) sum += expected[i] = five[i] * five[i];
    for (int i = 0; i < 5; i++) expected[i] /= sum;
    expect_distribution("temperature 0.5", &options, five, 5, expected);
}

Test(sampler, top_k) {
    qins_sampler_options options = defaults;
    options.top_k = 1;
    expect_distribution("top-k 1", &options, five, 5, (double[]){0, 1, 0, 0, 0});
    options.top_k = 2;
    expect_distribution("top-k 2", &options, five, 5, (double[]){0, 4 / 7.0, 0, 3 / 7.0, 0});
    options.top_k = 5;
    expect_distribution("top-k 5", &options, five, 5, five);
    options.top_k = 1000;
    expect_distribution("top-k 1000", &options, five, 5, five);
}

Test(sampler, top_p) {
    qins_sampler_options options = defaults;
    options.top_p = 0.0001f;
    expect_distribution("at least one token", &options, five, 5, (double[]){0, 1, 0, 0, 0});
    options.top_p = 0.0f;
    expect_distribution("top-p 0", &options, five, 5, (double[]){0, 1, 0, 0, 0});
    options.top_p = 0.39f;
    expect_distribution("top-p 0.39", &options, five, 5, (double[]){0, 1, 0, 0, 0});
    options.top_p = 0.41f;
    expect_distribution("top-p 0.41", &options, five, 5, (double[]){0, 4 / 7.0, 0, 3 / 7.0, 0});
    options.top_p = 0.71f;
    expect_distribution("top-p 0.71", &options, five, 5, (double[]){3 / 17.0, 8 / 17.0, 0, 6 / 17.0, 0});
    options.top_p = 0.999f;
    expect_distribution("top-p 0.999", &options, five, 5, five);
}

Test(sampler, min_p) {
    qins_sampler_options options = defaults;
    options.min_p = 1;
    expect_distribution("min-p 1", &options, five, 5, (double[]){0, 1, 0, 0, 0});
    options.min_p = 0.3f; // 0.12 and more
    expect_distribution("min-p 0.3", &options, five, 5, (double[]){3 / 17.0, 8 / 17.0, 0, 6 / 17.0, 0});
    options.min_p = 0.1f;
    expect_distribution("min-p 0.1", &options, five, 5, five);
}

// Hugging Face's order: each step works on the previous one's result, scaled to sum 1.
Test(sampler, steps_work_on_what_is_left) {
    qins_sampler_options options = defaults;
    options.top_k = 2; // leaves 4/7 and 3/7
    options.top_p = 0.55f;
    expect_distribution("top-p after top-k", &options, five, 5, (double[]){0, 1, 0, 0, 0});
    options.top_p = 0.6f;
    expect_distribution("top-p after top-k", &options, five, 5, (double[]){0, 4 / 7.0, 0, 3 / 7.0, 0});
    options.min_p = 0.8f;
    expect_distribution("min-p after both", &options, five, 5, (double[]){0, 1, 0, 0, 0});
    options = defaults;
    options.temperature = 100; // near uniform: ratios of at least 0.125^0.01 = 0.979, and min-p keeps all
    options.min_p = 0.975f;
    expect_distribution("min-p after the temperature", &options, five, 5, (double[]){0.2, 0.2, 0.2, 0.2, 0.2});
}

Test(sampler, equal_logits_are_cut_in_the_order_of_ids) {
    qins_sampler_options options = defaults;
    options.top_k = 2;
    const double equal[] = {0.25, 0.25, 0.25, 0.25};
    expect_distribution("ties", &options, equal, 4, (double[]){0.5, 0.5, 0, 0});
}

struct ranked {
    float logit;
    int32_t id;
};

static int by_rank(const void *a, const void *b) {
    const struct ranked *x = a, *y = b;
    return x->logit != y->logit ? (x->logit < y->logit) - (x->logit > y->logit) : (x->id > y->id) - (x->id < y->id);
}

// Of many tokens with many ties, the first k of the sorted ones are drawn, and no others.
Test(sampler, the_first_tokens_are_those_of_a_sort) {
    enum { VOCAB = 1000 };
    float logits[VOCAB];
    struct ranked sorted[VOCAB];
    test_random random = {11};
    for (int32_t id = 0; id < VOCAB; id++) {
        logits[id] = (float)random_below(&random, 300) / 100;
        sorted[id] = (struct ranked){logits[id], id};
    }
    qsort(sorted, VOCAB, sizeof *sorted, by_rank);
    for (size_t k = 1; k <= 40; k += 3) {
        qins_sampler_options options = defaults;
        options.temperature = 100; // almost all the same
        options.top_k = k;
        qins_sampler *sampler = make(&options, VOCAB);
        bool is_drawn[VOCAB] = {false};
        for (int i = 0; i < 2000; i++) is_drawn[next(sampler, logits, NULL, 0)] = true;
        for (size_t rank = 0; rank < VOCAB; rank++)
            cr_expect_eq(is_drawn[sorted[rank].id], rank < k, "k %zu, rank %zu", k, rank);
        qins_sampler_free(sampler);
    }
}

Test(sampler, the_lowest_temperatures_are_greedy) {
    const float temperatures[] = {1e-4f, 1e-10f, 1e-30f, 1e-37f, FLT_MIN, 1e-40f, 1e-45f};
    for (size_t i = 0; i < sizeof temperatures / sizeof temperatures[0]; i++) {
        qins_sampler_options options = defaults;
        options.temperature = temperatures[i];
        for (uint64_t seed = 0; seed < 20; seed++) {
            options.seed = seed;
            cr_assert_eq(draw_once(&options, (float[]){-3, 12, 11, 30, 29, -40}, 6, NULL, 0), 3, "temperature %g",
                         (double)temperatures[i]);
        }
    }
}

Test(sampler, extreme_logits_leave_a_distribution) {
    qins_sampler_options options = defaults;
    const float logits[] = {-FLT_MAX, FLT_MAX, 0, FLT_MAX};
    int counts[MAX_VOCAB];
    draw_many(&options, logits, 4, counts);
    cr_expect(counts[0] == 0 && counts[2] == 0 && counts[1] > DRAWS / 3 && counts[3] > DRAWS / 3);
}

Test(sampler, repeat_penalty) {
    qins_sampler_options options = defaults;
    options.temperature = 0;
    options.repeat_penalty = 1.5f;
    const int32_t zeros[] = {0, 0, 0};
    cr_expect_eq(draw_once(&options, (float[]){3, 1.9f}, 2, zeros, 3), 0, "a token is penalized once: 3 / 1.5 > 1.9");
    cr_expect_eq(draw_once(&options, (float[]){3, 2.1f}, 2, zeros, 1), 1, "3 / 1.5 < 2.1");
    cr_expect_eq(draw_once(&options, (float[]){-1, -1.4f}, 2, zeros, 1), 1, "-1 * 1.5 < -1.4");
    cr_expect_eq(draw_once(&options, (float[]){-1, -1.6f}, 2, zeros, 1), 0);
    cr_expect_eq(draw_once(&options, (float[]){3, 2.1f}, 2, NULL, 0), 0);
    options.repeat_penalty = 0.5f; // below 1 it favours them
    cr_expect_eq(draw_once(&options, (float[]){2, 3}, 2, zeros, 1), 0);
}

Test(sampler, the_penalty_forgets_the_history_of_the_last_call) {
    qins_sampler_options options = defaults;
    options.temperature = 0;
    options.repeat_penalty = 2;
    qins_sampler *sampler = make(&options, 3);
    const float logits[] = {5, 4, 3};
    cr_expect_eq(next(sampler, logits, (int32_t[]){0, 1}, 2), 2);
    cr_expect_eq(next(sampler, logits, (int32_t[]){0}, 1), 1);
    cr_expect_eq(next(sampler, logits, (int32_t[]){2}, 1), 0);
    qins_sampler_free(sampler);
}

Test(sampler, the_same_seed_gives_the_same_tokens) {
    float logits[MAX_VOCAB] = {0};
    int n_equal = 0;
    qins_sampler_options options = defaults, other = defaults;
    other.seed = 2;
    qins_sampler *a = make(&options, MAX_VOCAB), *b = make(&options, MAX_VOCAB), *c = make(&other, MAX_VOCAB);
    for (int i = 0; i < 1000; i++) {
        int32_t id = next(a, logits, NULL, 0);
        cr_assert_eq(id, next(b, logits, NULL, 0));
        n_equal += id == next(c, logits, NULL, 0);
    }
    cr_expect(n_equal > 60 && n_equal < 200, "%d of 1000 equal, 125 expected of independent draws from 8", n_equal);
    qins_sampler_free(a);
    qins_sampler_free(b);
    qins_sampler_free(c);
}

Test(sampler, penalties_of_the_reply) {
    qins_sampler_options options = defaults;
    options.temperature = 0;
    const int32_t ids[] = {2, 2, 2, 0, 1, 1}; // three of prompt, then the reply
    const qins_text_so_far text = {ids, 6, 3};
    const struct {
        float frequency, presence, logits[3];
        int32_t expected;
    } cases[] = {{1, 0, {4.5f, 5, 3.4f}, 0},    // 3.5, 3, 3.4
                 {1, 0, {4.3f, 5, 3.4f}, 2},    // 3.3, 3, 3.4: the prompt does not count
                 {0, 1, {4.5f, 5, 3.4f}, 1},    // once, however often: 3.5, 4, 3.4
                 {0.5f, 1, {4.5f, 5, 3.4f}, 2}, // both: 3, 3, 3.4
                 {-1, 0, {4.9f, 4, 5.8f}, 1}};  // below 0 it favours them: 5.9, 6, 5.8
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        options.frequency_penalty = cases[i].frequency;
        options.presence_penalty = cases[i].presence;
        qins_sampler *sampler = make(&options, 3);
        for (int again = 0; again < 2; again++)
            cr_expect_eq(qins_sampler_next(sampler, cases[i].logits, &text), cases[i].expected, "case %zu", i);
        qins_sampler_free(sampler);
    }
}

Test(sampler, biases_are_added) {
    qins_sampler_options options = defaults;
    options.temperature = 0;
    qins_error error = {0};
    const qins_bias biases[] = {{0, -2}, {2, 1.5f}}, never[] = {{1, -INFINITY}};
    qins_sampler *sampler = qins_sampler_create(&options, biases, 2, 3, &error);
    cr_expect_eq(next(sampler, (float[]){5, 3.1f, 1}, NULL, 0), 1);
    cr_expect_eq(next(sampler, (float[]){5, 3.1f, 2}, NULL, 0), 2);
    qins_sampler_free(sampler);
    options.temperature = 100;
    sampler = qins_sampler_create(&options, never, 1, 3, &error);
    for (int i = 0; i < 1000; i++) cr_assert_neq(next(sampler, (float[]){0, 9, 0}, NULL, 0), 1);
    qins_sampler_free(sampler);
    const qins_bias wrong[] = {{3, 0}, {-1, 0}, {0, NAN}, {0, INFINITY}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        cr_expect_null(qins_sampler_create(&options, &wrong[i], 1, 3, &error));
        expect_error(&error, QINS_USAGE, "bias");
    }
}

Test(sampler, options_out_of_range_are_refused_by_name) {
    static const struct {
        qins_sampler_options options;
        const char *name;
    } cases[] = {{{.temperature = -0.1f, .top_p = 1, .repeat_penalty = 1}, "temperature"},
                 {{.temperature = 100.5f, .top_p = 1, .repeat_penalty = 1}, "temperature"},
                 {{.temperature = NAN, .top_p = 1, .repeat_penalty = 1}, "temperature"},
                 {{.top_p = -0.1f, .repeat_penalty = 1}, "top-p"},
                 {{.top_p = 1.01f, .repeat_penalty = 1}, "top-p"},
                 {{.top_p = NAN, .repeat_penalty = 1}, "top-p"},
                 {{.top_p = 1, .min_p = -0.1f, .repeat_penalty = 1}, "min-p"},
                 {{.top_p = 1, .min_p = 1.1f, .repeat_penalty = 1}, "min-p"},
                 {{.top_p = 1, .min_p = NAN, .repeat_penalty = 1}, "min-p"},
                 {{.top_p = 1, .repeat_penalty = 0}, "repeat penalty"},
                 {{.top_p = 1, .repeat_penalty = 101}, "repeat penalty"},
                 {{.top_p = 1, .repeat_penalty = NAN}, "repeat penalty"},
                 {{.top_p = 1, .repeat_penalty = 1, .frequency_penalty = NAN}, "frequency penalty"},
                 {{.top_p = 1, .repeat_penalty = 1, .presence_penalty = -101}, "presence penalty"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        qins_error error = {0};
        cr_expect_null(qins_sampler_create(&cases[i].options, NULL, 0, 10, &error));
        expect_error(&error, QINS_USAGE, cases[i].name);
    }
    qins_sampler_free(NULL);
}
