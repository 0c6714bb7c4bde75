// Checks on members of tokenizer.json; see hf_internal.h.
#include "tokenizer/hf_internal.h"

#include <stdlib.h>
#include <string.h>

qins_status hf_refuse(const qins_json *item, const char *field, const char *why, qins_error *error) {
    if (error->status != QINS_OK) return error->status;
    char *value = item == NULL ? NULL : qins_json_print(item, error);
    if (error->status == QINS_OK)
        qins_fail(error, QINS_BAD_MODEL, "\"%s\" is %.120s; %s", field, value == NULL ? "missing or null" : value, why);
    free(value);
    return error->status;
}

qins_status hf_count_unknown(const qins_json *object, const char *field, const char *const *known, hf_ignored *ignored,
                             qins_error *error) {
    if (!qins_json_is_object(object)) return hf_refuse(object, field, "it must be an object", error);
    unsigned seen = 0;
    for (const qins_json *member = qins_json_first(object); member != NULL; member = qins_json_next(member)) {
        const char *key = qins_json_key(member);
        unsigned i = 0;
        while (known[i] != NULL && strcmp(known[i], key) != 0) i++;
        if (known[i] == NULL) {
            if (ignored->count++ > 0) continue;
            ignored->field = field;
            ignored->key = key;
            continue;
        }
        if (seen & 1u << i) return qins_fail(error, QINS_BAD_MODEL, "\"%s\" has two members \"%s\"", field, key);
        seen |= 1u << i;
    }
    return error->status;
}

qins_status hf_check_members(const qins_json *object, const char *field, const char *const *known, qins_error *error) {
    hf_ignored unknown = {0};
    if (hf_count_unknown(object, field, known, &unknown, error) == QINS_OK && unknown.count > 0)
        qins_fail(error, QINS_BAD_MODEL, "\"%s\" has a member \"%.80s\", which is not understood", field, unknown.key);
    return error->status;
}

void hf_check_null(const qins_json *object, const char *key, const char *field, qins_error *error) {
    const qins_json *item = qins_json_get(object, key);
    if (item != NULL) hf_refuse(item, field, "only null is supported", error);
}

void hf_check_text(const qins_json *object, const char *key, const char *value, const char *field, qins_error *error) {
    const qins_json *item = qins_json_get(object, key);
    const char *text = qins_json_text(item);
    if (text != NULL && strcmp(text, value) == 0) return;
    char why[96] = "only \"";
    strncat(why, value, 32);
    strcat(why, "\" is supported");
    hf_refuse(item, field, why, error);
}

void hf_check_integer(const qins_json *object, const char *key, int64_t value, const char *field, qins_error *error) {
    const qins_json *item = qins_json_get(object, key);
    int64_t found;
    if (!qins_json_integer(item, &found) || found != value) hf_refuse(item, field, "it has another value here", error);
}
