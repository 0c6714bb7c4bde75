// The tokenizer object: its pieces, their lookup by text, and the questions callers ask about ids. Knows neither of the
// two forms it is read from (hf_tokenizer.c, pack.c) nor how text is cut (encode.c, bpe.c, added_tokens.c).
#include "engine/base/memory.h"
#include "engine/base/utf8.h"
#include "tokenizer/tokenizer_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

qins_status qins_ids_append(qins_ids *ids, int32_t id, qins_error *error) {
    void *data = ids->data;
    if (qins_grow(&data, &ids->capacity, ids->count + 1, sizeof *ids->data, error) != QINS_OK) return error->status;
    ids->data = data;
    ids->data[ids->count++] = id;
    return QINS_OK;
}

void qins_ids_free(qins_ids *ids) {
    free(ids->data);
    *ids = (qins_ids){0};
}

void qins_ids_print(const qins_ids *ids, char separator, qins_buffer *out) {
    for (size_t i = 0; i < ids->count && out->error->status == QINS_OK; i++) {
        char id[16];
        const int length = snprintf(id, sizeof id, "%d", ids->data[i]);
        if (i > 0) qins_buffer_u8(out, (uint8_t)separator);
        qins_buffer_append(out, id, (size_t)length);
    }
}

qins_tokenizer *tokenizer_create(qins_error *error) {
    qins_tokenizer *tokenizer = qins_alloc(1, sizeof *tokenizer, "tokenizer", error);
    if (tokenizer == NULL) return NULL;
    tokenizer->unk_id = -1;
    if (qins_hash_key_draw(&tokenizer->hash_key, error) == QINS_OK) return tokenizer;
    qins_tokenizer_free(tokenizer);
    return NULL;
}

void qins_tokenizer_free(qins_tokenizer *tokenizer) {
    if (tokenizer == NULL) return;
    free(tokenizer->piece_starts);
    free(tokenizer->piece_bytes);
    free(tokenizer->token_flags);
    free(tokenizer->merges);
    free(tokenizer->piece_slots);
    free(tokenizer->merge_slots);
    for (int i = 0; i < 2; i++) free(tokenizer->added[i].tokens);
    qins_buffer_free(&tokenizer->normalized_bytes);
    free(tokenizer->normalized);
    qins_ids_free(&tokenizer->prefix);
    qins_ids_free(&tokenizer->suffix);
    free(tokenizer);
}

qins_status tokenizer_allocate_pieces(qins_tokenizer *tokenizer, const uint32_t *piece_sizes, size_t n_ids,
                                      qins_error *error) {
    uint64_t total = 0;
    for (size_t id = 0; id < n_ids; id++) {
        if (piece_sizes[id] > TOKENIZER_MAX_PIECE)
            return qins_fail(error, QINS_BAD_MODEL, "token %zu has %u bytes; at most %zu are supported", id,
                             piece_sizes[id], TOKENIZER_MAX_PIECE);
        total += piece_sizes[id];
    }
    if (total > UINT32_MAX)
        return qins_fail(error, QINS_BAD_MODEL, "the vocabulary's text has %llu bytes; at most %u are supported",
                         (unsigned long long)total, UINT32_MAX);
    tokenizer->n_ids = n_ids;
    tokenizer->piece_starts = qins_alloc(n_ids + 1, sizeof *tokenizer->piece_starts, "vocabulary offsets", error);
    tokenizer->piece_bytes = qins_alloc((size_t)total, 1, "vocabulary text", error);
    tokenizer->token_flags = qins_alloc(n_ids, 1, "token flags", error);
    if (error->status != QINS_OK) return error->status;
    for (size_t id = 0; id < n_ids; id++)
        tokenizer->piece_starts[id + 1] = tokenizer->piece_starts[id] + piece_sizes[id];
    return QINS_OK;
}

void *tokenizer_create_slots(size_t count, size_t size, const char *what, size_t *mask, qins_error *error) {
    size_t n_slots = 16;
    while (n_slots / 2 < count) n_slots *= 2;
    *mask = n_slots - 1;
    return qins_alloc(n_slots, size, what, error);
}

// The slot that holds the piece with this text, or the free one where it would go.
static size_t find_slot(const qins_tokenizer *tokenizer, const char *text, size_t size) {
    size_t slot = qins_hash(&tokenizer->hash_key, text, size) & tokenizer->piece_mask;
    while (tokenizer->piece_slots[slot] != 0) {
        size_t piece_size;
        const char *piece = tokenizer_piece_text(tokenizer, tokenizer->piece_slots[slot] - 1, &piece_size);
        if (piece_size == size && memcmp(piece, text, size) == 0) break;
        slot = (slot + 1) & tokenizer->piece_mask;
    }
    return slot;
}

int32_t tokenizer_find_piece(const qins_tokenizer *tokenizer, const char *text, size_t size) {
    return (int32_t)tokenizer->piece_slots[find_slot(tokenizer, text, size)] - 1;
}

