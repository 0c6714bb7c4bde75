// Expressions to values.
#include "convert/jinja_internal.h"

#include <string.h>

static jinja_value name(jinja *j, const jinja_node *node) {
    const jinja_value *value = jinja_lookup(j, j->scope, node->text, node->size);
    return value != NULL ? *value : jinja_global(node->text, node->size);
}

static jinja_value sequence(jinja *j, const jinja_node *node) {
    size_t count = 0, i = 0;
    for (const jinja_node *item = node->a; item != NULL; item = item->next) count++;
    jinja_value *items = jinja_allocate(j, count, sizeof *items);
    for (const jinja_node *item = node->a; item != NULL && items != NULL; item = item->next)
        items[i++] = jinja_evaluate(j, item->a);
    return jinja_sequence(node->kind == NODE_LIST ? JINJA_LIST : JINJA_TUPLE, items, i);
}

static jinja_value dictionary(jinja *j, const jinja_node *node) {
    jinja_dict *dict = jinja_new_dict(j);
    for (const jinja_node *entry = node->a; entry != NULL && !jinja_failed(j); entry = entry->next) {
        const jinja_value key = jinja_evaluate(j, entry->a), value = jinja_evaluate(j, entry->b);
        if (!jinja_failed(j) && key.kind != JINJA_STRING) jinja_refuse(j, "such keys are not supported");
        if (!jinja_failed(j)) jinja_put(j, dict, &key, &value);
    }
    return (jinja_value){.kind = JINJA_DICT, .dict = dict};
}

static jinja_value slice(jinja *j, const jinja_node *node) {
    const jinja_node *const nodes[] = {node->b, node->c, node->d};
    const jinja_value of = jinja_evaluate(j, node->a);
    jinja_value bounds[3];
    for (size_t i = 0; i < 3; i++)
        bounds[i] = nodes[i] != NULL ? jinja_evaluate(j, nodes[i]) : (jinja_value){.kind = JINJA_NONE};
    return jinja_failed(j) ? of : jinja_slice(j, &of, &bounds[0], &bounds[1], &bounds[2]);
}

static bool read_arguments(jinja *j, const jinja_node *first, jinja_arguments *arguments) {
    *arguments = (jinja_arguments){0};
    for (const jinja_node *node = first; node != NULL && !jinja_failed(j); node = node->next) {
        const jinja_value value = jinja_evaluate(j, node->a), key = jinja_string(node->text, node->size);
        if (node->size > 0) {
            if (arguments->named == NULL) arguments->named = jinja_new_dict(j);
            if (arguments->named != NULL) jinja_put(j, arguments->named, &key, &value);
        } else if (arguments->count == JINJA_MAX_ARGUMENTS) {
            jinja_refuse(j, "more than %d arguments", JINJA_MAX_ARGUMENTS);
        } else {
            arguments->values[arguments->count++] = value;
        }
    }
    return !jinja_failed(j);
}

// Calls, filters and tests: a value and arguments.
static jinja_value apply(jinja *j, const jinja_node *node) {
    jinja_arguments arguments;
    const jinja_value value = jinja_evaluate(j, node->a);
    if (!read_arguments(j, node->b, &arguments)) return (jinja_value){0};
    j->at = node->at;
    if (node->kind == NODE_CALL) return jinja_call(j, &value, &arguments);
    if (node->kind == NODE_FILTER) return jinja_filter(j, node->text, node->size, &value, &arguments);
    return jinja_boolean(jinja_test(j, node->text, node->size, &value, &arguments));
}

// a < b < c is a < b and b < c.
static jinja_value comparison(jinja *j, const jinja_node *node) {
    jinja_value left = jinja_evaluate(j, node->a);
    for (const jinja_node *operand = node->b; operand != NULL && !jinja_failed(j); operand = operand->next) {
        const jinja_value right = jinja_evaluate(j, operand->a);
        if (jinja_failed(j) || !jinja_compare(j, operand->text, operand->size, &left, &right))
            return jinja_boolean(false);
        left = right;
    }
    return jinja_boolean(true);
}

static jinja_value choice(jinja *j, const jinja_node *node) {
    const jinja_value test = jinja_evaluate(j, node->a);
    if (jinja_failed(j)) return test;
    if (jinja_truth(&test)) return jinja_evaluate(j, node->b);
    return node->c != NULL ? jinja_evaluate(j, node->c) : (jinja_value){0};
}

static jinja_value of_parts(jinja *j, const jinja_node *node) {
    const jinja_value a = jinja_evaluate(j, node->a);
    const bool is_decided = node->kind == NODE_AND ? !jinja_truth(&a) : node->kind == NODE_OR && jinja_truth(&a);
    if (jinja_failed(j) || is_decided) return a;
    const jinja_value b = node->b != NULL ? jinja_evaluate(j, node->b) : (jinja_value){0}, zero = jinja_integer(0);
    if (jinja_failed(j)) return b;
    j->at = node->at;
    switch (node->kind) {
    case NODE_ATTRIBUTE:
        return jinja_attribute(j, &a, node->text, node->size);
    case NODE_ITEM:
        return jinja_item(j, &a, &b);
    case NODE_NOT:
        return jinja_boolean(!jinja_truth(&a));
    case NODE_MINUS:
        return jinja_binary(j, "-", 1, &zero, &a);
    case NODE_BINARY:
        return jinja_binary(j, node->text, node->size, &a, &b);
    default:
        return b; // of `and` and `or`
    }
}

static jinja_value evaluate(jinja *j, const jinja_node *node) {
    switch (node->kind) {
    case NODE_LITERAL:
        return node->value;
    case NODE_NAME:
        return name(j, node);
    case NODE_LIST:
    case NODE_TUPLE:
        return sequence(j, node);
    case NODE_DICT:
        return dictionary(j, node);
    case NODE_SLICE:
        return slice(j, node);
    case NODE_CALL:
    case NODE_FILTER:
    case NODE_TEST:
        return apply(j, node);
    case NODE_CHOICE:
        return choice(j, node);
    case NODE_COMPARE:
        return comparison(j, node);
    default:
        return of_parts(j, node);
    }
}

jinja_value jinja_evaluate(jinja *j, const jinja_node *node) {
    jinja_value value = {0};
    if (jinja_enter(j) && jinja_work(j, 1)) {
        j->at = node->at;
        value = evaluate(j, node);
    }
    jinja_leave(j);
    return jinja_failed(j) ? (jinja_value){0} : value;
}
