// A conversation: its turns as texts, and as the token ids that the model sees. Replies are kept as the ids that were
// generated, so the next turn continues the cached sequence.
#ifndef QINS_CLI_CONVERSATION_H
#define QINS_CLI_CONVERSATION_H

#include "engine/base/buffer.h"
#include "engine/cli/cli.h"

// A message of the user and the reply to it.
typedef struct qins_turn {
    char *text; // owned, the message
    size_t size;
    size_t message, reply; // where they begin among the ids
    size_t end;            // of the reply, without its closing marker
} qins_turn;

typedef struct qins_conversation {
    const qins_prompt_options *options;
    const qins_model *model;
    char *system; // owned; NULL: none
    qins_ids ids;
    qins_turn *turns; // owned
    size_t n_turns, capacity;
} qins_conversation;

// Release with qins_conversation_free. Each function below leaves the conversation as it was when it fails.
qins_conversation qins_conversation_new(const qins_prompt_options *options, const qins_model *model);
void qins_conversation_free(qins_conversation *conversation);

// Begin a turn: the ids end with the marker that asks the model for its reply.
qins_status qins_conversation_begin_turn(qins_conversation *conversation, const char *text, size_t size,
                                         qins_error *error);
// The reply's ids are complete: close it with the marker that ends a message.
qins_status qins_conversation_end_turn(qins_conversation *conversation, qins_error *error);
void qins_conversation_drop_turn(qins_conversation *conversation); // the last one
void qins_conversation_clear(qins_conversation *conversation);     // all turns

// Take another system message (NULL: none) for all turns.
qins_status qins_conversation_set_system(qins_conversation *conversation, const char *text, qins_error *error);

// Append the messages as JSON, an array of objects with "role" and "content", one per line.
void qins_conversation_print(const qins_conversation *conversation, qins_buffer *out);

// Read such a text into a new conversation. *awaits_reply: the last message is the user's.
qins_status qins_conversation_parse(qins_conversation *conversation, const char *text, size_t size, bool *awaits_reply,
                                    qins_error *error);
qins_status qins_conversation_load(qins_conversation *conversation, const char *path, bool *awaits_reply,
                                   qins_error *error); // from a file

// Write such a text to a file. A file that holds anything else is not overwritten.
qins_status qins_conversation_write(const char *path, const void *text, size_t size, qins_error *error);

#endif
