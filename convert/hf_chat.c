// Chat templates in a folder; see hf_chat.h.
#include "convert/hf_chat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TEMPLATE_BYTES = 1 << 20 };

const char *qins_hf_configured_template(const qins_json *config) {
    const qins_json *item = qins_json_get(config, "chat_template");
    if (!qins_json_is_array(item)) return qins_json_text(item);
    for (item = qins_json_first(item); item != NULL; item = qins_json_next(item)) {
        const char *name = qins_json_text(qins_json_get(item, "name"));
        if (name != NULL && strcmp(name, "default") == 0) return qins_json_text(qins_json_get(item, "template"));
    }
    return NULL;
}

// A token of the configuration: its text, or an object with the text as its content.
static const char *token_text(const qins_json *config, const char *name) {
    const qins_json *item = qins_json_get(config, name);
    return qins_json_is_object(item) ? qins_json_text(qins_json_get(item, "content")) : qins_json_text(item);
}

static void recognize(const char *jinja, size_t size, const qins_json *config, qins_recognized *result,
                      qins_error *error) {
    qins_jinja_text texts[] = {{"bos_token", NULL}, {"eos_token", NULL}, {"unk_token", NULL}, {"pad_token", NULL}};
    const size_t n_texts = sizeof texts / sizeof *texts;
    for (size_t i = 0; i < n_texts; i++) texts[i].text = token_text(config, texts[i].name);
    if (qins_chat_recognize(jinja, size, texts, n_texts, result, error) != QINS_OK || result->chat.format != NULL)
        return;
    char detail[sizeof result->reason];
    memcpy(detail, result->reason, sizeof detail);
    snprintf(result->reason, sizeof result->reason, "the chat template is not one that qins knows%s%.190s%s",
             detail[0] != '\0' ? " (" : "", detail, detail[0] != '\0' ? ")" : "");
}

// Ids of everything that the template can write: the tokenizer must have its markers.
static void check_markers(const qins_tokenizer *tokenizer, qins_recognized *result, qins_error *error) {
    qins_error lack = {0};
    if (qins_chat_check_markers(tokenizer, &result->chat, &lack) == QINS_OK) return;
    qins_recognized_free(result);
    if (lack.status == QINS_BAD_MODEL)
        snprintf(result->reason, sizeof result->reason, "%.250s", lack.message);
    else
        *error = lack;
}

// The template in the folder.
static void read_template(qins_hf_folder *folder, const qins_json *config, qins_recognized *result, qins_error *error) {
    static const char *const file_name = "chat_template.jinja";
    char *text = NULL;
    size_t size = 0;
    // The file takes precedence over the configuration, as in Hugging Face, even if it is empty.
    const bool is_empty = qins_hf_is_empty(folder, file_name);
    if (error->status == QINS_OK && !is_empty && qins_hf_has(folder, file_name, error))
        text = qins_hf_read(folder, file_name, MAX_TEMPLATE_BYTES, &size, error);
    const char *jinja = text != NULL ? text : qins_hf_configured_template(config);
    if (is_empty && error->status == QINS_OK)
        snprintf(result->reason, sizeof result->reason, "the chat template, %s, is empty", file_name);
    else if (jinja == NULL && error->status == QINS_OK)
        snprintf(result->reason, sizeof result->reason,
                 "there is no chat template, neither in tokenizer_config.json nor as chat_template.jinja");
    else if (error->status == QINS_OK)
        recognize(jinja, text != NULL ? size : strlen(jinja), config, result, error);
    free(text);
}

qins_status qins_hf_chat_read(qins_hf_folder *folder, const qins_json *config, const char *name,
                              const qins_tokenizer *tokenizer, qins_recognized *result, qins_error *error) {
    *result = (qins_recognized){0};
    if (name == NULL)
        read_template(folder, config, result, error);
    else if (!qins_chat_format_find(name, &result->chat.format))
        qins_fail(error, QINS_USAGE, "there is no chat template \"%s\"", name);
    if (error->status == QINS_OK && tokenizer != NULL && result->chat.format != NULL)
        check_markers(tokenizer, result, error);
    if (name != NULL && result->reason[0] != '\0')
        qins_fail(error, QINS_USAGE, "--chat-template %s: %s", name, result->reason);
    return error->status;
}
