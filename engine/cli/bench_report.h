// The measurements of qinsrun bench (cmd_bench.c) and their report (bench_report.c).
#ifndef QINS_CLI_BENCH_REPORT_H
#define QINS_CLI_BENCH_REPORT_H

#include "engine/cli/cli.h"
#include "engine/measure/machine.h"
#include "engine/runtime/engine.h"

enum { BENCH_MAX_REPEATS = 100, BENCH_MAX_LIST = 16, BENCH_MAX_TESTS = BENCH_MAX_LIST * (BENCH_MAX_LIST + 1) };

// One line of the report: n tokens after `depth` others, as a prompt or one at a time.
typedef struct qins_bench_test {
    bool is_prompt;
    size_t n, depth;
    size_t n_runs;
    double seconds[BENCH_MAX_REPEATS];
    // Prompts of two chunks or more: time of the last whole chunk over the first one's; 0 otherwise.
    double end_to_start[BENCH_MAX_REPEATS];
} qins_bench_test;

// Rates of one baseline: rates[variant * max_samples + sample].
typedef struct qins_bench_baseline {
    size_t n_variants, n_samples, max_samples;
    double *rates; // owned
} qins_bench_baseline;

typedef struct qins_bench {
    const qins_options *options;
    qins_model *model;
    qins_workplace place;
    size_t repeats, n_tests;
    qins_bench_test *tests; // owned, [n_tests]
    int32_t *ids;           // owned, pseudo-random, enough for the longest test
    qins_bench_baseline read, sgemm, integer;
    bool prompts_are_exact; // and compared with the peak of integer products, otherwise with sgemm
    qins_sgemm_gauge gauge;
    // Seconds from the start to an open session; to the first token after a prompt of BENCH_FIRST_PROMPT tokens; spent
    // of that in the forward pass; for the same pass once more.
    double open, first_token, first_pass, second_pass;
} qins_bench;

enum { BENCH_FIRST_PROMPT = 5 };

// Print the table, or JSON with --json.
qins_status qins_bench_report(const qins_bench *bench, qins_error *error);

// Name of a test as in "pp512", "tg128@d4096".
typedef struct qins_bench_name {
    char text[64];
} qins_bench_name;
qins_bench_name qins_bench_test_name(const qins_bench_test *test);

#endif
