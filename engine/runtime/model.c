// Models; see model.h.
#include "engine/runtime/model.h"

#include "engine/base/memory.h"

#include <stdlib.h>

// Ids of text must be rows of the model: nothing checks that later.
static qins_status read_tokenizer(qins_model *model, qins_error *error) {
    size_t size;
    const uint8_t *packed = qins_image_tokenizer(model->image, &size);
    if (packed != NULL) model->tokenizer = qins_tokenizer_unpack(packed, size, error);
    if (model->tokenizer == NULL) return error->status;
    const size_t n_rows = qins_model_vocab_size(model), n_ids = qins_tokenizer_vocab_size(model->tokenizer);
    if (n_ids > n_rows)
        qins_fail(error, QINS_BAD_MODEL, "it has ids up to %zu, but the model's vocabulary has %zu rows", n_ids - 1,
                  n_rows);
    return error->status;
}

static qins_status read_parts(qins_model *model, const char *name, qins_error *error) {
    if (qins_network_init(&model->network, model->image, error) != QINS_OK) return error->status;
    const qins_header *header = qins_image_header(model->image);
    model->chat_template = (qins_chat_template){.start = header->chat_start[0] != '\0' ? header->chat_start : NULL,
                                                .default_system = header->chat_system,
                                                .system_prefix = header->chat_system_prefix,
                                                .no_system = header->chat_no_system};
    if (!qins_chat_format_find(header->chat_template, &model->chat_template.format))
        return qins_fail(error, QINS_BAD_MODEL, "%s: chat template \"%s\" is unknown; a newer version may know it",
                         name, header->chat_template);
    if (read_tokenizer(model, error) == QINS_OK && model->tokenizer != NULL && model->chat_template.format != NULL)
        qins_chat_check_markers(model->tokenizer, &model->chat_template, error);
    return qins_error_context(error, "%s: tokenizer", name);
}

qins_model *qins_model_from_image(qins_image *image, const char *name, qins_error *error) {
    qins_model *model = image != NULL ? qins_alloc(1, sizeof *model, "model", error) : NULL;
    if (model == NULL) {
        qins_image_close(image);
        return NULL;
    }
    model->image = image;
    read_parts(model, name, error);
    if (qins_image_check(image, error) == QINS_OK) return model;
    qins_model_close(model);
    return NULL;
}

qins_model *qins_model_open(const char *path, qins_error *error) {
    return qins_model_from_image(qins_image_open(path, error), path, error);
}

qins_status qins_model_check(const qins_model *model, qins_error *error) {
    return qins_image_check(model->image, error);
}

void qins_model_close(qins_model *model) {
    if (model == NULL) return;
    qins_tokenizer_free(model->tokenizer);
    qins_network_free(&model->network);
    qins_image_close(model->image);
    free(model);
}

size_t qins_model_vocab_size(const qins_model *model) {
    return qins_model_config(model)->vocab_size;
}

size_t qins_model_max_tokens(const qins_model *model) {
    return qins_model_config(model)->max_positions;
}

static qins_status check_tokenizer(const qins_model *model, qins_error *error) {
    if (model->tokenizer != NULL) return QINS_OK;
    return qins_fail(error, QINS_USAGE,
                     "this model was converted without a tokenizer; it reads and writes only token ids");
}

qins_status qins_model_encode(const qins_model *model, const char *text, size_t size, unsigned flags, qins_ids *ids,
                              qins_error *error) {
    if (check_tokenizer(model, error) != QINS_OK) return error->status;
    return qins_tokenizer_encode(model->tokenizer, text, size, flags, ids, error);
}

qins_status qins_model_encode_chat(const qins_model *model, const qins_message *messages, size_t n_messages,
                                   unsigned flags, qins_ids *ids, qins_error *error) {
    if (check_tokenizer(model, error) != QINS_OK) return error->status;
    return qins_chat_encode(model->tokenizer, &model->chat_template, messages, n_messages,
                            QINS_CHAT_BEGINS | QINS_CHAT_REPLY | (flags & QINS_PARSE_SPECIAL), ids, error);
}

qins_status qins_model_decode(const qins_model *model, const int32_t *ids, size_t n_ids, char **text, size_t *size,
                              qins_error *error) {
    *text = NULL;
    *size = 0;
    if (check_tokenizer(model, error) != QINS_OK) return error->status;
    return qins_tokenizer_decode(model->tokenizer, ids, n_ids, true, text, size, error);
}

void qins_free(void *memory) {
    free(memory);
}
