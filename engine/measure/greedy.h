// Greedy text of a model compared with a reference's, after the same prompt. Two questions: given the reference's text
// so far, does the model choose the same next token (teacher-forced); and does it write the same text by itself (free
// running), where one different choice, perhaps at a near tie, makes the rest differ.
#ifndef QINS_MEASURE_GREEDY_H
#define QINS_MEASURE_GREEDY_H

#include "engine/measure/windows.h"

typedef struct qins_greedy_match {
    size_t window, n_prompt; // the window whose first tokens were the prompt
    size_t n_forced;         // steps with the same choice after the reference's text
    size_t n_free;           // steps at which both texts have the same token
    size_t first_difference; // step; the number of steps if there is none
    double gap;              // how far, in logits, the reference prefers its own choice to the model's there; or 0
} qins_greedy_match;

// The most tokens that one prompt takes in both sessions: the limit of `done`.
size_t qins_greedy_tokens(size_t n_prompt, size_t n_steps);

// Fill match->n_forced and the fields after it for n_steps steps after text[match->n_prompt]. `text` and `own` are
// scratch for n_prompt + n_steps ids each, which must fit into both contexts. Stop ids do not end the text. `progress`
// counts single tokens; for long prompts, the sessions report their own progress.
qins_status qins_greedy_compare(qins_session *session, qins_session *reference, int32_t *text, int32_t *own,
                                size_t n_steps, qins_progress *progress, void *context, qins_greedy_match *match,
                                qins_error *error);

// After the first halves of windows.
typedef struct qins_greedy {
    size_t n_steps, n_prompts;  // no prompts: nothing was compared
    qins_greedy_match *matches; // owned, [n_prompts]
} qins_greedy;

// Context tokens that windows of a given size and n_steps steps take.
size_t qins_greedy_context(size_t window_size, size_t n_steps);

// Compare greedy->n_steps steps after each of the first `n_prompts` windows' halves, or of as many as there are.
// `progress` counts tokens. Release with qins_greedy_free, also after a failure.
qins_status qins_greedy_run(qins_greedy *greedy, qins_session *session, qins_session *reference, qins_windows *windows,
                            size_t n_prompts, qins_progress *progress, void *context, qins_error *error);
void qins_greedy_free(qins_greedy *greedy);

// Over all prompts, of which there is at least one.
typedef struct qins_greedy_summary {
    double forced, free;     // shares of steps with the same token
    double first_difference; // mean step
    size_t n_same;           // prompts without a difference
} qins_greedy_summary;
qins_greedy_summary qins_greedy_summarize(const qins_greedy *greedy);

#endif
