// Added tokens (<s>, <|end|>, ...): where they occur in a text. Matching is Hugging Face's Aho-Corasick
// LeftmostLongest: the leftmost match, and of those that start there the longest. The sorted list of contents serves as
// the trie: a prefix is a range of it, one more byte narrows the range. Cost: one table lookup per byte where no token
// starts.
#include "engine/base/memory.h"
#include "engine/base/utf8.h"
#include "tokenizer/tokenizer_internal.h"
#include "tokenizer/unicode_class.h"

#include <stdlib.h>
#include <string.h>

static int compare_contents(const void *a, const void *b) {
    const added_token *left = a, *right = b;
    size_t common = left->size < right->size ? left->size : right->size;
    int order = memcmp(left->text, right->text, common);
    if (order != 0) return order;
    return (left->size > right->size) - (left->size < right->size);
}

const added_token *added_with_text(const added_set *set, const char *text, size_t size) {
    const added_token wanted = {.text = text, .size = size};
    if (set->n_tokens == 0) return NULL;
    return bsearch(&wanted, set->tokens, set->n_tokens, sizeof wanted, compare_contents);
}

// No two tokens have the same text, and no two of a set search for the same text.
static qins_status check_unique(const qins_tokenizer *tokenizer, const added_set *set, qins_error *error) {
    for (size_t i = 0; i < set->n_tokens; i++) {
        const added_token *token = &set->tokens[i];
        size_t size;
        const char *text = tokenizer_piece_text(tokenizer, (size_t)token->id, &size);
        int32_t other = tokenizer_find_piece(tokenizer, text, size);
        if (other < 0 || other == token->id)
            other = i > 0 && compare_contents(token - 1, token) == 0 ? token[-1].id : -1;
        if (other >= 0)
            return qins_fail(error, QINS_BAD_MODEL, "tokens %d and %d have the same text \"%.*s\"", (int)other,
                             (int)token->id, (int)size, text);
    }
    return QINS_OK;
}

static bool is_in_set(const qins_tokenizer *tokenizer, size_t id, bool normalized) {
    const unsigned flags = tokenizer->token_flags[id];
    return (flags & TOKEN_ADDED) && normalized == ((flags & TOKEN_NORMALIZED) != 0);
}

// The normalized texts of the second set, one after another in normalized_bytes, which moves until it is complete.
static qins_status normalize(qins_tokenizer *tokenizer, added_set *set, qins_error *error) {
    pipeline_words words = {0}, spare = {0};
    tokenizer->normalized_bytes.error = error;
    for (size_t i = 0; i < set->n_tokens && error->status == QINS_OK; i++) {
        added_token *token = &set->tokens[i];
        pipeline_words_set(&words, token->text, token->size, error);
        pipeline_run(&tokenizer->normalizer, &words, &spare, true, error);
        qins_buffer_append(&tokenizer->normalized_bytes, words.text.data, words.text.size);
        token->size = words.text.size;
        if (token->size == 0)
            qins_fail(error, QINS_BAD_MODEL, "nothing is left of the added token %d when it is normalized",
                      (int)token->id);
        if (token->size > TOKENIZER_MAX_PIECE)
            qins_fail(error, QINS_BAD_MODEL,
                      "the added token %d has %zu bytes when it is normalized; at most %zu are "
                      "supported",
                      (int)token->id, token->size, TOKENIZER_MAX_PIECE);
    }
    pipeline_words_free(&words);
    pipeline_words_free(&spare);
    const char *text = (const char *)tokenizer->normalized_bytes.data;
    for (size_t i = 0; i < set->n_tokens && error->status == QINS_OK; text += set->tokens[i++].size)
        set->tokens[i].text = text;
    tokenizer->normalized = qins_alloc(set->n_tokens, sizeof *set->tokens, "added tokens", error);
    if (error->status == QINS_OK && set->n_tokens > 0)
        memcpy(tokenizer->normalized, set->tokens, set->n_tokens * sizeof *set->tokens);
    return error->status;
}

// They are searched for at every position of a text, and normalized when the model is opened.
static qins_status check_bounds(const qins_tokenizer *tokenizer, qins_error *error) {
    size_t n_tokens = 0;
    for (size_t id = 0; id < tokenizer->n_ids; id++) {
        if (!(tokenizer->token_flags[id] & TOKEN_ADDED)) continue;
        size_t size;
        tokenizer_piece_text(tokenizer, id, &size);
        if (size > TOKENIZER_MAX_MARKER)
            return qins_fail(error, QINS_BAD_MODEL, "the added token %zu has %zu bytes; at most %zu are supported", id,
                             size, TOKENIZER_MAX_MARKER);
        n_tokens++;
    }
    if (n_tokens > TOKENIZER_MAX_ADDED)
        return qins_fail(error, QINS_BAD_MODEL, "%zu added tokens; at most %zu are supported", n_tokens,
                         TOKENIZER_MAX_ADDED);
    return QINS_OK;
}

static qins_status index_set(qins_tokenizer *tokenizer, bool normalized, qins_error *error) {
    added_set *set = &tokenizer->added[normalized];
    size_t n_tokens = 0;
    for (size_t id = 0; id < tokenizer->n_ids; id++) n_tokens += is_in_set(tokenizer, id, normalized);
    set->tokens = qins_alloc(n_tokens, sizeof *set->tokens, "added tokens", error);
    if (set->tokens == NULL) return error->status;
    for (size_t id = 0; id < tokenizer->n_ids; id++) {
        if (!is_in_set(tokenizer, id, normalized)) continue;
        added_token *token = &set->tokens[set->n_tokens++];
        token->id = (int32_t)id;
        token->text = tokenizer_piece_text(tokenizer, id, &token->size);
    }
    if (normalized && normalize(tokenizer, set, error) != QINS_OK) return error->status;
    for (size_t i = 0; i < set->n_tokens; i++) set->first[(unsigned char)set->tokens[i].text[0] + 1]++;
    for (size_t byte = 0; byte < 256; byte++) set->first[byte + 1] += set->first[byte];
    qsort(set->tokens, set->n_tokens, sizeof *set->tokens, compare_contents);
    return check_unique(tokenizer, set, error);
}

