// Lines of standard input; see lines.h. Not read by getline, which keeps waiting after a signal.
#include "engine/cli/lines.h"

#include "engine/cli/cli.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK_BYTES = 1 << 16, PATIENCE_MS = 100 };

static void drop_done(qins_lines *lines) {
    if (lines->start == 0) return;
    memmove(lines->text.data, lines->text.data + lines->start, lines->text.size - lines->start);
    lines->text.size -= lines->start;
    lines->searched -= lines->start;
    lines->start = 0;
}

// A signal just before poll does not end it; its timeout does.
static bool await_input(const qins_lines *lines) {
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    while (!qins_interrupted && lines->text.error->status == QINS_OK) {
        if (poll(&input, 1, PATIENCE_MS) > 0) return true;
        if (lines->on_idle != NULL) lines->on_idle(lines->context, lines->text.error);
    }
    return false;
}

static bool read_more(qins_lines *lines) {
    uint8_t block[BLOCK_BYTES];
    drop_done(lines);
    if (!await_input(lines)) return false;
    const ssize_t n = read(STDIN_FILENO, block, sizeof block);
    if (n < 0 && errno != EINTR) qins_fail_errno(lines->text.error, QINS_FAILED, "cannot read standard input");
    if (n > 0) qins_buffer_append(&lines->text, block, (size_t)n);
    lines->is_at_end = n == 0;
    return lines->text.error->status == QINS_OK;
}

bool qins_lines_next(qins_lines *lines, const char **line, size_t *size, qins_error *error) {
    const qins_buffer *text = &lines->text;
    const uint8_t *end = NULL;
    lines->text.error = error;
    if (qins_interrupted) return false;
    for (;;) {
        if (text->size > lines->searched)
            end = memchr(text->data + lines->searched, '\n', text->size - lines->searched);
        if (end != NULL || lines->is_at_end) break;
        lines->searched = text->size;
        if (!read_more(lines)) return false;
    }
    if (lines->start == text->size) return false;
    *line = (const char *)text->data + lines->start;
    *size = (end != NULL ? (size_t)(end - text->data) : text->size) - lines->start;
    lines->start = lines->searched = lines->start + *size + (end != NULL);
    return true;
}

void qins_lines_free(qins_lines *lines) {
    qins_buffer_free(&lines->text);
}
