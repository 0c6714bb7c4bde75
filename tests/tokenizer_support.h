// Shared by the tokenizer's tests: loading tokenizers, reading lines of JSON with texts that may hold U+0000, hex.
#ifndef QINS_TESTS_TOKENIZER_SUPPORT_H
#define QINS_TESTS_TOKENIZER_SUPPORT_H

#include "engine/base/json.h"
#include "tokenizer/tokenizer.h"

// Contents of a file, NUL-terminated; the test fails if it cannot be read.
char *support_read(const char *path, size_t *size);

// Path inside the folder QINS_TEST_DATA; the test is skipped when that is not set. Valid until the next call.
const char *support_data_path(const char *name);

// The names of all kinds, NULL-terminated.
extern const char *const support_kinds[];

// tests/data/tokenizer_NAME.json, or a tokenizer.json at a path; the test fails if it is refused.
qins_tokenizer *support_tokenizer(const char *name);
qins_tokenizer *support_tokenizer_at(const char *path);

// Call `check` with every line of a file of JSON lines; returns their number.
typedef void support_line_check(const qins_json *line, size_t number, void *context);
size_t support_each_line(const char *path, support_line_check *check, void *context);

// The text of a member, U+0000 included; released with free().
char *support_text(const qins_json *line, const char *key, size_t *size);
// The bytes of a member in hex; released with free().
char *support_hex(const qins_json *line, const char *key, size_t *size);
void support_ids(const qins_json *list, qins_ids *ids);

// The test fails unless both lists hold the same ids.
void support_equal_ids(const qins_ids *got, const qins_ids *expected, const char *what, size_t number);
void support_equal_text(const char *got, size_t got_size, const char *expected, size_t size, const char *what,
                        size_t number);

#endif
