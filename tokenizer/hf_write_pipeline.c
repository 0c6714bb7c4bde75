// Lists of steps -> normalizer, pre_tokenizer and decoder of tokenizer.json: the counterpart of hf_pipeline.c and
// hf_pre_tokenizer.c. A list that no tokenizer.json gives is refused.
#include "tokenizer/hf_internal.h"

#include <string.h>

static bool is_kind(const pipeline *steps, size_t at, step_kind kind) {
    return at < steps->n_steps && steps->steps[at].kind == kind;
}

// An item of the list, {"type": type}.
static qins_json *add(qins_json *list, const char *type, qins_error *error) {
    qins_json *item = qins_json_append_object(list, error);
    qins_json_add_string(item, "type", type, error);
    return item;
}

static void add_replace(qins_json *list, const pipeline_step *step, qins_error *error) {
    qins_json *item = add(list, "Replace", error);
    qins_json_add_text(qins_json_add_object(item, "pattern", error), "String", step->from, step->from_size, error);
    qins_json_add_text(item, "content", step->to, step->to_size, error);
}

static void add_metaspace(qins_json *list, const char *space, size_t size, const char *scheme, bool split,
                          qins_error *error) {
    qins_json *item = add(list, "Metaspace", error);
    qins_json_add_text(item, "replacement", space, size, error);
    qins_json_add_string(item, "prepend_scheme", scheme, error);
    qins_json_add_bool(item, "split", split, error);
}

// Each of the following writes the item that begins with step `at`, and returns how many steps it is; 0: none.
typedef size_t write_step(qins_json *list, const pipeline *steps, size_t at, qins_error *error);

static size_t write_normalizer(qins_json *list, const pipeline *steps, size_t at, qins_error *error) {
    const pipeline_step *step = &steps->steps[at];
    if (step->kind == STEP_REPLACE) {
        add_replace(list, step, error);
    } else {
        if (step->option != PREPEND_ALWAYS) return 0;
        qins_json_add_text(add(list, "Prepend", error), "prepend", step->to, step->to_size, error);
    }
    return 1;
}

// --- pre-tokenizer ---

static bool is_text(const char *text, size_t size, const pipeline_step *replace) {
    return size == replace->to_size && memcmp(text, replace->to, size) == 0;
}

// Spaces become a character, which may be prepended and may begin words.
static size_t write_metaspace(qins_json *list, const pipeline *steps, size_t at, qins_error *error) {
    static const char *const schemes[] = {"never", "never", "always", "first"};
    const pipeline_step *replace = &steps->steps[at], *next = replace + 1;
    if (replace->from_size != 1 || replace->from[0] != ' ' || replace->to_size == 0) return 0;
    const bool prepends = is_kind(steps, at + 1, STEP_PREPEND) && next->option != PREPEND_ALWAYS &&
                          is_text(next->to, next->to_size, replace);
    const char *scheme = schemes[prepends ? next->option : 0];
    if (prepends) next++;
    const bool splits =
        is_kind(steps, (size_t)(next - steps->steps), STEP_CUT) && is_text(next->from, next->from_size, replace);
    add_metaspace(list, replace->to, replace->to_size, scheme, splits, error);
    return 1 + (size_t)prepends + (size_t)splits;
}

static void add_byte_level(qins_json *list, bool prepends, bool splits, qins_error *error) {
    qins_json *item = add(list, "ByteLevel", error);
    qins_json_add_bool(item, "add_prefix_space", prepends, error);
    qins_json_add_bool(item, "trim_offsets", true, error);
    qins_json_add_bool(item, "use_regex", splits, error);
}

// [PREPEND a space] [SPLIT as GPT-2 does] BYTES
static size_t write_byte_level(qins_json *list, const pipeline *steps, size_t at, qins_error *error) {
    const size_t start = at;
    const pipeline_step *step = &steps->steps[at];
    const bool prepends = step->kind == STEP_PREPEND;
    if (prepends && (step->option != PREPEND_MISSING || step->to_size != 1 || step->to[0] != ' ')) return 0;
    at += prepends;
    const bool splits = is_kind(steps, at, STEP_SPLIT) && steps->steps[at].option == SPLIT_GPT2;
    at += splits;
    if (!is_kind(steps, at, STEP_BYTES)) return 0;
    add_byte_level(list, prepends, splits, error);
    return at + 1 - start;
}

