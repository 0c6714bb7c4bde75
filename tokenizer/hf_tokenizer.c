// Hugging Face's tokenizer.json -> qins_tokenizer: the BPE model and the added tokens. The file is understood in full
// or refused: a member that has a value that would change ids is an error that names it, and so is one that is not
// known, but for those that Hugging Face ignores.
#include "tokenizer/hf_internal.h"

#include <stdio.h>
#include <string.h>

typedef struct hf_file {
    qins_json *root;
    const qins_json *model;
    qins_tokenizer_cut *cut;
    hf_ignored ignored;
} hf_file;

// --- vocabulary ---

static qins_status read_vocab(const qins_json *vocab, hf_vocabulary *vocabulary, qins_error *error) {
    if (!qins_json_is_object(vocab)) return hf_refuse(vocab, "model.vocab", "it must be an object", error);
    for (const qins_json *item = qins_json_first(vocab); item != NULL; item = qins_json_next(item)) {
        const char *text = qins_json_key(item);
        int64_t id;
        if (text[0] == '\0') return hf_refuse(item, "model.vocab \"\"", "empty tokens are not supported", error);
        if (!qins_json_integer(item, &id) || id < 0 || id >= (int64_t)TOKENIZER_MAX_IDS)
            return qins_fail(error, QINS_BAD_MODEL, "\"model.vocab\": the id of \"%.80s\" is not an integer in 0..%zu",
                             text, TOKENIZER_MAX_IDS - 1);
        if (hf_vocabulary_put(vocabulary, (size_t)id, text, error) != QINS_OK)
            return qins_error_context(error, "\"model.vocab\"");
    }
    return QINS_OK;
}

static qins_status read_added_token(const qins_json *item, hf_vocabulary *vocabulary, hf_ignored *ignored,
                                    qins_error *error) {
    static const char *const members[] = {"id",     "content",    "single_word", "lstrip",
                                          "rstrip", "normalized", "special",     NULL};
    hf_count_unknown(item, "added_tokens item", members, ignored, error);
    int64_t id = qins_json_get_integer(item, "id", 0, (int64_t)TOKENIZER_MAX_IDS - 1, QINS_BAD_MODEL, error);
    const char *content = qins_json_get_string(item, "content", QINS_BAD_MODEL, error);
    const uint8_t flags = hf_read_flags(item, error);
    if (content[0] == '\0') hf_refuse(item, "added_tokens", "its content is empty", error);
    if (error->status != QINS_OK) return qins_error_context(error, "added token \"%.80s\"", content);
    int32_t given;
    if (hf_vocabulary_add(vocabulary, content, flags, &given, error) == QINS_OK && given != id)
        qins_fail(error, QINS_BAD_MODEL,
                  "\"added_tokens\": \"%.80s\" has the id %lld, but Hugging Face would give it %d", content,
                  (long long)id, (int)given);
    return error->status;
}

static qins_status read_added(const qins_json *list, hf_vocabulary *vocabulary, hf_ignored *ignored,
                              qins_error *error) {
    if (list == NULL) return QINS_OK;
    if (!qins_json_is_array(list)) return hf_refuse(list, "added_tokens", "it must be a list", error);
    hf_vocabulary_begin(vocabulary);
    for (const qins_json *item = qins_json_first(list); item != NULL; item = qins_json_next(item))
        if (read_added_token(item, vocabulary, ignored, error) != QINS_OK) return error->status;
    return QINS_OK;
}

static qins_status read_tokens(hf_file *file, qins_tokenizer *tokenizer, qins_error *error) {
    const qins_json *vocab = qins_json_get(file->model, "vocab"), *added = qins_json_get(file->root, "added_tokens");
    qins_tokenizer_cut *cut = file->cut;
    const size_t n_texts = qins_json_count(vocab) + qins_json_count(added) + hf_config_tokens_count(cut->config);
    const size_t n_rows = cut->n_rows > 0 ? cut->n_rows : SIZE_MAX;
    hf_vocabulary vocabulary;
    if (hf_vocabulary_create(&vocabulary, tokenizer, n_texts, error) == QINS_OK &&
        read_vocab(vocab, &vocabulary, error) == QINS_OK &&
        read_added(added, &vocabulary, &file->ignored, error) == QINS_OK &&
        (cut->config == NULL || hf_add_config_tokens(cut->config, &vocabulary, cut->config_notice,
                                                     sizeof cut->config_notice, error) == QINS_OK))
        hf_vocabulary_lay_out(&vocabulary, n_rows, &cut->n_added, tokenizer, error);
    hf_vocabulary_free(&vocabulary);
    return error->status;
}

