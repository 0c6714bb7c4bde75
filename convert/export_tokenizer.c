// tokenizer_config.json, for transformers; see export.h.
#include "convert/export.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The first stop id that ends texts as an added token, as others are not special tokens for transformers.
static void add_end(qins_json *json, const qins_config *config, const qins_tokenizer *tokenizer, qins_error *error) {
    for (size_t i = 0; i < config->n_stop_ids; i++) {
        char text[256];
        size_t size = 0;
        const char *piece = qins_tokenizer_piece(tokenizer, config->stop_ids[i], &size);
        if (piece == NULL || size >= sizeof text) continue;
        memcpy(text, piece, size);
        text[size] = '\0';
        if (qins_tokenizer_added_id(tokenizer, text) != config->stop_ids[i]) continue;
        qins_json_add_string(json, "eos_token", text, error);
        return;
    }
}

static void add_chat(qins_json *json, const qins_header *header, qins_error *error) {
    qins_chat_template chat = {.start = header->chat_start[0] != '\0' ? header->chat_start : NULL,
                               .default_system = header->chat_system,
                               .system_prefix = header->chat_system_prefix,
                               .no_system = header->chat_no_system};
    if (!qins_chat_format_find(header->chat_template, &chat.format))
        qins_fail(error, QINS_BAD_MODEL, "chat template \"%s\" is unknown; a newer version may know it",
                  header->chat_template);
    if (chat.start != NULL) qins_json_add_string(json, "bos_token", chat.start, error);
    char *jinja = chat.format != NULL && error->status == QINS_OK ? qins_export_chat(&chat, error) : NULL;
    if (jinja != NULL) qins_json_add_string(json, "chat_template", jinja, error);
    free(jinja);
}

char *qins_export_tokenizer_config(const qins_header *header, const qins_tokenizer *tokenizer, qins_error *error) {
    qins_json *json = qins_json_new_object(error);
    qins_json_add_string(json, "tokenizer_class", "PreTrainedTokenizerFast", error); // takes tokenizer.json as it is
    qins_json_add_bool(json, "clean_up_tokenization_spaces", false, error);
    qins_json_add_number(json, "model_max_length", (double)header->config.max_positions, error);
    add_end(json, &header->config, tokenizer, error);
    add_chat(json, header, error);
    char *text = qins_json_print(json, error);
    qins_json_free(json);
    return text;
}
