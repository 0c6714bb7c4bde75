// Functions, and the methods of Python's strings and dictionaries.
#include "convert/jinja_internal.h"

#include <stdio.h>
#include <string.h>

static bool is_name(const char *name, size_t size, const char *text) {
    return size == strlen(text) && memcmp(name, text, size) == 0;
}

static bool is_listed(const char *const *names, size_t n, const char *name, size_t size) {
    for (size_t i = 0; i < n; i++)
        if (is_name(name, size, names[i])) return true;
    return false;
}

// --- functions ---

// Functions that transformers and Jinja2 define; those not implemented below are refused when they are called.
jinja_value jinja_global(const char *name, size_t size) {
    static const char *const names[] = {"range",  "dict",   "namespace",    "raise_exception",
                                        "cycler", "joiner", "strftime_now", "lipsum"};
    if (!is_listed(names, sizeof names / sizeof *names, name, size)) return (jinja_value){0};
    return (jinja_value){.kind = JINJA_FUNCTION, .text = name, .size = size};
}

static jinja_value make_range(jinja *j, const jinja_arguments *arguments) {
    int64_t values[3] = {0, 0, 1};
    if (arguments->count < 1 || arguments->count > 3 || arguments->named != NULL)
        return jinja_raise(j, "range takes one to three numbers");
    for (size_t i = 0; i < arguments->count; i++) {
        if (!jinja_is_number(&arguments->values[i]))
            return jinja_raise(j, "range of %s", jinja_type(arguments->values));
        values[arguments->count == 1 ? 1 : i] = arguments->values[i].integer;
    }
    const int64_t step = values[2], most = JINJA_MAX_WORK;
    if (step == 0) return jinja_raise(j, "range in steps of 0");
    size_t count = 0;
    for (int64_t at = values[0]; (step > 0 ? at < values[1] : at > values[1]) && count <= (size_t)most; at += step) {
        if (at > most || at < -most || step > most || step < -most) return jinja_refuse(j, "a range of such numbers");
        count++;
    }
    jinja_value *items = jinja_work(j, count) ? jinja_allocate(j, count, sizeof *items) : NULL;
    for (size_t i = 0; i < count && items != NULL; i++) items[i] = jinja_integer(values[0] + (int64_t)i * step);
    return jinja_sequence(JINJA_VIEW, items, items != NULL ? count : 0);
}

static jinja_value make_namespace(jinja *j, const jinja_arguments *arguments) {
    if (arguments->count > 0) return jinja_refuse(j, "a namespace of dictionaries is not supported");
    jinja_dict *dict = arguments->named != NULL ? arguments->named : jinja_new_dict(j);
    return (jinja_value){.kind = JINJA_NAMESPACE, .dict = dict};
}

static jinja_value call_function(jinja *j, const char *name, size_t size, const jinja_arguments *arguments) {
    if (is_name(name, size, "range")) return make_range(j, arguments);
    if (is_name(name, size, "namespace")) return make_namespace(j, arguments);
    if (!is_name(name, size, "raise_exception"))
        return jinja_refuse(j, "the function %.*s is not supported", (int)size, name);
    const jinja_value *text = arguments->values;
    if (arguments->count != 1 || text->kind != JINJA_STRING) return jinja_raise(j, "the template raises an exception");
    return jinja_raise(j, "%.*s", text->size > 200 ? 200 : (int)text->size, text->text);
}

// --- methods ---

