// A line editor in the way of Emacs and Readline: history, search in it, completion, pastes of several lines.
#ifndef QINS_CLI_LINE_EDITOR_H
#define QINS_CLI_LINE_EDITOR_H

#include "engine/cli/display.h"
#include "engine/cli/history.h"
#include "engine/cli/terminal.h"

// Offer what could follow text[size], which ends at the cursor: append to *added what all candidates go on with, and to
// *list the candidates, one a line, if there are several. Returns false where a tab is a tab.
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

// Let a line be typed. Append it, with its pastes, to *line; the terminal is as before.
qins_line_end qins_line_editor_read(qins_line_editor *editor, const char *prompt, qins_buffer *line);

#endif
