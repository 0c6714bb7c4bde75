// Greedy texts side by side; see greedy.h. Up to the first difference both questions have the same answer, so the
// model's own text is only computed from there on.
#include "engine/cli/greedy.h"

#include "engine/runtime/log_softmax.h"

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
