// The report of qinsrun compare; see compare_report.h.
#include "engine/cli/compare_report.h"

#include "engine/base/json.h"
#include "engine/base/plural.h"
#include "engine/cli/cli.h"

#include <stdio.h>
#include <stdlib.h>

static void add_divergence(qins_json *root, const qins_comparison *comparison, const qins_comparison_summary *summary,
                           qins_error *error) {
    qins_json *kld = qins_json_add_object(root, "kld", error);
    qins_json_add_number(kld, "mean", summary->mean, error);
    qins_json_add_number(kld, "mean_se", summary->mean_se, error);
    qins_json_add_number(kld, "median", summary->median, error);
    qins_json_add_number(kld, "p90", summary->p90, error);
    qins_json_add_number(kld, "p99", summary->p99, error);
    qins_json_add_number(kld, "p99_9", summary->p99_9, error);
    qins_json_add_number(kld, "max", comparison->max_kld, error);
    qins_json *at = qins_json_add_object(kld, "max_at", error);
    qins_json_add_number(at, "window", (double)comparison->max_at.window, error);
    qins_json_add_number(at, "index", (double)comparison->max_at.index, error);
    qins_json_add_number(at, "token", (double)comparison->max_at.token, error);
}

// {"step":S,"mean":[...]}: the mean over S positions each, null where there are none.
static void add_curve(qins_json *root, const qins_comparison *comparison, qins_error *error) {
    qins_json *curve = qins_json_add_object(root, "kld_by_position", error);
    qins_json_add_number(curve, "step", (double)comparison->curve_step, error);
    qins_json *means = qins_json_add_array(curve, "mean", error);
    for (size_t i = 0; i < comparison->n_points; i++)
        qins_json_append_number(means, comparison->curve_sum[i] / (double)comparison->curve_count[i], error);
}

static void add_greedy(qins_json *root, const qins_greedy *report, qins_error *error) {
    const qins_greedy_summary summary = qins_greedy_summarize(report);
    qins_json *greedy = qins_json_add_object(root, "greedy", error);
    qins_json_add_number(greedy, "steps", (double)report->n_steps, error);
    qins_json_add_number(greedy, "teacher_forced", summary.forced, error);
    qins_json_add_number(greedy, "free_running", summary.free, error);
    qins_json_add_number(greedy, "first_difference", summary.first_difference, error);
    qins_json_add_number(greedy, "same_texts", (double)summary.n_same, error);
    qins_json *prompts = qins_json_add_array(greedy, "prompts", error);
    for (size_t i = 0; i < report->n_prompts; i++) {
        const qins_greedy_match *match = &report->matches[i];
        qins_json *prompt = qins_json_append_object(prompts, error);
        qins_json_add_number(prompt, "window", (double)match->window, error);
        qins_json_add_number(prompt, "tokens", (double)match->n_prompt, error);
        qins_json_add_number(prompt, "teacher_forced", (double)match->n_forced / (double)report->n_steps, error);
        qins_json_add_number(prompt, "free_running", (double)match->n_free / (double)report->n_steps, error);
        qins_json_add_number(prompt, "first_difference", (double)match->first_difference, error);
        qins_json_add_number(prompt, "gap", match->gap, error);
    }
}

static qins_status print_json(const qins_comparison *comparison, const qins_comparison_summary *summary,
                              const qins_greedy *greedy, qins_error *error) {
    qins_json *root = qins_json_new_object(error);
    add_divergence(root, comparison, summary, error);
    qins_json_add_number(root, "same_top", summary->same_top, error);
    qins_json_add_number(root, "rms_p_change", summary->rms_p_change, error);
    qins_json_add_number(root, "ppl", summary->ppl, error);
    qins_json_add_number(root, "ref_ppl", summary->ref_ppl, error);
    qins_json_add_number(root, "ppl_ratio", summary->ppl_ratio, error);
    qins_json_add_number(root, "ppl_ratio_se", summary->ppl_ratio_se, error);
    qins_json_add_number(root, "positions", (double)comparison->count, error);
    qins_json_add_number(root, "predicted", (double)comparison->n_predicted, error);
    add_curve(root, comparison, error);
    if (greedy->n_prompts > 0) add_greedy(root, greedy, error);
    return qins_print_json(root, error);
}

static void print_greedy(const qins_greedy *report, qins_error *error) {
    const qins_greedy_summary summary = qins_greedy_summarize(report);
    qins_printf(error,
                "greedy, %zu steps after %zu prompt%s: %.3f %% of choices are the same after the reference's text;\n"
                "  running freely %.3f %% of tokens, %zu text%s to the end, the first difference at step %.0f on "
                "average\n",
                report->n_steps, report->n_prompts, qins_plural(report->n_prompts), 100 * summary.forced,
                100 * summary.free, summary.n_same, qins_plural(summary.n_same), summary.first_difference);
    for (size_t i = 0; i < report->n_prompts; i++) {
        const qins_greedy_match *match = &report->matches[i];
        if (match->first_difference < report->n_steps)
            qins_printf(error, "  window %zu: step %zu, where the reference's choice leads by %.4f\n", match->window,
                        match->first_difference, match->gap);
    }
}

static qins_status print_text(const qins_comparison *comparison, const qins_comparison_summary *summary,
                              const qins_greedy *greedy, qins_error *error) {
    const qins_position *at = &comparison->max_at;
    qins_printf(error,
                "KL divergence from the reference, nats: mean %.3e +- %.1e  median %.3e\n"
                "  90 %% %.3e  99 %% %.3e  99.9 %% %.3e\n"
                "  max %.3e in window %zu after token %d at index %zu\n",
                summary->mean, summary->mean_se, summary->median, summary->p90, summary->p99, summary->p99_9,
                comparison->max_kld, at->window, at->token, at->index);
    qins_printf(error,
                "same most probable token: %.3f %% of %zu positions\n"
                "probability of the true token: RMS change %.4f %%\n"
                "perplexity %.6f, reference %.6f, ratio %.6f +- %.6f\n",
                100 * summary->same_top, comparison->count, 100 * summary->rms_p_change, summary->ppl, summary->ref_ppl,
                summary->ppl_ratio, summary->ppl_ratio_se);
    if (greedy->n_prompts > 0) print_greedy(greedy, error);
    return qins_flush(error);
}

qins_status qins_compare_report(qins_comparison *comparison, const qins_greedy *greedy, bool json, qins_error *error) {
    const qins_comparison_summary summary = qins_comparison_summarize(comparison);
    if (json) return print_json(comparison, &summary, greedy, error);
    return print_text(comparison, &summary, greedy, error);
}
