// Shared by the files that read tokenizer.json: checks on JSON members whose messages name the field and its value.
#ifndef QINS_HF_INTERNAL_H
#define QINS_HF_INTERNAL_H

#include "engine/base/json.h"
#include "tokenizer/split.h"
#include "tokenizer/tokenizer_internal.h"

// hf_check.c
// Fail with "FIELD is VALUE; WHY".
qins_status hf_refuse(const qins_json *item, const char *field, const char *why, qins_error *error);
// Every member of the object must be one of these (ended by NULL) and appear once: unknown members are not ignored.
qins_status hf_check_members(const qins_json *object, const char *field, const char *const *known, qins_error *error);
// Members that are not known, where Hugging Face ignores them.
typedef struct hf_ignored {
    const char *field, *key; // the first of them
    size_t count;
} hf_ignored;
// As hf_check_members, but members that are not known are only counted.
qins_status hf_count_unknown(const qins_json *object, const char *field, const char *const *known, hf_ignored *ignored,
                             qins_error *error);
// The member must be absent or null / exactly this string / exactly this integer.
void hf_check_null(const qins_json *object, const char *key, const char *field, qins_error *error);
void hf_check_text(const qins_json *object, const char *key, const char *value, const char *field, qins_error *error);
void hf_check_integer(const qins_json *object, const char *key, int64_t value, const char *field, qins_error *error);

// hf_kind.c
// A kind of tokenizer that is not implemented is refused with an explanation.
qins_status hf_check_kind(const qins_json *root, qins_error *error);

// hf_vocabulary.c
// The tokens of a tokenizer.json, collected before the tokenizer can be laid out. Texts are owned by JSON documents.
typedef struct hf_vocabulary {
    const char **texts; // [n_ids], NULL: no token
    uint8_t *flags;     // [n_ids] TOKEN_*
    size_t n_ids, text_capacity, flag_capacity;
    uint32_t *slots; // ids + 1 by text, as those of qins_tokenizer
    size_t mask;
    const qins_hash_key *hash_key;
    bool has_normalizer;
    size_t n_model, n_model_ids; // tokens of model.vocab; their largest id + 1
    int64_t max_added;           // the largest id of an added token, -1: there is none
    size_t next_id;              // of a token that is new
} hf_vocabulary;
// Room for n_texts different texts, for a tokenizer whose normalizer has been read. Release also after a failure.
qins_status hf_vocabulary_create(hf_vocabulary *vocabulary, const qins_tokenizer *tokenizer, size_t n_texts,
                                 qins_error *error);
void hf_vocabulary_free(hf_vocabulary *vocabulary);
int32_t hf_vocabulary_find(const hf_vocabulary *vocabulary, const char *text); // its id, -1: there is no such token
// A token of model.vocab, whose text is new. All of them come before those that are added.
qins_status hf_vocabulary_put(hf_vocabulary *vocabulary, size_t id, const char *text, qins_error *error);
// A list of added tokens begins: Hugging Face gives those that are new the ids after all others.
void hf_vocabulary_begin(hf_vocabulary *vocabulary);
// Add a token as Hugging Face does. *id: the one that it has, or gets.
qins_status hf_vocabulary_add(hf_vocabulary *vocabulary, const char *text, uint8_t flags, int32_t *id,
                              qins_error *error);
// The flags that an added token's object has, TOKEN_ADDED among them; those that it lacks are false.
uint8_t hf_read_flags(const qins_json *item, qins_error *error);
// The pieces of the tokenizer. Added tokens from n_rows on are left out.
qins_status hf_vocabulary_lay_out(const hf_vocabulary *vocabulary, size_t n_rows, size_t *n_left_out,
                                  qins_tokenizer *tokenizer, qins_error *error);

// hf_config_tokens.c
// Add the tokens of a tokenizer_config.json. notice[capacity]: a clause that names those that differ from
// tokenizer.json, "" if none does.
qins_status hf_add_config_tokens(const qins_json *config, hf_vocabulary *vocabulary, char *notice, size_t capacity,
                                 qins_error *error);
size_t hf_config_tokens_count(const qins_json *config); // at least as many as it has

// hf_merges.c
// The merges of a tokenizer whose pieces are indexed.
qins_status hf_read_merges(const qins_json *list, qins_tokenizer *tokenizer, qins_error *error);

// hf_pipeline.c
// normalizer, pre_tokenizer and decoder, converted to equivalent steps.
qins_status hf_read_pipeline(const qins_json *root, qins_tokenizer *tokenizer, qins_error *error);

// hf_pre_tokenizer.c
// One pre-tokenizer other than a sequence.
void hf_read_pre_tokenizer(const qins_json *item, pipeline *steps, qins_error *error);
// The members of a Metaspace: the character that replaces spaces ("" on failure), and when it is prepended (a
// prepend_when, 0: never).
const char *hf_read_metaspace(const qins_json *item, const char *field, uint8_t *when, qins_error *error);
// A step at the end of the list. The texts may be NULL.
void hf_add_step(pipeline *steps, step_kind kind, unsigned option, const char *from, const char *to, qins_error *error);

// The regular expression that a rule executes; NULL for those of digits.
const char *hf_split_regex(split_rule rule);

// hf_write_pipeline.c
// normalizer, pre_tokenizer and decoder that are read as these steps.
void hf_write_pipeline(qins_json *root, const qins_tokenizer *tokenizer, qins_error *error);

// hf_post_processor.c
// The ids that the post-processor puts around a text.
qins_status hf_read_post_processor(const qins_json *root, qins_tokenizer *tokenizer, qins_error *error);

#endif
