// Filters and tests.
#include "convert/jinja_internal.h"

#include <string.h>

static bool is_name(const char *name, size_t size, const char *text) {
    return size == strlen(text) && memcmp(name, text, size) == 0;
}

// --- filters ---

typedef jinja_value filter(jinja *j, const jinja_value *value, const jinja_arguments *arguments);

static jinja_value filter_trim(jinja *j, const jinja_value *value, const jinja_arguments *arguments) {
    const jinja_value string = jinja_to_string(j, value), *set = arguments->count > 0 ? arguments->values : NULL;
    if (jinja_failed(j)) return string;
    if (set != NULL && set->kind == JINJA_NONE) set = NULL;
    if (set != NULL && set->kind != JINJA_STRING) return jinja_raise(j, "trim takes a string");
    return jinja_strip(j, &string, set, true, true);
}

static jinja_value filter_length(jinja *j, const jinja_value *value, const jinja_arguments *arguments) {
    (void)arguments;
    if (value->kind == JINJA_LOOP || value->kind == JINJA_NAMESPACE) return jinja_refuse(j, "length of such a value");
    if (value->kind == JINJA_DICT) return jinja_integer((int64_t)value->dict->count);
    if (value->kind != JINJA_STRING && value->kind != JINJA_UNDEFINED && !jinja_is_sequence(value))
        return jinja_raise(j, "%s has no length", jinja_type(value));
    size_t count = value->size; // of a string: bytes
    for (size_t at = 0, size; value->kind == JINJA_STRING && at < value->size; at += size) {
        size = jinja_character(value->text + at, value->size - at);
        count -= size - 1;
    }
    return jinja_integer((int64_t)count);
}

static jinja_value change_case(jinja *j, const jinja_value *value, bool upper, bool first_only) {
    const jinja_value string = jinja_to_string(j, value);
    return jinja_failed(j) ? string : jinja_change_case(j, &string, upper, first_only);
}

static jinja_value filter_upper(jinja *j, const jinja_value *value, const jinja_arguments *arguments) {
    (void)arguments;
    return change_case(j, value, true, false);
}

static jinja_value filter_lower(jinja *j, const jinja_value *value, const jinja_arguments *arguments) {
    (void)arguments;
    return change_case(j, value, false, false);
}

static jinja_value filter_capitalize(jinja *j, const jinja_value *value, const jinja_arguments *arguments) {
    (void)arguments;
    return change_case(j, value, true, true);
}

static jinja_value filter_first(jinja *j, const jinja_value *value, const jinja_arguments *arguments) {
    (void)arguments;
    const jinja_value items = jinja_iterate(j, value);
    return items.size > 0 ? items.items[0] : (jinja_value){0};
}

static jinja_value filter_last(jinja *j, const jinja_value *value, const jinja_arguments *arguments) {
    (void)arguments;
    const jinja_value items = jinja_iterate(j, value);
    return items.size > 0 ? items.items[items.size - 1] : (jinja_value){0};
}

static jinja_value filter_list(jinja *j, const jinja_value *value, const jinja_arguments *arguments) {
    (void)arguments;
    const jinja_value items = jinja_iterate(j, value);
    return jinja_failed(j) ? items : jinja_sequence(JINJA_LIST, items.items, items.size);
}

static jinja_value filter_string(jinja *j, const jinja_value *value, const jinja_arguments *arguments) {
    (void)arguments;
    return jinja_to_string(j, value);
}

static jinja_value filter_join(jinja *j, const jinja_value *value, const jinja_arguments *arguments) {
    const jinja_value items = jinja_iterate(j, value);
    const jinja_value separator = arguments->count > 0 ? jinja_to_string(j, arguments->values) : jinja_string("", 0);
    jinja_value *strings = jinja_allocate(j, items.size, sizeof *strings);
    for (size_t i = 0; i < items.size && strings != NULL; i++) strings[i] = jinja_to_string(j, &items.items[i]);
    return jinja_failed(j) ? separator : jinja_join(j, &separator, strings, items.size);
}

static jinja_value filter_replace(jinja *j, const jinja_value *value, const jinja_arguments *arguments) {
    if (arguments->count != 2) return jinja_refuse(j, "replace takes two strings here");
    const jinja_value string = jinja_to_string(j, value), old = jinja_to_string(j, &arguments->values[0]),
                      with = jinja_to_string(j, &arguments->values[1]);
    return jinja_failed(j) ? string : jinja_replace(j, &string, &old, &with);
}

