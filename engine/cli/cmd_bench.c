// qinsrun bench: the speed of prompts and generation, interleaved with the machine's limits: the speed of a shared
// machine changes from minute to minute.
#include "engine/cli/bench_report.h"
#include "engine/cli/confine.h"

#include "engine/base/clock.h"
#include "engine/base/memory.h"
#include "engine/base/progress.h"
#include "engine/kernels/tiers.h"
#include "engine/runtime/sampler.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { DEFAULT_PROMPT = 512, DEFAULT_GENERATED = 128, DEFAULT_REPEATS = 3, MAX_TOKENS = 1 << 24 };

static void add_test(qins_bench *bench, bool is_prompt, size_t n, size_t depth) {
    if (n > 0) bench->tests[bench->n_tests++] = (qins_bench_test){.is_prompt = is_prompt, .n = n, .depth = depth};
}

// Every prompt length and the generation at every depth.
static qins_status plan_tests(qins_bench *bench, qins_error *error) {
    const qins_options *options = bench->options;
    size_t prompts[BENCH_MAX_LIST] = {DEFAULT_PROMPT}, depths[BENCH_MAX_LIST] = {0}, n_prompts = 1, n_depths = 1;
    const size_t n_generated =
        options->sampling.n_predict != SIZE_MAX ? options->sampling.n_predict : DEFAULT_GENERATED;
    if (options->bench.prompts != NULL)
        n_prompts = qins_options_counts("-p", options->bench.prompts, MAX_TOKENS, prompts, BENCH_MAX_LIST, error);
    if (options->bench.depths != NULL)
        n_depths = qins_options_counts("-d", options->bench.depths, MAX_TOKENS, depths, BENCH_MAX_LIST, error);
    if (error->status != QINS_OK) return error->status;
    bench->repeats = options->bench.repeats > 0 ? options->bench.repeats : DEFAULT_REPEATS;
    bench->tests = qins_alloc(BENCH_MAX_TESTS, sizeof *bench->tests, "tests", error);
    if (bench->tests == NULL) return error->status;
    for (size_t depth = 0; depth < n_depths; depth++) {
        for (size_t i = 0; i < n_prompts; i++) add_test(bench, true, prompts[i], depths[depth]);
        add_test(bench, false, n_generated, depths[depth]);
    }
    if (bench->n_tests == 0) return qins_fail(error, QINS_USAGE, "-p 0 and -n 0 leave nothing to measure");
    return QINS_OK;
}

// Tokens of the longest test.
static size_t longest_sequence(const qins_bench *bench) {
    size_t longest = BENCH_FIRST_PROMPT;
    for (size_t i = 0; i < bench->n_tests; i++) {
        size_t n = bench->tests[i].depth + bench->tests[i].n;
        longest = n > longest ? n : longest;
    }
    return longest;
}

static qins_status make_ids(qins_bench *bench, size_t n, qins_error *error) {
    const size_t vocab_size = qins_model_vocab_size(bench->model);
    bench->ids = qins_alloc(n, sizeof *bench->ids, "token ids", error);
    if (bench->ids == NULL) return error->status;
    uint32_t random = 1;
    for (size_t i = 0; i < n; i++) {
        random = random * 1664525u + 1013904223u; // Numerical Recipes' generator
        bench->ids[i] = (int32_t)((random >> 8) % vocab_size);
    }
    return QINS_OK;
}

// Notes when the first and the last whole chunk of a prompt begin and end.
struct chunk_clock {
    size_t chunk; // tokens
    double start, first_end, last_start, last_end;
};

// A qins_progress, called after every layer.
static bool mark_chunks(void *context, uint64_t done, uint64_t total) {
    struct chunk_clock *clock = context;
    const uint64_t whole = total / clock->chunk * clock->chunk;
    if (done == clock->chunk) clock->first_end = qins_clock();
    if (done + clock->chunk == whole) clock->last_start = qins_clock();
    if (done == whole) clock->last_end = qins_clock();
    return qins_interrupted == 0;
}

static double last_over_first(const struct chunk_clock *clock) {
    if (clock->last_start == 0 || clock->first_end == 0) return 0; // a prompt of less than two chunks
    return (clock->last_end - clock->last_start) / (clock->first_end - clock->start);
}

