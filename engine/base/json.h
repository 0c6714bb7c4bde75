// All JSON goes through here (cJSON inside). Getters take the object, a key and a range, always return a usable value,
// and record the first problem in the error, so a reader of many fields needs to check only once, at its end. `bad` is
// the status of an error that lies in the document: QINS_BAD_MODEL for a part of a model, QINS_USAGE for what a user
// wrote.
#ifndef QINS_BASE_JSON_H
#define QINS_BASE_JSON_H

#include "engine/base/buffer.h"

#include <stddef.h>
#include <stdint.h>

// cJSON's own type: values are read with the getters below and walked with qins_json_each.
typedef struct cJSON qins_json;

// Parse a whole document of `size` bytes (nothing but white space may follow) with no more than QINS_JSON_MAX_VALUES
// values and no U+0000. NULL and an error with the byte offset otherwise. Release with qins_json_free.
enum { QINS_JSON_MAX_VALUES = 1 << 21 }; // a tokenizer.json of 262,144 tokens has about 2 million
qins_json *qins_json_parse(const char *text, size_t size, qins_status bad, qins_error *error);
// As above with another bound on the number of values, each of which takes about 100 bytes of memory.
qins_json *qins_json_parse_limited(const char *text, size_t size, size_t max_values, qins_status bad,
                                   qins_error *error);
// As above, for a text that Python writes or reads: NaN, Infinity and -Infinity are accepted (as strings, so no getter
// takes them for numbers), and of several members with the same name the last one is kept.
qins_json *qins_json_parse_python(const char *text, size_t size, size_t max_values, qins_status bad, qins_error *error);
void qins_json_free(qins_json *json);

// Member of an object, NULL when absent or JSON null (or when `object` is NULL or not an object).
const qins_json *qins_json_get(const qins_json *object, const char *key);
bool qins_json_has(const qins_json *object, const char *key);  // also a null
qins_json *qins_json_edit(qins_json *object, const char *key); // as qins_json_get, for changes
// Of several members with the same name the last one stays: of an object, or of all objects in a value.
qins_status qins_json_keep_last(qins_json *object, qins_error *error);
qins_status qins_json_keep_last_in_all(qins_json *value, qins_error *error);
// First child of an array or object and the next sibling, NULL at the end.
const qins_json *qins_json_first(const qins_json *container);
const qins_json *qins_json_next(const qins_json *item);
size_t qins_json_count(const qins_json *container);

bool qins_json_is_null(const qins_json *item);
bool qins_json_is_object(const qins_json *item);
bool qins_json_is_false(const qins_json *item); // the value false
bool qins_json_is_array(const qins_json *item);
const char *qins_json_key(const qins_json *member); // name of an object's member, "" for an array's item
const char *qins_json_text(const qins_json *item);  // NULL when the item is not a string

// No object in the document may have two members with the same name, because readers differ on which of them counts.
qins_status qins_json_check_unique(const qins_json *json, qins_status bad, qins_error *error);

// The item's own value; false when the type is wrong (for _integer: also when it is not an integer of magnitude <=
// 2^53).
bool qins_json_integer(const qins_json *item, int64_t *value);
bool qins_json_number(const qins_json *item, double *value);

// Member getters. The plain form requires the member; the _or form takes a default for an absent or null one.
int64_t qins_json_get_integer(const qins_json *object, const char *key, int64_t min, int64_t max, qins_status bad,
                              qins_error *error);
int64_t qins_json_get_integer_or(const qins_json *object, const char *key, int64_t min, int64_t max, int64_t fallback,
                                 qins_status bad, qins_error *error);
double qins_json_get_number_or(const qins_json *object, const char *key, double min, double max, double fallback,
                               qins_status bad, qins_error *error);
bool qins_json_get_bool_or(const qins_json *object, const char *key, bool fallback, qins_status bad, qins_error *error);
double qins_json_get_number(const qins_json *object, const char *key, double min, double max, qins_status bad,
                            qins_error *error);
bool qins_json_get_bool(const qins_json *object, const char *key, qins_status bad, qins_error *error);
// The string is owned by the document; "" on failure.
const char *qins_json_get_string(const qins_json *object, const char *key, qins_status bad, qins_error *error);

// Building. Every function tolerates NULL parents, so a builder needs to check its root and the error only once, at the
// end.
qins_json *qins_json_new_object(qins_error *error);
qins_json *qins_json_add_object(qins_json *object, const char *key, qins_error *error);
qins_json *qins_json_add_array(qins_json *object, const char *key, qins_error *error);
void qins_json_add_string(qins_json *object, const char *key, const char *value, qins_error *error);
// Text of `size` bytes; NULs and bytes that are not UTF-8, which strings cannot hold, become U+FFFD.
void qins_json_add_text(qins_json *object, const char *key, const char *text, size_t size, qins_error *error);
void qins_json_add_number(qins_json *object, const char *key, double value, qins_error *error);
void qins_json_add_bool(qins_json *object, const char *key, bool value, qins_error *error);
void qins_json_add_null(qins_json *object, const char *key, qins_error *error);
void qins_json_add_raw(qins_json *object, const char *key, const char *json, qins_error *error); // JSON text
void qins_json_append_number(qins_json *array, double value, qins_error *error);
void qins_json_append_string(qins_json *array, const char *value, qins_error *error);
qins_json *qins_json_append_object(qins_json *array, qins_error *error);
qins_json *qins_json_append_array(qins_json *array, qins_error *error);

// Compact text, NUL-terminated, released with free(). Numbers are printed with 15 digits if those read back exactly,
// otherwise 17; non-finite numbers as null. NULL and an error when out of memory; NULL after an earlier error.
char *qins_json_print(const qins_json *json, qins_error *error);
// The same text, appended to a buffer; nothing after an earlier error of the buffer.
void qins_json_write(const qins_json *json, qins_buffer *out);

#endif
