// A chat: shared by its loop (cmd_chat.c) and its commands (chat_commands.c).
#ifndef QINS_CLI_CHAT_INTERNAL_H
#define QINS_CLI_CHAT_INTERNAL_H

#include "engine/cli/chat_desk.h"
#include "engine/cli/chat_input.h"
#include "engine/cli/conversation.h"
#include "engine/cli/generate.h"

typedef struct qins_chat {
    qins_options *options; // the generator's, too; /set changes them
    qins_generator generator;
    qins_chat_desk desk;
    qins_conversation conversation;
    qins_buffer attached; // from /read, for the next message
    qins_reply last;      // how the last turn went
    bool leave;
} qins_chat;

// Reply to the last turn, replacing the reply that it has. If no reply begins, the turn stays as it was, or is removed
// if it was new.
void qins_chat_reply(qins_chat *chat, qins_error *error);

// A line on stderr, unless quiet.
void qins_chat_say(const qins_chat *chat, const char *format, ...) QINS_PRINTF(2, 3);

// Is the message a command, or does it look like one? Then run it.
bool qins_chat_is_command(const qins_chat *chat, const char *text);
void qins_chat_run_command(qins_chat *chat, const char *text, qins_error *error);

// The path that a command's argument names: without surrounding quotes and trailing spaces, ~ as the home folder;
// released with free().
char *qins_chat_path(const char *argument, qins_error *error);

// Command `index`, NULL beyond the last one. *takes_file: its argument is the name of a file.
const char *qins_chat_command_name(size_t index, bool *takes_file);

// Completion of commands and of the files that they take.
qins_complete qins_chat_complete;

// /set: change an option by "NAME VALUE", or with "" show the options.
void qins_chat_set(qins_chat *chat, const char *argument, qins_error *error);

#endif
