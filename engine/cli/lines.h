// Lines of standard input; an interrupt ends the reading.
#ifndef QINS_CLI_LINES_H
#define QINS_CLI_LINES_H

#include "engine/base/buffer.h"

#include <stdbool.h>

// Zero-initialize, but for the members of on_idle; release with qins_lines_free.
typedef struct qins_lines {
    // Called about ten times a second while no input comes; an error ends the reading. NULL: none.
    void (*on_idle)(void *context, qins_error *error);
    void *context;          // of on_idle
    qins_buffer text;       // read so far
    size_t start, searched; // of the next line; up to where it has no line feed
    bool is_at_end;         // end of input
} qins_lines;

// The next line, without its line feed: *line[*size], valid until the next call. False after the last one, once
// qins_interrupted is set, and at an error.
bool qins_lines_next(qins_lines *lines, const char **line, size_t *size, qins_error *error);
void qins_lines_free(qins_lines *lines);

#endif
