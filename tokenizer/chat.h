// The chat format of Phi-3.5 (phi-3.5's tokenizer_config.json, "chat_template"): messages to ids.
//
//   system (with content), user, assistant:  <|ROLE|>\n CONTENT <|end|>\n      other roles: nothing
//   then <|assistant|>\n if a reply is wanted, else <|endoftext|>
#ifndef QINS_CHAT_H
#define QINS_CHAT_H

#include "tokenizer/tokenizer.h"

typedef enum qins_chat_template {
    QINS_CHAT_NONE, // the model brings no template that is known: prompts must be raw
    QINS_CHAT_PHI3
} qins_chat_template;

// Which template this Jinja text is, judged by its exact text; NULL: none. The text names eos_token: that the model's
// is
// <|endoftext|> is for the caller to check.
qins_chat_template qins_chat_template_from_jinja(const char *jinja);
const char *qins_chat_template_name(qins_chat_template kind); // "none", "phi3"
bool qins_chat_template_from_name(const char *name, qins_chat_template *kind);

// The rendered text, exactly as apply_chat_template(tokenize=False). *text is released with free().
qins_status qins_chat_render(qins_chat_template kind, const qins_message *messages, size_t n_messages,
                             bool add_generation_prompt, char **text, size_t *size, qins_error *error);

// Append the ids of the rendered messages. With parse_special, exactly as Hugging Face: a marker typed in a message
// acts as a marker. Without, message contents are plain text (same ids for contents that hold no added token). A
// tokenizer that lacks one of the five markers is refused. On failure *ids is as before.
qins_status qins_chat_encode(const qins_tokenizer *tokenizer, qins_chat_template kind, const qins_message *messages,
                             size_t n_messages, bool add_generation_prompt, bool parse_special, qins_ids *ids,
                             qins_error *error);

#endif
