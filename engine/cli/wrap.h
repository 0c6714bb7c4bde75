// Wraps text for a terminal between words where a line would become too long; leaves code between lines of ``` alone.
// Tracks the column of the terminal's cursor.
#ifndef QINS_CLI_WRAP_H
#define QINS_CLI_WRAP_H

#include "engine/base/buffer.h"

typedef struct qins_wrap {
    size_t width;     // columns of the terminal, set by the caller at any time; 0: nothing is wrapped
    size_t column;    // of the cursor after the text handed out
    qins_buffer held; // white space and a word, of which more may come
    size_t gap;       // bytes of white space in it
    size_t gap_columns, word_columns;
    bool is_in_word; // which was longer than a line and is not wrapped again
    bool is_code, is_line_start;
    size_t n_ticks; // at the start of this line
} qins_wrap;

// Release with qins_wrap_free.
void qins_wrap_init(qins_wrap *wrap, qins_error *error);
void qins_wrap_free(qins_wrap *wrap);

// Append to *out as much of the text (whole UTF-8 characters) as can be shown now; at the end, the text that was held
// back.
void qins_wrap_push(qins_wrap *wrap, const char *text, size_t size, qins_buffer *out);
void qins_wrap_finish(qins_wrap *wrap, qins_buffer *out);

#endif