qins_status tokenizer_index_pieces(qins_tokenizer *tokenizer, qins_error *error) {
    size_t n_pieces = 0;
    for (size_t id = 0; id < tokenizer->n_ids; id++) {
        size_t size;
        const char *text = tokenizer_piece_text(tokenizer, id, &size);
        if (!utf8_is_valid(text, size))
            return qins_fail(error, QINS_BAD_MODEL, "the text of token %zu is not valid UTF-8", id);
        n_pieces += (tokenizer->token_flags[id] & TOKEN_IN_MODEL) != 0;
    }
    tokenizer->piece_slots = tokenizer_create_slots(n_pieces, sizeof *tokenizer->piece_slots, "vocabulary table",
                                                    &tokenizer->piece_mask, error);
    if (tokenizer->piece_slots == NULL) return error->status;
    for (size_t id = 0; id < tokenizer->n_ids; id++) {
        if (!(tokenizer->token_flags[id] & TOKEN_IN_MODEL)) continue;
        size_t size;
        const char *text = tokenizer_piece_text(tokenizer, id, &size);
        uint32_t *slot = &tokenizer->piece_slots[find_slot(tokenizer, text, size)];
        if (*slot != 0)
            return qins_fail(error, QINS_BAD_MODEL, "tokens %u and %zu have the same text \"%.*s\"", *slot - 1, id,
                             (int)size, text);
        *slot = (uint32_t)id + 1;
    }
    return QINS_OK;
}

static qins_status check_ids(const qins_tokenizer *tokenizer, const qins_ids *ids, const char *what,
                             qins_error *error) {
    for (size_t i = 0; i < ids->count; i++)
        if (!tokenizer_has_piece(tokenizer, ids->data[i]))
            return qins_fail(error, QINS_BAD_MODEL, "%s: there is no token with id %d", what, (int)ids->data[i]);
    return QINS_OK;
}

qins_status tokenizer_index(qins_tokenizer *tokenizer, qins_error *error) {
    for (int byte = 0; byte < 256; byte++) {
        char piece[8];
        int size = snprintf(piece, sizeof piece, "<0x%02X>", byte);
        tokenizer->byte_ids[byte] = tokenizer_find_piece(tokenizer, piece, (size_t)size);
    }
    int32_t unk_id = tokenizer->unk_id;
    if (unk_id != -1 && !(tokenizer_has_piece(tokenizer, unk_id) && (tokenizer->token_flags[unk_id] & TOKEN_IN_MODEL)))
        return qins_fail(error, QINS_BAD_MODEL, "the id %d of the unknown token is not in the vocabulary", (int)unk_id);
    if (tokenizer->prefix.count + tokenizer->suffix.count > TOKENIZER_MAX_AROUND)
        return qins_fail(error, QINS_BAD_MODEL, "%zu ids are put around a text; at most %zu are supported",
                         tokenizer->prefix.count + tokenizer->suffix.count, TOKENIZER_MAX_AROUND);
    check_ids(tokenizer, &tokenizer->prefix, "ids put before a text", error);
    check_ids(tokenizer, &tokenizer->suffix, "ids put after a text", error);
    pipeline_check(&tokenizer->normalizer, PIPELINE_NORMALIZER, error);
    pipeline_check(&tokenizer->pre_tokenizer, PIPELINE_PRE_TOKENIZER, error);
    pipeline_check(&tokenizer->decoder, PIPELINE_DECODER, error);
    if (error->status == QINS_OK) added_index(tokenizer, error);
    if (error->status == QINS_OK) bpe_index(tokenizer, error);
    return error->status;
}

size_t qins_tokenizer_vocab_size(const qins_tokenizer *tokenizer) {
    return tokenizer->n_ids;
}

size_t qins_tokenizer_ids_without_text(const qins_tokenizer *tokenizer, size_t n_ids) {
    size_t count = 0;
    for (size_t id = 0; id < n_ids; id++) count += !tokenizer_has_piece(tokenizer, (int64_t)id);
    return count;
}

int32_t qins_tokenizer_added_id(const qins_tokenizer *tokenizer, const char *content) {
    const size_t size = strlen(content);
    const added_token *found = added_with_text(&tokenizer->added[0], content, size);
    if (found != NULL) return found->id;
    for (size_t i = 0; i < tokenizer->added[1].n_tokens; i++) {
        const int32_t id = tokenizer->normalized[i].id;
        size_t piece_size;
        const char *piece = tokenizer_piece_text(tokenizer, (size_t)id, &piece_size);
        if (piece_size == size && memcmp(piece, content, size) == 0) return id;
    }
    return -1;
}

const char *qins_tokenizer_piece(const qins_tokenizer *tokenizer, int32_t id, size_t *size) {
    if (!tokenizer_has_piece(tokenizer, id)) return NULL;
    return tokenizer_piece_text(tokenizer, (size_t)id, size);
}

// As in Hugging Face, which looks tokens up by the decoder's text and misses those whose own text differs.
bool qins_tokenizer_is_special(const qins_tokenizer *tokenizer, int32_t id) {
    if (!tokenizer_has_piece(tokenizer, id) || !(tokenizer->token_flags[id] & TOKEN_SPECIAL)) return false;
    size_t size, spelt_size;
    const char *piece = tokenizer_piece_text(tokenizer, (size_t)id, &size);
    const char *spelt = added_spelling(tokenizer, id, &spelt_size);
    return size == spelt_size && memcmp(piece, spelt, size) == 0;
}
