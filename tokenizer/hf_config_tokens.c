// Tokens of tokenizer_config.json, added to those of tokenizer.json as AutoTokenizer does it for Phi-3. Follows
// transformers 5: tokenization_utils_base.py (_from_pretrained) and tokenization_utils_tokenizers.py
// (TokenizersBackend.__init__): first the tokens of added_tokens_decoder in the order of their ids, then the named and
// the extra special tokens that are not there yet. Ids are given anew, because only the texts count.
#include "engine/base/memory.h"
#include "tokenizer/hf_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TOLD = 5 }; // tokens in a notice

typedef struct config_token {
    const char *text;
    uint8_t flags;
    bool is_plain; // without "normalized": it is, unless the token is special
    int64_t id;    // of added_tokens_decoder
    size_t place;  // in the list
} config_token;

typedef struct token_list {
    config_token *tokens; // owned
    size_t count;
} token_list;

typedef struct config_reader {
    const qins_json *config;
    hf_vocabulary *vocabulary;
    token_list decoder;  // added_tokens_decoder
    token_list specials; // [n_named] named ones, then the extra ones
    size_t n_named;
    const char **names; // owned, [n_named] texts of the named ones, sorted
    char *notice;       // [capacity]
    size_t capacity, used, n_told;
    qins_error *error;
} config_reader;

// --- reading ---

// A string is a special token. Other values, which transformers refuses, and empty texts are ignored.
static void read_token(const qins_json *item, int64_t id, token_list *list, qins_error *error) {
    const char *text =
        qins_json_is_object(item) ? qins_json_text(qins_json_get(item, "content")) : qins_json_text(item);
    if (text == NULL || text[0] == '\0') return;
    config_token token = {.text = text, .flags = TOKEN_ADDED | TOKEN_SPECIAL, .id = id, .place = list->count};
    if (qins_json_is_object(item)) {
        token.flags = hf_read_flags(item, error);
        token.is_plain = qins_json_get(item, "normalized") == NULL;
    }
    list->tokens[list->count++] = token;
}

static qins_status read_decoder(config_reader *reader) {
    const qins_json *decoder = qins_json_get(reader->config, "added_tokens_decoder");
    if (decoder == NULL) return reader->error->status;
    if (!qins_json_is_object(decoder))
        return hf_refuse(decoder, "added_tokens_decoder", "it must be an object", reader->error);
    for (const qins_json *item = qins_json_first(decoder); item != NULL; item = qins_json_next(item)) {
        const char *key = qins_json_key(item);
        const size_t n_digits = strspn(key, "0123456789");
        if (n_digits == 0 || n_digits > 9 || key[n_digits] != '\0')
            return qins_fail(reader->error, QINS_BAD_MODEL, "\"added_tokens_decoder\": \"%.80s\" is not an id", key);
        if (!qins_json_is_object(item))
            return hf_refuse(item, "added_tokens_decoder item", "it must be an object", reader->error);
        read_token(item, strtol(key, NULL, 10), &reader->decoder, reader->error);
    }
    return reader->error->status;
}

static const char *const names[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                    "pad_token", "cls_token", "mask_token"};
enum { N_NAMES = sizeof names / sizeof *names };

// Is it the name of a token of this model, such as "image_token"?
static bool is_other_name(const char *key) {
    static const char ending[] = "_token";
    const size_t size = strlen(key);
    if (size < sizeof ending - 1 || strcmp(key + size - (sizeof ending - 1), ending) != 0) return false;
    for (size_t i = 0; i < N_NAMES; i++)
        if (strcmp(key, names[i]) == 0) return false;
    return true;
}

static void read_each(const qins_json *items, token_list *list, qins_error *error) {
    for (const qins_json *item = qins_json_first(items); item != NULL; item = qins_json_next(item))
        read_token(item, -1, list, error);
}

// The named ones: first those that transformers knows, then the model's. Extra ones have names if they are an object;
// their older list counts unless there is a newer one.
static void read_specials(config_reader *reader) {
    const qins_json *config = reader->config;
    const qins_json *extra = qins_json_get(config, "extra_special_tokens"),
                    *older = qins_json_get(config, "additional_special_tokens");
    token_list *list = &reader->specials;
    if (qins_json_is_array(extra) && qins_json_first(extra) != NULL) older = NULL;
    for (size_t i = 0; i < N_NAMES; i++) read_token(qins_json_get(config, names[i]), -1, list, reader->error);
    for (int is_text = 0; is_text < 2; is_text++)
        for (const qins_json *item = qins_json_first(config); item != NULL; item = qins_json_next(item))
            if (is_other_name(qins_json_key(item)) && (qins_json_text(item) != NULL) == (is_text != 0))
                read_token(item, -1, list, reader->error);
    if (qins_json_is_object(extra)) read_each(extra, list, reader->error);
    if (qins_json_is_object(older)) read_each(older, list, reader->error);
    reader->n_named = list->count;
    if (qins_json_is_array(extra)) read_each(extra, list, reader->error);
    if (qins_json_is_array(older)) read_each(older, list, reader->error);
}

static int by_id_and_place(const void *left, const void *right) {
    const config_token *a = left, *b = right;
    if (a->id != b->id) return a->id < b->id ? -1 : 1;
    return (a->place > b->place) - (a->place < b->place);
}

