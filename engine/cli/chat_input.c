// Messages of a chat; see chat_input.h.
#define _GNU_SOURCE // getline
#include "engine/cli/chat_input.h"

#include <editline/readline.h>
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char QUOTES[] = "\"\"\"";
enum { N_QUOTES = sizeof QUOTES - 1 };

void qins_chat_input_open(void) {
    setlocale(LC_CTYPE, "");
    rl_outstream = stderr;
}

static char *edit_line(const char *prompt, size_t *size) {
    char *line = readline(prompt);
    if (line != NULL && line[0] != '\0') add_history(line);
    *size = line == NULL ? 0 : strlen(line);
    return line;
}

// A line without its newline, released with free(); NULL at the end of input.
static char *read_line(size_t *size, qins_error *error) {
    char *line = NULL;
    size_t capacity = 0;
    errno = 0;
    const ssize_t n_read = getline(&line, &capacity, stdin);
    if (n_read >= 0) {
        *size = (size_t)n_read - (n_read > 0 && line[n_read - 1] == '\n');
        return line;
    }
    if (ferror(stdin)) qins_fail_errno(error, QINS_USAGE, "cannot read standard input");
    free(line);
    return NULL;
}

// Append the part of a line that belongs to the message; returns whether more lines follow.
static bool append_line(qins_buffer *message, const char *line, size_t size, bool is_first, bool *is_quoted) {
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

bool qins_chat_input_read(bool terminal, qins_buffer *message, qins_error *error) {
    bool is_quoted = false, goes_on = true, is_first = true;
    message->size = 0;
    message->error = error;
    while (goes_on && error->status == QINS_OK) {
        size_t size;
        char *line = terminal ? edit_line(is_first ? "> " : "... ", &size) : read_line(&size, error);
        if (line == NULL) break;
        goes_on = append_line(message, line, size, is_first, &is_quoted);
        is_first = false;
        free(line);
    }
    qins_buffer_u8(message, '\0');
    if (message->size > 0) message->size--;
    return error->status == QINS_OK && !is_first;
}
