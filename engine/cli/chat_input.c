// Messages of a chat; see chat_input.h.
#define _GNU_SOURCE // getline
#include "engine/cli/chat_input.h"

#include "engine/cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char QUOTES[] = "\"\"\"", BYTE_ORDER_MARK[] = "\xEF\xBB\xBF";
enum { N_QUOTES = sizeof QUOTES - 1, N_MARK = sizeof BYTE_ORDER_MARK - 1 };

void qins_chat_input_open(qins_chat_input *input, bool is_literal, qins_complete *complete, qins_error *error) {
    *input = (qins_chat_input){.is_person = isatty(STDIN_FILENO) && isatty(STDERR_FILENO), .is_literal = is_literal};
    input->is_edited = qins_terminal_is_usable();
    if (input->is_edited) qins_line_editor_open(&input->editor, complete, error);
}

void qins_chat_input_close(qins_chat_input *input) {
    if (input->is_edited) qins_line_editor_close(&input->editor);
}

// --- lines ---

// Append a line without its end; false at the end of input.
static bool read_line(qins_chat_input *input, const char *prompt, qins_buffer *line) {
    char *text = NULL;
    size_t capacity = 0, skip = 0;
    if (input->is_person) fputs(prompt, stderr);
    errno = 0;
    const ssize_t n_read = getline(&text, &capacity, stdin);
    if (n_read < 0 && !feof(stdin)) // there may be no memory for the line
        qins_fail_errno(line->error, ferror(stdin) ? QINS_USAGE : QINS_FAILED, "cannot read standard input");
    if (n_read >= 0) {
        size_t size = (size_t)n_read;
        if (size > 0 && text[size - 1] == '\n') size--;
        if (size > 0 && text[size - 1] == '\r') size--;
        if (!input->has_begun && size >= N_MARK && memcmp(text, BYTE_ORDER_MARK, N_MARK) == 0) skip = N_MARK;
        input->has_begun = true;
        qins_buffer_append(line, text + skip, size - skip);
    }
    free(text);
    return n_read >= 0;
}

// --- messages ---

// Append the part of a line that belongs to the message; returns whether more lines follow.
static bool append_line(qins_buffer *message, const char *line, size_t size, bool is_first, bool *is_quoted) {
    if (is_first && memchr(line, '\n', size) != NULL) { // a paste
        qins_buffer_append(message, line, size);
        return false;
    }
    if (is_first && size >= N_QUOTES && memcmp(line, QUOTES, N_QUOTES) == 0) {
        *is_quoted = true;
        line += N_QUOTES;
        size -= N_QUOTES;
    }
    if (*is_quoted) {
        const bool ends = size >= N_QUOTES && memcmp(line + size - N_QUOTES, QUOTES, N_QUOTES) == 0;
        if (ends) size -= N_QUOTES;
        if (message->size > 0 && !(ends && size == 0)) qins_buffer_u8(message, '\n');
        qins_buffer_append(message, line, size);
        return !ends;
    }
    const bool goes_on = size > 0 && line[size - 1] == '\\';
    qins_buffer_append(message, line, size - goes_on);
    if (goes_on) qins_buffer_u8(message, '\n');
    return goes_on;
}

// One message by read_line or the editor; returns how its last line ended.
static qins_line_end read_message(qins_chat_input *input, qins_buffer *message, qins_buffer *line) {
    bool is_quoted = false, goes_on = true;
    message->size = 0;
    for (bool is_first = true; goes_on && message->error->status == QINS_OK; is_first = false) {
        const char *prompt = is_first ? "> " : "... ";
        qins_line_end end = QINS_LINE_ENTERED;
        line->size = 0;
        if (input->is_edited)
            end = qins_line_editor_read(&input->editor, prompt, line);
        else if (!read_line(input, prompt, line))
            end = QINS_LINE_CLOSED;
        if (end == QINS_LINE_CANCELLED) qins_buffer_append(message, line->data, line->size);
        if (end != QINS_LINE_ENTERED) return end == QINS_LINE_CLOSED && !is_first ? QINS_LINE_ENTERED : end;
        if (input->is_literal) {
            qins_buffer_append(message, line->data, line->size);
            return QINS_LINE_ENTERED;
        }
        goes_on =
            append_line(message, line->size > 0 ? (const char *)line->data : "", line->size, is_first, &is_quoted);
    }
    return QINS_LINE_ENTERED;
}

bool qins_chat_input_read(qins_chat_input *input, qins_buffer *message, qins_error *error) {
    qins_buffer line = {.error = error};
    qins_line_end end;
    message->error = error;
    for (bool is_warned = false;; is_warned = message->size == 0) {
        end = read_message(input, message, &line);
        if (error->status != QINS_OK || end != QINS_LINE_CANCELLED) break;
        if (message->size > 0) continue;
        if (is_warned) break;
        fputs("Ctrl-C again, Ctrl-D or /exit ends the chat.\n", stderr);
    }
    qins_buffer_free(&line);
    if (end == QINS_LINE_CANCELLED || end == QINS_LINE_SIGNAL) qins_fail(error, QINS_INTERRUPTED, "interrupted");
    if (end == QINS_LINE_ENTERED && input->is_edited && message->size > 0)
        qins_history_add(&input->editor.history, (const char *)message->data, message->size, error);
    qins_buffer_u8(message, '\0');
    if (message->size > 0) message->size--;
    return error->status == QINS_OK && end == QINS_LINE_ENTERED;
}