static qins_status run_test(qins_bench *bench, qins_bench_test *test, struct chunk_clock *clock, qins_error *error) {
    if (qins_session_pretend(bench->place.session, bench->ids, test->depth, error) != QINS_OK) return error->status;
    const size_t end = test->depth + test->n;
    *clock = (struct chunk_clock){.chunk = QINS_STEP_TOKENS, .start = qins_clock()};
    for (size_t n = test->is_prompt ? end : test->depth + 1; n <= end; n++) {
        if (qins_session_sync(bench->place.session, bench->ids, n, error) != QINS_OK) return error->status;
        if (qins_interrupted) return qins_fail(error, QINS_INTERRUPTED, "interrupted after %zu tokens", n);
    }
    test->seconds[test->n_runs] = qins_clock() - clock->start;
    test->end_to_start[test->n_runs++] = test->is_prompt ? last_over_first(clock) : 0;
    return QINS_OK;
}

static void add_sample(qins_bench_baseline *baseline, const double *rates) {
    for (size_t i = 0; i < baseline->n_variants; i++)
        baseline->rates[i * baseline->max_samples + baseline->n_samples] = rates[i];
    baseline->n_samples++;
}

static void measure_read(qins_bench *bench) {
    double rates[QINS_READ_PATTERNS];
    const qins_image *image = bench->model->image;
    const size_t bytes = qins_image_bytes(image) - (size_t)qins_image_header(image)->tensors[0].offset;
    qins_machine_read(qins_engine_pool(bench->place.engine), qins_image_matrix(image, 0).data, bytes, rates);
    add_sample(&bench->read, rates);
}

static void measure_sgemm(qins_bench *bench) {
    double rates[QINS_SGEMM_SPLITS];
    qins_sgemm_gauge_run(&bench->gauge, rates);
    add_sample(&bench->sgemm, rates);
}

static void measure_integer(qins_bench *bench) {
    const double rate = qins_machine_integer(qins_engine_pool(bench->place.engine), qins_kernels_get());
    add_sample(&bench->integer, &rate);
}

// "qinsrun: WHAT" on a line of a terminal that the next one replaces; NULL clears it.
static void show(const char *what, size_t round, size_t n_rounds) {
    if (!qins_can_redraw(STDERR_FILENO)) return;
    fputs("\r\033[K", stderr);
    if (what != NULL) fprintf(stderr, "qinsrun: round %zu of %zu: %s", round + 1, n_rounds, what);
    fflush(stderr);
}

// The machine's rate that a test is compared with is measured before and after it; at the end all of them are, so every
// run has each.
static qins_status run_rounds(qins_bench *bench, struct chunk_clock *clock, qins_error *error) {
    for (size_t round = 0; round < bench->repeats; round++) {
        for (size_t i = 0; i < bench->n_tests && error->status == QINS_OK; i++) {
            qins_bench_test *test = &bench->tests[i];
            show(qins_bench_test_name(test).text, round, bench->repeats);
            void (*const measure)(qins_bench *) = !test->is_prompt           ? measure_read
                                                  : bench->prompts_are_exact ? measure_integer
                                                                             : measure_sgemm;
            measure(bench);
            if (run_test(bench, test, clock, error) == QINS_OK) measure(bench);
        }
    }
    show(NULL, 0, 0);
    if (error->status != QINS_OK) return error->status;
    measure_read(bench);
    measure_sgemm(bench);
    measure_integer(bench);
    return QINS_OK;
}

static qins_status baseline_init(qins_bench_baseline *baseline, const qins_bench *bench, size_t n_variants,
                                 qins_error *error) {
    *baseline = (qins_bench_baseline){.n_variants = n_variants, .max_samples = 2 * bench->repeats * bench->n_tests + 1};
    baseline->rates = qins_alloc(n_variants * baseline->max_samples, sizeof(double), "samples", error);
    return error->status;
}

