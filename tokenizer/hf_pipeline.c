// normalizer, pre_tokenizer and decoder of tokenizer.json -> lists of steps. An unknown step, or one with a member or a
// value that would change its effect, is an error that names it.
#include "tokenizer/hf_internal.h"

#include <string.h>

typedef void read_step(const qins_json *item, pipeline *steps, qins_error *error);

void hf_add_step(pipeline *steps, step_kind kind, unsigned option, const char *from, const char *to,
                 qins_error *error) {
    const size_t from_size = from == NULL ? 0 : strlen(from), to_size = to == NULL ? 0 : strlen(to);
    if (error->status != QINS_OK) return;
    if (steps->n_steps == PIPELINE_MAX_STEPS || from_size > PIPELINE_MAX_TEXT || to_size > PIPELINE_MAX_TEXT) {
        qins_fail(
            error, QINS_BAD_MODEL,
            "normalizer, pre_tokenizer or decoder: at most %d steps, with texts of at most %d bytes, are supported",
            (int)PIPELINE_MAX_STEPS, (int)PIPELINE_MAX_TEXT);
        return;
    }
    pipeline_step *step = &steps->steps[steps->n_steps++];
    *step = (pipeline_step){
        .kind = (uint8_t)kind, .option = (uint8_t)option, .from_size = (uint8_t)from_size, .to_size = (uint8_t)to_size};
    if (from_size > 0) memcpy(step->from, from, from_size);
    if (to_size > 0) memcpy(step->to, to, to_size);
}

static bool is_type(const qins_json *item, const char *type) {
    const char *text = qins_json_text(qins_json_get(item, "type"));
    return text != NULL && strcmp(text, type) == 0;
}

// {"type": "Replace", "pattern": {"String": from}, "content": to}
static void read_replace(const qins_json *item, const char *field, pipeline *steps, qins_error *error) {
    static const char *const members[] = {"type", "pattern", "content", NULL}, *const string[] = {"String", NULL};
    const qins_json *pattern = qins_json_get(item, "pattern");
    hf_check_members(item, field, members, error);
    hf_check_members(pattern, field, string, error);
    const char *from = qins_json_get_string(pattern, "String", QINS_BAD_MODEL, error);
    const char *to = qins_json_get_string(item, "content", QINS_BAD_MODEL, error);
    if (from[0] == '\0' || strlen(to) > PIPELINE_MAX_GROWTH * strlen(from))
        hf_refuse(item, field, "the pattern is empty, or the content too long", error);
    hf_add_step(steps, STEP_REPLACE, 0, from, to, error);
}

// --- normalizer ---

static void read_normalizer(const qins_json *item, pipeline *steps, qins_error *error) {
    static const char *const members[] = {"type", "prepend", NULL};
    if (is_type(item, "Prepend")) {
        hf_check_members(item, "normalizer", members, error);
        const char *text = qins_json_get_string(item, "prepend", QINS_BAD_MODEL, error);
        if (text[0] != '\0') hf_add_step(steps, STEP_PREPEND, PREPEND_ALWAYS, NULL, text, error);
    } else if (is_type(item, "Replace")) {
        read_replace(item, "normalizer", steps, error);
    } else {
        hf_refuse(qins_json_get(item, "type"), "normalizer",
                  "only Prepend, Replace and a Sequence of these are supported", error);
    }
}

// --- decoder ---

static void check_type_only(const qins_json *item, qins_error *error) {
    static const char *const members[] = {"type", NULL};
    hf_check_members(item, "decoder", members, error);
}

static void read_strip(const qins_json *item, pipeline *steps, qins_error *error) {
    static const char *const members[] = {"type", "content", "start", "stop", NULL};
    hf_check_members(item, "decoder", members, error);
    hf_check_text(item, "content", " ", "decoder Strip content", error);
    hf_check_integer(item, "stop", 0, "decoder Strip stop", error);
    const int64_t start = qins_json_get_integer(item, "start", 0, UINT8_MAX, QINS_BAD_MODEL, error);
    if (start > 0) hf_add_step(steps, STEP_STRIP, (unsigned)start, NULL, NULL, error);
}