// All methods that Python has: a template may test for any of them.
bool jinja_has_method(const jinja_value *of, const char *name, size_t size) {
    static const char *const strings[] = {
        "capitalize",   "casefold",   "center",     "count",      "encode",  "endswith", "expandtabs",
        "find",         "format",     "format_map", "index",      "isalnum", "isalpha",  "isascii",
        "isdecimal",    "isdigit",    "islower",    "isnumeric",  "isspace", "isupper",  "join",
        "ljust",        "lower",      "lstrip",     "partition",  "replace", "rfind",    "removeprefix",
        "removesuffix", "rindex",     "rjust",      "rpartition", "rsplit",  "rstrip",   "split",
        "splitlines",   "startswith", "strip",      "swapcase",   "title",   "upper",    "zfill"};
    static const char *const dicts[] = {"get",      "items", "keys",    "values",     "clear", "copy",
                                        "fromkeys", "pop",   "popitem", "setdefault", "update"};
    static const char *const lists[] = {"append", "clear", "copy",   "count",   "extend", "index",
                                        "insert", "pop",   "remove", "reverse", "sort"};
    if (of->kind == JINJA_STRING) return is_listed(strings, sizeof strings / sizeof *strings, name, size);
    if (of->kind == JINJA_DICT) return is_listed(dicts, sizeof dicts / sizeof *dicts, name, size);
    if (of->kind != JINJA_LIST && of->kind != JINJA_TUPLE) return false;
    return is_listed(lists, sizeof lists / sizeof *lists, name, size);
}

static jinja_value dict_view(jinja *j, const jinja_dict *dict, bool keys, bool values) {
    jinja_value *items = jinja_allocate(j, dict->count, sizeof *items);
    for (size_t i = 0; i < dict->count && items != NULL; i++) {
        const jinja_entry *entry = &dict->entries[i];
        if (keys && values) {
            jinja_value *pair = jinja_allocate(j, 2, sizeof *pair);
            if (pair == NULL) break;
            pair[0] = entry->key;
            pair[1] = entry->value;
            items[i] = jinja_sequence(JINJA_TUPLE, pair, 2);
        } else {
            items[i] = keys ? entry->key : entry->value;
        }
    }
    return jinja_sequence(JINJA_VIEW, items, items != NULL ? dict->count : 0);
}

static jinja_value call_dict(jinja *j, const jinja_value *method, const jinja_arguments *arguments) {
    const jinja_dict *dict = method->items->dict;
    const jinja_value *values = arguments->values, none = {.kind = JINJA_NONE};
    if (is_name(method->text, method->size, "get") && arguments->count >= 1 && arguments->count <= 2) {
        if (values[0].kind != JINJA_STRING) return jinja_refuse(j, "such keys are not supported");
        const jinja_value *value = jinja_lookup(j, dict, values[0].text, values[0].size);
        return value != NULL ? *value : arguments->count == 2 ? values[1] : none;
    }
    if (arguments->count > 0) return jinja_refuse(j, "this method is not supported");
    if (is_name(method->text, method->size, "keys")) return dict_view(j, dict, true, false);
    if (is_name(method->text, method->size, "values")) return dict_view(j, dict, false, true);
    if (is_name(method->text, method->size, "items")) return dict_view(j, dict, true, true);
    return jinja_refuse(j, "the method %.*s is not supported", (int)method->size, method->text);
}

// Does the string begin, or end, with the argument, or one of a tuple of them?
static jinja_value starts_or_ends(jinja *j, const jinja_value *string, const jinja_value *with, bool starts) {
    const size_t count = with->kind == JINJA_TUPLE ? with->size : 1;
    const jinja_value *items = with->kind == JINJA_TUPLE ? with->items : with;
    bool found = false;
    for (size_t i = 0; i < count && jinja_work(j, 1); i++) {
        if (items[i].kind != JINJA_STRING)
            return jinja_raise(j, "a string cannot begin with %s", jinja_type(&items[i]));
        if (items[i].size > string->size || !jinja_work(j, items[i].size)) continue;
        const char *at = starts ? string->text : string->text + string->size - items[i].size;
        found |= items[i].size == 0 || memcmp(at, items[i].text, items[i].size) == 0;
    }
    return jinja_boolean(found);
}

