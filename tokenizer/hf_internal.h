// What the files that read tokenizer.json share: checks on JSON members whose messages name the field and its value.
#ifndef QINS_HF_INTERNAL_H
#define QINS_HF_INTERNAL_H

#include "engine/base/json.h"
#include "tokenizer/tokenizer_internal.h"

// hf_check.c
// Fail with "FIELD is VALUE; WHY".
qins_status hf_refuse(const qins_json *item, const char *field, const char *why, qins_error *error);
// Every member of the object must be one of these (ended by NULL) and appear once: what is not known is not ignored.
qins_status hf_check_members(const qins_json *object, const char *field, const char *const *known, qins_error *error);
// The member must be absent or null / absent, null or false / exactly this string / exactly this integer.
void hf_check_null(const qins_json *object, const char *key, const char *field, qins_error *error);
void hf_check_false(const qins_json *object, const char *key, const char *field, qins_error *error);
void hf_check_text(const qins_json *object, const char *key, const char *value, const char *field, qins_error *error);
void hf_check_integer(const qins_json *object, const char *key, int64_t value, const char *field, qins_error *error);

// hf_kind.c
// Another kind of tokenizer than the one that is implemented is refused in words.
qins_status hf_check_kind(const qins_json *root, qins_error *error);

// hf_pipeline.c
// normalizer, pre_tokenizer and decoder must be the ones that the tokenizer implements.
qins_status hf_check_pipeline(const qins_json *root, qins_error *error);
// What the post-processor puts around a text.
qins_status hf_read_post_processor(const qins_json *root, qins_tokenizer *tokenizer, qins_error *error);

#endif
