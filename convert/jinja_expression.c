// Expressions, by Jinja2's grammar (jinja2/parser.py): condition, or, and, not, comparison, + -, ~, * / // %, sign,
// then .name, [index], (arguments), |filter, is test.
#include "convert/jinja_internal.h"

#include <string.h>

const jinja_token *jinja_peek(const jinja *j, size_t ahead) {
    static const jinja_token end = {.kind = TOKEN_END};
    return !jinja_failed(j) && ahead < j->n_tokens - j->next ? &j->tokens[j->next + ahead] : &end;
}

bool jinja_is(const jinja_token *token, jinja_token_kind kind, const char *text) {
    if (token->kind != kind) return false;
    return text == NULL || (strlen(text) == token->size && memcmp(text, token->text, token->size) == 0);
}

bool jinja_take(jinja *j, jinja_token_kind kind, const char *text) {
    const jinja_token *token = jinja_peek(j, 0);
    if (!jinja_is(token, kind, text)) return false;
    j->at = token->at;
    j->next++;
    return true;
}

void jinja_expect(jinja *j, jinja_token_kind kind, const char *text) {
    if (jinja_take(j, kind, text) || jinja_failed(j)) return;
    j->at = jinja_peek(j, 0)->at;
    jinja_raise(j, "\"%s\" is missing", text != NULL ? text : kind == TOKEN_NAME ? "a name" : "the tag's end");
}

static bool take_operator(jinja *j, const char *text) {
    return jinja_take(j, TOKEN_OPERATOR, text);
}

static bool next_is_operator(const jinja *j, const char *text) {
    return jinja_is(jinja_peek(j, 0), TOKEN_OPERATOR, text);
}

jinja_node *jinja_new_node(jinja *j, jinja_node_kind kind) {
    jinja_node *node = jinja_allocate(j, 1, sizeof *node);
    if (node == NULL) return NULL;
    node->kind = kind;
    node->at = jinja_peek(j, 0)->at;
    return node;
}

static jinja_node *new_node(jinja *j, jinja_node_kind kind, jinja_node *a, jinja_node *b) {
    jinja_node *node = jinja_new_node(j, kind);
    if (node == NULL) return NULL;
    node->a = a;
    node->b = b;
    return node;
}

// A node that takes the next token for its text.
static jinja_node *named_node(jinja *j, jinja_node_kind kind, jinja_node *a) {
    const jinja_token *token = jinja_peek(j, 0);
    jinja_node *node = new_node(j, kind, a, NULL);
    if (node == NULL) return NULL;
    node->text = token->text;
    node->size = token->size;
    j->next++;
    return node;
}

static jinja_node *literal(jinja *j, jinja_value value) {
    jinja_node *node = jinja_new_node(j, NODE_LITERAL);
    if (node != NULL) node->value = value;
    return node;
}

// --- primary expressions ---

// Items up to the closing bracket, with commas between them; *has_comma: there was one.
static jinja_node *parse_items(jinja *j, const char *close, bool *has_comma) {
    jinja_node *first = NULL, **last = &first;
    while (!jinja_failed(j) && !take_operator(j, close)) {
        if (first != NULL && !next_is_operator(j, close)) jinja_expect(j, TOKEN_OPERATOR, ",");
        if (take_operator(j, close)) break; // a comma before it
        jinja_node *item = jinja_parse_expression(j);
        if (item == NULL) return NULL;
        jinja_node *holder = new_node(j, NODE_ARGUMENT, item, NULL);
        if (holder == NULL) return NULL;
        *last = holder;
        last = &holder->next;
        *has_comma |= next_is_operator(j, ",");
    }
    return first;
}

static jinja_node *parse_parentheses(jinja *j) {
    bool has_comma = false;
    jinja_node *items = parse_items(j, ")", &has_comma);
    if (items == NULL || has_comma) return new_node(j, NODE_TUPLE, items, NULL);
    return items->a;
}