// The baselines for this model: its matrices at the prompt's chunk.
static qins_status prepare_machine(qins_bench *bench, qins_error *error) {
    static const size_t matrices[] = {QINS_QKV, QINS_OUTPUT, QINS_GATE_UP, QINS_DOWN};
    enum { N_MATRICES = sizeof matrices / sizeof matrices[0] };
    const qins_header *header = qins_image_header(bench->model->image);
    qins_sgemm_shape shapes[N_MATRICES];
    for (size_t i = 0; i < N_MATRICES; i++) {
        const qins_tensor_spec *spec = &header->tensors[QINS_LAYER_INDEX + matrices[i]].spec;
        shapes[i] = (qins_sgemm_shape){spec->rows, spec->cols};
    }
    if (baseline_init(&bench->read, bench, QINS_READ_PATTERNS, error) != QINS_OK ||
        baseline_init(&bench->sgemm, bench, QINS_SGEMM_SPLITS, error) != QINS_OK ||
        baseline_init(&bench->integer, bench, 1, error) != QINS_OK)
        return error->status;
    bench->prompts_are_exact = qins_session_matmul(bench->place.session) == QINS_MATMUL_EXACT;
    return qins_sgemm_gauge_init(&bench->gauge, qins_engine_pool(bench->place.engine), QINS_STEP_TOKENS, shapes,
                                 N_MATRICES, error);
}

// One token, the way a short run gets it.
static qins_status first_token(qins_bench *bench, struct chunk_clock *clock, qins_error *error) {
    const double start = qins_clock();
    qins_options options = *bench->options;
    bench->model = qins_open_model(options.model.path, &options, error);
    if (bench->model == NULL) return error->status;
    const qins_config *config = qins_model_config(bench->model);
    const size_t longest = longest_sequence(bench);
    if (options.session.n_ctx < longest) options.session.n_ctx = longest;
    // One set of factors for all tests: a switch within one would compute its tokens twice.
    if (longest > config->original_positions) options.session.rope_long = true;
    if (qins_workplace_open(&bench->place, &options, bench->model, error) != QINS_OK) return error->status;
    qins_session_observe(bench->place.session, &(qins_observer){mark_chunks, NULL, clock});
    qins_sampler *sampler = qins_sampler_create(&options.sampling.sampler, NULL, 0, config->vocab_size, error);
    bench->open = qins_clock() - start;
    if (error->status == QINS_OK && make_ids(bench, longest, error) == QINS_OK) {
        const double pass = qins_clock();
        qins_session_sync(bench->place.session, bench->ids, BENCH_FIRST_PROMPT, error);
        bench->first_pass = qins_clock() - pass;
    }
    if (error->status == QINS_OK)
        qins_sampler_next(sampler, qins_session_logits(bench->place.session),
                          &(qins_text_so_far){bench->ids, BENCH_FIRST_PROMPT, BENCH_FIRST_PROMPT});
    bench->first_token = qins_clock() - start;
    qins_sampler_free(sampler);
    return error->status;
}

static qins_status second_pass(qins_bench *bench, qins_error *error) {
    const double start = qins_clock();
    qins_session_pretend(bench->place.session, NULL, 0, error);
    qins_session_sync(bench->place.session, bench->ids, BENCH_FIRST_PROMPT, error);
    bench->second_pass = qins_clock() - start;
    return error->status;
}

qins_status qins_cmd_bench(const qins_options *options, qins_error *error) {
    qins_bench bench = {.options = options};
    struct chunk_clock clock = {.chunk = 1};
    if (qins_confine(options, QINS_NEEDS_BLAS, error) == QINS_OK && plan_tests(&bench, error) == QINS_OK &&
        first_token(&bench, &clock, error) == QINS_OK && second_pass(&bench, error) == QINS_OK &&
        prepare_machine(&bench, error) == QINS_OK && run_rounds(&bench, &clock, error) == QINS_OK)
        qins_bench_report(&bench, error);
    qins_sgemm_gauge_free(&bench.gauge);
    qins_workplace_close(&bench.place);
    qins_model_close(bench.model);
    free(bench.read.rates);
    free(bench.sgemm.rates);
    free(bench.integer.rates);
    free(bench.tests);
    free(bench.ids);
    return error->status == QINS_OK ? qins_flush(error) : error->status;
}