static jinja_value filter_default(jinja *j, const jinja_value *value, const jinja_arguments *arguments) {
    const jinja_value nothing = jinja_string("", 0), *given = arguments->values;
    const jinja_value *named =
        arguments->named != NULL ? jinja_lookup(j, arguments->named, "boolean", strlen("boolean")) : NULL;
    const bool by_truth = arguments->count > 1 ? jinja_truth(&given[1]) : named != NULL && jinja_truth(named);
    if (arguments->named != NULL && (named == NULL || arguments->named->count > 1))
        return jinja_refuse(j, "such arguments are not supported");
    const bool is_missing = value->kind == JINJA_UNDEFINED || (by_truth && !jinja_truth(value));
    return !is_missing ? *value : arguments->count > 0 ? given[0] : nothing;
}

jinja_value jinja_filter(jinja *j, const char *name, size_t size, const jinja_value *value,
                         const jinja_arguments *arguments) {
    static const struct {
        const char *name;
        size_t max_arguments;
        filter *apply;
    } filters[] = {{"trim", 1, filter_trim},       {"length", 0, filter_length}, {"count", 0, filter_length},
                   {"upper", 0, filter_upper},     {"lower", 0, filter_lower},   {"capitalize", 0, filter_capitalize},
                   {"first", 0, filter_first},     {"last", 0, filter_last},     {"list", 0, filter_list},
                   {"string", 0, filter_string},   {"join", 1, filter_join},     {"replace", 2, filter_replace},
                   {"default", 2, filter_default}, {"d", 2, filter_default}};
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++) {
        if (!is_name(name, size, filters[i].name)) continue;
        const bool fits = arguments->named == NULL || filters[i].apply == filter_default;
        if (!fits || arguments->count > filters[i].max_arguments) break;
        const size_t cost = value->kind == JINJA_STRING ? value->size : 1;
        return jinja_work(j, cost) ? filters[i].apply(j, value, arguments) : (jinja_value){0};
    }
    return jinja_refuse(j, "the filter %.*s, with these arguments, is not supported", size > 32 ? 32 : (int)size, name);
}

// --- tests ---

static bool is_of(const char *name, size_t size, const jinja_value *value, bool *known) {
    const jinja_kind kind = value->kind;
    const bool is_container = kind == JINJA_STRING || kind == JINJA_DICT || jinja_is_sequence(value);
    const struct {
        const char *name;
        bool result;
    } tests[] = {{"defined", kind != JINJA_UNDEFINED},
                 {"undefined", kind == JINJA_UNDEFINED},
                 {"none", kind == JINJA_NONE},
                 {"string", kind == JINJA_STRING},
                 {"mapping", kind == JINJA_DICT},
                 {"boolean", kind == JINJA_BOOLEAN},
                 {"integer", kind == JINJA_INTEGER},
                 {"number", jinja_is_number(value)},
                 {"sequence", is_container || kind == JINJA_UNDEFINED},
                 {"iterable", is_container || kind == JINJA_UNDEFINED},
                 {"true", kind == JINJA_BOOLEAN && value->integer != 0},
                 {"false", kind == JINJA_BOOLEAN && value->integer == 0}};
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        *known = is_name(name, size, tests[i].name);
        if (*known) return tests[i].result;
    }
    return false;
}

// Tests that compare with an argument: the operator that each stands for, NULL: none.
static const char *operator_of(const char *name, size_t size) {
    static const char *const names[][2] = {{"equalto", "=="}, {"eq", "=="}, {"ne", "!="}, {"lt", "<"},
                                           {"le", "<="},      {"gt", ">"},  {"ge", ">="}, {"in", "in"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (is_name(name, size, names[i][0])) return names[i][1];
    return NULL;
}

bool jinja_test(jinja *j, const char *name, size_t size, const jinja_value *value, const jinja_arguments *arguments) {
    bool known = false;
    const bool plain = is_of(name, size, value, &known), is_odd = is_name(name, size, "odd");
    const jinja_value *given = arguments->values;
    const char *operator= operator_of(name, size);
    if (jinja_failed(j)) return false;
    if (known && arguments->count == 0 && (value->kind < JINJA_VIEW || value->kind == JINJA_DICT)) return plain;
    if (known && arguments->count == 0 && (is_name(name, size, "defined") || is_name(name, size, "undefined")))
        return plain;
    if (operator!= NULL && arguments->count == 1) return jinja_compare(j, operator, strlen(operator), value, given);
    if ((is_odd || is_name(name, size, "even")) && jinja_is_number(value) && arguments->count == 0)
        return (value->integer % 2 != 0) == is_odd;
    if (is_name(name, size, "divisibleby") && arguments->count == 1 && jinja_is_number(value) &&
        jinja_is_number(given) && given->integer != 0)
        return value->integer % given->integer == 0;
    jinja_refuse(j, "the test %.*s of such a value is not supported", size > 32 ? 32 : (int)size, name);
    return false;
}