static jinja_value call_strip(jinja *j, const jinja_value *method, const jinja_arguments *arguments) {
    const jinja_value *set = arguments->count == 1 ? arguments->values : NULL;
    if (set != NULL && set->kind == JINJA_NONE) set = NULL;
    if (arguments->count > 1 || (set != NULL && set->kind != JINJA_STRING))
        return jinja_raise(j, "strip takes a string");
    const bool left = method->text[0] != 'r', right = method->text[0] != 'l';
    return jinja_strip(j, method->items, set, left, right);
}

static jinja_value call_split(jinja *j, const jinja_value *string, const jinja_arguments *arguments) {
    const jinja_value *separator = arguments->count > 0 ? arguments->values : NULL;
    if (separator != NULL && separator->kind == JINJA_NONE) separator = NULL;
    if (separator != NULL && separator->kind != JINJA_STRING) return jinja_raise(j, "split takes a string");
    if (arguments->count > 2) return jinja_raise(j, "split takes two arguments");
    if (arguments->count < 2) return jinja_split(j, string, separator, -1);
    if (!jinja_is_number(&arguments->values[1])) return jinja_raise(j, "split takes a number of cuts");
    return jinja_split(j, string, separator, arguments->values[1].integer);
}

static jinja_value call_join(jinja *j, const jinja_value *separator, const jinja_value *of) {
    const jinja_value items = jinja_iterate(j, of);
    for (size_t i = 0; i < items.size && jinja_work(j, 1); i++)
        if (items.items[i].kind != JINJA_STRING) return jinja_raise(j, "join of %s", jinja_type(&items.items[i]));
    return jinja_failed(j) ? items : jinja_join(j, separator, items.items, items.size);
}

static jinja_value call_string(jinja *j, const jinja_value *method, const jinja_arguments *arguments) {
    const char *name = method->text;
    const size_t size = method->size;
    const jinja_value *string = method->items, *values = arguments->values;
    const bool no_arguments = arguments->count == 0;
    if (is_name(name, size, "strip") || is_name(name, size, "lstrip") || is_name(name, size, "rstrip"))
        return call_strip(j, method, arguments);
    if (is_name(name, size, "split")) return call_split(j, string, arguments);
    if (is_name(name, size, "upper") && no_arguments) return jinja_change_case(j, string, true, false);
    if (is_name(name, size, "lower") && no_arguments) return jinja_change_case(j, string, false, false);
    if (is_name(name, size, "capitalize") && no_arguments) return jinja_change_case(j, string, true, true);
    if (arguments->count == 1 && is_name(name, size, "startswith")) return starts_or_ends(j, string, values, true);
    if (arguments->count == 1 && is_name(name, size, "endswith")) return starts_or_ends(j, string, values, false);
    if (arguments->count == 1 && is_name(name, size, "join")) return call_join(j, string, values);
    if (arguments->count == 2 && is_name(name, size, "replace") && values[0].kind == JINJA_STRING &&
        values[1].kind == JINJA_STRING)
        return jinja_replace(j, string, &values[0], &values[1]);
    return jinja_refuse(j, "the method %.*s is not supported", (int)size, name);
}

jinja_value jinja_call(jinja *j, const jinja_value *function, const jinja_arguments *arguments) {
    if (function->kind == JINJA_FUNCTION) return call_function(j, function->text, function->size, arguments);
    if (function->kind == JINJA_LOOP || function->kind == JINJA_NAMESPACE)
        return jinja_refuse(j, "calling %s is not supported", jinja_type(function));
    if (function->kind != JINJA_METHOD) return jinja_raise(j, "%s is called", jinja_type(function));
    if (arguments->named != NULL) return jinja_refuse(j, "arguments by name are not supported");
    if (function->items->kind == JINJA_DICT) return call_dict(j, function, arguments);
    if (function->items->kind == JINJA_STRING && jinja_work(j, function->items->size))
        return call_string(j, function, arguments);
    return jinja_refuse(j, "the method %.*s is not supported", (int)function->size, function->text);
}