static jinja_node *parse_dict(jinja *j) {
    jinja_node *first = NULL, **last = &first;
    while (!jinja_failed(j) && !take_operator(j, "}")) {
        if (first != NULL) jinja_expect(j, TOKEN_OPERATOR, ",");
        if (take_operator(j, "}")) break;
        jinja_node *entry = new_node(j, NODE_ARGUMENT, jinja_parse_expression(j), NULL);
        jinja_expect(j, TOKEN_OPERATOR, ":");
        if (entry == NULL) return NULL;
        entry->b = jinja_parse_expression(j);
        *last = entry;
        last = &entry->next;
    }
    return new_node(j, NODE_DICT, first, NULL);
}

// The constant that a name stands for; undefined: it is not a constant.
jinja_value jinja_constant(const jinja_token *name) {
    static const struct {
        const char *name;
        jinja_value value;
    } constants[] = {{"true", {.kind = JINJA_BOOLEAN, .integer = 1}},
                     {"True", {.kind = JINJA_BOOLEAN, .integer = 1}},
                     {"false", {.kind = JINJA_BOOLEAN}},
                     {"False", {.kind = JINJA_BOOLEAN}},
                     {"none", {.kind = JINJA_NONE}},
                     {"None", {.kind = JINJA_NONE}}};
    for (size_t i = 0; i < sizeof constants / sizeof *constants; i++)
        if (jinja_is(name, TOKEN_NAME, constants[i].name)) return constants[i].value;
    return (jinja_value){0};
}

static jinja_node *parse_name(jinja *j) {
    const jinja_value constant = jinja_constant(jinja_peek(j, 0));
    if (constant.kind == JINJA_UNDEFINED) return named_node(j, NODE_NAME, NULL);
    jinja_take(j, TOKEN_NAME, NULL);
    return literal(j, constant);
}

static jinja_node *parse_integer(jinja *j) {
    const jinja_token *token = jinja_peek(j, 0);
    int64_t value = 0;
    if (token->size > 15) return jinja_refuse(j, "such large numbers are not supported"), NULL;
    for (size_t i = 0; i < token->size; i++) value = 10 * value + (token->text[i] - '0');
    jinja_take(j, TOKEN_INTEGER, NULL);
    return literal(j, jinja_integer(value));
}

// Strings side by side are one.
static jinja_node *parse_string(jinja *j) {
    jinja_value whole = jinja_string("", 0);
    for (const jinja_token *token; (token = jinja_peek(j, 0))->kind == TOKEN_STRING; j->next++) {
        const jinja_value part = jinja_string(token->text, token->size);
        whole = whole.size == 0 ? part : jinja_binary(j, "+", 1, &whole, &part);
    }
    return literal(j, whole);
}

jinja_node *jinja_parse_primary(jinja *j) {
    const jinja_token *token = jinja_peek(j, 0);
    bool has_comma = false;
    j->at = token->at;
    if (token->kind == TOKEN_NAME) return parse_name(j);
    if (token->kind == TOKEN_STRING) return parse_string(j);
    if (token->kind == TOKEN_INTEGER) return parse_integer(j);
    if (take_operator(j, "(")) return parse_parentheses(j);
    if (take_operator(j, "[")) return new_node(j, NODE_LIST, parse_items(j, "]", &has_comma), NULL);
    if (take_operator(j, "{")) return parse_dict(j);
    jinja_raise(j, "an expression is missing");
    return NULL;
}

// --- postfix operators ---

static jinja_node *parse_arguments(jinja *j) {
    jinja_node *first = NULL, **last = &first;
    bool has_named = false;
    while (!jinja_failed(j) && !take_operator(j, ")")) {
        if (first != NULL) jinja_expect(j, TOKEN_OPERATOR, ",");
        if (take_operator(j, ")")) break;
        if (next_is_operator(j, "*") || next_is_operator(j, "**")) jinja_refuse(j, "*arguments are not supported");
        const bool is_named = jinja_is(jinja_peek(j, 1), TOKEN_OPERATOR, "=");
        jinja_node *argument = is_named ? named_node(j, NODE_ARGUMENT, NULL) : jinja_new_node(j, NODE_ARGUMENT);
        if (is_named) jinja_expect(j, TOKEN_OPERATOR, "=");
        if (has_named && !is_named) jinja_raise(j, "an argument without a name follows one with a name");
        has_named |= is_named;
        if (argument == NULL) return NULL;
        argument->a = jinja_parse_expression(j);
        *last = argument;
        last = &argument->next;
    }
    return first;
}

