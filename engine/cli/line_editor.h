// A line editor in the style of Emacs and Readline: history, history search, completion, multi-line pastes.
#ifndef QINS_CLI_LINE_EDITOR_H
#define QINS_CLI_LINE_EDITOR_H

#include "engine/cli/display.h"
#include "engine/cli/history.h"
#include "engine/cli/terminal.h"

// Offer completions of text[size], which ends at the cursor: append to *added the continuation that all candidates
// share, and to *list the candidates, one per line, if there are several. Returns false where a tab is just a tab.
typedef bool qins_complete(const char *text, size_t size, qins_buffer *added, qins_buffer *list);

typedef enum qins_line_end {
    QINS_LINE_ENTERED,
    QINS_LINE_CANCELLED, // Ctrl-C; the line has what was typed
    QINS_LINE_CLOSED,    // Ctrl-D on an empty line, or the terminal is gone
    QINS_LINE_SIGNAL     // qins_interrupted is set
} qins_line_end;

typedef struct qins_line_editor {
    qins_terminal terminal;
    qins_display display;
    qins_line line;
    qins_history history;
    qins_complete *complete;
    const char *prompt;
    size_t place;        // in the history; n_entries: the new line
    qins_buffer waiting; // the new line, while another one is shown
    qins_buffer drawn;   // on its way to the terminal
    qins_error *error;
} qins_line_editor;

void qins_line_editor_open(qins_line_editor *editor, qins_complete *complete, qins_error *error);
void qins_line_editor_close(qins_line_editor *editor);

// Let the user type a line. Append it, with its pastes, to *line; the terminal is left as it was.
qins_line_end qins_line_editor_read(qins_line_editor *editor, const char *prompt, qins_buffer *line);

#endif
