// The text that is being edited, with its cursor. A large paste is folded: one character stands for it, which is shown
// as "[37 lines pasted]" and moved over and deleted as one.
#ifndef QINS_CLI_LINE_H
#define QINS_CLI_LINE_H

#include "engine/base/buffer.h"

enum { QINS_MAX_FOLDS = 64 };

typedef struct qins_line {
    qins_buffer text; // UTF-8, may hold newlines
    size_t cursor;    // bytes before it
    qins_buffer folds[QINS_MAX_FOLDS];
    size_t n_folds;
    qins_buffer killed; // the text that qins_line_yank brings back
} qins_line;

typedef enum qins_motion {
    QINS_TO_LEFT,
    QINS_TO_RIGHT,
    QINS_TO_WORD_LEFT,
    QINS_TO_WORD_RIGHT,
    QINS_TO_START, // of the line between newlines
    QINS_TO_END
} qins_motion;

void qins_line_init(qins_line *line, qins_error *error);
void qins_line_free(qins_line *line);
void qins_line_clear(qins_line *line); // the killed text stays

// Insert typed text at the cursor, or a paste, which is folded when it is large.
void qins_line_insert(qins_line *line, const char *text, size_t size);
void qins_line_paste(qins_line *line, const char *text, size_t size);
void qins_line_yank(qins_line *line);

// The position in bytes that a motion leads to; delete the text from the cursor to there; the same, keeping it for a
// later yank.
size_t qins_line_target(const qins_line *line, qins_motion motion);
void qins_line_delete(qins_line *line, qins_motion motion);
void qins_line_kill(qins_line *line, qins_motion motion);

// The paste that the character text[size] stands for, NULL if it stands for itself.
const qins_buffer *qins_line_fold(const qins_line *line, const char *text, size_t size);

// Append the whole text, with its pastes, to *out.
void qins_line_expand(const qins_line *line, qins_buffer *out);

#endif
