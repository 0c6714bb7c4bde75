// Helpers of the tokenizer's tests; see tokenizer_support.h.
#include "tests/tokenizer_support.h"

#include "engine/base/file.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const support_kinds[] = {
    "bytes",           "unk",  "partial", "normalized", "metaspace_first", "metaspace_always",
    "metaspace_never", "gpt2", "digits",  "cl100k",     "o200k",           NULL};

char *support_read(const char *path, size_t *size) {
    qins_error error = {0};
    char *text = qins_file_read_all(path, (size_t)1 << 30, size, QINS_FAILED, &error);
    cr_assert_not_null(text, "%s", error.message);
    return text;
}

const char *support_data_path(const char *name) {
    static char path[4096];
    const char *folder = getenv("QINS_TEST_DATA");
    if (folder == NULL || folder[0] == '\0') cr_skip_test("QINS_TEST_DATA is not set");
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

qins_tokenizer *support_tokenizer_at(const char *path) {
    qins_error error = {0};
    size_t size;
    char *json = support_read(path, &size);
    qins_tokenizer *tokenizer = qins_tokenizer_from_hf(json, size, NULL, &error);
    cr_assert_not_null(tokenizer, "%s: %s", path, error.message);
    free(json);
    return tokenizer;
}

qins_tokenizer *support_tokenizer(const char *name) {
    char path[256];
    snprintf(path, sizeof path, "tests/data/tokenizer_%s.json", name);
    return support_tokenizer_at(path);
}

// cJSON ends strings at a U+0000. So the escape is read as one of the same length that no file uses, and put back in
// support_text.
static const char nul_escape[] = "\\u0000", stand_in_escape[] = "\\ufdd0", stand_in[] = "\xEF\xB7\x90";

static void hide_nuls(char *line) {
    for (char *at = line; (at = strstr(at, nul_escape)) != NULL;) memcpy(at, stand_in_escape, strlen(nul_escape));
}

size_t support_each_line(const char *path, support_line_check *check, void *context) {
    size_t size, number = 0;
    char *text = support_read(path, &size);
    for (char *line = text; *line != '\0';) {
        char *end = strchr(line, '\n');
        if (end != NULL) *end = '\0';
        cr_assert_null(strstr(line, stand_in_escape));
        hide_nuls(line);
        qins_error error = {0};
        qins_json *json = qins_json_parse(line, strlen(line), QINS_BAD_MODEL, &error);
        cr_assert_not_null(json, "%s, line %zu: %s", path, number + 1, error.message);
        check(json, ++number, context);
        qins_json_free(json);
        line = end == NULL ? line + strlen(line) : end + 1;
    }
    free(text);
    return number;
}

char *support_text(const qins_json *line, const char *key, size_t *size) {
    const char *text = qins_json_text(qins_json_get(line, key));
    cr_assert_not_null(text, "no text \"%s\"", key);
    char *copy = malloc(strlen(text) + 1);
    *size = 0;
    while (*text != '\0') {
        bool is_nul = strncmp(text, stand_in, strlen(stand_in)) == 0;
        copy[(*size)++] = is_nul ? '\0' : *text;
        text += is_nul ? strlen(stand_in) : 1;
    }
    copy[*size] = '\0';
    return copy;
}

char *support_hex(const qins_json *line, const char *key, size_t *size) {
    const char *hex = qins_json_text(qins_json_get(line, key));
    cr_assert_not_null(hex, "no text \"%s\"", key);
    *size = strlen(hex) / 2;
    char *bytes = malloc(*size + 1);
    for (size_t i = 0; i < *size; i++) {
        unsigned value = 0;
        cr_assert_eq(sscanf(hex + 2 * i, "%2x", &value), 1);
        bytes[i] = (char)value;
    }
    bytes[*size] = '\0';
    return bytes;
}

void support_ids(const qins_json *list, qins_ids *ids) {
    qins_error error = {0};
    ids->count = 0;
    for (const qins_json *item = qins_json_first(list); item != NULL; item = qins_json_next(item)) {
        int64_t id = -1;
        cr_assert(qins_json_integer(item, &id));
        cr_assert_eq(qins_ids_append(ids, (int32_t)id, &error), QINS_OK);
    }
}

void support_equal_ids(const qins_ids *got, const qins_ids *expected, const char *what, size_t number) {
    cr_assert_eq(got->count, expected->count, "%s %zu: %zu ids, not %zu", what, number, got->count, expected->count);
    for (size_t i = 0; i < got->count; i++)
        cr_assert_eq(got->data[i], expected->data[i], "%s %zu: id %d at %zu, not %d", what, number, (int)got->data[i],
                     i, (int)expected->data[i]);
}

void support_equal_text(const char *got, size_t got_size, const char *expected, size_t size, const char *what,
                        size_t number) {
    cr_assert_eq(got_size, size, "%s %zu: %zu bytes, not %zu", what, number, got_size, size);
    if (size == 0) return; // either may be NULL
    cr_assert(memcmp(got, expected, size) == 0, "%s %zu: \"%s\", not \"%s\"", what, number, got, expected);
}
