// Pre-tokenizers of tokenizer.json -> steps. Regular expressions are not executed: supported ones have a rule
// (split.h), and any other one is refused.
#include "engine/base/utf8.h"
#include "tokenizer/hf_internal.h"

#include <string.h>

static const struct {
    const char *regex;
    split_rule rule;
} known[] = {
    {"'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", SPLIT_GPT2},
    {"'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", SPLIT_GPT2},
    {"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
     "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
     SPLIT_CL100K},
    {"[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+"
     "(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
     "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*"
     "(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
     SPLIT_O200K},
};

const char *hf_split_regex(split_rule rule) {
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].rule == rule) return known[i].regex;
    return NULL;
}

// All of a text is matched by each expression, so keeping the matches and isolating them is the same.
static void check_behavior(const qins_json *item, qins_error *error) {
    const char *behavior = qins_json_get_string(item, "behavior", QINS_BAD_MODEL, error);
    const bool invert = qins_json_get_bool(item, "invert", QINS_BAD_MODEL, error);
    if (strcmp(behavior, "Isolated") != 0 && !(strcmp(behavior, "Removed") == 0 && invert))
        hf_refuse(item, "pre_tokenizer Split", "only the behavior Isolated, or Removed with invert true, is supported",
                  error);
}

static void read_split(const qins_json *item, pipeline *steps, qins_error *error) {
    static const char *const members[] = {"type", "pattern", "behavior", "invert", NULL};
    const qins_json *pattern = qins_json_get(item, "pattern");
    const char *regex = qins_json_text(qins_json_get(pattern, "Regex"));
    hf_check_members(item, "pre_tokenizer", members, error);
    check_behavior(item, error);
    for (size_t i = 0; i < sizeof known / sizeof *known && regex != NULL; i++) {
        if (strcmp(regex, known[i].regex) != 0) continue;
        hf_add_step(steps, STEP_SPLIT, known[i].rule, NULL, NULL, error);
        return;
    }
    hf_refuse(pattern, "pre_tokenizer Split pattern",
              "only the expressions of GPT-2, cl100k (Llama 3, Phi-4) and o200k (GPT-4o, Phi-4-mini) are supported",
              error);
}

static void read_byte_level(const qins_json *item, pipeline *steps, qins_error *error) {
    static const char *const members[] = {"type", "add_prefix_space", "trim_offsets", "use_regex", NULL};
    hf_check_members(item, "pre_tokenizer", members, error);
    if (qins_json_get_bool(item, "add_prefix_space", QINS_BAD_MODEL, error))
        hf_add_step(steps, STEP_PREPEND, PREPEND_MISSING, NULL, " ", error);
    if (qins_json_get_bool_or(item, "use_regex", true, QINS_BAD_MODEL, error))
        hf_add_step(steps, STEP_SPLIT, SPLIT_GPT2, NULL, NULL, error);
    hf_add_step(steps, STEP_BYTES, 0, NULL, NULL, error);
}

static void read_digits(const qins_json *item, pipeline *steps, qins_error *error) {
    static const char *const members[] = {"type", "individual_digits", NULL};
    hf_check_members(item, "pre_tokenizer", members, error);
    const bool individual = qins_json_get_bool(item, "individual_digits", QINS_BAD_MODEL, error);
    hf_add_step(steps, STEP_SPLIT, individual ? SPLIT_DIGITS : SPLIT_DIGIT_RUNS, NULL, NULL, error);
}

// prepend_scheme, which older files spell as add_prefix_space.
static uint8_t read_scheme(const qins_json *item, const char *field, qins_error *error) {
    static const char *const names[] = {"never", "always", "first"};
    static const uint8_t values[] = {0, PREPEND_MISSING, PREPEND_START};
    const qins_json *scheme = qins_json_get(item, "prepend_scheme");
    if (scheme == NULL)
        return qins_json_get_bool_or(item, "add_prefix_space", true, QINS_BAD_MODEL, error) ? PREPEND_MISSING : 0;
    const char *text = qins_json_text(scheme);
    for (size_t i = 0; i < 3 && text != NULL; i++)
        if (strcmp(text, names[i]) == 0) return values[i];
    hf_refuse(scheme, field, "only the prepend_scheme always, first or never is supported", error);
    return 0;
}

const char *hf_read_metaspace(const qins_json *item, const char *field, uint8_t *when, qins_error *error) {
    static const char *const members[] = {"type",    "replacement", "prepend_scheme", "add_prefix_space", "split",
                                          "str_rep", NULL};
    uint32_t code_point;
    hf_check_members(item, field, members, error);
    *when = read_scheme(item, field, error);
    const char *space = qins_json_get_string(item, "replacement", QINS_BAD_MODEL, error);
    if (error->status == QINS_OK &&
        (space[0] == '\0' || utf8_decode(space, strlen(space), &code_point) != strlen(space)))
        hf_refuse(item, field, "its replacement must be one character", error);
    return space;
}

static void read_metaspace(const qins_json *item, pipeline *steps, qins_error *error) {
    uint8_t when;
    const char *space = hf_read_metaspace(item, "pre_tokenizer", &when, error);
    hf_add_step(steps, STEP_REPLACE, 0, " ", space, error);
    if (when != 0) hf_add_step(steps, STEP_PREPEND, when, NULL, space, error);
    if (qins_json_get_bool_or(item, "split", true, QINS_BAD_MODEL, error))
        hf_add_step(steps, STEP_CUT, 0, space, NULL, error);
}

void hf_read_pre_tokenizer(const qins_json *item, pipeline *steps, qins_error *error) {
    static const struct {
        const char *type;
        void (*read)(const qins_json *item, pipeline *steps, qins_error *error);
    } readers[] = {
        {"Metaspace", read_metaspace}, {"ByteLevel", read_byte_level}, {"Digits", read_digits}, {"Split", read_split}};
    const qins_json *type = qins_json_get(item, "type");
    for (size_t i = 0; i < sizeof readers / sizeof *readers && qins_json_text(type) != NULL; i++) {
        if (strcmp(qins_json_text(type), readers[i].type) != 0) continue;
        readers[i].read(item, steps, error);
        return;
    }
    hf_refuse(type, "pre_tokenizer", "only Metaspace, ByteLevel, Digits, Split and a Sequence of these are supported",
              error);
}
