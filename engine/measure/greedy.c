// Greedy texts side by side; see greedy.h. Up to the first difference both questions have the same answer, so the
// model's own text is only computed from there on.
#include "engine/measure/greedy.h"

#include "engine/base/memory.h"
#include "engine/runtime/logits.h"

#include <stdlib.h>
#include <string.h>

size_t qins_greedy_tokens(size_t n_prompt, size_t n_steps) {
    return 2 * n_prompt + 3 * n_steps;
}

// The most probable token after ids[n]; 0 on failure.
static int32_t choose(qins_session *session, const int32_t *ids, size_t n, qins_error *error) {
    if (qins_session_sync(session, ids, n, error) != QINS_OK) return 0;
    return (int32_t)qins_arg_max(qins_session_logits(session), qins_session_config(session)->vocab_size);
}

struct watch {
    qins_progress *progress;
    void *context;
    size_t done, total;
};

static qins_status advance(struct watch *watch, size_t n, qins_error *error) {
    watch->done += n;
    if (watch->progress == NULL || watch->progress(watch->context, watch->done, watch->total)) return QINS_OK;
    return qins_fail(error, QINS_INTERRUPTED, "interrupted");
}

// Write the reference's text, and compare the model's choices after it. *other: the model's first different one.
static qins_status run_forced(qins_session *session, qins_session *reference, int32_t *text, size_t n_steps,
                              struct watch *watch, qins_greedy_match *match, int32_t *other, qins_error *error) {
    for (size_t step = 0; step < n_steps; step++) {
        const size_t n = match->n_prompt + step;
        text[n] = choose(reference, text, n, error);
        const int32_t choice = error->status == QINS_OK ? choose(session, text, n, error) : 0;
        if (error->status != QINS_OK) return error->status;
        if (choice == text[n])
            match->n_forced++;
        else if (match->first_difference == n_steps) {
            const float *logits = qins_session_logits(reference);
            match->first_difference = step;
            match->gap = (double)logits[text[n]] - (double)logits[choice];
            *other = choice;
        }
        if (advance(watch, step == 0 ? 2 * n : 2, error) != QINS_OK) return error->status;
    }
    return QINS_OK;
}

// Write the model's own text from the first difference on.
static qins_status run_free(qins_session *session, const int32_t *text, int32_t *own, size_t n_steps,
                            struct watch *watch, qins_greedy_match *match, qins_error *error) {
    for (size_t step = match->first_difference + 1; step < n_steps; step++) {
        const size_t n = match->n_prompt + step;
        own[n] = choose(session, own, n, error);
        match->n_free += own[n] == text[n];
        if (error->status != QINS_OK || advance(watch, 1, error) != QINS_OK) return error->status;
    }
    return QINS_OK;
}

qins_status qins_greedy_compare(qins_session *session, qins_session *reference, int32_t *text, int32_t *own,
                                size_t n_steps, qins_progress *progress, void *context, qins_greedy_match *match,
                                qins_error *error) {
    struct watch watch = {progress, context, 0, qins_greedy_tokens(match->n_prompt, n_steps)};
    int32_t other = 0;
    match->n_forced = 0;
    match->gap = 0;
    match->first_difference = n_steps;
    if (run_forced(session, reference, text, n_steps, &watch, match, &other, error) != QINS_OK) return error->status;
    match->n_free = match->first_difference;
    if (match->first_difference == n_steps) return QINS_OK;
    const size_t n_same = match->n_prompt + match->first_difference;
    memcpy(own, text, n_same * sizeof *own);
    own[n_same] = other;
    return run_free(session, text, own, n_steps, &watch, match, error);
}

// --- over windows ---

// Tokens of a window that are a prompt: the first half.
static size_t prompt_of(size_t n_window) {
    return (n_window + 1) / 2;
}

size_t qins_greedy_context(size_t window_size, size_t n_steps) {
    return prompt_of(window_size) + n_steps;
}

static qins_status run_windows(qins_greedy *greedy, qins_session *session, qins_session *reference,
                               qins_windows *windows, int32_t *text, int32_t *own, qins_windows_watch *watch,
                               qins_error *error) {
    for (size_t i = 0; i < greedy->n_prompts && error->status == QINS_OK; i++) {
        qins_greedy_match *match = &greedy->matches[i];
        *match = (qins_greedy_match){.window = i, .n_prompt = prompt_of(qins_windows_load(windows, i))};
        memcpy(text, windows->window, match->n_prompt * sizeof *text);
        qins_greedy_compare(session, reference, text, own, greedy->n_steps, qins_windows_progress, watch, match, error);
        watch->before += qins_greedy_tokens(match->n_prompt, greedy->n_steps);
    }
    return error->status;
}

qins_status qins_greedy_run(qins_greedy *greedy, qins_session *session, qins_session *reference, qins_windows *windows,
                            size_t n_prompts, qins_progress *progress, void *context, qins_error *error) {
    const size_t n_steps = greedy->n_steps, room = qins_greedy_context(windows->size, n_steps);
    greedy->n_prompts = n_prompts < windows->count ? n_prompts : windows->count;
    qins_windows_watch watch = {progress, context, 0,
                                (uint64_t)greedy->n_prompts * qins_greedy_tokens(prompt_of(windows->size), n_steps)};
    int32_t *text = qins_alloc(room, sizeof *text, "text", error), *own = qins_alloc(room, sizeof *own, "text", error);
    greedy->matches = qins_alloc(greedy->n_prompts, sizeof *greedy->matches, "greedy matches", error);
    qins_windows_observe(&watch, session);
    qins_windows_observe(&watch, reference);
    if (error->status == QINS_OK) run_windows(greedy, session, reference, windows, text, own, &watch, error);
    qins_session_observe(session, &(qins_observer){0});
    qins_session_observe(reference, &(qins_observer){0});
    free(text);
    free(own);
    return error->status;
}

void qins_greedy_free(qins_greedy *greedy) {
    free(greedy->matches);
    *greedy = (qins_greedy){0};
}

qins_greedy_summary qins_greedy_summarize(const qins_greedy *greedy) {
    qins_greedy_summary summary = {0};
    const double n_prompts = (double)greedy->n_prompts, n = n_prompts * (double)greedy->n_steps;
    for (size_t i = 0; i < greedy->n_prompts; i++) {
        const qins_greedy_match *match = &greedy->matches[i];
        summary.forced += (double)match->n_forced / n;
        summary.free += (double)match->n_free / n;
        summary.first_difference += (double)match->first_difference / n_prompts;
        summary.n_same += match->first_difference == greedy->n_steps;
    }
    return summary;
}