static jinja_node *parse_slice(jinja *j, jinja_node *of, jinja_node *start) {
    jinja_node *slice = new_node(j, NODE_SLICE, of, start);
    if (slice == NULL) return NULL;
    if (!next_is_operator(j, ":") && !next_is_operator(j, "]")) slice->c = jinja_parse_expression(j);
    if (take_operator(j, ":") && !next_is_operator(j, "]")) slice->d = jinja_parse_expression(j);
    jinja_expect(j, TOKEN_OPERATOR, "]");
    return slice;
}

static jinja_node *parse_subscript(jinja *j, jinja_node *of) {
    if (next_is_operator(j, "]")) jinja_refuse(j, "an empty index is not supported");
    jinja_node *index = next_is_operator(j, ":") ? NULL : jinja_parse_expression(j);
    if (take_operator(j, ":")) return parse_slice(j, of, index);
    if (next_is_operator(j, ",")) jinja_refuse(j, "an index of several parts is not supported");
    jinja_expect(j, TOKEN_OPERATOR, "]");
    return new_node(j, NODE_ITEM, of, index);
}

static jinja_node *parse_attribute(jinja *j, jinja_node *of) {
    if (jinja_peek(j, 0)->kind == TOKEN_INTEGER) return new_node(j, NODE_ITEM, of, parse_integer(j));
    if (jinja_peek(j, 0)->kind == TOKEN_NAME) return named_node(j, NODE_ATTRIBUTE, of);
    jinja_expect(j, TOKEN_NAME, NULL);
    return NULL;
}

static jinja_node *parse_postfix(jinja *j, jinja_node *node) {
    while (!jinja_failed(j)) {
        if (take_operator(j, "."))
            node = parse_attribute(j, node);
        else if (take_operator(j, "["))
            node = parse_subscript(j, node);
        else if (take_operator(j, "("))
            node = new_node(j, NODE_CALL, node, parse_arguments(j));
        else
            break;
    }
    return node;
}

// A test's argument may come without parentheses: is equalto 'x'.
static bool next_is_argument(const jinja *j) {
    static const char *const ends[] = {"else", "or", "and", "is"};
    const jinja_token *token = jinja_peek(j, 0);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (jinja_is(token, TOKEN_NAME, ends[i])) return false;
    return token->kind == TOKEN_NAME || token->kind == TOKEN_STRING || token->kind == TOKEN_INTEGER ||
           next_is_operator(j, "[") || next_is_operator(j, "{");
}

static jinja_node *parse_test(jinja *j, jinja_node *of) {
    const bool is_negated = jinja_take(j, TOKEN_NAME, "not");
    if (jinja_peek(j, 0)->kind != TOKEN_NAME) jinja_expect(j, TOKEN_NAME, NULL);
    jinja_node *test = named_node(j, NODE_TEST, of);
    if (test == NULL) return NULL;
    if (next_is_operator(j, ".")) jinja_refuse(j, "a test with a dot in its name is not supported");
    if (take_operator(j, "("))
        test->b = parse_arguments(j);
    else if (next_is_argument(j))
        test->b = new_node(j, NODE_ARGUMENT, parse_postfix(j, jinja_parse_primary(j)), NULL);
    if (jinja_is(jinja_peek(j, 0), TOKEN_NAME, "is")) jinja_refuse(j, "a test follows a test");
    return is_negated ? new_node(j, NODE_NOT, test, NULL) : test;
}

static jinja_node *parse_filters(jinja *j, jinja_node *node) {
    while (!jinja_failed(j)) {
        if (take_operator(j, "|")) {
            if (jinja_peek(j, 0)->kind != TOKEN_NAME) jinja_expect(j, TOKEN_NAME, NULL);
            node = named_node(j, NODE_FILTER, node);
            if (next_is_operator(j, ".")) jinja_refuse(j, "a filter with a dot in its name is not supported");
            if (node != NULL && take_operator(j, "(")) node->b = parse_arguments(j);
        } else if (jinja_take(j, TOKEN_NAME, "is")) {
            node = parse_test(j, node);
        } else if (take_operator(j, "(")) {
            node = new_node(j, NODE_CALL, node, parse_arguments(j));
        } else {
            break;
        }
    }
    return node;
}

