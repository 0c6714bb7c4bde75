// Values: construction, truth, equality, conversion to text, iteration.
#include "convert/jinja_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

jinja_value jinja_string(const char *text, size_t size) {
    return (jinja_value){.kind = JINJA_STRING, .text = text, .size = size};
}

jinja_value jinja_literal(const char *text) {
    return jinja_string(text, strlen(text));
}

jinja_value jinja_integer(int64_t integer) {
    return (jinja_value){.kind = JINJA_INTEGER, .integer = integer};
}

jinja_value jinja_boolean(bool boolean) {
    return (jinja_value){.kind = JINJA_BOOLEAN, .integer = boolean};
}

jinja_value jinja_sequence(jinja_kind kind, const jinja_value *items, size_t count) {
    return (jinja_value){.kind = kind, .items = items, .size = count};
}

bool jinja_is_number(const jinja_value *value) {
    return value->kind == JINJA_INTEGER || value->kind == JINJA_BOOLEAN;
}

bool jinja_is_sequence(const jinja_value *value) {
    return value->kind == JINJA_LIST || value->kind == JINJA_TUPLE || value->kind == JINJA_VIEW;
}

bool jinja_equals(const jinja_value *string, const char *text) {
    return string->size == strlen(text) && memcmp(string->text, text, string->size) == 0;
}

bool jinja_truth(const jinja_value *value) {
    switch (value->kind) {
    case JINJA_UNDEFINED:
    case JINJA_NONE:
        return false;
    case JINJA_BOOLEAN:
    case JINJA_INTEGER:
        return value->integer != 0;
    case JINJA_STRING:
    case JINJA_LIST:
    case JINJA_TUPLE:
    case JINJA_VIEW:
        return value->size > 0;
    case JINJA_DICT:
        return value->dict->count > 0;
    default:
        return true;
    }
}

const char *jinja_type(const jinja_value *value) {
    static const char *const names[] = {
        [JINJA_UNDEFINED] = "undefined",   [JINJA_NONE] = "none",       [JINJA_BOOLEAN] = "a boolean",
        [JINJA_INTEGER] = "a number",      [JINJA_STRING] = "a string", [JINJA_LIST] = "a list",
        [JINJA_TUPLE] = "a tuple",         [JINJA_VIEW] = "a view",     [JINJA_DICT] = "a dictionary",
        [JINJA_NAMESPACE] = "a namespace", [JINJA_LOOP] = "loop",       [JINJA_FUNCTION] = "a function",
        [JINJA_METHOD] = "a method"};
    return names[value->kind];
}

static bool same_dicts(jinja *j, const jinja_dict *a, const jinja_dict *b) {
    bool same = a->count == b->count;
    for (size_t i = 0; i < a->count && same; i++) {
        const jinja_value *other = jinja_lookup(j, b, a->entries[i].key.text, a->entries[i].key.size);
        same = other != NULL && jinja_same(j, &a->entries[i].value, other);
    }
    return same;
}

static bool same_kinds(jinja *j, const jinja_value *a, const jinja_value *b) {
    bool same = a->size == b->size;
    switch (a->kind) {
    case JINJA_UNDEFINED:
    case JINJA_NONE:
        return true;
    case JINJA_STRING:
        return same && jinja_work(j, a->size) && memcmp(a->text, b->text, a->size) == 0;
    case JINJA_LIST:
    case JINJA_TUPLE:
        for (size_t i = 0; i < a->size && same; i++) same = jinja_same(j, &a->items[i], &b->items[i]);
        return same;
    case JINJA_DICT:
        return same_dicts(j, a->dict, b->dict);
    default:
        jinja_refuse(j, "comparing %s is not supported", jinja_type(a));
        return false;
    }
}

bool jinja_same(jinja *j, const jinja_value *a, const jinja_value *b) {
    bool same = false;
    if (jinja_enter(j) && jinja_work(j, 1)) {
        if (jinja_is_number(a) && jinja_is_number(b))
            same = a->integer == b->integer;
        else if (a->kind == JINJA_VIEW || b->kind == JINJA_VIEW)
            jinja_refuse(j, "comparing views is not supported");
        else
            same = a->kind == b->kind && same_kinds(j, a, b);
    }
    jinja_leave(j);
    return same;
}

