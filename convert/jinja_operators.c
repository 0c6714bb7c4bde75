// Arithmetic, comparison, attributes, items and slices, as in Python, for the supported types of values.
#include "convert/jinja_internal.h"

#include <string.h>

enum { LARGE = 1 << 30 }; // no template counts further; products stay far from overflow

static bool is_operator(const char *operator, size_t size, const char *text) {
    return size == strlen(text) && memcmp(operator, text, size) == 0;
}

static jinja_value calculate(jinja *j, char operator, int64_t a, int64_t b) {
    if (a > LARGE || a < -LARGE || b > LARGE || b < -LARGE) return jinja_refuse(j, "numbers grow too large");
    if (operator== '+') return jinja_integer(a + b);
    if (operator== '-') return jinja_integer(a - b);
    if (operator== '*') return jinja_integer(a * b);
    if (b == 0) return jinja_raise(j, "division by zero");
    const int64_t rest = a % b, below = rest != 0 && (rest < 0) != (b < 0); // Python rounds down
    return operator== '%' ? jinja_integer(rest + below * b) : jinja_integer(a / b - below);
}

static jinja_value append_items(jinja *j, const jinja_value *a, const jinja_value *b) {
    jinja_value *items = jinja_allocate(j, a->size + b->size, sizeof *items);
    if (items == NULL) return (jinja_value){0};
    if (a->size > 0) memcpy(items, a->items, a->size * sizeof *items);
    if (b->size > 0) memcpy(items + a->size, b->items, b->size * sizeof *items);
    return jinja_sequence(a->kind, items, a->size + b->size);
}

jinja_value jinja_binary(jinja *j, const char *operator, size_t size, const jinja_value *a, const jinja_value *b) {
    const bool is_add = is_operator(operator, size, "+");
    if (is_operator(operator, size, "~")) {
        const jinja_value parts[] = {jinja_to_string(j, a), jinja_to_string(j, b)}, nothing = jinja_string("", 0);
        return jinja_join(j, &nothing, parts, 2);
    }
    if (is_operator(operator, size, "/")) return jinja_refuse(j, "/ is not supported");
    if (jinja_is_number(a) && jinja_is_number(b)) return calculate(j, operator[0], a->integer, b->integer);
    if (is_add && a->kind == b->kind && a->kind == JINJA_STRING) {
        const jinja_value parts[] = {*a, *b}, nothing = jinja_string("", 0);
        return jinja_join(j, &nothing, parts, 2);
    }
    if (is_add && a->kind == b->kind && (a->kind == JINJA_LIST || a->kind == JINJA_TUPLE)) return append_items(j, a, b);
    if (!is_add && operator[0] != '-' && a->kind != JINJA_UNDEFINED)
        return jinja_refuse(j, "%.*s of such values is not supported", (int)size, operator);
    return jinja_raise(j, "%s %.*s %s", jinja_type(a), (int)size, operator, jinja_type(b));
}

// --- comparison ---

static bool contains(jinja *j, const jinja_value *in, const jinja_value *what) {
    if (in->kind == JINJA_STRING) {
        if (what->kind != JINJA_STRING) return jinja_raise(j, "%s in a string", jinja_type(what)), false;
        return jinja_find(j, in, 0, what) != SIZE_MAX;
    }
    if (in->kind == JINJA_DICT) {
        if (what->kind != JINJA_STRING) return jinja_refuse(j, "such keys are not supported"), false;
        return jinja_lookup(j, in->dict, what->text, what->size) != NULL;
    }
    if (in->kind == JINJA_NAMESPACE || in->kind == JINJA_LOOP)
        return jinja_refuse(j, "in %s is not supported", jinja_type(in)), false;
    const jinja_value items = jinja_iterate(j, in);
    for (size_t i = 0; i < items.size && !jinja_failed(j); i++)
        if (jinja_same(j, &items.items[i], what)) return true;
    return false;
}

// Below 0, 0, above 0; by code points, which is the order of their bytes.
static int order(jinja *j, const jinja_value *a, const jinja_value *b) {
    if (jinja_is_number(a) && jinja_is_number(b)) return (a->integer > b->integer) - (a->integer < b->integer);
    if (a->kind == JINJA_STRING && b->kind == JINJA_STRING) {
        const size_t common = a->size < b->size ? a->size : b->size;
        const int bytes = jinja_work(j, common) && common > 0 ? memcmp(a->text, b->text, common) : 0;
        return bytes != 0 ? bytes : (a->size > b->size) - (a->size < b->size);
    }
    if (a->kind == b->kind && a->kind != JINJA_NONE && a->kind != JINJA_UNDEFINED && a->kind != JINJA_DICT)
        jinja_refuse(j, "the order of such values is not supported");
    jinja_raise(j, "%s and %s have no order", jinja_type(a), jinja_type(b));
    return 0;
}

bool jinja_compare(jinja *j, const char *operator, size_t size, const jinja_value *a, const jinja_value *b) {
    if (is_operator(operator, size, "==")) return jinja_same(j, a, b);
    if (is_operator(operator, size, "!=")) return !jinja_same(j, a, b);
    if (is_operator(operator, size, "in")) return contains(j, b, a);
    if (is_operator(operator, size, "not")) return !contains(j, b, a);
    const int sign = order(j, a, b);
    if (is_operator(operator, size, "<")) return sign < 0;
    if (is_operator(operator, size, "<=")) return sign <= 0;
    return is_operator(operator, size, ">") ? sign > 0 : sign >= 0;
}

// --- parts ---

