// Rows and their drawing; see display.h.
#include "engine/cli/display.h"

#include "engine/base/memory.h"
#include "engine/base/utf8.h"
#include "engine/cli/characters.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TAB_COLUMNS = 8 };

void qins_display_free(qins_display *display) {
    free(display->rows);
    *display = (qins_display){0};
}

void qins_display_begin(qins_display *display) {
    display->n_rows = display->above = 0;
}

static void append(qins_buffer *out, const char *text) {
    qins_buffer_append(out, text, strlen(text));
}

// --- characters ---

static size_t describe_fold(const qins_buffer *fold, char *label, size_t capacity) {
    size_t n_lines = 1;
    for (size_t i = 0; i < fold->size; i++) n_lines += fold->data[i] == '\n';
    const int length = n_lines > 1 ? snprintf(label, capacity, "[%zu lines pasted]", n_lines)
                                   : snprintf(label, capacity, "[%zu bytes pasted]", fold->size);
    return (size_t)length;
}

// Nothing in a character of several code points may control the terminal, either.
static bool is_printable(const char *text, size_t size) {
    uint32_t c;
    for (size_t at = 0, length; at < size; at += length) {
        length = utf8_decode(text + at, size - at, &c);
        if (length == 0 || c < 0x20 || (c >= 0x7F && c <= 0x9F)) return false;
    }
    return true;
}

// Columns of a character that begins in column `at`; its appearance is appended to *out unless that is NULL.
static size_t show(const qins_line *line, const char *text, size_t size, size_t at, qins_buffer *out) {
    char label[48];
    const qins_buffer *fold = qins_line_fold(line, text, size);
    size_t columns = fold != NULL ? describe_fold(fold, label, sizeof label) : qins_character_columns(text, size);
    if (text[0] == '\t') columns = TAB_COLUMNS - at % TAB_COLUMNS;
    if (out == NULL) return columns;
    if (fold != NULL) {
        append(out, label);
    } else if (text[0] == '\t') {
        for (size_t i = 0; i < columns; i++) qins_buffer_u8(out, ' ');
    } else if ((unsigned char)text[0] < 0x20 || text[0] == 0x7F) {
        qins_buffer_u8(out, '^');
        qins_buffer_u8(out, (uint8_t)(text[0] ^ 0x40));
    } else if (!is_printable(text, size)) {
        for (size_t i = 0; i < columns; i++) qins_buffer_u8(out, '?');
    } else {
        qins_buffer_append(out, text, size);
    }
    return columns;
}

// --- rows ---

static qins_row *add_row(qins_display *display, qins_error *error) {
    void *rows = display->rows;
    if (qins_grow(&rows, &display->capacity, display->n_rows + 1, sizeof *display->rows, error) != QINS_OK) return NULL;
    display->rows = rows;
    return &display->rows[display->n_rows++];
}

static void lay_out(qins_display *display, const qins_line *line, size_t indent, qins_error *error) {
    const char *text = (const char *)line->text.data;
    const size_t widest = display->columns > indent + 2 ? display->columns - 1 : indent + 2;
    qins_row row = {.columns = indent}, *added;
    display->n_rows = 0;
    for (size_t at = 0; at < line->text.size; at = row.end) {
        const size_t length = qins_character_bytes(text + at, line->text.size - at);
        const bool is_newline = text[at] == '\n';
        const size_t columns = is_newline ? 0 : show(line, text + at, length, row.columns, NULL);
        const bool is_full = row.columns + columns > widest && row.end > row.start;
        if (is_newline || is_full) {
            if ((added = add_row(display, error)) == NULL) return;
            *added = row;
            row = (qins_row){.start = at + is_newline, .end = at + is_newline, .columns = indent};
        } else {
            row.end = at + length;
            row.columns += columns;
        }
    }
    if ((added = add_row(display, error)) != NULL) *added = row;
}

static size_t row_of(const qins_display *display, size_t cursor) {
    size_t row = 0;
    while (row + 1 < display->n_rows && display->rows[row + 1].start <= cursor) row++;
    return row;
}

// Terminals break the rows that no longer fit, which moves the top of the drawing further up.
void qins_display_resize(qins_display *display, size_t columns, size_t lines) {
    if (columns < display->columns && display->n_rows > 0) {
        display->above = display->cursor_column / columns;
        for (size_t row = display->first; row < display->cursor; row++) {
            const size_t used = display->rows[row].columns;
            display->above += used > columns ? (used + columns - 1) / columns : 1;
        }
    }
    display->columns = columns;
    display->lines = lines;
}

// --- drawing ---

// Returns the column after it.
static size_t append_row(const qins_line *line, const qins_row *row, size_t end, const char *prompt, bool is_first,
                         qins_buffer *out) {
    const char *text = (const char *)line->text.data;
    size_t column = strlen(prompt);
    for (size_t i = 0; i < column; i++) qins_buffer_u8(out, is_first ? (uint8_t)prompt[i] : ' ');
    for (size_t at = row->start, length; at < end; at += length) {
        length = qins_character_bytes(text + at, line->text.size - at);
        column += show(line, text + at, length, column, out);
    }
    return column;
}

static void move_up(qins_buffer *out, size_t rows) {
    char text[32];
    if (rows > 0) {
        snprintf(text, sizeof text, "\033[%zuA", rows);
        append(out, text);
    }
    append(out, "\r");
}

void qins_display_draw(qins_display *display, const qins_line *line, const char *prompt, qins_buffer *out) {
    move_up(out, display->above);
    lay_out(display, line, strlen(prompt), out->error);
    if (out->error->status != QINS_OK) return;
    const size_t cursor = row_of(display, line->cursor);
    // A text with more rows than the terminal is shown around the cursor.
    const size_t first = cursor + 1 > display->lines ? cursor + 1 - display->lines : 0;
    const size_t last = display->n_rows - first > display->lines ? first + display->lines - 1 : display->n_rows - 1;
    for (size_t i = first; i <= last; i++) {
        append_row(line, &display->rows[i], display->rows[i].end, prompt, i == 0, out);
        append(out, i < last ? "\033[K\r\n" : "\033[J");
    }
    move_up(out, last - cursor);
    display->cursor_column = append_row(line, &display->rows[cursor], line->cursor, prompt, cursor == 0, out);
    display->first = first;
    display->cursor = cursor;
    display->above = cursor - first;
}

// --- moving between rows ---

// The character of a row that is as far to the right as the cursor is in its own. The end of a row that is not the end
// of its line is the beginning of the next one.
static size_t place_in(const qins_display *display, const qins_line *line, size_t to) {
    const qins_row *row = &display->rows[row_of(display, line->cursor)];
    const char *text = (const char *)line->text.data;
    size_t n = 0, at, last;
    for (at = row->start; at < line->cursor; n++) at += qins_character_bytes(text + at, line->text.size - at);
    row = &display->rows[to];
    for (last = at = row->start; at < row->end && n > 0; n--) {
        last = at;
        at += qins_character_bytes(text + at, line->text.size - at);
    }
    return at == row->end && to + 1 < display->n_rows && row[1].start == at ? last : at;
}

size_t qins_display_up(const qins_display *display, const qins_line *line) {
    const size_t row = row_of(display, line->cursor);
    return row > 0 ? place_in(display, line, row - 1) : SIZE_MAX;
}

size_t qins_display_down(const qins_display *display, const qins_line *line) {
    const size_t row = row_of(display, line->cursor);
    return row + 1 < display->n_rows ? place_in(display, line, row + 1) : SIZE_MAX;
}
