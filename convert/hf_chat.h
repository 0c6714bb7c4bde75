// The chat template of a Hugging Face folder.
#ifndef QINS_CONVERT_HF_CHAT_H
#define QINS_CONVERT_HF_CHAT_H

#include "convert/chat_recognize.h"
#include "convert/hf_folder.h"

// The Jinja text in tokenizer_config.json: a string, or a list of named ones of which "default" counts. NULL: none.
const char *qins_hf_configured_template(const qins_json *config);

// Find it in chat_template.jinja or the folder's tokenizer_config.json (`config`, NULL: there is none) and recognize
// it, or take the format of this name (NULL: none was chosen). If no template is known, or the tokenizer (NULL: there
// is none) lacks its markers, result->chat.format is NULL and result->reason says why; for a chosen one that is
// QINS_USAGE. Release with qins_recognized_free, also after a failure.
qins_status qins_hf_chat_read(qins_hf_folder *folder, const qins_json *config, const char *name,
                              const qins_tokenizer *tokenizer, qins_recognized *result, qins_error *error);

#endif