static jinja_value method(jinja *j, const jinja_value *of, const char *name, size_t size) {
    jinja_value *receiver = jinja_allocate(j, 1, sizeof *receiver);
    if (receiver != NULL) *receiver = *of;
    return (jinja_value){.kind = JINJA_METHOD, .text = name, .size = size, .items = receiver};
}

static jinja_value loop_attribute(jinja *j, const jinja_value *loop, const char *name, size_t size) {
    const int64_t index = loop->integer, count = (int64_t)loop->size;
    const struct {
        const char *name;
        jinja_value value;
    } attributes[] = {{"index", jinja_integer(index + 1)},
                      {"index0", jinja_integer(index)},
                      {"first", jinja_boolean(index == 0)},
                      {"last", jinja_boolean(index + 1 == count)},
                      {"length", jinja_integer(count)},
                      {"revindex", jinja_integer(count - index)},
                      {"revindex0", jinja_integer(count - index - 1)}};
    for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++)
        if (is_operator(name, size, attributes[i].name)) return attributes[i].value;
    const bool is_next = is_operator(name, size, "nextitem");
    if (!is_next && !is_operator(name, size, "previtem")) return jinja_refuse(j, "this part of loop is not supported");
    const int64_t at = is_next ? index + 1 : index - 1;
    return at >= 0 && at < count ? loop->items[at] : (jinja_value){0};
}

static jinja_value member(jinja *j, const jinja_value *of, const char *name, size_t size) {
    const jinja_value *value = jinja_lookup(j, of->dict, name, size);
    return value != NULL ? *value : (jinja_value){0};
}

jinja_value jinja_attribute(jinja *j, const jinja_value *of, const char *name, size_t size) {
    if (size > 0 && name[0] == '_') return jinja_refuse(j, "names that begin with _ are not supported");
    switch (of->kind) {
    case JINJA_UNDEFINED:
        return jinja_raise(j, "a part of an undefined value");
    case JINJA_NONE:
        return (jinja_value){0};
    case JINJA_LOOP:
        return loop_attribute(j, of, name, size);
    case JINJA_NAMESPACE:
        return member(j, of, name, size);
    case JINJA_DICT:
        return jinja_has_method(of, name, size) ? method(j, of, name, size) : member(j, of, name, size);
    default:
        if (jinja_has_method(of, name, size)) return method(j, of, name, size);
        return jinja_refuse(j, "this part of %s is not supported", jinja_type(of));
    }
}

// The item at an index that may count from the end; undefined when there is none.
static jinja_value at_index(const jinja_value *items, int64_t index) {
    const int64_t count = (int64_t)items->size;
    if (index < 0) index += count;
    return index >= 0 && index < count ? items->items[index] : (jinja_value){0};
}

jinja_value jinja_item(jinja *j, const jinja_value *of, const jinja_value *index) {
    if (of->kind == JINJA_UNDEFINED) return jinja_raise(j, "a part of an undefined value");
    if (of->kind == JINJA_NONE) return (jinja_value){0};
    if (of->kind == JINJA_DICT && index->kind == JINJA_STRING) {
        const jinja_value *value = jinja_lookup(j, of->dict, index->text, index->size);
        if (value != NULL) return *value;
    }
    if (index->kind == JINJA_STRING) return jinja_attribute(j, of, index->text, index->size);
    if ((of->kind == JINJA_LIST || of->kind == JINJA_TUPLE) && jinja_is_number(index))
        return at_index(of, index->integer);
    if (of->kind == JINJA_STRING && jinja_is_number(index)) {
        const jinja_value items = jinja_iterate(j, of);
        return at_index(&items, index->integer);
    }
    return jinja_refuse(j, "such an index is not supported");
}

// A bound of a slice of `count` items, walked through in steps: Python's slice.indices.
static int64_t bound(jinja *j, const jinja_value *given, int64_t count, int64_t step, bool is_start) {
    const int64_t low = step < 0 ? -1 : 0, high = step < 0 ? count - 1 : count;
    if (given->kind == JINJA_NONE) return is_start == (step > 0) ? low : high;
    if (!jinja_is_number(given)) return jinja_refuse(j, "a bound that is not a number"), 0;
    int64_t value = given->integer < 0 ? given->integer + count : given->integer;
    return value < low ? low : value > high ? high : value;
}

jinja_value jinja_slice(jinja *j, const jinja_value *of, const jinja_value *start, const jinja_value *stop,
                        const jinja_value *step) {
    if (of->kind != JINJA_LIST && of->kind != JINJA_TUPLE && of->kind != JINJA_STRING) {
        if (of->kind == JINJA_UNDEFINED) return jinja_raise(j, "a part of an undefined value");
        return jinja_refuse(j, "a slice of %s is not supported", jinja_type(of));
    }
    const jinja_value all = jinja_iterate(j, of), nothing = jinja_string("", 0);
    const int64_t by = step->kind == JINJA_NONE ? 1 : step->integer, count = (int64_t)all.size;
    if (step->kind != JINJA_NONE && (!jinja_is_number(step) || by == 0)) return jinja_raise(j, "a step of 0");
    int64_t at = bound(j, start, count, by, true), end = bound(j, stop, count, by, false);
    jinja_value *items = jinja_allocate(j, all.size, sizeof *items);
    size_t n = 0;
    for (; items != NULL && jinja_work(j, 1) && (by > 0 ? at < end : at > end); at += by) items[n++] = all.items[at];
    if (items == NULL) return (jinja_value){0};
    return of->kind == JINJA_STRING ? jinja_join(j, &nothing, items, n) : jinja_sequence(of->kind, items, n);
}
