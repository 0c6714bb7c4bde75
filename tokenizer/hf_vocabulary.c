// The tokens of a tokenizer.json by id and by text; see hf_internal.h. Adding follows Hugging Face `tokenizers`:
// tokenizer/added_vocabulary.rs (add_tokens).
#include "engine/base/memory.h"
#include "tokenizer/hf_internal.h"

#include <stdlib.h>
#include <string.h>

qins_status hf_vocabulary_create(hf_vocabulary *vocabulary, const qins_tokenizer *tokenizer, size_t n_texts,
                                 qins_error *error) {
    *vocabulary = (hf_vocabulary){
        .hash_key = &tokenizer->hash_key, .has_normalizer = tokenizer->normalizer.n_steps > 0, .max_added = -1};
    vocabulary->slots =
        tokenizer_create_slots(n_texts, sizeof *vocabulary->slots, "table of tokens", &vocabulary->mask, error);
    return error->status;
}

void hf_vocabulary_free(hf_vocabulary *vocabulary) {
    free(vocabulary->texts);
    free(vocabulary->flags);
    free(vocabulary->slots);
}

static qins_status make_room(hf_vocabulary *vocabulary, size_t n_ids, qins_error *error) {
    if (n_ids <= vocabulary->n_ids) return QINS_OK;
    void *texts = vocabulary->texts, *flags = vocabulary->flags;
    qins_grow(&texts, &vocabulary->text_capacity, n_ids, sizeof *vocabulary->texts, error);
    vocabulary->texts = texts;
    qins_grow(&flags, &vocabulary->flag_capacity, n_ids, 1, error);
    vocabulary->flags = flags;
    if (error->status != QINS_OK) return error->status;
    for (size_t id = vocabulary->n_ids; id < n_ids; id++) vocabulary->texts[id] = NULL;
    memset(vocabulary->flags + vocabulary->n_ids, 0, n_ids - vocabulary->n_ids);
    vocabulary->n_ids = n_ids;
    return QINS_OK;
}

// The slot of this text, or the free one where it would go.
static uint32_t *find_slot(const hf_vocabulary *vocabulary, const char *text) {
    size_t slot = qins_hash(vocabulary->hash_key, text, strlen(text)) & vocabulary->mask;
    while (vocabulary->slots[slot] != 0 && strcmp(vocabulary->texts[vocabulary->slots[slot] - 1], text) != 0)
        slot = (slot + 1) & vocabulary->mask;
    return &vocabulary->slots[slot];
}

int32_t hf_vocabulary_find(const hf_vocabulary *vocabulary, const char *text) {
    return (int32_t)*find_slot(vocabulary, text) - 1;
}

static qins_status put(hf_vocabulary *vocabulary, size_t id, const char *text, uint8_t flags, qins_error *error) {
    if (make_room(vocabulary, id + 1, error) != QINS_OK) return error->status;
    if (vocabulary->texts[id] != NULL)
        return qins_fail(error, QINS_BAD_MODEL, "\"%.80s\" and \"%.80s\" have the same id %zu", vocabulary->texts[id],
                         text, id);
    *find_slot(vocabulary, text) = (uint32_t)id + 1;
    vocabulary->texts[id] = text;
    vocabulary->flags[id] = flags;
    return QINS_OK;
}

qins_status hf_vocabulary_put(hf_vocabulary *vocabulary, size_t id, const char *text, qins_error *error) {
    if (put(vocabulary, id, text, TOKEN_IN_MODEL, error) != QINS_OK) return error->status;
    vocabulary->n_model++;
    vocabulary->n_model_ids = vocabulary->n_ids;
    return QINS_OK;
}

void hf_vocabulary_begin(hf_vocabulary *vocabulary) {
    const size_t after_added = (size_t)(vocabulary->max_added + 1);
    vocabulary->next_id = after_added > vocabulary->n_model ? after_added : vocabulary->n_model;
}

// A token that is added again has its last flags, but is special if it ever was. Hugging Face would decode one that is
// no longer normalized by its normalized text.
static qins_status add_again(hf_vocabulary *vocabulary, const char *text, int32_t id, uint8_t flags,
                             qins_error *error) {
    const uint8_t before = vocabulary->flags[id];
    if ((before & TOKEN_NORMALIZED) && !(flags & TOKEN_NORMALIZED) && vocabulary->has_normalizer)
        return qins_fail(error, QINS_BAD_MODEL,
                         "the token \"%.80s\" is added twice, first with \"normalized\" true and then false; both must "
                         "have the same value",
                         text);
    vocabulary->flags[id] = flags | (before & (TOKEN_IN_MODEL | TOKEN_SPECIAL));
    return QINS_OK;
}

qins_status hf_vocabulary_add(hf_vocabulary *vocabulary, const char *text, uint8_t flags, int32_t *id,
                              qins_error *error) {
    *id = hf_vocabulary_find(vocabulary, text);
    if (*id >= 0) {
        add_again(vocabulary, text, *id, flags, error);
    } else {
        *id = (int32_t)vocabulary->next_id++;
        if ((size_t)*id >= TOKENIZER_MAX_IDS)
            return qins_fail(error, QINS_BAD_MODEL, "more than %zu ids are not supported", TOKENIZER_MAX_IDS);
        put(vocabulary, (size_t)*id, text, flags, error);
    }
    if (*id > vocabulary->max_added) vocabulary->max_added = *id;
    return error->status;
}

uint8_t hf_read_flags(const qins_json *item, qins_error *error) {
    static const struct {
        const char *key;
        unsigned flag;
    } keys[] = {{"single_word", TOKEN_SINGLE_WORD},
                {"lstrip", TOKEN_LSTRIP},
                {"rstrip", TOKEN_RSTRIP},
                {"normalized", TOKEN_NORMALIZED},
                {"special", TOKEN_SPECIAL}};
    unsigned flags = TOKEN_ADDED;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (qins_json_get_bool_or(item, keys[i].key, false, QINS_BAD_MODEL, error)) flags |= keys[i].flag;
    return (uint8_t)flags;
}

qins_status hf_vocabulary_lay_out(const hf_vocabulary *vocabulary, size_t n_rows, size_t *n_left_out,
                                  qins_tokenizer *tokenizer, qins_error *error) {
    const size_t limit = n_rows > vocabulary->n_model_ids ? n_rows : vocabulary->n_model_ids;
    const size_t n_ids = vocabulary->n_ids < limit ? vocabulary->n_ids : limit;
    uint32_t *sizes = qins_alloc(n_ids, sizeof *sizes, "sizes of tokens", error);
    if (sizes == NULL) return error->status;
    for (size_t id = 0; id < n_ids; id++) {
        size_t size = vocabulary->texts[id] == NULL ? 0 : strlen(vocabulary->texts[id]);
        sizes[id] = size > UINT32_MAX ? UINT32_MAX : (uint32_t)size; // too long either way
    }
    tokenizer_allocate_pieces(tokenizer, sizes, n_ids, error);
    for (size_t id = 0; id < n_ids && error->status == QINS_OK; id++) {
        if (sizes[id] > 0)
            memcpy(tokenizer->piece_bytes + tokenizer->piece_starts[id], vocabulary->texts[id], sizes[id]);
        tokenizer->token_flags[id] = vocabulary->flags[id];
    }
    free(sizes);
    *n_left_out = vocabulary->n_ids - n_ids;
    return error->status;
}