// All U+2581 become spaces; those of the first token vanish instead, if the pre-tokenizer's were prepended.
static void read_metaspace_decoder(const qins_json *item, pipeline *steps, qins_error *error) {
    uint8_t when;
    const char *space = hf_read_metaspace(item, "decoder", &when, error);
    if (when != 0) hf_add_step(steps, STEP_DROP, 0, space, NULL, error);
    hf_add_step(steps, STEP_REPLACE, 0, space, " ", error);
}

static void read_decoder(const qins_json *item, pipeline *steps, qins_error *error) {
    if (is_type(item, "Replace")) {
        read_replace(item, "decoder", steps, error);
    } else if (is_type(item, "ByteFallback")) {
        check_type_only(item, error);
        hf_add_step(steps, STEP_BYTE_FALLBACK, 0, NULL, NULL, error);
    } else if (is_type(item, "Fuse")) { // a stream of text does so anyway
        check_type_only(item, error);
    } else if (is_type(item, "Strip")) {
        read_strip(item, steps, error);
    } else if (is_type(item, "Metaspace")) {
        read_metaspace_decoder(item, steps, error);
    } else if (is_type(item, "ByteLevel")) { // its members are the pre-tokenizer's
        hf_add_step(steps, STEP_BYTES, 0, NULL, NULL, error);
    } else {
        hf_refuse(qins_json_get(item, "type"), "decoder",
                  "only Replace, ByteFallback, Fuse, Strip, Metaspace, ByteLevel and a Sequence of these are supported",
                  error);
    }
}

// After Fuse a decoder works on the text of all tokens, before it on each token: Strip is supported only after it,
// everything else only before it.
static void check_decoder(const qins_json *decoder, const pipeline *steps, qins_error *error) {
    const bool is_list = is_type(decoder, "Sequence");
    const qins_json *item = is_list ? qins_json_first(qins_json_get(decoder, "decoders")) : decoder;
    if (error->status == QINS_OK && steps->n_steps == 0) hf_refuse(decoder, "decoder", "it must do something", error);
    for (bool fused = false; item != NULL && error->status == QINS_OK; item = is_list ? qins_json_next(item) : NULL) {
        if (is_type(item, "Fuse"))
            fused = true;
        else if (is_type(item, "Strip") != fused)
            hf_refuse(item, "decoder", "Strip must, and nothing else may, follow Fuse", error);
    }
}

// --- the whole ---

// One item, or the items of a {"type": "Sequence", key: [...]}.
static void read_steps(const qins_json *item, const char *key, const char *field, read_step *read, pipeline *steps,
                       qins_error *error) {
    if (!is_type(item, "Sequence")) {
        read(item, steps, error);
        return;
    }
    const char *const members[] = {"type", key, NULL};
    const qins_json *list = qins_json_get(item, key);
    hf_check_members(item, field, members, error);
    if (!qins_json_is_array(list)) hf_refuse(list, field, "it must be a list", error);
    for (const qins_json *step = qins_json_first(list); step != NULL && error->status == QINS_OK;
         step = qins_json_next(step))
        read(step, steps, error);
}

qins_status hf_read_pipeline(const qins_json *root, qins_tokenizer *tokenizer, qins_error *error) {
    const qins_json *normalizer = qins_json_get(root, "normalizer"), *decoder = qins_json_get(root, "decoder");
    const qins_json *pre_tokenizer = qins_json_get(root, "pre_tokenizer");
    if (normalizer != NULL)
        read_steps(normalizer, "normalizers", "normalizer", read_normalizer, &tokenizer->normalizer, error);
    if (pre_tokenizer != NULL)
        read_steps(pre_tokenizer, "pretokenizers", "pre_tokenizer", hf_read_pre_tokenizer, &tokenizer->pre_tokenizer,
                   error);
    read_steps(decoder, "decoders", "decoder", read_decoder, &tokenizer->decoder, error);
    check_decoder(decoder, &tokenizer->decoder, error);
    return error->status;
}
