// The display of the line that is being edited: it is cut into rows shorter than the terminal's width, so the terminal
// never wraps them itself, and its idea of a character's width does not matter.
#ifndef QINS_CLI_DISPLAY_H
#define QINS_CLI_DISPLAY_H

#include "engine/cli/line.h"

typedef struct qins_row {
    size_t start, end; // bytes of the text
    size_t columns;    // at most, with the prompt or the space under it
} qins_row;

typedef struct qins_display {
    qins_row *rows; // owned
    size_t n_rows, capacity;
    size_t columns, lines; // of the terminal
    size_t first, cursor;  // rows: the first one that is on the screen, and the cursor's
    size_t cursor_column;
    size_t above; // rows of the terminal between the top of the drawing and the cursor
} qins_display;

void qins_display_free(qins_display *display);

// A new line begins where the terminal's cursor is.
void qins_display_begin(qins_display *display);

// Take the terminal's size, which may have changed since the last drawing of this line.
void qins_display_resize(qins_display *display, size_t columns, size_t lines);

// Append to *out the sequence that draws prompt and line over the last drawing and places the cursor.
void qins_display_draw(qins_display *display, const qins_line *line, const char *prompt, qins_buffer *out);

// The cursor's place one row up or down, in bytes of the text as it was last drawn; SIZE_MAX if there is no such row.
size_t qins_display_up(const qins_display *display, const qins_line *line);
size_t qins_display_down(const qins_display *display, const qins_line *line);

#endif
