// The report of qinsrun bench; see bench_report.h. Every figure is a median with its smallest and largest value; shares
// are quotients of medians of the same run.
#include "engine/cli/bench_report.h"

#include "engine/base/json.h"
#include "engine/base/memory.h"
#include "engine/kernels/tiers.h"
#include "engine/measure/cost.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct figure {
    double median, min, max;
};

static int compare_doubles(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// Sorts values[n], n >= 1.
static struct figure figure_of(double *values, size_t n) {
    qsort(values, n, sizeof *values, compare_doubles);
    return (struct figure){(values[(n - 1) / 2] + values[n / 2]) / 2, values[0], values[n - 1]};
}

// The variant with the best median: a lucky moment of another one does not count. NAN when there is nothing to measure.
static struct figure best_variant(const qins_bench_baseline *baseline) {
    struct figure best = {NAN, NAN, NAN};
    for (size_t i = 0; i < baseline->n_variants; i++) {
        struct figure variant = figure_of(baseline->rates + i * baseline->max_samples, baseline->n_samples);
        if (isnan(best.median) || variant.median > best.median) best = variant;
    }
    return best;
}

// The machine's limits: bytes/s, FLOP/s of sgemm, operations/s of exact integer products.
struct machine {
    struct figure read, sgemm, integer;
};

// A test's results; NAN where something does not apply.
struct result {
    struct figure tok_s;
    double seconds;      // median of a run
    double kv_bytes;     // that the run had to read
    double rate;         // FLOP/s of a prompt, bytes/s of generation
    double share;        // of the machine's rate
    double kv_rate;      // KV bytes beyond those at depth 0 over the time beyond that at depth 0
    double kv_share;     // of the machine's read rate
    double end_to_start; // time of the last chunk over the first's
};

static struct result result_of(const qins_bench *bench, const qins_bench_test *test, double machine_rate) {
    double values[BENCH_MAX_REPEATS];
    const qins_header *header = qins_image_header(bench->model->image);
    const qins_session_options *types = &bench->options->session;
    struct result result = {.kv_rate = NAN, .kv_share = NAN, .end_to_start = NAN};
    memcpy(values, test->seconds, test->n_runs * sizeof *values);
    result.seconds = figure_of(values, test->n_runs).median;
    for (size_t i = 0; i < test->n_runs; i++) values[i] = (double)test->n / test->seconds[i];
    result.tok_s = figure_of(values, test->n_runs);
    if (test->is_prompt) {
        result.rate = qins_pass_cost(header, types->k_type, types->v_type, test->depth, test->n).flops / result.seconds;
        memcpy(values, test->end_to_start, test->n_runs * sizeof *values);
        const double end_to_start = figure_of(values, test->n_runs).median;
        if (end_to_start > 0) result.end_to_start = end_to_start;
    } else {
        double weight_bytes = 0;
        for (size_t i = 0; i < test->n; i++) {
            qins_cost cost = qins_pass_cost(header, types->k_type, types->v_type, test->depth + i, 1);
            weight_bytes += cost.weight_bytes;
            result.kv_bytes += cost.kv_bytes;
        }
        result.rate = (weight_bytes + result.kv_bytes) / result.seconds;
    }
    result.share = result.rate / machine_rate;
    return result;
}

// The KV rate of generation at a depth, from what it takes beyond generation at depth 0.
static void compare_to_depth_0(const qins_bench *bench, struct result *results, double read_rate) {
    for (size_t i = 0; i < bench->n_tests; i++) {
        if (bench->tests[i].is_prompt || bench->tests[i].depth == 0) continue;
        for (size_t j = 0; j < bench->n_tests; j++) {
            if (bench->tests[j].is_prompt || bench->tests[j].depth != 0) continue;
            const double longer = results[i].seconds - results[j].seconds;
            if (!(longer > 0)) continue; // lost in the noise
            results[i].kv_rate = (results[i].kv_bytes - results[j].kv_bytes) / longer;
            results[i].kv_share = results[i].kv_rate / read_rate;
        }
    }
}

qins_bench_name qins_bench_test_name(const qins_bench_test *test) {
    qins_bench_name name;
    int length = snprintf(name.text, sizeof name.text, "%s%zu", test->is_prompt ? "pp" : "tg", test->n);
    if (test->depth > 0) snprintf(name.text + length, sizeof name.text - (size_t)length, "@d%zu", test->depth);
    return name;
}

static void print_row(const qins_bench_test *test, const struct result *result, qins_error *error) {
    qins_printf(error, "| %s | %.2f | %.2f to %.2f | %.1f %s | %.0f %%", qins_bench_test_name(test).text,
                result->tok_s.median, result->tok_s.min, result->tok_s.max, result->rate / 1e9,
                test->is_prompt ? "GFLOP/s" : "GB/s", 100 * result->share);
    if (!isnan(result->kv_rate))
        qins_printf(error, "; KV at %.1f GB/s, %.0f %%", result->kv_rate / 1e9, 100 * result->kv_share);
    if (!isnan(result->end_to_start)) qins_printf(error, "; last chunk %.2f x the first", result->end_to_start);
    qins_printf(error, " |\n");
}

// Peak memory, without the operands of the sgemm baseline.
static double peak_mib(const qins_bench *bench) {
    const size_t peak = qins_memory_peak(), own = qins_sgemm_gauge_bytes(&bench->gauge);
    return (double)(peak > own ? peak - own : 0) / (1 << 20);
}

static void print_table(const qins_bench *bench, const struct result *results, const struct machine *machine,
                        qins_error *error) {
    qins_printf(error,
                "| test | tok/s | min to max | rate | share of the machine's |\n| --- | ---: | ---: | ---: | --- |\n");
    for (size_t i = 0; i < bench->n_tests; i++) print_row(&bench->tests[i], &results[i], error);
    qins_printf(error, "| reading | | %.1f to %.1f | %.1f GB/s | |\n", machine->read.min / 1e9, machine->read.max / 1e9,
                machine->read.median / 1e9);
    qins_printf(error, "| sgemm | | %.0f to %.0f | %.1f GFLOP/s | |\n", machine->sgemm.min / 1e9,
                machine->sgemm.max / 1e9, machine->sgemm.median / 1e9);
    qins_printf(error, "| integer products | | %.0f to %.0f | %.1f Gop/s | |\n", machine->integer.min / 1e9,
                machine->integer.max / 1e9, machine->integer.median / 1e9);
    qins_printf(
        error,
        "\n%zu threads, %s, %s. Opening the file: %.1f ms. First token of a %d-token prompt: %.0f ms, of which "
        "%.1f ms are not the forward pass. That pass took %.0f ms, and %.0f ms when repeated. Peak memory: %.0f MiB.\n",
        qins_session_threads(bench->place.session), qins_tier_get()->name, qins_blas_name(), 1e3 * bench->open,
        BENCH_FIRST_PROMPT, 1e3 * bench->first_token, 1e3 * (bench->first_token - bench->first_pass),
        1e3 * bench->first_pass, 1e3 * bench->second_pass, peak_mib(bench));
}

static void add_machine(qins_json *root, const qins_bench *bench, const struct machine *rates, qins_error *error) {
    qins_json *machine = qins_json_add_object(root, "machine", error);
    qins_json_add_number(machine, "read_gbs", rates->read.median / 1e9, error);
    qins_json_add_number(machine, "read_gbs_min", rates->read.min / 1e9, error);
    qins_json_add_number(machine, "read_gbs_max", rates->read.max / 1e9, error);
    qins_json_add_number(machine, "sgemm_gflops", rates->sgemm.median / 1e9, error);
    qins_json_add_number(machine, "sgemm_gflops_min", rates->sgemm.min / 1e9, error);
    qins_json_add_number(machine, "sgemm_gflops_max", rates->sgemm.max / 1e9, error);
    qins_json_add_number(machine, "integer_gops", rates->integer.median / 1e9, error);
    qins_json_add_number(machine, "integer_gops_min", rates->integer.min / 1e9, error);
    qins_json_add_number(machine, "integer_gops_max", rates->integer.max / 1e9, error);
    qins_json_add_number(machine, "threads", (double)qins_session_threads(bench->place.session), error);
    qins_json_add_string(machine, "cpu", qins_tier_get()->name, error);
    qins_json_add_string(machine, "blas", qins_blas_name(), error);
}

static void add_result(qins_json *list, const qins_bench *bench, const qins_bench_test *test,
                       const struct result *result, qins_error *error) {
    qins_json *row = qins_json_append_object(list, error);
    char name[32];
    snprintf(name, sizeof name, "%s%zu", test->is_prompt ? "pp" : "tg", test->n);
    qins_json_add_string(row, "test", name, error);
    qins_json_add_number(row, "depth", (double)test->depth, error);
    if (test->is_prompt) qins_json_add_string(row, "matmul", bench->prompts_are_exact ? "exact" : "sgemm", error);
    qins_json_add_number(row, "tok_s", result->tok_s.median, error);
    qins_json_add_number(row, "tok_s_min", result->tok_s.min, error);
    qins_json_add_number(row, "tok_s_max", result->tok_s.max, error);
    qins_json_add_number(row, test->is_prompt ? "gflops" : "gbs", result->rate / 1e9, error);
    qins_json_add_number(row, "share", result->share, error);
    if (!isnan(result->kv_rate)) {
        qins_json_add_number(row, "kv_gbs", result->kv_rate / 1e9, error);
        qins_json_add_number(row, "kv_share", result->kv_share, error);
    }
    if (!isnan(result->end_to_start)) qins_json_add_number(row, "end_to_start", result->end_to_start, error);
}

static void print_json(const qins_bench *bench, const struct result *results, const struct machine *machine,
                       qins_error *error) {
    qins_json *root = qins_json_new_object(error);
    add_machine(root, bench, machine, error);
    qins_json *list = qins_json_add_array(root, "results", error);
    for (size_t i = 0; i < bench->n_tests; i++) add_result(list, bench, &bench->tests[i], &results[i], error);
    qins_json_add_number(root, "peak_mib", peak_mib(bench), error);
    qins_json_add_number(root, "open_ms", 1e3 * bench->open, error);
    qins_json_add_number(root, "first_token_ms", 1e3 * bench->first_token, error);
    qins_json_add_number(root, "first_token_overhead_ms", 1e3 * (bench->first_token - bench->first_pass), error);
    qins_json_add_number(root, "first_pass_ms", 1e3 * bench->first_pass, error);
    qins_json_add_number(root, "second_pass_ms", 1e3 * bench->second_pass, error);
    qins_print_json(root, error);
}

// Keeps the figure that varied most between rounds.
struct spread {
    double share; // (max - min) / median
    char what[64];
};

static void widen(struct spread *spread, struct figure figure, const char *what) {
    const double share = (figure.max - figure.min) / figure.median;
    if (share <= spread->share) return;
    spread->share = share;
    snprintf(spread->what, sizeof spread->what, "%s", what);
}

static void warn_when_busy(const struct spread *spread) {
    if (spread->share > 0.3)
        fprintf(
            stderr,
            "qinsrun: %s varied by %.0f %% between rounds: the machine is doing other work, too; raise -r or measure "
            "again\n",
            spread->what, 100 * spread->share);
}

qins_status qins_bench_report(const qins_bench *bench, qins_error *error) {
    struct result *results = qins_alloc(bench->n_tests, sizeof *results, "results", error);
    if (results == NULL) return error->status;
    const struct machine machine = {best_variant(&bench->read), best_variant(&bench->sgemm),
                                    best_variant(&bench->integer)};
    const double prompt_rate = bench->prompts_are_exact ? machine.integer.median : machine.sgemm.median;
    struct spread spread = {0};
    widen(&spread, machine.read, "reading");
    widen(&spread, machine.sgemm, "sgemm");
    for (size_t i = 0; i < bench->n_tests; i++) {
        const qins_bench_test *test = &bench->tests[i];
        results[i] = result_of(bench, test, test->is_prompt ? prompt_rate : machine.read.median);
        widen(&spread, results[i].tok_s, qins_bench_test_name(test).text);
    }
    warn_when_busy(&spread);
    compare_to_depth_0(bench, results, machine.read.median);
    if (bench->options->output.json)
        print_json(bench, results, &machine, error);
    else
        print_table(bench, results, &machine, error);
    free(results);
    return error->status;
}