jinja_value jinja_to_string(jinja *j, const jinja_value *value) {
    char digits[32];
    switch (value->kind) {
    case JINJA_STRING:
        return *value;
    case JINJA_UNDEFINED:
        return jinja_string("", 0);
    case JINJA_NONE:
        return jinja_literal("None");
    case JINJA_BOOLEAN:
        return jinja_literal(value->integer != 0 ? "True" : "False");
    case JINJA_INTEGER: {
        const int size = snprintf(digits, sizeof digits, "%" PRId64, value->integer);
        return jinja_string(jinja_copy(j, digits, (size_t)size), (size_t)size);
    }
    default:
        return jinja_refuse(j, "%s as text is not supported", jinja_type(value));
    }
}

static jinja_value *new_items(jinja *j, size_t count) {
    return jinja_allocate(j, count, sizeof(jinja_value));
}

static jinja_value characters(jinja *j, const jinja_value *string) {
    size_t count = 0;
    for (size_t at = 0; at < string->size; count++) at += jinja_character(string->text + at, string->size - at);
    jinja_value *items = new_items(j, count);
    const char *at = string->text;
    for (size_t i = 0; i < count && items != NULL; at += items[i++].size)
        items[i] = jinja_string(at, jinja_character(at, string->size - (size_t)(at - string->text)));
    return jinja_sequence(JINJA_LIST, items, items != NULL ? count : 0);
}

jinja_value jinja_iterate(jinja *j, const jinja_value *value) {
    if (jinja_is_sequence(value)) return *value;
    if (value->kind == JINJA_STRING) return characters(j, value);
    if (value->kind == JINJA_UNDEFINED) return jinja_sequence(JINJA_LIST, NULL, 0);
    if (value->kind != JINJA_DICT) return jinja_raise(j, "%s cannot be iterated over", jinja_type(value));
    const size_t count = value->dict->count;
    jinja_value *keys = new_items(j, count);
    for (size_t i = 0; i < count && keys != NULL; i++) keys[i] = value->dict->entries[i].key;
    return jinja_sequence(JINJA_VIEW, keys, keys != NULL ? count : 0);
}

// --- dictionaries ---

jinja_dict *jinja_new_dict(jinja *j) {
    return jinja_allocate(j, 1, sizeof(jinja_dict));
}

jinja_value *jinja_lookup(jinja *j, const jinja_dict *dict, const char *key, size_t size) {
    for (; dict != NULL && jinja_work(j, 1 + dict->count); dict = dict->parent) {
        for (size_t i = 0; i < dict->count; i++) {
            const jinja_value *other = &dict->entries[i].key;
            if (other->size != size || !jinja_work(j, size)) continue;
            if (memcmp(other->text, key, size) == 0) return &dict->entries[i].value;
        }
    }
    return NULL;
}

static void add_entry(jinja *j, jinja_dict *dict, const jinja_value *key, const jinja_value *value) {
    if (dict->count == dict->capacity) {
        const size_t capacity = dict->capacity == 0 ? 4 : 2 * dict->capacity;
        jinja_entry *entries = jinja_allocate(j, capacity, sizeof *entries);
        if (entries == NULL) return;
        if (dict->count > 0) memcpy(entries, dict->entries, dict->count * sizeof *entries);
        dict->entries = entries;
        dict->capacity = capacity;
    }
    dict->entries[dict->count++] = (jinja_entry){*key, *value};
}

void jinja_put(jinja *j, jinja_dict *dict, const jinja_value *key, const jinja_value *value) {
    const jinja_dict only = {.entries = dict->entries, .count = dict->count}; // without its parents
    jinja_value *old = jinja_lookup(j, &only, key->text, key->size);
    if (old != NULL)
        *old = *value;
    else if (!jinja_failed(j))
        add_entry(j, dict, key, value);
}
