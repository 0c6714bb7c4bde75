// post_processor of tokenizer.json: the ids that go before and after a text.
#include "tokenizer/hf_internal.h"

#include <string.h>

// The ids of one {"SpecialToken": {"id": name}} of a template.
static void append_special(const qins_json *item, const qins_json *special_tokens, qins_ids *ids, qins_error *error) {
    static const char *const members[] = {"id", "type_id", NULL}, *const token_members[] = {"id", "ids", "tokens",
                                                                                            NULL};
    hf_check_members(item, "post_processor.single SpecialToken", members, error);
    const char *name = qins_json_get_string(item, "id", QINS_BAD_MODEL, error);
    const qins_json *token = qins_json_get(special_tokens, name);
    hf_check_members(token, "post_processor.special_tokens", token_members, error);
    const qins_json *list = qins_json_get(token, "ids");
    if (!qins_json_is_array(list)) hf_refuse(list, "post_processor.special_tokens ids", "it must be a list", error);
    if (error->status != QINS_OK) return;
    if (qins_json_count(list) > TOKENIZER_MAX_AROUND)
        hf_refuse(list, "post_processor.special_tokens ids", "there are too many", error);
    for (const qins_json *id = qins_json_first(list); id != NULL && error->status == QINS_OK; id = qins_json_next(id)) {
        int64_t value;
        if (!qins_json_integer(id, &value) || value < 0 || value >= (int64_t)TOKENIZER_MAX_IDS)
            hf_refuse(id, "post_processor.special_tokens id", "it is not a token id", error);
        else
            qins_ids_append(ids, (int32_t)value, error);
    }
}

// The one {"Sequence": {"id": "A"}} of a template: where the text goes.
static void check_text_place(const qins_json *item, qins_error *error) {
    static const char *const members[] = {"id", "type_id", NULL};
    hf_check_members(item, "post_processor.single Sequence", members, error);
    hf_check_text(item, "id", "A", "post_processor.single Sequence id", error);
}

static void read_template(const qins_json *single, const qins_json *special_tokens, qins_tokenizer *tokenizer,
                          qins_error *error) {
    static const char *const members[] = {"SpecialToken", "Sequence", NULL};
    const char *field = "post_processor.single";
    size_t n_texts = 0;
    if (!qins_json_is_array(single)) hf_refuse(single, field, "it must be a list", error);
    if (qins_json_count(single) > TOKENIZER_MAX_AROUND + 1) hf_refuse(single, field, "it has too many items", error);
    for (const qins_json *item = qins_json_first(single); item != NULL && error->status == QINS_OK;
         item = qins_json_next(item)) {
        hf_check_members(item, field, members, error);
        const qins_json *special = qins_json_get(item, "SpecialToken"), *text = qins_json_get(item, "Sequence");
        if (qins_json_count(item) != 1) hf_refuse(item, field, "one SpecialToken or one Sequence is needed", error);
        if (special != NULL)
            append_special(special, special_tokens, n_texts == 0 ? &tokenizer->prefix : &tokenizer->suffix, error);
        else
            check_text_place(text, error);
        n_texts += special == NULL;
    }
    if (n_texts != 1) hf_refuse(single, field, "it must hold the sequence A once", error);
}

static void read_template_processing(const qins_json *item, qins_tokenizer *tokenizer, qins_error *error) {
    static const char *const members[] = {"type", "single", "pair", "special_tokens", NULL};
    if (tokenizer->prefix.count + tokenizer->suffix.count > 0)
        hf_refuse(item, "post_processor", "only one TemplateProcessing is supported", error);
    if (hf_check_members(item, "post_processor", members, error) == QINS_OK)
        read_template(qins_json_get(item, "single"), qins_json_get(item, "special_tokens"), tokenizer, error);
}

static void read_processor(const qins_json *item, qins_tokenizer *tokenizer, qins_error *error) {
    const char *type = qins_json_text(qins_json_get(item, "type"));
    if (type != NULL && strcmp(type, "ByteLevel") == 0) return; // it only trims offsets
    if (type != NULL && strcmp(type, "TemplateProcessing") == 0)
        read_template_processing(item, tokenizer, error);
    else
        hf_refuse(qins_json_get(item, "type"), "post_processor type",
                  "only TemplateProcessing, ByteLevel and a Sequence of these are supported", error);
}

qins_status hf_read_post_processor(const qins_json *root, qins_tokenizer *tokenizer, qins_error *error) {
    static const char *const members[] = {"type", "processors", NULL};
    const qins_json *item = qins_json_get(root, "post_processor");
    const char *type = qins_json_text(qins_json_get(item, "type"));
    if (item == NULL) return error->status;
    if (type == NULL || strcmp(type, "Sequence") != 0) {
        read_processor(item, tokenizer, error);
        return error->status;
    }
    const qins_json *list = qins_json_get(item, "processors");
    hf_check_members(item, "post_processor", members, error);
    if (!qins_json_is_array(list)) hf_refuse(list, "post_processor processors", "it must be a list", error);
    for (const qins_json *step = qins_json_first(list); step != NULL && error->status == QINS_OK;
         step = qins_json_next(step))
        read_processor(step, tokenizer, error);
    return error->status;
}
