// A model, opened and never changed: its file, weights, tokenizer and chat format. The public part is in qins.h.
#ifndef QINS_RUNTIME_MODEL_H
#define QINS_RUNTIME_MODEL_H

#include "engine/model/forward.h"
#include "tokenizer/chat.h"

struct qins_model {
    qins_image *image; // owned
    qins_network network;
    qins_tokenizer *tokenizer;        // owned; NULL when the file has none
    qins_chat_template chat_template; // its strings are the image's
};

// A model from an image, such as a folder that was converted in memory; `name` stands for it in messages. The image now
// belongs to the model, or is closed on failure (NULL: an error is recorded already).
qins_model *qins_model_from_image(qins_image *image, const char *name, qins_error *error);

// Has its file failed (qins_image_check)?
qins_status qins_model_check(const qins_model *model, qins_error *error);

static inline const qins_config *qins_model_config(const qins_model *model) {
    return model->network.config;
}

#endif
