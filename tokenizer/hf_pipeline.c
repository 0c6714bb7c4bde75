// The parts of tokenizer.json around the BPE model: normalizer, pre_tokenizer, decoder and post_processor. The first
// three are not data but the algorithm itself (bpe.c, text_stream.c), so they are compared and not stored.
#include "tokenizer/hf_internal.h"

#include <string.h>

// {"type": "Replace", "pattern": {"String": from}, "content": to}
static void check_replace(const qins_json *item, const char *from, const char *to, const char *field,
                          qins_error *error) {
    static const char *const members[] = {"type", "pattern", "content", NULL}, *const string[] = {"String", NULL};
    const qins_json *pattern = qins_json_get(item, "pattern");
    hf_check_members(item, field, members, error);
    hf_check_text(item, "type", "Replace", field, error);
    hf_check_members(pattern, field, string, error);
    hf_check_text(pattern, "String", from, field, error);
    hf_check_text(item, "content", to, field, error);
}

static void check_type_only(const qins_json *item, const char *type, const char *field, qins_error *error) {
    static const char *const members[] = {"type", NULL};
    hf_check_members(item, field, members, error);
    hf_check_text(item, "type", type, field, error);
}

// A {"type": "Sequence", key: [...]} of `count` items; its first item.
static const qins_json *open_sequence(const qins_json *sequence, const char *key, size_t count, const char *field,
                                      qins_error *error) {
    const char *const members[] = {"type", key, NULL};
    const qins_json *list = qins_json_get(sequence, key);
    hf_check_members(sequence, field, members, error);
    hf_check_text(sequence, "type", "Sequence", field, error);
    if (!qins_json_is_array(list) || qins_json_count(list) != count)
        hf_refuse(list, field, "it must be a list of as many steps as Phi-3.5's", error);
    return error->status == QINS_OK ? qins_json_first(list) : NULL;
}

static void check_normalizer(const qins_json *normalizer, qins_error *error) {
    static const char *const members[] = {"type", "prepend", NULL};
    const char *field = "normalizer";
    const qins_json *prepend = open_sequence(normalizer, "normalizers", 2, field, error);
    if (prepend == NULL) return;
    hf_check_members(prepend, field, members, error);
    hf_check_text(prepend, "type", "Prepend", field, error);
    hf_check_text(prepend, "prepend", TOKENIZER_WORD_SPACE, field, error);
    check_replace(qins_json_next(prepend), " ", TOKENIZER_WORD_SPACE, field, error);
}

static void check_decoder(const qins_json *decoder, qins_error *error) {
    static const char *const members[] = {"type", "content", "start", "stop", NULL};
    const char *field = "decoder";
    const qins_json *step = open_sequence(decoder, "decoders", 4, field, error);
    if (step == NULL) return;
    check_replace(step, TOKENIZER_WORD_SPACE, " ", field, error);
    step = qins_json_next(step);
    check_type_only(step, "ByteFallback", field, error);
    step = qins_json_next(step);
    check_type_only(step, "Fuse", field, error);
    step = qins_json_next(step);
    hf_check_members(step, field, members, error);
    hf_check_text(step, "type", "Strip", field, error);
    hf_check_text(step, "content", " ", field, error);
    hf_check_integer(step, "start", 1, "decoder Strip start", error);
    hf_check_integer(step, "stop", 0, "decoder Strip stop", error);
}

qins_status hf_check_pipeline(const qins_json *root, qins_error *error) {
    hf_check_null(root, "pre_tokenizer", "pre_tokenizer", error);
    check_normalizer(qins_json_get(root, "normalizer"), error);
    check_decoder(qins_json_get(root, "decoder"), error);
    return error->status;
}

// The ids behind one {"SpecialToken": {"id": name}} of a template.
static void append_special(const qins_json *item, const qins_json *special_tokens, qins_ids *ids, qins_error *error) {
    static const char *const members[] = {"id", "type_id", NULL}, *const token_members[] = {"id", "ids", "tokens",
                                                                                            NULL};
    hf_check_members(item, "post_processor.single SpecialToken", members, error);
    const char *name = qins_json_get_string(item, "id", error);
    const qins_json *token = qins_json_get(special_tokens, name);
    hf_check_members(token, "post_processor.special_tokens", token_members, error);
    const qins_json *list = qins_json_get(token, "ids");
    if (!qins_json_is_array(list)) hf_refuse(list, "post_processor.special_tokens ids", "it must be a list", error);
    if (error->status != QINS_OK) return;
    for (const qins_json *id = qins_json_first(list); id != NULL; id = qins_json_next(id)) {
        int64_t value;
        if (!qins_json_integer(id, &value) || value < 0 || value >= (int64_t)TOKENIZER_MAX_IDS)
            hf_refuse(id, "post_processor.special_tokens id", "it is no token id", error);
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

qins_status hf_read_post_processor(const qins_json *root, qins_tokenizer *tokenizer, qins_error *error) {
    static const char *const members[] = {"type", "single", "pair", "special_tokens", NULL};
    const qins_json *post_processor = qins_json_get(root, "post_processor");
    if (post_processor == NULL) return error->status;
    hf_check_text(post_processor, "type", "TemplateProcessing", "post_processor type", error);
    hf_check_members(post_processor, "post_processor", members, error);
    if (error->status != QINS_OK) return error->status;
    read_template(qins_json_get(post_processor, "single"), qins_json_get(post_processor, "special_tokens"), tokenizer,
                  error);
    return error->status;
}