// --- operators, from the highest to the lowest precedence ---

static jinja_node *parse_unary(jinja *j, bool with_filters) {
    jinja_node *node = NULL;
    if (jinja_enter(j)) {
        if (take_operator(j, "-"))
            node = new_node(j, NODE_MINUS, parse_unary(j, false), NULL);
        else if (next_is_operator(j, "+"))
            jinja_refuse(j, "a + sign is not supported");
        else
            node = jinja_parse_primary(j);
        node = parse_postfix(j, node);
        if (with_filters) node = parse_filters(j, node);
    }
    jinja_leave(j);
    return node;
}

// A chain of operators of equal precedence, grouped from the left.
static jinja_node *parse_chain(jinja *j, size_t strength) {
    static const char *const operators[][4] = {{"+", "-"}, {"~"}, {"*", "/", "//", "%"}};
    if (strength == sizeof operators / sizeof *operators) return parse_unary(j, true);
    jinja_node *node = parse_chain(j, strength + 1);
    for (size_t i = 0; i < 4 && !jinja_failed(j);) {
        if (operators[strength][i] == NULL || !next_is_operator(j, operators[strength][i])) {
            i++;
            continue;
        }
        node = named_node(j, NODE_BINARY, node);
        if (node != NULL) node->b = parse_chain(j, strength + 1);
        i = 0;
    }
    if (next_is_operator(j, "**")) jinja_refuse(j, "** is not supported");
    return node;
}

// The operator of a comparison that comes next: its tokens, 0: none.
static size_t comparison(const jinja *j) {
    static const char *const operators[] = {"==", "!=", "<", "<=", ">", ">="};
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
        if (next_is_operator(j, operators[i])) return 1;
    if (jinja_is(jinja_peek(j, 0), TOKEN_NAME, "in")) return 1;
    return 2 * (jinja_is(jinja_peek(j, 0), TOKEN_NAME, "not") && jinja_is(jinja_peek(j, 1), TOKEN_NAME, "in"));
}

static jinja_node *parse_comparison(jinja *j) {
    jinja_node *node = parse_chain(j, 0), *operands = NULL, **last = &operands;
    for (size_t n_tokens; (n_tokens = comparison(j)) > 0;) {
        jinja_node *operand = named_node(j, NODE_OPERAND, NULL);
        if (operand == NULL) return NULL;
        j->next += n_tokens - 1; // "not in" is "not" here
        operand->a = parse_chain(j, 0);
        *last = operand;
        last = &operand->next;
    }
    return operands == NULL ? node : new_node(j, NODE_COMPARE, node, operands);
}

static jinja_node *parse_not(jinja *j) {
    jinja_node *node = NULL;
    if (jinja_enter(j))
        node = jinja_take(j, TOKEN_NAME, "not") ? new_node(j, NODE_NOT, parse_not(j), NULL) : parse_comparison(j);
    jinja_leave(j);
    return node;
}

static jinja_node *parse_and(jinja *j) {
    jinja_node *node = parse_not(j);
    while (jinja_take(j, TOKEN_NAME, "and")) node = new_node(j, NODE_AND, node, parse_not(j));
    return node;
}

jinja_node *jinja_parse_or(jinja *j) {
    jinja_node *node = parse_and(j);
    while (jinja_take(j, TOKEN_NAME, "or")) node = new_node(j, NODE_OR, node, parse_and(j));
    return node;
}

jinja_node *jinja_parse_expression(jinja *j) {
    jinja_node *node = NULL;
    if (jinja_enter(j)) node = jinja_parse_or(j);
    while (jinja_take(j, TOKEN_NAME, "if")) {
        jinja_node *choice = new_node(j, NODE_CHOICE, jinja_parse_or(j), node);
        if (choice == NULL) break;
        if (jinja_take(j, TOKEN_NAME, "else")) choice->c = jinja_parse_expression(j);
        node = choice;
    }
    jinja_leave(j);
    return node;
}

jinja_node *jinja_parse_tuple(jinja *j) {
    jinja_node *first = jinja_parse_expression(j);
    if (next_is_operator(j, ",")) jinja_refuse(j, "a tuple without parentheses is not supported");
    return first;
}