// Tokens of different sets may have the same text, too.
static qins_status check_apart(const qins_tokenizer *tokenizer, qins_error *error) {
    for (size_t i = 0; i < tokenizer->added[1].n_tokens && error->status == QINS_OK; i++) {
        const int32_t id = tokenizer->added[1].tokens[i].id;
        size_t size;
        const char *text = tokenizer_piece_text(tokenizer, (size_t)id, &size);
        const added_token *same = added_with_text(&tokenizer->added[0], text, size);
        if (same != NULL)
            qins_fail(error, QINS_BAD_MODEL, "tokens %d and %d have the same text \"%.*s\"", (int)same->id, (int)id,
                      (int)size, text);
    }
    return error->status;
}

qins_status added_index(qins_tokenizer *tokenizer, qins_error *error) {
    if (check_bounds(tokenizer, error) == QINS_OK && index_set(tokenizer, false, error) == QINS_OK &&
        index_set(tokenizer, true, error) == QINS_OK)
        check_apart(tokenizer, error);
    return error->status;
}

// First of added[low .. high), all longer than `depth`, whose byte at `depth` is not below `byte`.
static size_t lower_bound(const added_token *added, size_t low, size_t high, size_t depth, unsigned byte) {
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if ((unsigned char)added[middle].text[depth] < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

// The longest added token that the text starts with, NULL if there is none.
static const added_token *longest_at(const added_set *set, const char *text, size_t size) {
    const added_token *longest = NULL;
    unsigned byte = (unsigned char)text[0];
    size_t low = set->first[byte], high = set->first[byte + 1];
    for (size_t depth = 1; low < high; depth++) {
        if (set->tokens[low].size == depth) longest = &set->tokens[low++]; // sorts before its continuations
        if (depth == size) break;
        byte = (unsigned char)text[depth];
        low = lower_bound(set->tokens, low, high, depth, byte);
        high = lower_bound(set->tokens, low, high, depth, byte + 1);
    }
    return longest;
}

bool added_find(const added_set *set, const char *text, size_t size, size_t from, added_match *match) {
    for (size_t at = from; at < size; at++) {
        unsigned byte = (unsigned char)text[at];
        if (set->first[byte] == set->first[byte + 1]) continue;
        const added_token *token = longest_at(set, text + at, size - at);
        if (token == NULL) continue;
        *match = (added_match){.start = at, .end = at + token->size, .id = token->id};
        return true;
    }
    return false;
}

static int compare_ids(const void *a, const void *b) {
    const added_token *left = a, *right = b;
    return (left->id > right->id) - (left->id < right->id);
}

const char *added_spelling(const qins_tokenizer *tokenizer, int32_t id, size_t *size) {
    if (!tokenizer_has_piece(tokenizer, id)) return NULL;
    if (!(tokenizer->token_flags[id] & TOKEN_ADDED) || !(tokenizer->token_flags[id] & TOKEN_NORMALIZED))
        return tokenizer_piece_text(tokenizer, (size_t)id, size);
    const added_token wanted = {.id = id};
    const added_token *token =
        bsearch(&wanted, tokenizer->normalized, tokenizer->added[1].n_tokens, sizeof wanted, compare_ids);
    *size = token->size;
    return token->text;
}

// --- walking ---

static bool is_inside_word(const char *text, size_t size, const added_match *match) {
    size_t length;
    return (match->start > 0 && unicode_is_word(unicode_class_before(text, match->start, &length))) ||
           (match->end < size && unicode_is_word(unicode_class_at(text + match->end, size - match->end, &length)));
}

size_t added_space_start(const char *text, size_t least, size_t end) {
    for (size_t length; end > least; end -= length)
        if (unicode_class_before(text + least, end - least, &length) != UNICODE_SPACE) break;
    return end;
}

// As Hugging Face's AddedVocabulary::find_matches, including its way of looking for the next token right after the last
// one and not after the white space that it swallowed: that matters if added tokens are white space themselves.
bool added_next(added_walk *walk, added_match *match) {
    while (added_find(walk->set, walk->text, walk->size, walk->searched, match)) {
        const unsigned flags = walk->tokenizer->token_flags[match->id];
        walk->searched = match->end;
        if ((flags & TOKEN_SINGLE_WORD) && is_inside_word(walk->text, walk->size, match)) continue;
        if ((flags & TOKEN_LSTRIP) && match->start > walk->done)
            match->start = added_space_start(walk->text, walk->done, match->start);
        if (match->start < walk->done) match->start = walk->done;
        if (flags & TOKEN_RSTRIP) {
            if (match->end > walk->space_end) // else inside a run already measured: measuring again would be quadratic
                walk->space_end = match->end + utf8_white_space(walk->text + match->end, walk->size - match->end);
            match->end = walk->space_end;
        }
        if ((flags & TOKEN_LSTRIP) && match->start >= match->end) continue; // the last one swallowed all of it
        walk->done = match->end;
        return true;
    }
    return false;
}
