// Chat templates rendered as transformers renders them with Jinja2 (trim_blocks, lstrip_blocks, break and continue,
// generation marks): the part of the language that chat templates use. Unknown constructs are refused, never guessed,
// so any text rendered is what Jinja2 would render. Templates are untrusted programs: their steps, memory and depth are
// bounded.
#ifndef QINS_CONVERT_JINJA_H
#define QINS_CONVERT_JINJA_H

#include "tokenizer/chat.h"

typedef struct qins_jinja_text {
    const char *name, *text; // a variable and its value; a NULL text: undefined
} qins_jinja_text;

// The input of a template.
typedef struct qins_jinja_input {
    const qins_message *messages; // dictionaries of "role" and "content"
    size_t n_messages;
    bool add_generation_prompt;
    const qins_jinja_text *texts; // such as bos_token
    size_t n_texts;
} qins_jinja_input;

typedef struct qins_jinja_result {
    char *text; // owned, NUL-terminated; NULL after a failure
    size_t size;
    bool raised; // Jinja2 would fail as well: the template refuses these messages
} qins_jinja_result;

// Render the template text. QINS_BAD_MODEL, with the line and the reason, if the template raises an error or is not
// understood, QINS_FAILED when out of memory.
qins_status qins_jinja_render(const char *text, size_t size, const qins_jinja_input *input, qins_jinja_result *result,
                              qins_error *error);

#endif
