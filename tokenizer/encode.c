// Text to ids. A text is cut at the added tokens that occur in it as it is; the stretches between are normalized and
// cut at those that occur in normalized text; the pre-tokenizer splits the rest into words, and BPE turns words into
// ids.
#include "tokenizer/tokenizer_internal.h"

typedef struct encoding {
    const qins_tokenizer *tokenizer;
    unsigned flags;
    pipeline_words normalized, words, spare;
    qins_ids *ids;
    qins_error *error;
} encoding;

static void append_all(qins_ids *ids, const qins_ids *more, qins_error *error) {
    for (size_t i = 0; i < more->count && error->status == QINS_OK; i++) qins_ids_append(ids, more->data[i], error);
}

// Processes a stretch between added tokens; at_start: it is the start of the caller's text.
typedef void stretch_function(encoding *work, const char *text, size_t size, bool at_start);

static void each_stretch(encoding *work, const added_set *set, const char *text, size_t size, bool at_start,
                         stretch_function *handle) {
    added_walk walk = {.tokenizer = work->tokenizer, .set = set, .text = text, .size = size};
    size_t done = 0;
    for (added_match match; work->error->status == QINS_OK && added_next(&walk, &match); done = walk.done) {
        if (done < match.start) handle(work, text + done, match.start - done, at_start && done == 0);
        if (work->error->status == QINS_OK) qins_ids_append(work->ids, match.id, work->error);
    }
    if (work->error->status == QINS_OK && done < size) handle(work, text + done, size - done, at_start && done == 0);
}

static void encode_words(encoding *work, const char *text, size_t size, bool at_start) {
    pipeline_words_set(&work->words, text, size, work->error);
    pipeline_run(&work->tokenizer->pre_tokenizer, &work->words, &work->spare, at_start, work->error);
    if (work->error->status == QINS_OK)
        bpe_encode(work->tokenizer, &work->words, !(work->flags & QINS_PARSE_SPECIAL), work->ids, work->error);
}

static void encode_text(encoding *work, const char *text, size_t size, bool at_start) {
    static const added_set none;
    const bool parse = (work->flags & QINS_PARSE_SPECIAL) != 0;
    pipeline_words_set(&work->normalized, text, size, work->error);
    pipeline_run(&work->tokenizer->normalizer, &work->normalized, &work->spare, at_start, work->error);
    each_stretch(work, parse ? &work->tokenizer->added[1] : &none, (const char *)work->normalized.text.data,
                 work->normalized.text.size, at_start, encode_words);
}

static void encode_all(encoding *work, const char *text, size_t size) {
    const bool at_start = !(work->flags & QINS_CONTINUED);
    if (work->flags & QINS_PARSE_SPECIAL)
        each_stretch(work, &work->tokenizer->added[0], text, size, at_start, encode_text);
    else
        encode_text(work, text, size, at_start);
    pipeline_words_free(&work->normalized);
    pipeline_words_free(&work->words);
    pipeline_words_free(&work->spare);
}

qins_status qins_tokenizer_encode(const qins_tokenizer *tokenizer, const char *text, size_t size, unsigned flags,
                                  qins_ids *ids, qins_error *error) {
    if (error->status != QINS_OK) return error->status;
    if (size > TOKENIZER_MAX_TEXT)
        return qins_fail(error, QINS_FAILED, "a text of %zu bytes is too long to encode at once (at most %zu)", size,
                         TOKENIZER_MAX_TEXT);
    size_t before = ids->count;
    encoding work = {.tokenizer = tokenizer, .flags = flags, .ids = ids, .error = error};
    if (flags & QINS_ADD_PREFIX) append_all(ids, &tokenizer->prefix, error);
    encode_all(&work, text, size);
    if (flags & QINS_ADD_PREFIX) append_all(ids, &tokenizer->suffix, error);
    if (error->status != QINS_OK) ids->count = before;
    return error->status;
}
