// Chat templates: messages to text and to ids. A format is a row of a table (chat.c): the opening of a message of each
// role, and its end. A checkpoint's template adds the text before the conversation and the handling of system messages.
//
//   START, then for each message  OPENING(role) CONTENT END, then OPENING(assistant) where a reply is wanted
#ifndef QINS_CHAT_H
#define QINS_CHAT_H

#include "tokenizer/tokenizer.h"

typedef struct qins_chat_format {
    const char *name;                      // of the options and of files
    const char *system, *user, *assistant; // openings; the last is the generation prompt, too
    const char *end;                       // the token that ends every message: end of turn
    const char *gap;                       // text after it
    bool skips_empty_system;               // a system message without content is left out
} qins_chat_format;

// A checkpoint's template. All strings belong to someone else.
typedef struct qins_chat_template {
    const qins_chat_format *format; // NULL: no known format, so prompts must be raw
    const char *start;              // token before the first message; NULL: none
    const char *default_system;     // system message of a conversation without one; NULL: none
    const char *system_prefix;      // goes before the content of a system message; NULL: nothing
    bool no_system;                 // the template has no system messages
} qins_chat_template;

enum {
    // In addition to QINS_PARSE_SPECIAL, with which a marker typed in a message acts as a marker, as in Hugging Face;
    // without it contents are plain text (same ids for contents that hold no added token).
    QINS_CHAT_BEGINS = 256, // the messages are a conversation's first ones
    QINS_CHAT_REPLY = 512   // a reply is wanted
};

// Formats by their names, "none" for NULL; false: there is no format of that name. NULL at the end of the list.
bool qins_chat_format_find(const char *name, const qins_chat_format **format);
const char *qins_chat_format_name(const qins_chat_format *format);
const qins_chat_format *qins_chat_format_at(size_t index);

// The rendered text, as apply_chat_template(tokenize=False) in Hugging Face. *text is released with free(). QINS_USAGE
// where the template has no place for a message.
qins_status qins_chat_render(const qins_chat_template *chat, const qins_message *messages, size_t n_messages,
                             unsigned flags, char **text, size_t *size, qins_error *error);

// Append the ids of the rendered messages. A tokenizer that lacks one of the markers is refused. On failure *ids is as
// before.
qins_status qins_chat_encode(const qins_tokenizer *tokenizer, const qins_chat_template *chat,
                             const qins_message *messages, size_t n_messages, unsigned flags, qins_ids *ids,
                             qins_error *error);

// Refuse (QINS_BAD_MODEL) a tokenizer that lacks a marker that the template can write.
qins_status qins_chat_check_markers(const qins_tokenizer *tokenizer, const qins_chat_template *chat, qins_error *error);

// Append the end of a message, such as a reply.
qins_status qins_chat_encode_end(const qins_tokenizer *tokenizer, const qins_chat_template *chat, qins_ids *ids,
                                 qins_error *error);

#endif
