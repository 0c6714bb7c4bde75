// qins_tokenizer -> Hugging Face's tokenizer.json: the counterpart of hf_tokenizer.c.
#include "engine/base/memory.h"
#include "tokenizer/hf_internal.h"

#include <stdlib.h>
#include <string.h>

struct writer {
    const qins_tokenizer *tokenizer;
    qins_error *error;
    char *text; // owned, [TOKENIZER_MAX_PIECE + 1]: a piece, as a C string
};

static const char *piece(const struct writer *writer, size_t id) {
    size_t size;
    const char *text = tokenizer_piece_text(writer->tokenizer, id, &size);
    memcpy(writer->text, text, size);
    writer->text[size] = '\0';
    return writer->text;
}

// In the order of ids, so that tokens outside the vocabulary get the same ids in Hugging Face.
static void write_added(const struct writer *writer, qins_json *root) {
    static const struct {
        const char *key;
        unsigned flag;
    } flags[] = {{"single_word", TOKEN_SINGLE_WORD},
                 {"lstrip", TOKEN_LSTRIP},
                 {"rstrip", TOKEN_RSTRIP},
                 {"normalized", TOKEN_NORMALIZED},
                 {"special", TOKEN_SPECIAL}};
    qins_json *list = qins_json_add_array(root, "added_tokens", writer->error);
    for (size_t id = 0; id < writer->tokenizer->n_ids; id++) {
        const unsigned has = writer->tokenizer->token_flags[id];
        if (!(has & TOKEN_ADDED)) continue;
        qins_json *item = qins_json_append_object(list, writer->error);
        qins_json_add_number(item, "id", (double)id, writer->error);
        qins_json_add_string(item, "content", piece(writer, id), writer->error);
        for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
            qins_json_add_bool(item, flags[i].key, (has & flags[i].flag) != 0, writer->error);
    }
}

// --- post-processor ---

static void append_special(const struct writer *writer, qins_json *list, const qins_ids *ids) {
    for (size_t i = 0; i < ids->count; i++) {
        qins_json *item =
            qins_json_add_object(qins_json_append_object(list, writer->error), "SpecialToken", writer->error);
        qins_json_add_string(item, "id", piece(writer, (size_t)ids->data[i]), writer->error);
        qins_json_add_number(item, "type_id", 0, writer->error);
    }
}

static void append_sequence(const struct writer *writer, qins_json *list, const char *id, int type) {
    qins_json *item = qins_json_add_object(qins_json_append_object(list, writer->error), "Sequence", writer->error);
    qins_json_add_string(item, "id", id, writer->error);
    qins_json_add_number(item, "type_id", type, writer->error);
}

static void describe_special(const struct writer *writer, qins_json *tokens, const qins_ids *ids) {
    for (size_t i = 0; i < ids->count; i++) {
        const char *text = piece(writer, (size_t)ids->data[i]);
        if (qins_json_has(tokens, text)) continue;
        qins_json *item = qins_json_add_object(tokens, text, writer->error);
        qins_json_add_string(item, "id", text, writer->error);
        qins_json_append_number(qins_json_add_array(item, "ids", writer->error), ids->data[i], writer->error);
        qins_json_append_string(qins_json_add_array(item, "tokens", writer->error), text, writer->error);
    }
}

// In a pair of texts, the ids surround each of the two.
static void write_post_processor(const struct writer *writer, qins_json *root) {
    const qins_ids *prefix = &writer->tokenizer->prefix, *suffix = &writer->tokenizer->suffix;
    if (prefix->count + suffix->count == 0) {
        qins_json_add_null(root, "post_processor", writer->error);
        return;
    }
    qins_json *item = qins_json_add_object(root, "post_processor", writer->error);
    qins_json_add_string(item, "type", "TemplateProcessing", writer->error);
    qins_json *single = qins_json_add_array(item, "single", writer->error);
    qins_json *pair = qins_json_add_array(item, "pair", writer->error);
    append_special(writer, single, prefix);
    append_sequence(writer, single, "A", 0);
    append_special(writer, single, suffix);
    for (int type = 0; type < 2; type++) {
        append_special(writer, pair, prefix);
        append_sequence(writer, pair, type == 0 ? "A" : "B", type);
        append_special(writer, pair, suffix);
    }
    qins_json *tokens = qins_json_add_object(item, "special_tokens", writer->error);
    describe_special(writer, tokens, prefix);
    describe_special(writer, tokens, suffix);
}