// --- the whole ---

static void check_affix(const qins_json *model, const char *key, const char *field, qins_error *error) {
    const char *text = qins_json_text(qins_json_get(model, key)); // "" adds nothing and so means the same as null
    if (text == NULL || text[0] != '\0') hf_check_null(model, key, field, error);
}

static void check_dropout(const qins_json *model, qins_error *error) {
    double value;
    if (!qins_json_number(qins_json_get(model, "dropout"), &value) || value != 0)
        hf_check_null(model, "dropout", "model.dropout", error);
}

// Where model.type is left out, Hugging Face tries BPE first.
static qins_status check_model(const qins_json *model, hf_ignored *ignored, qins_error *error) {
    static const char *const members[] = {"type",
                                          "dropout",
                                          "unk_token",
                                          "continuing_subword_prefix",
                                          "end_of_word_suffix",
                                          "fuse_unk",
                                          "byte_fallback",
                                          "ignore_merges",
                                          "vocab",
                                          "merges",
                                          NULL};
    if (hf_count_unknown(model, "model", members, ignored, error) != QINS_OK) return error->status;
    if (qins_json_has(model, "type")) hf_check_text(model, "type", "BPE", "model.type", error);
    check_dropout(model, error);
    check_affix(model, "continuing_subword_prefix", "model.continuing_subword_prefix", error);
    check_affix(model, "end_of_word_suffix", "model.end_of_word_suffix", error);
    return error->status;
}

static bool has_piece_of_byte(const qins_tokenizer *tokenizer, int byte) {
    char piece[8];
    const int size = snprintf(piece, sizeof piece, "<0x%02X>", byte);
    return tokenizer_find_piece(tokenizer, piece, (size_t)size) >= 0;
}

static bool has_piece_of_character(const qins_tokenizer *tokenizer, uint32_t code_point) {
    const char piece[2] = {(char)(0xC0 | code_point >> 6), (char)(0x80 | (code_point & 0x3F))},
               ascii = (char)code_point;
    return tokenizer_find_piece(tokenizer, code_point < 0x80 ? &ascii : piece, code_point < 0x80 ? 1 : 2) >= 0;
}

// Is every text made of known characters, as bytes have pieces, or the characters that stand for them?
static bool knows_all(const qins_tokenizer *tokenizer) {
    const pipeline *steps = &tokenizer->pre_tokenizer;
    bool knows = tokenizer->byte_fallback;
    for (int byte = 0; byte < 256 && knows; byte++) knows = has_piece_of_byte(tokenizer, byte);
    if (knows || steps->n_steps == 0 || steps->steps[steps->n_steps - 1].kind != STEP_BYTES) return knows;
    knows = true;
    for (uint32_t code_point = 0; code_point < 0x144 && knows; code_point++)
        knows = pipeline_byte_of(code_point) < 0 || has_piece_of_character(tokenizer, code_point);
    return knows;
}

// Without the unknown token, Hugging Face fails at the first unknown character.
static qins_status read_unknown(const qins_json *model, qins_tokenizer *tokenizer, qins_error *error) {
    const qins_json *item = qins_json_get(model, "unk_token");
    if (item == NULL) return error->status;
    const char *text = qins_json_get_string(model, "unk_token", QINS_BAD_MODEL, error);
    tokenizer->unk_id = tokenizer_find_piece(tokenizer, text, strlen(text));
    if (tokenizer->unk_id < 0 && !knows_all(tokenizer))
        return hf_refuse(item, "model.unk_token", "it must be in model.vocab, as characters can be unknown", error);
    return error->status;
}

static qins_status read_options(const qins_json *model, qins_tokenizer *tokenizer, qins_error *error) {
    tokenizer->fuse_unk = qins_json_get_bool_or(model, "fuse_unk", false, QINS_BAD_MODEL, error);
    tokenizer->byte_fallback = qins_json_get_bool_or(model, "byte_fallback", false, QINS_BAD_MODEL, error);
    tokenizer->ignore_merges = qins_json_get_bool_or(model, "ignore_merges", false, QINS_BAD_MODEL, error);
    return read_unknown(model, tokenizer, error);
}

