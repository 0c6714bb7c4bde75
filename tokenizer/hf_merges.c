// model.merges of tokenizer.json: pairs of tokens by rank.
#include "engine/base/memory.h"
#include "tokenizer/hf_internal.h"

#include <stdlib.h>
#include <string.h>

typedef struct text_span {
    const char *text;
    size_t size;
} text_span;

// "a b" or ["a", "b"].
static bool split_merge(const qins_json *item, text_span parts[2]) {
    const char *text = qins_json_text(item);
    if (text != NULL) {
        const char *space = strchr(text, ' ');
        if (space == NULL || strchr(space + 1, ' ') != NULL) return false;
        parts[0] = (text_span){text, (size_t)(space - text)};
        parts[1] = (text_span){space + 1, strlen(space + 1)};
    } else {
        if (!qins_json_is_array(item) || qins_json_count(item) != 2) return false;
        const qins_json *first = qins_json_first(item);
        const char *left = qins_json_text(first), *right = qins_json_text(qins_json_next(first));
        if (left == NULL || right == NULL) return false;
        parts[0] = (text_span){left, strlen(left)};
        parts[1] = (text_span){right, strlen(right)};
    }
    return parts[0].size > 0 && parts[1].size > 0;
}

static int32_t find_joined(const qins_tokenizer *tokenizer, const text_span parts[2]) {
    char joined[TOKENIZER_MAX_PIECE];
    if (parts[0].size > sizeof joined || parts[1].size > sizeof joined - parts[0].size) return -1;
    memcpy(joined, parts[0].text, parts[0].size);
    memcpy(joined + parts[0].size, parts[1].text, parts[1].size);
    return tokenizer_find_piece(tokenizer, joined, parts[0].size + parts[1].size);
}

static qins_status read_merge(const qins_json *item, qins_tokenizer *tokenizer, qins_error *error) {
    text_span parts[2];
    if (!split_merge(item, parts)) return hf_refuse(item, "model.merges item", "it must be two tokens", error);
    int32_t left = tokenizer_find_piece(tokenizer, parts[0].text, parts[0].size);
    int32_t right = tokenizer_find_piece(tokenizer, parts[1].text, parts[1].size);
    int32_t result = find_joined(tokenizer, parts);
    if (left < 0 || right < 0 || result < 0)
        return hf_refuse(item, "model.merges item", "these two and their concatenation must be in model.vocab", error);
    tokenizer->merges[tokenizer->n_merges++] = (bpe_merge){(uint32_t)left, (uint32_t)right, (uint32_t)result};
    return QINS_OK;
}

struct ranked_pair {
    uint64_t pair;
    size_t rank;
};

static int by_pair_and_rank(const void *left, const void *right) {
    const struct ranked_pair *a = left, *b = right;
    if (a->pair != b->pair) return a->pair < b->pair ? -1 : 1;
    return (a->rank > b->rank) - (a->rank < b->rank);
}

// Of a merge that is listed more than once, Hugging Face takes the last rank.
static qins_status keep_last_ranks(qins_tokenizer *tokenizer, qins_error *error) {
    const size_t n_merges = tokenizer->n_merges;
    bpe_merge *merges = tokenizer->merges;
    struct ranked_pair *pairs = qins_alloc(n_merges, sizeof *pairs, "pairs of merges", error);
    if (pairs == NULL) return error->status;
    for (size_t i = 0; i < n_merges; i++)
        pairs[i] = (struct ranked_pair){(uint64_t)merges[i].left << 32 | merges[i].right, i};
    qsort(pairs, n_merges, sizeof *pairs, by_pair_and_rank);
    for (size_t i = 1; i < n_merges; i++)
        if (pairs[i - 1].pair == pairs[i].pair) merges[pairs[i - 1].rank].result = UINT32_MAX; // is dropped
    free(pairs);
    tokenizer->n_merges = 0;
    for (size_t i = 0; i < n_merges; i++)
        if (merges[i].result != UINT32_MAX) merges[tokenizer->n_merges++] = merges[i];
    return QINS_OK;
}

qins_status hf_read_merges(const qins_json *list, qins_tokenizer *tokenizer, qins_error *error) {
    if (!qins_json_is_array(list)) return hf_refuse(list, "model.merges", "it must be a list", error);
    tokenizer->merges = qins_alloc(qins_json_count(list), sizeof *tokenizer->merges, "merges", error);
    if (tokenizer->merges == NULL) return error->status;
    for (const qins_json *item = qins_json_first(list); item != NULL; item = qins_json_next(item))
        if (read_merge(item, tokenizer, error) != QINS_OK)
            return qins_error_context(error, "merge %zu", tokenizer->n_merges);
    return keep_last_ranks(tokenizer, error);
}