// --- model ---

static void write_vocab(const struct writer *writer, qins_json *model) {
    const qins_tokenizer *tokenizer = writer->tokenizer;
    qins_json *vocab = qins_json_add_object(model, "vocab", writer->error);
    for (size_t id = 0; id < tokenizer->n_ids && writer->error->status == QINS_OK; id++)
        if (tokenizer->token_flags[id] & TOKEN_IN_MODEL)
            qins_json_add_number(vocab, piece(writer, id), (double)id, writer->error);
}

static void write_merges(const struct writer *writer, qins_json *model) {
    const qins_tokenizer *tokenizer = writer->tokenizer;
    qins_json *merges = qins_json_add_array(model, "merges", writer->error);
    for (size_t rank = 0; rank < tokenizer->n_merges && writer->error->status == QINS_OK; rank++) {
        qins_json *pair = qins_json_append_array(merges, writer->error);
        qins_json_append_string(pair, piece(writer, tokenizer->merges[rank].left), writer->error);
        qins_json_append_string(pair, piece(writer, tokenizer->merges[rank].right), writer->error);
    }
}

static void write_model(const struct writer *writer, qins_json *root) {
    const qins_tokenizer *tokenizer = writer->tokenizer;
    qins_json *model = qins_json_add_object(root, "model", writer->error);
    qins_json_add_string(model, "type", "BPE", writer->error);
    qins_json_add_null(model, "dropout", writer->error);
    if (tokenizer->unk_id < 0)
        qins_json_add_null(model, "unk_token", writer->error);
    else
        qins_json_add_string(model, "unk_token", piece(writer, (size_t)tokenizer->unk_id), writer->error);
    qins_json_add_null(model, "continuing_subword_prefix", writer->error);
    qins_json_add_null(model, "end_of_word_suffix", writer->error);
    qins_json_add_bool(model, "fuse_unk", tokenizer->fuse_unk, writer->error);
    qins_json_add_bool(model, "byte_fallback", tokenizer->byte_fallback, writer->error);
    qins_json_add_bool(model, "ignore_merges", tokenizer->ignore_merges, writer->error);
    write_vocab(writer, model);
    write_merges(writer, model);
}

// --- the whole ---

static void write_root(const struct writer *writer, qins_json *root) {
    qins_json_add_string(root, "version", "1.0", writer->error);
    qins_json_add_null(root, "truncation", writer->error);
    qins_json_add_null(root, "padding", writer->error);
    write_added(writer, root);
    hf_write_pipeline(root, writer->tokenizer, writer->error);
    write_post_processor(writer, root);
    write_model(writer, root);
}

qins_status qins_tokenizer_to_hf(const qins_tokenizer *tokenizer, char **json, qins_error *error) {
    *json = NULL;
    if (error->status != QINS_OK) return error->status;
    if (memchr(tokenizer->piece_bytes, '\0', tokenizer->piece_starts[tokenizer->n_ids]) != NULL)
        return qins_fail(error, QINS_BAD_MODEL, "a token's text has a U+0000, which tokenizer.json cannot have");
    struct writer writer = {tokenizer, error, qins_alloc(TOKENIZER_MAX_PIECE + 1, 1, "text of a token", error)};
    qins_json *root = writer.text != NULL ? qins_json_new_object(error) : NULL;
    if (root != NULL) write_root(&writer, root);
    *json = qins_json_print(root, error);
    qins_json_free(root);
    free(writer.text);
    return error->status;
}
