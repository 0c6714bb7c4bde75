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
// The member must be absent or null / exactly this string / exactly this integer.
void hf_check_null(const qins_json *object, const char *key, const char *field, qins_error *error);
void hf_check_text(const qins_json *object, const char *key, const char *value, const char *field, qins_error *error);
void hf_check_integer(const qins_json *object, const char *key, int64_t value, const char *field, qins_error *error);

// hf_kind.c
// A kind of tokenizer that is not implemented is refused with an explanation.
qins_status hf_check_kind(const qins_json *root, qins_error *error);

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
