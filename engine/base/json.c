// The only user of cJSON; see json.h.
#include "engine/base/json.h"

#include "engine/base/buffer.h"
#include "engine/base/memory.h"
#include "engine/base/utf8.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Python's spelling of a number that JSON lacks, if there is one at `offset`; otherwise "".
static const char *no_number(const char *text, size_t size, size_t offset) {
    static const char *const names[] = {"NaN", "Infinity", "-Infinity"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const size_t length = strlen(names[i]);
        if (size - offset >= length && strncmp(text + offset, names[i], length) == 0) return names[i];
    }
    return "";
}

// --- reading ---

static qins_status refuse_nul(size_t at, qins_status bad, qins_error *error) {
    return qins_fail(error, bad, "there is a U+0000 at byte %zu, which texts cannot contain", at);
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

// Numbers as C reads them but JSON does not: 01, 1.
static bool is_lax_number(const char *text, size_t size, size_t at) {
    const bool digit_follows = at + 1 < size && is_digit(text[at + 1]);
    if (text[at] == '.') return !digit_follows;
    if (text[at] != '0' || !digit_follows) return false;
    if (at > 0 && text[at - 1] == '-') at--;
    return at == 0 || (!is_digit(text[at - 1]) && strchr(".eE+", text[at - 1]) == NULL);
}

// Strings are C strings in memory, so a U+0000 would cut one short; and a value takes some 100 bytes there, but as few
// as 2 in a text. Text after the first mistake does not matter here. cJSON takes control characters in strings, and lax
// numbers; Python and JSON do not.
static qins_status check_text(const char *text, size_t size, size_t max_values, qins_status bad, qins_error *error) {
    size_t n_values = 1;
    bool is_string = false;
    for (size_t at = 0; at < size; at++) {
        if (is_string && text[at] == '\0') return refuse_nul(at, bad, error);
        if (is_string && text[at] == '\\') {
            if (size - at >= 6 && memcmp(text + at, "\\u0000", 6) == 0) return refuse_nul(at, bad, error);
            at++; // an escaped character does not begin another escape
        } else if (is_string && (unsigned char)text[at] < ' ') {
            return qins_fail(error, bad, "not valid JSON at byte %zu of %zu: a string has a control character", at,
                             size);
        } else if (text[at] == '"') {
            is_string = !is_string;
        } else if (!is_string) {
            n_values += text[at] == ',' || text[at] == '[' || text[at] == '{';
            if (is_lax_number(text, size, at))
                return qins_fail(error, bad, "not valid JSON at byte %zu of %zu", at, size);
        }
    }
    if (n_values <= max_values) return QINS_OK;
    return qins_fail(error, bad, "JSON with more than %zu values", max_values);
}

static void fail_to_parse(const char *text, size_t size, size_t offset, bool is_out_of_memory, qins_status bad,
                          qins_error *error) {
    const char *name = offset < size ? no_number(text, size, offset) : "";
    if (is_out_of_memory)
        qins_fail(error, QINS_FAILED, "out of memory while reading JSON of %zu bytes", size);
    else
        qins_fail(error, bad, "not valid JSON at byte %zu of %zu%s%s", offset, size,
                  name[0] != '\0' ? ", which has no number " : "", name);
}

// cJSON before 1.7.18 looks at the byte after a text that ends within an object (CVE-2023-53154): it gets one.
static char *terminated(const char *text, size_t size, qins_error *error) {
    char *copy = qins_alloc(size + 1, 1, "JSON", error);
    if (copy != NULL) memcpy(copy, text, size);
    return copy;
}

// *offset: where it ends.
static cJSON *parse(const char *text, size_t size, size_t *offset, qins_status bad, qins_error *error) {
    char *copy = terminated(text, size, error);
    if (copy == NULL) return NULL;
    const char *end = copy;
    errno = 0; // cJSON gives NULL for bad text, and for memory that it did not get: then malloc has left ENOMEM
    cJSON *json = cJSON_ParseWithLengthOpts(copy, size, &end, false);
    const bool is_out_of_memory = json == NULL && errno == ENOMEM;
    *offset = end == NULL ? 0 : (size_t)(end - copy);
    free(copy);
    if (json == NULL) fail_to_parse(text, size, *offset, is_out_of_memory, bad, error);
    return json;
}

qins_json *qins_json_parse_limited(const char *text, size_t size, size_t max_values, qins_status bad,
                                   qins_error *error) {
    if (error->status != QINS_OK || check_text(text, size, max_values, bad, error) != QINS_OK) return NULL;
    size_t offset = 0;
    cJSON *json = parse(text, size, &offset, bad, error);
    if (json == NULL) return NULL;
    while (offset < size && strchr(" \t\r\n", text[offset]) != NULL && text[offset] != '\0') offset++;
    if (offset == size) return json;
    qins_fail(error, bad, "JSON ends at byte %zu, but %zu more bytes follow", offset, size - offset);
    cJSON_Delete(json);
    return NULL;
}

qins_json *qins_json_parse(const char *text, size_t size, qins_status bad, qins_error *error) {
    return qins_json_parse_limited(text, size, QINS_JSON_MAX_VALUES, bad, error);
}

// A copy of the text in which such spellings are quoted, as strings of the same length.
static char *quote_no_numbers(const char *text, size_t size, qins_error *error) {
    char *copy = qins_alloc(size + 1, 1, "JSON", error);
    if (copy == NULL) return NULL;
    memcpy(copy, text, size);
    bool is_string = false;
    for (size_t at = 0; at < size; at++) {
        if (is_string && text[at] == '\\') {
            at++;
        } else if (text[at] == '"') {
            is_string = !is_string;
        } else if (!is_string) {
            const size_t length = strlen(no_number(text, size, at));
            if (length == 0) continue;
            copy[at] = copy[at + length - 1] = '"';
            at += length - 1;
        }
    }
    return copy;
}

struct member {
    cJSON *item;
    size_t place; // in the object
};

static int by_key_and_place(const void *left, const void *right) {
    const struct member *a = left, *b = right;
    const int order = strcmp(a->item->string, b->item->string);
    return order != 0 ? order : (a->place > b->place) - (a->place < b->place);
}

qins_status qins_json_keep_last(qins_json *object, qins_error *error) {
    if (!cJSON_IsObject(object)) return error->status;
    const size_t count = qins_json_count(object);
    struct member *members = qins_alloc(count, sizeof *members, "members of an object", error);
    if (members == NULL) return error->status;
    size_t n = 0;
    for (cJSON *item = object->child; item != NULL; item = item->next, n++) members[n] = (struct member){item, n};
    qsort(members, n, sizeof *members, by_key_and_place);
    for (size_t i = 1; i < n; i++)
        if (strcmp(members[i - 1].item->string, members[i].item->string) == 0)
            cJSON_Delete(cJSON_DetachItemViaPointer(object, members[i - 1].item));
    free(members);
    return QINS_OK;
}

qins_status qins_json_keep_last_in_all(qins_json *value, qins_error *error) {
    if (value == NULL) return error->status;
    qins_json_keep_last(value, error);
    for (cJSON *item = value->child; item != NULL && error->status == QINS_OK; item = item->next)
        qins_json_keep_last_in_all(item, error); // cJSON limits the depth
    return error->status;
}

qins_json *qins_json_parse_python(const char *text, size_t size, size_t max_values, qins_status bad,
                                  qins_error *error) {
    char *copy = quote_no_numbers(text, size, error);
    cJSON *json = copy != NULL ? qins_json_parse_limited(copy, size, max_values, bad, error) : NULL;
    free(copy);
    if (json == NULL || qins_json_keep_last_in_all(json, error) == QINS_OK) return json;
    cJSON_Delete(json);
    return NULL;
}

void qins_json_free(qins_json *json) {
    cJSON_Delete(json);
}

static const cJSON *find(const cJSON *object, const char *key) {
    const cJSON *item = cJSON_IsObject(object) ? object->child : NULL;
    while (item != NULL && strcmp(item->string, key) != 0) item = item->next;
    return item;
}

const qins_json *qins_json_get(const qins_json *object, const char *key) {
    const cJSON *item = find(object, key);
    return item == NULL || cJSON_IsNull(item) ? NULL : item;
}

qins_json *qins_json_edit(qins_json *object, const char *key) {
    cJSON *item = cJSON_IsObject(object) ? object->child : NULL;
    while (item != NULL && strcmp(item->string, key) != 0) item = item->next;
    return item == NULL || cJSON_IsNull(item) ? NULL : item;
}

bool qins_json_has(const qins_json *object, const char *key) {
    return find(object, key) != NULL;
}

const qins_json *qins_json_first(const qins_json *container) {
    return cJSON_IsArray(container) || cJSON_IsObject(container) ? container->child : NULL;
}

const qins_json *qins_json_next(const qins_json *item) {
    return item->next;
}

size_t qins_json_count(const qins_json *container) {
    size_t count = 0;
    for (const cJSON *item = qins_json_first(container); item != NULL; item = item->next) count++;
    return count;
}

bool qins_json_is_null(const qins_json *item) {
    return cJSON_IsNull(item);
}

bool qins_json_is_object(const qins_json *item) {
    return cJSON_IsObject(item);
}

bool qins_json_is_false(const qins_json *item) {
    return cJSON_IsFalse(item);
}

bool qins_json_is_array(const qins_json *item) {
    return cJSON_IsArray(item);
}

const char *qins_json_key(const qins_json *member) {
    return member->string == NULL ? "" : member->string;
}

const char *qins_json_text(const qins_json *item) {
    return cJSON_IsString(item) ? item->valuestring : NULL;
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static qins_status check_members(const qins_json *object, qins_status bad, qins_error *error) {
    const size_t count = qins_json_count(object);
    size_t n = 0;
    const char **keys = qins_alloc(count, sizeof *keys, "members of an object", error);
    if (keys == NULL) return error->status;
    for (const qins_json *item = qins_json_first(object); item != NULL; item = item->next)
        keys[n++] = qins_json_key(item);
    qsort(keys, count, sizeof *keys, by_text);
    for (size_t i = 1; i < count; i++)
        if (strcmp(keys[i - 1], keys[i]) == 0) qins_fail(error, bad, "\"%s\" appears twice", keys[i]);
    free(keys);
    return error->status;
}

qins_status qins_json_check_unique(const qins_json *json, qins_status bad, qins_error *error) {
    if (qins_json_is_object(json)) check_members(json, bad, error);
    for (const qins_json *item = qins_json_first(json); item != NULL && error->status == QINS_OK; item = item->next)
        qins_json_check_unique(item, bad, error); // cJSON limits the depth
    return error->status;
}

bool qins_json_integer(const qins_json *item, int64_t *value) {
    const double limit = 9007199254740992.0; // 2^53: beyond it a double skips integers
    if (!cJSON_IsNumber(item)) return false;
    double number = item->valuedouble;
    if (!(fabs(number) <= limit) || number != floor(number)) return false;
    *value = (int64_t)number;
    return true;
}

bool qins_json_number(const qins_json *item, double *value) {
    if (!cJSON_IsNumber(item)) return false;
    *value = item->valuedouble;
    return true;
}

static void require(const qins_json *object, const char *key, qins_status bad, qins_error *error) {
    if (qins_json_get(object, key) == NULL) qins_fail(error, bad, "\"%s\" is missing", key);
}

int64_t qins_json_get_integer(const qins_json *object, const char *key, int64_t min, int64_t max, qins_status bad,
                              qins_error *error) {
    require(object, key, bad, error);
    return qins_json_get_integer_or(object, key, min, max, min, bad, error);
}

double qins_json_get_number(const qins_json *object, const char *key, double min, double max, qins_status bad,
                            qins_error *error) {
    require(object, key, bad, error);
    return qins_json_get_number_or(object, key, min, max, min, bad, error);
}

bool qins_json_get_bool(const qins_json *object, const char *key, qins_status bad, qins_error *error) {
    require(object, key, bad, error);
    return qins_json_get_bool_or(object, key, false, bad, error);
}

int64_t qins_json_get_integer_or(const qins_json *object, const char *key, int64_t min, int64_t max, int64_t fallback,
                                 qins_status bad, qins_error *error) {
    const cJSON *item = qins_json_get(object, key);
    if (item == NULL) return fallback;
    int64_t value;
    if (qins_json_integer(item, &value) && value >= min && value <= max) return value;
    qins_fail(error, bad, "\"%s\" must be an integer from %lld to %lld", key, (long long)min, (long long)max);
    return fallback;
}

double qins_json_get_number_or(const qins_json *object, const char *key, double min, double max, double fallback,
                               qins_status bad, qins_error *error) {
    const cJSON *item = qins_json_get(object, key);
    if (item == NULL) return fallback;
    if (cJSON_IsNumber(item) && item->valuedouble >= min && item->valuedouble <= max) return item->valuedouble;
    qins_fail(error, bad, "\"%s\" must be a number from %g to %g", key, min, max);
    return fallback;
}

bool qins_json_get_bool_or(const qins_json *object, const char *key, bool fallback, qins_status bad,
                           qins_error *error) {
    const cJSON *item = qins_json_get(object, key);
    if (item == NULL) return fallback;
    if (!cJSON_IsBool(item)) qins_fail(error, bad, "\"%s\" must be true or false", key);
    return cJSON_IsTrue(item);
}

const char *qins_json_get_string(const qins_json *object, const char *key, qins_status bad, qins_error *error) {
    const char *text = qins_json_text(qins_json_get(object, key));
    if (text != NULL) return text;
    qins_fail(error, bad, "\"%s\" must be a string", key);
    return "";
}

// Record an allocation failure inside cJSON; NULL passes through.
static cJSON *checked(cJSON *item, qins_error *error) {
    if (item == NULL) qins_fail(error, QINS_FAILED, "out of memory while writing JSON");
    return item;
}

qins_json *qins_json_new_object(qins_error *error) {
    return checked(cJSON_CreateObject(), error);
}

qins_json *qins_json_add_object(qins_json *object, const char *key, qins_error *error) {
    return checked(cJSON_AddObjectToObject(object, key), error);
}

qins_json *qins_json_add_array(qins_json *object, const char *key, qins_error *error) {
    return checked(cJSON_AddArrayToObject(object, key), error);
}

void qins_json_add_string(qins_json *object, const char *key, const char *value, qins_error *error) {
    checked(cJSON_AddStringToObject(object, key, value), error);
}

void qins_json_add_text(qins_json *object, const char *key, const char *text, size_t size, qins_error *error) {
    static const char replacement[] = "\xEF\xBF\xBD"; // U+FFFD
    qins_buffer copy = {.error = error};
    uint32_t c;
    for (size_t at = 0, length; at<size; at += length> 0 ? length : 1) {
        length = utf8_decode(text + at, size - at, &c);
        if (length > 0 && c != 0)
            qins_buffer_append(&copy, text + at, length);
        else
            qins_buffer_append(&copy, replacement, sizeof replacement - 1);
    }
    qins_buffer_u8(&copy, '\0');
    if (error->status == QINS_OK) checked(cJSON_AddStringToObject(object, key, (const char *)copy.data), error);
    qins_buffer_free(&copy);
}

// cJSON itself takes 15 digits as exact when they are merely close.
static cJSON *number_item(double value) {
    char text[32];
    if (!isfinite(value)) return cJSON_CreateNull();
    snprintf(text, sizeof text, "%.15g", value);
    if (strtod(text, NULL) != value) snprintf(text, sizeof text, "%.17g", value);
    return cJSON_CreateRaw(text);
}

void qins_json_add_number(qins_json *object, const char *key, double value, qins_error *error) {
    cJSON *item = number_item(value);
    if (item != NULL && !cJSON_AddItemToObject(object, key, item)) {
        cJSON_Delete(item);
        item = NULL;
    }
    checked(item, error);
}

void qins_json_add_bool(qins_json *object, const char *key, bool value, qins_error *error) {
    checked(cJSON_AddBoolToObject(object, key, value), error);
}

void qins_json_add_null(qins_json *object, const char *key, qins_error *error) {
    checked(cJSON_AddNullToObject(object, key), error);
}

void qins_json_add_raw(qins_json *object, const char *key, const char *json, qins_error *error) {
    checked(cJSON_AddRawToObject(object, key, json), error);
}

// Hand a new item to an array; it is released when that fails.
static cJSON *append(cJSON *array, cJSON *item, qins_error *error) {
    if (item != NULL && !cJSON_AddItemToArray(array, item)) {
        cJSON_Delete(item);
        item = NULL;
    }
    return checked(item, error);
}

void qins_json_append_number(qins_json *array, double value, qins_error *error) {
    append(array, number_item(value), error);
}

void qins_json_append_string(qins_json *array, const char *value, qins_error *error) {
    append(array, cJSON_CreateString(value), error);
}

qins_json *qins_json_append_object(qins_json *array, qins_error *error) {
    return append(array, cJSON_CreateObject(), error);
}

qins_json *qins_json_append_array(qins_json *array, qins_error *error) {
    return append(array, cJSON_CreateArray(), error);
}

// A copy that malloc made, as the process may have given cJSON an allocator of its own. cJSON escapes U+0000 to U+001F;
// terminals obey U+007F to U+009F as well, which appear in strings only.
static char *copy_escaped(const char *text, qins_error *error) {
    size_t n_controls = 0;
    const unsigned char *at = (const unsigned char *)text;
    for (; *at != '\0'; at++) n_controls += *at == 0x7F || (at[0] == 0xC2 && at[1] >= 0x80 && at[1] <= 0x9F);
    const size_t capacity = strlen(text) + 5 * n_controls + 1;
    char *escaped = qins_alloc(capacity, 1, "JSON", error), *to = escaped;
    if (escaped == NULL) return NULL;
    for (at = (const unsigned char *)text; *at != '\0'; at++) {
        const bool is_pair = at[0] == 0xC2 && at[1] >= 0x80 && at[1] <= 0x9F;
        if (is_pair || *at == 0x7F)
            to += snprintf(to, capacity - (size_t)(to - escaped), "\\u%04x", is_pair ? *++at : *at);
        else
            *to++ = (char)*at;
    }
    *to = '\0';
    return escaped;
}

char *qins_json_print(const qins_json *json, qins_error *error) {
    if (error->status != QINS_OK) return NULL;
    char *text = json == NULL ? NULL : cJSON_PrintUnformatted(json);
    if (text == NULL) {
        qins_fail(error, QINS_FAILED, "out of memory while writing JSON");
        return NULL;
    }
    char *copy = copy_escaped(text, error);
    cJSON_free(text);
    return copy;
}

void qins_json_write(const qins_json *json, qins_buffer *out) {
    char *text = qins_json_print(json, out->error);
    if (text != NULL) qins_buffer_append(out, text, strlen(text));
    free(text);
}
