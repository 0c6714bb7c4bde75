// Editing of text; see line.h.
#include "engine/cli/line.h"

#include "engine/base/utf8.h"
#include "engine/cli/characters.h"

#include <ctype.h>
#include <string.h>

// Pastes of more lines or bytes than this are folded.
enum { SHOWN_LINES = 8, SHOWN_BYTES = 800 };

// Fold i is U+10FF00 + i, in UTF-8 F4 8F BC 80 and on: private use, not used elsewhere. Such a character from outside
// is itself folded.
enum { FOLD_BYTES = 4, FIRST_FOLD = 0x10FF00 };

void qins_line_init(qins_line *line, qins_error *error) {
    *line = (qins_line){.text.error = error, .killed.error = error};
    for (size_t i = 0; i < QINS_MAX_FOLDS; i++) line->folds[i].error = error;
}

void qins_line_clear(qins_line *line) {
    for (size_t i = 0; i < line->n_folds; i++) qins_buffer_free(&line->folds[i]);
    line->text.size = line->cursor = line->n_folds = 0;
}

void qins_line_free(qins_line *line) {
    qins_line_clear(line);
    qins_buffer_free(&line->text);
    qins_buffer_free(&line->killed);
}

// --- folds ---

const qins_buffer *qins_line_fold(const qins_line *line, const char *text, size_t size) {
    uint32_t c;
    if (utf8_decode(text, size, &c) != FOLD_BYTES || c < FIRST_FOLD || c - FIRST_FOLD >= line->n_folds) return NULL;
    return &line->folds[c - FIRST_FOLD];
}

static bool holds_private_character(const char *text, size_t size) {
    for (size_t i = 0; i + 2 < size; i++)
        if (memcmp(text + i, "\xF4\x8F\xBC", 3) == 0 || memcmp(text + i, "\xF4\x8F\xBD", 3) == 0) return true;
    return false;
}

static size_t count_lines(const char *text, size_t size) {
    size_t n = 1;
    for (size_t i = 0; i < size; i++) n += text[i] == '\n';
    return n;
}

static void insert(qins_line *line, const char *text, size_t size) {
    qins_buffer *buffer = &line->text;
    const size_t after = buffer->size - line->cursor;
    qins_buffer_append(buffer, text, size); // makes the room
    if (buffer->error->status != QINS_OK || size == 0) return;
    memmove(buffer->data + line->cursor + size, buffer->data + line->cursor, after);
    memcpy(buffer->data + line->cursor, text, size);
    line->cursor += size;
}

static void insert_folded(qins_line *line, const char *text, size_t size) {
    const size_t index = line->n_folds;
    const char mark[FOLD_BYTES] = {'\xF4', '\x8F', (char)(0xBC + index / 64), (char)(0x80 + index % 64)};
    qins_buffer_append(&line->folds[index], text, size);
    if (line->text.error->status != QINS_OK) return;
    line->n_folds++;
    insert(line, mark, sizeof mark);
}

static void insert_or_fold(qins_line *line, const char *text, size_t size, bool is_large) {
    if (line->n_folds < QINS_MAX_FOLDS && (is_large || holds_private_character(text, size)))
        insert_folded(line, text, size);
    else
        insert(line, text, size);
}

void qins_line_insert(qins_line *line, const char *text, size_t size) {
    insert_or_fold(line, text, size, false);
}

void qins_line_paste(qins_line *line, const char *text, size_t size) {
    insert_or_fold(line, text, size, size > SHOWN_BYTES || count_lines(text, size) > SHOWN_LINES);
}

void qins_line_expand(const qins_line *line, qins_buffer *out) {
    const char *text = (const char *)line->text.data;
    for (size_t at = 0, length; at < line->text.size; at += length) {
        length = qins_character_bytes(text + at, line->text.size - at);
        const qins_buffer *fold = qins_line_fold(line, text + at, length);
        if (fold != NULL)
            qins_buffer_append(out, fold->data, fold->size);
        else
            qins_buffer_append(out, text + at, length);
    }
}

// --- motions ---

static bool is_word(const qins_line *line, size_t at) {
    const unsigned char c = line->text.data[at];
    return c >= 0x80 || isalnum(c);
}

static size_t step_left(const qins_line *line, size_t at) {
    return at - qins_character_bytes_before((const char *)line->text.data, at);
}

static size_t step_right(const qins_line *line, size_t at) {
    return at + qins_character_bytes((const char *)line->text.data + at, line->text.size - at);
}

size_t qins_line_target(const qins_line *line, qins_motion motion) {
    const size_t size = line->text.size;
    const uint8_t *text = line->text.data;
    size_t at = line->cursor;
    switch (motion) {
    case QINS_TO_LEFT:
        return at > 0 ? step_left(line, at) : 0;
    case QINS_TO_RIGHT:
        return at < size ? step_right(line, at) : size;
    case QINS_TO_WORD_LEFT:
        while (at > 0 && !is_word(line, step_left(line, at))) at = step_left(line, at);
        while (at > 0 && is_word(line, step_left(line, at))) at = step_left(line, at);
        return at;
    case QINS_TO_WORD_RIGHT:
        while (at < size && !is_word(line, at)) at = step_right(line, at);
        while (at < size && is_word(line, at)) at = step_right(line, at);
        return at;
    case QINS_TO_START:
        while (at > 0 && text[at - 1] != '\n') at--;
        return at;
    case QINS_TO_END:
        while (at < size && text[at] != '\n') at++;
        return at;
    }
    return at;
}

static void delete_between(qins_line *line, size_t from, size_t to) {
    if (from == to) return;
    memmove(line->text.data + from, line->text.data + to, line->text.size - to);
    line->text.size -= to - from;
    line->cursor = from;
}

static void order(size_t *from, size_t *to) {
    if (*from <= *to) return;
    const size_t swapped = *from;
    *from = *to;
    *to = swapped;
}

void qins_line_delete(qins_line *line, qins_motion motion) {
    size_t from = line->cursor, to = qins_line_target(line, motion);
    order(&from, &to);
    delete_between(line, from, to);
}

void qins_line_kill(qins_line *line, qins_motion motion) {
    size_t from = line->cursor, to = qins_line_target(line, motion);
    order(&from, &to);
    if (from == to) return;
    line->killed.size = 0;
    qins_buffer_append(&line->killed, line->text.data + from, to - from);
    delete_between(line, from, to);
}

void qins_line_yank(qins_line *line) {
    insert(line, (const char *)line->killed.data, line->killed.size);
}
