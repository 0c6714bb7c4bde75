// The user's side of a chat: the lines typed, and the files named. It is a helper (engine/base/helper.h): an attacker
// who has taken over the process that runs the model gets access only to the file that the last message names, and only
// for the purpose of that message.
#ifndef QINS_CLI_CHAT_DESK_H
#define QINS_CLI_CHAT_DESK_H

#include "engine/base/buffer.h"
#include "engine/base/helper.h"

#include <stdbool.h>

typedef struct qins_chat_desk {
    qins_helper helper;
    bool is_person; // types at a terminal
    bool is_edited; // with a line editor
} qins_chat_desk;

// Begin, before the sandbox is entered. `is_literal`: every line of input is taken verbatim as a message. Release with
// qins_chat_desk_close, also after a failure.
qins_status qins_chat_desk_open(qins_chat_desk *desk, bool is_literal, qins_error *error);
void qins_chat_desk_close(qins_chat_desk *desk);

// The next message, as qins_chat_input_read has it.
bool qins_chat_desk_message(qins_chat_desk *desk, qins_buffer *message, qins_error *error);

// The file of the last message, "/read FILE" or "/load FILE": its contents, released with free(), with a NUL after
// them.
char *qins_chat_desk_read(qins_chat_desk *desk, size_t *size, qins_error *error);

// The file of the last message, "/save FILE": write a conversation to it.
qins_status qins_chat_desk_write(qins_chat_desk *desk, const void *text, size_t size, qins_error *error);

#endif