static size_t write_split(qins_json *list, const pipeline *steps, size_t at, qins_error *error) {
    const split_rule rule = steps->steps[at].option;
    const char *regex = hf_split_regex(rule);
    if (regex == NULL) {
        qins_json_add_bool(add(list, "Digits", error), "individual_digits", rule == SPLIT_DIGITS, error);
        return 1;
    }
    qins_json *item = add(list, "Split", error);
    qins_json_add_string(qins_json_add_object(item, "pattern", error), "Regex", regex, error);
    qins_json_add_string(item, "behavior", "Isolated", error);
    qins_json_add_bool(item, "invert", false, error);
    return 1;
}

static size_t write_pre_tokenizer(qins_json *list, const pipeline *steps, size_t at, qins_error *error) {
    if (is_kind(steps, at, STEP_REPLACE)) return write_metaspace(list, steps, at, error);
    const size_t n = write_byte_level(list, steps, at, error);
    return n == 0 && is_kind(steps, at, STEP_SPLIT) ? write_split(list, steps, at, error) : n;
}

// --- decoder ---

static size_t write_decoder(qins_json *list, const pipeline *steps, size_t at, qins_error *error) {
    const pipeline_step *step = &steps->steps[at], *next = step + 1;
    qins_json *item;
    switch (step->kind) {
    case STEP_DROP: // of a Metaspace, which turns the others into spaces
        if (!is_kind(steps, at + 1, STEP_REPLACE) || next->to_size != 1 || next->to[0] != ' ' ||
            next->from_size != step->from_size || memcmp(next->from, step->from, step->from_size) != 0)
            return 0;
        add_metaspace(list, step->from, step->from_size, "always", true, error);
        return 2;
    case STEP_REPLACE:
        add_replace(list, step, error);
        return 1;
    case STEP_BYTE_FALLBACK:
        add(list, "ByteFallback", error);
        return 1;
    case STEP_STRIP:
        add(list, "Fuse", error);
        item = add(list, "Strip", error);
        qins_json_add_string(item, "content", " ", error);
        qins_json_add_number(item, "start", step->option, error);
        qins_json_add_number(item, "stop", 0, error);
        return 1;
    default:
        add_byte_level(list, true, true, error); // members that a decoder must have and does not use
        return 1;
    }
}

// --- the whole ---

// {"type": "Sequence", list_key: [...]}, or null where there are no steps.
static void write_steps(qins_json *root, const char *key, const char *list_key, const pipeline *steps,
                        write_step *write, qins_error *error) {
    if (steps->n_steps == 0) {
        qins_json_add_null(root, key, error);
        return;
    }
    qins_json *sequence = qins_json_add_object(root, key, error);
    qins_json_add_string(sequence, "type", "Sequence", error);
    qins_json *list = qins_json_add_array(sequence, list_key, error);
    for (size_t at = 0, n; at < steps->n_steps && error->status == QINS_OK; at += n) {
        n = write(list, steps, at, error);
        if (n == 0)
            qins_fail(error, QINS_BAD_MODEL, "the tokenizer's %s, step %zu, has no counterpart in tokenizer.json", key,
                      at + 1);
    }
}

void hf_write_pipeline(qins_json *root, const qins_tokenizer *tokenizer, qins_error *error) {
    write_steps(root, "normalizer", "normalizers", &tokenizer->normalizer, write_normalizer, error);
    write_steps(root, "pre_tokenizer", "pretokenizers", &tokenizer->pre_tokenizer, write_pre_tokenizer, error);
    write_steps(root, "decoder", "decoders", &tokenizer->decoder, write_decoder, error);
}
