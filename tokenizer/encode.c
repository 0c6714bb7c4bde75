// Text to ids: cuts a text at its added tokens and hands what lies between to bpe.c.
#include "engine/base/utf8.h"
#include "tokenizer/tokenizer_internal.h"

static void append_all(qins_ids *ids, const qins_ids *more, qins_error *error) {
    for (size_t i = 0; i < more->count && error->status == QINS_OK; i++) qins_ids_append(ids, more->data[i], error);
}

// As Hugging Face's AddedVocabulary::find_matches, including its way of looking for the next token right behind the
// last one and not behind the white space that it swallowed: that matters if added tokens are white space themselves.
static void encode_special(const qins_tokenizer *tokenizer, const char *text, size_t size, qins_ids *ids,
                           qins_error *error) {
    size_t done = 0, space_end = 0;
    added_match match = {0};
    while (error->status == QINS_OK && added_find(tokenizer, text, size, match.end, &match)) {
        if (done < match.start) bpe_encode(tokenizer, text + done, match.start - done, false, ids, error);
        if (error->status == QINS_OK) qins_ids_append(ids, match.id, error);
        done = match.end;
        if (tokenizer->token_flags[match.id] & TOKEN_RSTRIP) {
            if (match.end > space_end) // else inside a run already measured: measuring again would be quadratic
                space_end = match.end + utf8_white_space(text + match.end, size - match.end);
            done = space_end;
        }
    }
    if (error->status == QINS_OK && done < size) bpe_encode(tokenizer, text + done, size - done, false, ids, error);
}

qins_status qins_tokenizer_encode(const qins_tokenizer *tokenizer, const char *text, size_t size, unsigned flags,
                                  qins_ids *ids, qins_error *error) {
    if (error->status != QINS_OK) return error->status;
    if (size > TOKENIZER_MAX_TEXT)
        return qins_fail(error, QINS_FAILED, "a text of %zu bytes is too long to encode at once (at most %zu)", size,
                         TOKENIZER_MAX_TEXT);
    size_t before = ids->count;
    if (flags & QINS_ADD_PREFIX) append_all(ids, &tokenizer->prefix, error);
    if (flags & QINS_PARSE_SPECIAL)
        encode_special(tokenizer, text, size, ids, error);
    else if (size > 0)
        bpe_encode(tokenizer, text, size, true, ids, error);
    if (flags & QINS_ADD_PREFIX) append_all(ids, &tokenizer->suffix, error);
    if (error->status != QINS_OK) ids->count = before;
    return error->status;
}
