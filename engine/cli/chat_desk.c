// The person's side of a chat; see chat_desk.h.
#include "engine/cli/chat_desk.h"

#include "engine/base/file.h"
#include "engine/base/memory.h"
#include "engine/cli/chat_internal.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_FILE_BYTES = 1 << 28, MAX_MESSAGE_BYTES = 1 << 30, LOOK_AROUND_MS = 1000 };

enum request { WANTS_MESSAGE, WANTS_TEXT, BRINGS_TEXT };
enum answer { HAS_TEXT, HAS_ERROR, HAS_ENDED };

// --- in the helper ---

struct work {
    bool is_literal;
    qins_chat_input input;
    qins_buffer message; // the last one
};

// The path that the last message names after a command; NULL with an error if it is another command.
static char *path_after(const struct work *work, const char *command, qins_error *error) {
    const size_t length = strlen(command);
    const char *text = (const char *)work->message.data;
    if (!work->is_literal && text != NULL && strncmp(text, command, length) == 0 &&
        strchr(" \t\n", text[length]) != NULL)
        return qins_chat_path(text + length + strspn(text + length, " \t\n"), error);
    qins_fail(error, QINS_FAILED, "no file was named");
    return NULL;
}

static void read_file(const struct work *work, qins_buffer *out) {
    size_t size;
    qins_error other = {0};
    char *path = path_after(work, "/read", &other), *text = NULL;
    if (path == NULL) path = path_after(work, "/load", out->error);
    if (path != NULL) text = qins_file_read_all(path, MAX_FILE_BYTES, &size, QINS_USAGE, out->error);
    if (text != NULL) qins_buffer_append(out, text, size);
    free(text);
    free(path);
}

static void write_file(const struct work *work, const char *text, size_t size, qins_error *error) {
    char *path = path_after(work, "/save", error);
    if (path != NULL) qins_conversation_write(path, text, size, error);
    free(path);
}

static void read_message(struct work *work, qins_buffer *out, enum answer *kind) {
    if (work->input.is_edited) qins_catch_interrupts(NULL);
    if (!qins_chat_input_read(&work->input, &work->message, out->error)) *kind = HAS_ENDED;
    qins_buffer_append(out, work->message.data, work->message.size);
}

static bool answer_request(struct work *work, int fd, enum request request, const char *text, size_t size,
                           qins_error *error) {
    qins_buffer out = {.error = error};
    enum answer kind = HAS_TEXT;
    if (error->status == QINS_OK && request == WANTS_MESSAGE) read_message(work, &out, &kind);
    if (error->status == QINS_OK && request == WANTS_TEXT) read_file(work, &out);
    if (error->status == QINS_OK && request == BRINGS_TEXT) write_file(work, text, size, error);
    const bool is_sent = error->status == QINS_OK ? qins_helper_send(fd, kind, out.data, out.size)
                                                  : qins_helper_send(fd, HAS_ERROR, error, sizeof *error);
    qins_buffer_free(&out);
    *error = (qins_error){0};
    return is_sent;
}

static void attend(int fd, void *context) {
    qins_error error = {0};
    struct work work = {.is_literal = *(const bool *)context};
    uint32_t request;
    char *text;
    size_t size;
    signal(SIGTERM, SIG_DFL);
    qins_chat_input_open(&work.input, work.is_literal, qins_chat_complete, &error);
    work.input.editor.terminal.hangup = fd;
    for (bool goes_on = true; goes_on && qins_helper_receive(fd, MAX_FILE_BYTES, &request, &text, &size);) {
        goes_on = answer_request(&work, fd, (enum request)request, text, size, &error);
        free(text);
    }
    qins_chat_input_close(&work.input);
    qins_buffer_free(&work.message);
}

// --- in the program ---

qins_status qins_chat_desk_open(qins_chat_desk *desk, bool is_literal, qins_error *error) {
    *desk = (qins_chat_desk){.is_person = isatty(STDIN_FILENO) && isatty(STDERR_FILENO),
                             .is_edited = qins_terminal_is_usable()};
    return qins_helper_start(&desk->helper, attend, &is_literal, error);
}

void qins_chat_desk_close(qins_chat_desk *desk) {
    qins_helper_end(&desk->helper);
}

// Wait for the answer, or for a signal.
static bool is_answered(const qins_chat_desk *desk) {
    struct pollfd answer = {.fd = desk->helper.fd, .events = POLLIN};
    while (poll(&answer, 1, LOOK_AROUND_MS) <= 0) // a signal may come just before poll
        if (qins_interrupted) return false;
    return true;
}

// Ask for something; NULL when there is an error, or *kind is not a text.
static char *ask(qins_chat_desk *desk, enum request request, const void *text, size_t text_size, uint32_t *kind,
                 size_t *size, qins_error *error) {
    char *answer = NULL;
    *kind = HAS_ERROR;
    const bool is_sent = qins_helper_send(desk->helper.fd, request, text, text_size);
    if (is_sent && !is_answered(desk))
        qins_fail(error, QINS_INTERRUPTED, "interrupted");
    else if (!is_sent || !qins_helper_receive(desk->helper.fd, MAX_MESSAGE_BYTES, kind, &answer, size) ||
             (*kind == HAS_ERROR && *size != sizeof *error))
        qins_fail(error, QINS_FAILED, "the process that reads the input has ended");
    else if (*kind == HAS_ERROR)
        memcpy(error, answer, sizeof *error);
    if (error->status == QINS_OK && *kind == HAS_TEXT) return answer;
    free(answer);
    return NULL;
}

bool qins_chat_desk_message(qins_chat_desk *desk, qins_buffer *message, qins_error *error) {
    uint32_t kind;
    size_t size;
    message->error = error;
    message->size = 0;
    char *text = ask(desk, WANTS_MESSAGE, NULL, 0, &kind, &size, error);
    if (text == NULL) return false;
    qins_buffer_append(message, text, size + 1); // and a NUL, which is not part of it
    if (error->status == QINS_OK) message->size--;
    free(text);
    return error->status == QINS_OK;
}

char *qins_chat_desk_read(qins_chat_desk *desk, size_t *size, qins_error *error) {
    uint32_t kind;
    return ask(desk, WANTS_TEXT, NULL, 0, &kind, size, error);
}

qins_status qins_chat_desk_write(qins_chat_desk *desk, const void *text, size_t size, qins_error *error) {
    uint32_t kind;
    size_t answer_size;
    free(ask(desk, BRINGS_TEXT, text, size, &kind, &answer_size, error));
    return error->status;
}
