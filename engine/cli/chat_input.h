// What a person types, or a pipe brings, into a chat: messages of one line or more.
#ifndef QINS_CLI_CHAT_INPUT_H
#define QINS_CLI_CHAT_INPUT_H

#include "engine/base/buffer.h"

#include <stdbool.h>

// Prepare the line editor: it writes to stderr and knows multi-byte characters.
void qins_chat_input_open(void);

// The next message, without its last newline and with a NUL behind it, into *message (released by the caller; emptied
// here first). A line that ends with a backslash goes on with the next one, and lines between """ and """ are one
// message. False at the end of input (a message that it cuts short still counts) and on errors.
// terminal: read with line editing and history, "> " in front; otherwise from standard input.
bool qins_chat_input_read(bool terminal, qins_buffer *message, qins_error *error);

#endif
