// The tokenizer and chat template next to an adapter; see lora.h.
#include "convert/hf_chat.h"
#include "convert/lora.h"

#include "engine/base/file.h"
#include "engine/base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_TEXT_BYTES = 1 << 26 };

static const char TOKENIZER[] = "tokenizer.json", TEMPLATE[] = "chat_template.jinja",
                  CONFIG[] = "tokenizer_config.json";

// A file of the folder, NULL if there is none; it does not become a source of the conversion.
static char *read_file(const qins_hf_folder *folder, const char *name, qins_error *error) {
    size_t size;
    char *text = NULL, *path = qins_hf_has(folder, name, error) ? qins_hf_path(folder, name, error) : NULL;
    if (path != NULL) text = qins_file_read_all(path, MAX_TEXT_BYTES, &size, QINS_BAD_MODEL, error);
    free(path);
    return text;
}

// The template of the folder as a text, NULL if there is none.
static char *read_template(const qins_hf_folder *folder, qins_error *error) {
    char *template = read_file(folder, TEMPLATE, error);
    if (template != NULL) return template;
    char *text = read_file(folder, CONFIG, error);
    qins_error ignored = {0}; // a file that is not JSON has no template
    qins_json *json = text != NULL ? qins_json_parse(text, strlen(text), QINS_BAD_MODEL, &ignored) : NULL;
    if (ignored.status == QINS_FAILED) *error = ignored; // out of memory
    const char *found = qins_hf_configured_template(json);
    if (found != NULL) template = qins_copy_text(found, strlen(found), "a chat template", error);
    qins_json_free(json);
    free(text);
    return template;
}

static bool differs(char *own, char *base) {
    const bool is_other = own != NULL && (base == NULL || strcmp(own, base) != 0);
    free(own);
    free(base);
    return is_other;
}

qins_status qins_lora_compare_text(const qins_lora *lora, const qins_hf_folder *base, qins_error *error) {
    const bool has_tokenizer = differs(read_file(&lora->folder, TOKENIZER, error), read_file(base, TOKENIZER, error));
    const bool has_template = differs(read_template(&lora->folder, error), read_template(base, error));
    if (error->status == QINS_OK && (has_tokenizer || has_template))
        qins_problems_warn(&lora->problems,
                           "the adapter comes with another %s%s%s than %s, whose own is used; if it was trained with "
                           "the adapter's, copy the base folder, put those files into the copy, and convert that",
                           has_tokenizer ? "tokenizer" : "", has_tokenizer && has_template ? " and " : "",
                           has_template ? "chat template" : "", base->path);
    return error->status;
}
