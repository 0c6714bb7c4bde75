// Breaking lines between words; see wrap.h.
#include "engine/cli/wrap.h"

#include "engine/base/utf8.h"
#include "engine/cli/characters.h"

enum { TAB_COLUMNS = 8, FENCE = 3 };

void qins_wrap_init(qins_wrap *wrap, qins_error *error) {
    *wrap = (qins_wrap){.held.error = error, .is_line_start = true};
}

void qins_wrap_free(qins_wrap *wrap) {
    qins_buffer_free(&wrap->held);
}

static void advance(qins_wrap *wrap, size_t columns) {
    wrap->column += columns;
    if (wrap->width > 0 && wrap->column > wrap->width) wrap->column = (wrap->column - 1) % wrap->width + 1;
}

// Hand out the word that is held back, on a new line if it does not fit into this one.
static void place(qins_wrap *wrap, qins_buffer *out) {
    if (wrap->held.size == 0) return;
    size_t skip = 0;
    const bool fits = wrap->column + wrap->gap_columns + wrap->word_columns <= wrap->width;
    const bool may_break = wrap->width > 0 && !wrap->is_code && !wrap->is_in_word;
    if (may_break && !fits && wrap->column > 0 && wrap->word_columns > 0) {
        qins_buffer_u8(out, '\n');
        wrap->column = 0;
        skip = wrap->gap;
    } else {
        advance(wrap, wrap->gap_columns);
    }
    qins_buffer_append(out, wrap->held.data + skip, wrap->held.size - skip);
    advance(wrap, wrap->word_columns);
    wrap->held.size = wrap->gap = wrap->gap_columns = wrap->word_columns = 0;
}

// Lines that begin with ``` open and close code.
static void look_for_fence(qins_wrap *wrap, char c) {
    if (c == '\n') {
        wrap->is_line_start = true;
        wrap->n_ticks = 0;
    } else if (c == '`' && wrap->is_line_start) {
        if (++wrap->n_ticks == FENCE) wrap->is_code = !wrap->is_code;
    } else if (c != ' ') {
        wrap->is_line_start = false;
    }
}

static void push_character(qins_wrap *wrap, const char *text, size_t size, qins_buffer *out) {
    const char c = text[0];
    const size_t columns = c == '\t' ? TAB_COLUMNS - wrap->column % TAB_COLUMNS : qins_character_columns(text, size);
    const bool is_space = c == ' ' || c == '\t', is_wide = columns > 1 && !is_space; // CJK may break anywhere
    look_for_fence(wrap, c);
    if (c == '\n' || is_wide || (is_space && wrap->word_columns > 0)) place(wrap, out);
    if (c == '\n' || is_wide || is_space) wrap->is_in_word = false;
    if (c == '\n') {
        qins_buffer_u8(out, '\n');
        wrap->column = 0;
        return;
    }
    qins_buffer_append(&wrap->held, text, size);
    if (is_space) {
        wrap->gap += size;
        wrap->gap_columns += columns;
    } else {
        wrap->word_columns += columns;
    }
    const bool is_too_long = wrap->word_columns >= wrap->width;
    if (is_wide || wrap->is_code || is_too_long) place(wrap, out);
    wrap->is_in_word = wrap->is_in_word || (is_too_long && !is_wide && !is_space);
}

void qins_wrap_push(qins_wrap *wrap, const char *text, size_t size, qins_buffer *out) {
    uint32_t c;
    for (size_t at = 0, length; at < size; at += length) {
        length = utf8_decode(text + at, size - at, &c);
        if (length == 0) length = 1;
        push_character(wrap, text + at, length, out);
    }
}

void qins_wrap_finish(qins_wrap *wrap, qins_buffer *out) {
    place(wrap, out);
}
