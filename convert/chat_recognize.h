// Recognizes the chat format of a Jinja template by its output: it must render fixed conversations as tokenizer/chat.c
// renders them in that format.
#ifndef QINS_CONVERT_CHAT_RECOGNIZE_H
#define QINS_CONVERT_CHAT_RECOGNIZE_H

#include "convert/jinja.h"

typedef struct qins_recognized {
    qins_chat_template chat; // its strings belong to this structure
    char *start, *default_system, *system_prefix;
    char reason[256]; // why no format was found; "": they all render something else
} qins_recognized;

// `texts`: the tokens that templates name, "bos_token" among them. Not recognizing the template is not a failure: then
// chat.format is NULL. Release with qins_recognized_free, also after a failure.
qins_status qins_chat_recognize(const char *jinja, size_t size, const qins_jinja_text *texts, size_t n_texts,
                                qins_recognized *result, qins_error *error);
void qins_recognized_free(qins_recognized *result);

#endif