// Where Hugging Face does so: a second model.type, for example, is too much for it.
static qins_status keep_last_members(qins_json *root, qins_error *error) {
    qins_json_keep_last(root, error);
    qins_json_keep_last_in_all(qins_json_edit(root, "normalizer"), error);
    qins_json_keep_last_in_all(qins_json_edit(root, "pre_tokenizer"), error);
    qins_json_keep_last_in_all(qins_json_edit(root, "decoder"), error);
    qins_json *model = qins_json_edit(root, "model");
    size_t n_types = 0;
    for (const qins_json *item = qins_json_first(model); item != NULL; item = qins_json_next(item))
        n_types += strcmp(qins_json_key(item), "type") == 0;
    if (n_types > 1) qins_fail(error, QINS_BAD_MODEL, "\"model\" has two members \"type\"");
    if (error->status == QINS_OK && qins_json_keep_last(model, error) == QINS_OK)
        qins_json_keep_last(qins_json_edit(model, "vocab"), error);
    return error->status;
}

static qins_status read_file(hf_file *file, qins_tokenizer *tokenizer, qins_error *error) {
    static const char *const members[] = {"version",       "truncation",     "padding", "added_tokens", "normalizer",
                                          "pre_tokenizer", "post_processor", "decoder", "model",        NULL};
    const qins_json *root = file->root, *model;
    if (keep_last_members(file->root, error) != QINS_OK) return error->status;
    file->model = model = qins_json_get(root, "model");
    hf_check_kind(root, error);
    hf_check_members(root, "tokenizer.json", members, error);
    if (qins_json_get(root, "version") != NULL) hf_check_text(root, "version", "1.0", "version", error);
    if (check_model(model, &file->ignored, error) != QINS_OK || hf_read_pipeline(root, tokenizer, error) != QINS_OK)
        return error->status;
    if (read_tokens(file, tokenizer, error) != QINS_OK) return error->status;
    if (tokenizer_index_pieces(tokenizer, error) != QINS_OK) return error->status;
    if (read_options(model, tokenizer, error) != QINS_OK) return error->status;
    if (hf_read_merges(qins_json_get(model, "merges"), tokenizer, error) != QINS_OK) return error->status;
    if (hf_read_post_processor(root, tokenizer, error) != QINS_OK) return error->status;
    return tokenizer_index(tokenizer, error);
}

// --- notices ---

// Settings of the calls by which a tokenizer was last used before it was saved. Hugging Face sets them anew in each
// call.
static const char *leftovers(const qins_json *root) {
    const bool truncation = qins_json_get(root, "truncation") != NULL, padding = qins_json_get(root, "padding") != NULL;
    if (truncation && padding) return "its settings for truncation and padding are ignored: texts are encoded whole";
    if (truncation) return "its setting for truncation is ignored: texts are encoded whole";
    return padding ? "its setting for padding is ignored: texts are encoded as they are" : "";
}

static void write_notice(const hf_file *file) {
    char *notice = file->cut->notice;
    const size_t capacity = sizeof file->cut->notice;
    const hf_ignored *ignored = &file->ignored;
    const size_t used = (size_t)snprintf(notice, capacity, "%s", leftovers(file->root));
    if (ignored->count > 0)
        snprintf(notice + used, capacity - used,
                 "%sunknown members are ignored, as in Hugging Face: "
                 "\"%.80s\" in \"%s\"%s",
                 used > 0 ? "; " : "", ignored->key, ignored->field, ignored->count > 1 ? " and others" : "");
}

qins_tokenizer *qins_tokenizer_from_hf(const char *json, size_t size, qins_tokenizer_cut *cut, qins_error *error) {
    qins_tokenizer_cut none = {0};
    if (cut == NULL) cut = &none;
    *cut = (qins_tokenizer_cut){.n_rows = cut->n_rows, .config = cut->config};
    if (error->status != QINS_OK) return NULL;
    qins_json *root = qins_json_parse(json, size, QINS_BAD_MODEL, error);
    if (root == NULL) return NULL;
    qins_tokenizer *tokenizer = tokenizer_create(error);
    hf_file file = {.root = root, .cut = cut};
    if (tokenizer != NULL && read_file(&file, tokenizer, error) != QINS_OK) {
        qins_tokenizer_free(tokenizer);
        tokenizer = NULL;
    }
    if (tokenizer != NULL) write_notice(&file);
    qins_json_free(root);
    return tokenizer;
}