static int by_text(const void *left, const void *right) {
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

// Named tokens are special.
static void complete(const config_reader *reader, token_list *list) {
    for (size_t i = 0; i < list->count; i++) {
        config_token *token = &list->tokens[i];
        if (bsearch(&token->text, reader->names, reader->n_named, sizeof *reader->names, by_text) != NULL)
            token->flags |= TOKEN_SPECIAL;
        if (token->is_plain && !(token->flags & TOKEN_SPECIAL)) token->flags |= TOKEN_NORMALIZED;
    }
}

static qins_status read_all(config_reader *reader) {
    const size_t n_decoder = qins_json_count(qins_json_get(reader->config, "added_tokens_decoder"));
    const size_t n_specials = hf_config_tokens_count(reader->config) - n_decoder;
    reader->decoder.tokens = qins_alloc(n_decoder, sizeof *reader->decoder.tokens, "added tokens", reader->error);
    reader->specials.tokens = qins_alloc(n_specials, sizeof *reader->specials.tokens, "special tokens", reader->error);
    reader->names = qins_alloc(n_specials, sizeof *reader->names, "special tokens", reader->error);
    if (reader->error->status != QINS_OK || read_decoder(reader) != QINS_OK) return reader->error->status;
    read_specials(reader);
    for (size_t i = 0; i < reader->n_named; i++) reader->names[i] = reader->specials.tokens[i].text;
    if (reader->n_named > 0) qsort(reader->names, reader->n_named, sizeof *reader->names, by_text);
    if (reader->decoder.count > 0)
        qsort(reader->decoder.tokens, reader->decoder.count, sizeof *reader->decoder.tokens, by_id_and_place);
    complete(reader, &reader->decoder);
    complete(reader, &reader->specials);
    return reader->error->status;
}

// --- adding ---

static void tell(config_reader *reader, const char *format, ...) QINS_PRINTF(2, 3);
static void tell(config_reader *reader, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    const int n = vsnprintf(reader->notice + reader->used, reader->capacity - reader->used, format, arguments);
    va_end(arguments);
    if (n > 0) reader->used += (size_t)n;
    if (reader->used >= reader->capacity) reader->used = reader->capacity - 1;
}

// A token that is new, has other flags than before, or another id than the configuration says.
static void tell_change(config_reader *reader, const config_token *token, int32_t id, bool is_new) {
    if (reader->n_told == 0) tell(reader, "these tokens take precedence over tokenizer.json, as in Hugging Face: ");
    if (++reader->n_told > MAX_TOLD) return;
    tell(reader, "%s\"%.40s\" (%d%s", reader->n_told > 1 ? ", " : "", token->text, (int)id, is_new ? ", new" : "");
    if (token->id >= 0 && token->id != id) tell(reader, ", not %lld", (long long)token->id);
    tell(reader, ")");
}

static void add(config_reader *reader, const config_token *token) {
    hf_vocabulary *vocabulary = reader->vocabulary;
    int32_t id = hf_vocabulary_find(vocabulary, token->text);
    const bool is_new = id < 0;
    const uint8_t before = is_new ? 0 : vocabulary->flags[id];
    if (hf_vocabulary_add(vocabulary, token->text, token->flags, &id, reader->error) != QINS_OK) return;
    if (vocabulary->flags[id] != before || (token->id >= 0 && token->id != id)) tell_change(reader, token, id, is_new);
}

// Without added_tokens_decoder, the tokens of tokenizer.json stand for it.
static void mark_named(config_reader *reader) {
    for (size_t i = 0; i < reader->n_named; i++) {
        config_token token = reader->specials.tokens[i];
        const int32_t id = hf_vocabulary_find(reader->vocabulary, token.text);
        if (id < 0 || !(reader->vocabulary->flags[id] & TOKEN_ADDED)) continue;
        token.flags = reader->vocabulary->flags[id] | TOKEN_SPECIAL;
        add(reader, &token);
    }
}

static bool is_added(const config_reader *reader, const char *text) {
    const int32_t id = hf_vocabulary_find(reader->vocabulary, text);
    return id >= 0 && (reader->vocabulary->flags[id] & TOKEN_ADDED);
}

static void add_all(config_reader *reader) {
    const token_list *decoder = &reader->decoder;
    token_list *specials = &reader->specials;
    size_t n_new = 0;
    hf_vocabulary_begin(reader->vocabulary);
    if (qins_json_get(reader->config, "added_tokens_decoder") == NULL) mark_named(reader);
    for (size_t i = 0; i < decoder->count && reader->error->status == QINS_OK; i++)
        if (i + 1 == decoder->count || decoder->tokens[i + 1].id != decoder->tokens[i].id)
            add(reader, &decoder->tokens[i]);
    for (size_t i = 0; i < specials->count; i++)
        if (!is_added(reader, specials->tokens[i].text)) specials->tokens[n_new++] = specials->tokens[i];
    for (size_t i = 0; i < n_new && reader->error->status == QINS_OK; i++) add(reader, &specials->tokens[i]);
    if (reader->n_told > MAX_TOLD) tell(reader, " and %zu more", reader->n_told - MAX_TOLD);
}

size_t hf_config_tokens_count(const qins_json *config) {
    return qins_json_count(qins_json_get(config, "added_tokens_decoder")) +
           qins_json_count(qins_json_get(config, "extra_special_tokens")) +
           qins_json_count(qins_json_get(config, "additional_special_tokens")) + qins_json_count(config);
}

qins_status hf_add_config_tokens(const qins_json *config, hf_vocabulary *vocabulary, char *notice, size_t capacity,
                                 qins_error *error) {
    config_reader reader = {
        .config = config, .vocabulary = vocabulary, .notice = notice, .capacity = capacity, .error = error};
    notice[0] = '\0';
    if (read_all(&reader) == QINS_OK) add_all(&reader);
    free(reader.decoder.tokens);
    free(reader.specials.tokens);
    free(reader.names);
    return qins_error_context(error, "tokenizer_config.json");
}
