// Export: the model of a .qins file as a Hugging Face folder that transformers loads. Weights are the decoded codes;
// the configuration is the file's, under Phi3Config's names; the tokenizer gives the same ids.
#ifndef QINS_CONVERT_EXPORT_H
#define QINS_CONVERT_EXPORT_H

#include "engine/base/pool.h"
#include "engine/base/progress.h"
#include "engine/format/image.h"
#include "tokenizer/chat.h"

typedef struct qins_export_options {
    const char *folder; // to write; need not exist
    qins_type type;     // of the weights: QINS_F32, which is exact, or QINS_BF16, rounded to nearest even
    bool force;         // the folder may hold files; those of the same names are replaced
} qins_export_options;

// Make sure that the folder exists; QINS_USAGE if it is not empty, unless that is allowed (`force`). *is_new: it did
// not exist.
qins_status qins_export_make_folder(const char *folder, bool force, bool *is_new, qins_error *error);

// Write config.json, generation_config.json, model.safetensors and, where the file has a tokenizer, tokenizer.json and
// tokenizer_config.json. They appear together, once all are complete; a failure leaves nothing in the folder. Progress
// is counted in bytes of weights.
qins_status qins_export_folder(const qins_image *image, const qins_export_options *options, qins_pool *pool,
                               qins_progress *progress, void *context, qins_error *error);

// config.json and generation_config.json of a configuration; released with free().
char *qins_export_config(const qins_config *config, qins_type type, qins_error *error);
char *qins_export_generation_config(const qins_config *config, qins_error *error);

// tokenizer_config.json of a file's tokenizer and chat template; released with free().
char *qins_export_tokenizer_config(const qins_header *header, const qins_tokenizer *tokenizer, qins_error *error);

// Jinja text that renders the same as qins_chat_render; chat->format is not NULL. Released with free().
char *qins_export_chat(const qins_chat_template *chat, qins_error *error);

#endif
