// Makes untrusted text - names in files, paths, tokens - safe to display: a terminal must not obey it, and it must not
// look like our own output.
#ifndef QINS_BASE_ESCAPE_H
#define QINS_BASE_ESCAPE_H

#include "engine/base/buffer.h"

// Copy as much of text[size] as fits into to[capacity], NUL-terminated: control characters (U+0000 to U+001F, U+007F to
// U+009F) and bytes that are not UTF-8 as \n, \r, \t or \xHH. Characters and escapes are never split. Returns `to`.
const char *qins_escape(char *to, size_t capacity, const char *text, size_t size);

// Text on its way to a terminal, in pieces that may end within a character: tabs and newlines pass, everything else
// that qins_escape escapes is escaped. Zero-initialize.
typedef struct qins_visible {
    char held[4]; // the beginning of a character
    size_t n_held;
} qins_visible;
void qins_visible_push(qins_visible *visible, const char *text, size_t size, qins_buffer *out);
void qins_visible_finish(qins_visible *visible, qins_buffer *out); // nothing more comes

// For an argument of printf: text of up to 500 bytes or so, in memory of the calling block.
#define QINS_ESCAPED(text) qins_escape((char[1024]){0}, 1024, (text), strlen(text))

#endif
