// Input of a chat, typed or from a pipe: messages of one line or more.
#ifndef QINS_CLI_CHAT_INPUT_H
#define QINS_CLI_CHAT_INPUT_H

#include "engine/cli/line_editor.h"

typedef struct qins_chat_input {
    bool is_person;  // typed at a terminal; otherwise raw standard input
    bool is_edited;  // the terminal allows line editing
    bool is_literal; // every line is a message as it is
    bool has_begun;  // a byte order mark may only come first
    qins_line_editor editor;
} qins_chat_input;

// Release with qins_chat_input_close.
void qins_chat_input_open(qins_chat_input *input, bool is_literal, qins_complete *complete, qins_error *error);
void qins_chat_input_close(qins_chat_input *input);

// The next message, without its last line end and with a NUL after it, into *message (released by the caller; emptied
// here first). A line that ends with a backslash continues on the next one, and lines between """ and """ are one
// message; a paste of several lines is taken as it is. False at the end of input (a message cut short by it still
// counts) and on errors; QINS_INTERRUPTED when the person leaves with Ctrl-C twice, or by a signal.
bool qins_chat_input_read(qins_chat_input *input, qins_buffer *message, qins_error *error);

#endif
