// Added tokens (<s>, <|end|>, ...): where they occur in a text. Matching is Hugging Face's Aho-Corasick
// LeftmostLongest: the leftmost match, and of those that start there the longest. The sorted list of contents serves as
// the trie: a prefix is a range of it, one more byte narrows the range. Cost: one table lookup per byte where no token
// starts.
#include "engine/base/memory.h"
#include "tokenizer/tokenizer_internal.h"

#include <stdlib.h>
#include <string.h>

static int compare_contents(const void *a, const void *b) {
    const added_token *left = a, *right = b;
    size_t common = left->size < right->size ? left->size : right->size;
    int order = memcmp(left->text, right->text, common);
    if (order != 0) return order;
    return (left->size > right->size) - (left->size < right->size);
}

static qins_status check_unique(const qins_tokenizer *tokenizer, qins_error *error) {
    for (size_t i = 0; i < tokenizer->n_added; i++) {
        const added_token *token = &tokenizer->added[i];
        int32_t other = tokenizer_find_piece(tokenizer, token->text, token->size);
        if (other < 0 || other == token->id)
            other = i > 0 && compare_contents(token - 1, token) == 0 ? token[-1].id : -1;
        if (other >= 0)
            return qins_fail(error, QINS_BAD_MODEL, "tokens %d and %d have the same text \"%.*s\"", (int)other,
                             (int)token->id, (int)token->size, token->text);
    }
    return QINS_OK;
}

qins_status added_index(qins_tokenizer *tokenizer, qins_error *error) {
    for (size_t id = 0; id < tokenizer->n_ids; id++)
        tokenizer->n_added += (tokenizer->token_flags[id] & TOKEN_ADDED) != 0;
    tokenizer->added = qins_alloc(tokenizer->n_added, sizeof *tokenizer->added, "added tokens", error);
    if (tokenizer->added == NULL) return error->status;
    size_t count = 0;
    for (size_t id = 0; id < tokenizer->n_ids; id++) {
        if (!(tokenizer->token_flags[id] & TOKEN_ADDED)) continue;
        added_token *token = &tokenizer->added[count++];
        token->id = (int32_t)id;
        token->text = tokenizer_piece_text(tokenizer, id, &token->size);
        tokenizer->added_first[(unsigned char)token->text[0] + 1]++;
    }
    for (size_t byte = 0; byte < 256; byte++) tokenizer->added_first[byte + 1] += tokenizer->added_first[byte];
    qsort(tokenizer->added, tokenizer->n_added, sizeof *tokenizer->added, compare_contents);
    return check_unique(tokenizer, error);
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
static const added_token *longest_at(const qins_tokenizer *tokenizer, const char *text, size_t size) {
    const added_token *longest = NULL;
    unsigned byte = (unsigned char)text[0];
    size_t low = tokenizer->added_first[byte], high = tokenizer->added_first[byte + 1];
    for (size_t depth = 1; low < high; depth++) {
        if (tokenizer->added[low].size == depth) longest = &tokenizer->added[low++]; // sorted before what it begins
        if (depth == size) break;
        byte = (unsigned char)text[depth];
        low = lower_bound(tokenizer->added, low, high, depth, byte);
        high = lower_bound(tokenizer->added, low, high, depth, byte + 1);
    }
    return longest;
}

bool added_find(const qins_tokenizer *tokenizer, const char *text, size_t size, size_t from, added_match *match) {
    for (size_t at = from; at < size; at++) {
        unsigned byte = (unsigned char)text[at];
        if (tokenizer->added_first[byte] == tokenizer->added_first[byte + 1]) continue;
        const added_token *token = longest_at(tokenizer, text + at, size - at);
        if (token == NULL) continue;
        *match = (added_match){.start = at, .end = at + token->size, .id = token->id};
        return true;
    }
    return false;
}
