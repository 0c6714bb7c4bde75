// Text for calibration; see calibration_text.h.
#include "convert/calibration_text.h"

#include "engine/base/file.h"
#include "engine/base/memory.h"
#include "engine/base/utf8.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { SEQUENCE_TOKENS = 512, MAX_TEXT_BYTES = 1 << 26 };

// --- the text ---

const char QINS_DEFAULT_TEXT[] = "default";

// The built-in text is the file itself, put between two symbols by the assembler.
extern const char built_in[], built_in_end[];
__asm__(".pushsection .rodata\n"
        ".global built_in, built_in_end\n"
        ".hidden built_in, built_in_end\n"
        "built_in: .incbin \"convert/calibration_text.txt\"\n"
        "built_in_end:\n"
        ".popsection\n");

// The longest sequence that runs with the factors for short ones.
static size_t sequence_length(const qins_config *config) {
    size_t longest = config->rope == QINS_ROPE_LONG ? config->original_positions : config->max_positions;
    return longest < SEQUENCE_TOKENS ? longest : SEQUENCE_TOKENS;
}

// Sequences of `prefix` and tokens of the text from places that divide it evenly.
static void cut(qins_calibration_text *text, const qins_ids *prefix, const qins_ids *ids, size_t n_tokens,
                const char *path, qins_error *error) {
    const size_t body = text->length - prefix->count;
    const size_t available = ids->count / body, wanted = n_tokens < text->length ? 1 : n_tokens / text->length;
    text->n_sequences = available < wanted ? available : wanted;
    if (text->n_sequences == 0) {
        qins_fail(error, QINS_USAGE, "%s: a text for calibration must have at least %zu tokens, it has %zu", path, body,
                  ids->count);
        return;
    }
    text->ids = qins_alloc(text->n_sequences * text->length, sizeof *text->ids, "calibration text", error);
    for (size_t i = 0; i < text->n_sequences && error->status == QINS_OK; i++) {
        int32_t *sequence = text->ids + i * text->length;
        if (prefix->count > 0) memcpy(sequence, prefix->data, prefix->count * sizeof *sequence);
        memcpy(sequence + prefix->count, ids->data + i * (ids->count / text->n_sequences), body * sizeof *sequence);
    }
}

// The header is UTF-8, which file names need not be: each byte of anything else becomes a question mark.
static void record_source(qins_source *source, const char *path, const char *bytes, size_t size) {
    const char *slash = strrchr(path, '/'), *name = slash == NULL ? path : slash + 1;
    const size_t length = strlen(name);
    uint32_t code_point;
    *source = (qins_source){.bytes = size, .hash = XXH3_64bits(bytes, size)};
    for (size_t at = 0, n; at < length; at += n) {
        n = utf8_decode(name + at, length - at, &code_point);
        const char *character = n > 0 ? name + at : "?";
        if (n == 0) n = 1;
        if (at + n >= sizeof source->name) return;
        memcpy(source->name + at, character, n);
    }
}

static void take(qins_calibration_text *text, const char *path, const char *bytes, size_t size,
                 const qins_tokenizer *tokenizer, size_t n_tokens, qins_error *error) {
    qins_ids prefix = {0}, ids = {0};
    record_source(&text->source, path, bytes, size);
    if (qins_tokenizer_encode(tokenizer, "", 0, QINS_ADD_PREFIX, &prefix, error) == QINS_OK &&
        qins_tokenizer_encode(tokenizer, bytes, size, QINS_PARSE_SPECIAL, &ids, error) == QINS_OK) {
        if (prefix.count >= text->length) prefix.count = 0;
        cut(text, &prefix, &ids, n_tokens, path, error);
    }
    qins_ids_free(&prefix);
    qins_ids_free(&ids);
}

qins_status qins_calibration_text_read(qins_calibration_text *text, const char *path, const qins_tokenizer *tokenizer,
                                       const qins_config *config, size_t n_tokens, qins_error *error) {
    *text = (qins_calibration_text){.length = sequence_length(config)};
    if (strcmp(path, QINS_DEFAULT_TEXT) == 0) {
        take(text, path, built_in, (size_t)(built_in_end - built_in), tokenizer, n_tokens, error);
        return error->status;
    }
    size_t size;
    char *bytes = qins_file_read_all(path, MAX_TEXT_BYTES, &size, QINS_FAILED, error);
    if (bytes != NULL) take(text, path, bytes, size, tokenizer, n_tokens, error);
    free(bytes);
    return error->status;
}

void qins_calibration_text_free(qins_calibration_text *text) {
    free(text->ids);
    *text = (qins_calibration_text){0};
}
