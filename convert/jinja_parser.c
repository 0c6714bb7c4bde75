// Statements: if, for, set, generation, break, continue, and the text and output between them.
#include "convert/jinja_internal.h"

#include <string.h>

// Is the next tag the one of this name?
static bool next_is_tag(const jinja *j, const char *name) {
    return jinja_peek(j, 0)->kind == TOKEN_BLOCK && jinja_is(jinja_peek(j, 1), TOKEN_NAME, name);
}

static bool take_tag(jinja *j, const char *name) {
    if (!next_is_tag(j, name)) return false;
    jinja_take(j, TOKEN_BLOCK, NULL);
    return jinja_take(j, TOKEN_NAME, name);
}

static void end_tag(jinja *j) {
    jinja_expect(j, TOKEN_BLOCK_END, NULL);
}

static jinja_node *parse_statement(jinja *j);

// Statements up to one of the tags, NULL for fewer; without any: up to the end of the text.
static jinja_node *parse_body(jinja *j, const char *a, const char *b, const char *c) {
    const char *const ends[] = {a, b, c};
    jinja_node *first = NULL, **last = &first;
    while (!jinja_failed(j)) {
        for (size_t i = 0; i < 3; i++)
            if (ends[i] != NULL && next_is_tag(j, ends[i])) return first;
        if (jinja_peek(j, 0)->kind == TOKEN_END) {
            if (a != NULL) jinja_raise(j, "%s is missing", c != NULL ? c : b != NULL ? b : a);
            return first;
        }
        jinja_node *statement = parse_statement(j);
        if (statement == NULL) return NULL;
        *last = statement;
        last = &statement->next;
    }
    return first;
}

// After {% if or {% elif.
static jinja_node *parse_if(jinja *j) {
    jinja_node *node = NULL;
    if (jinja_enter(j) && (node = jinja_new_node(j, NODE_IF)) != NULL) {
        node->a = jinja_parse_or(j);
        end_tag(j);
        node->body = parse_body(j, "elif", "else", "endif");
        if (take_tag(j, "elif")) {
            node->otherwise = parse_if(j);
        } else {
            if (take_tag(j, "else")) {
                end_tag(j);
                node->otherwise = parse_body(j, "endif", NULL, NULL);
            }
            if (!take_tag(j, "endif")) jinja_raise(j, "endif is missing");
            end_tag(j);
        }
    }
    jinja_leave(j);
    return node;
}

// Names with commas between them, in parentheses or not.
static jinja_node *parse_targets(jinja *j) {
    jinja_node *first = NULL, **last = &first;
    const bool in_parentheses = jinja_take(j, TOKEN_OPERATOR, "(");
    do {
        jinja_node *name = jinja_new_node(j, NODE_NAME);
        const jinja_token *token = jinja_peek(j, 0);
        if (name == NULL) return NULL;
        name->text = token->text;
        name->size = token->size;
        if (jinja_constant(token).kind != JINJA_UNDEFINED) jinja_raise(j, "a constant cannot be set");
        jinja_expect(j, TOKEN_NAME, NULL);
        *last = name;
        last = &name->next;
    } while (jinja_take(j, TOKEN_OPERATOR, ","));
    if (in_parentheses) jinja_expect(j, TOKEN_OPERATOR, ")");
    return first;
}

static jinja_node *parse_for(jinja *j) {
    jinja_node *node = jinja_new_node(j, NODE_FOR);
    if (node == NULL) return NULL;
    node->a = parse_targets(j);
    jinja_expect(j, TOKEN_NAME, "in");
    node->b = jinja_parse_or(j);
    if (jinja_is(jinja_peek(j, 0), TOKEN_OPERATOR, ","))
        jinja_refuse(j, "a tuple without parentheses is not supported");
    if (jinja_take(j, TOKEN_NAME, "if")) node->c = jinja_parse_expression(j);
    if (jinja_take(j, TOKEN_NAME, "recursive")) jinja_refuse(j, "recursive loops are not supported");
    end_tag(j);
    j->n_loops++;
    node->body = parse_body(j, "else", "endfor", NULL);
    j->n_loops--;
    if (take_tag(j, "else")) {
        end_tag(j);
        node->otherwise = parse_body(j, "endfor", NULL, NULL);
    }
    if (!take_tag(j, "endfor")) jinja_raise(j, "endfor is missing");
    end_tag(j);
    return node;
}

// A body that no jump leaves, and the tag that ends it.
static jinja_node *parse_apart(jinja *j, const char *end) {
    const size_t n_loops = j->n_loops;
    j->n_loops = 0;
    jinja_node *body = parse_body(j, end, NULL, NULL);
    j->n_loops = n_loops;
    take_tag(j, end);
    end_tag(j);
    return body;
}

static jinja_node *parse_set(jinja *j) {
    jinja_node *targets = parse_targets(j);
    if (targets == NULL) return NULL;
    if (jinja_take(j, TOKEN_OPERATOR, ".")) {
        jinja_node *attribute = jinja_new_node(j, NODE_ATTRIBUTE);
        const jinja_token *name = jinja_peek(j, 0);
        if (attribute == NULL) return NULL;
        attribute->a = targets;
        attribute->text = name->text;
        attribute->size = name->size;
        jinja_expect(j, TOKEN_NAME, NULL);
        targets = attribute;
    }
    const bool has_value = jinja_take(j, TOKEN_OPERATOR, "=");
    jinja_node *node = jinja_new_node(j, has_value ? NODE_SET : NODE_CAPTURE);
    if (node == NULL) return NULL;
    node->a = targets;
    if (has_value) node->b = jinja_parse_tuple(j);
    end_tag(j);
    if (has_value) return node;
    node->body = parse_apart(j, "endset");
    return node;
}

static jinja_node *parse_generation(jinja *j) {
    jinja_node *node = jinja_new_node(j, NODE_BLOCK);
    end_tag(j);
    if (node == NULL) return NULL;
    node->body = parse_apart(j, "endgeneration");
    return node;
}

// break or continue.
static jinja_node *parse_jump(jinja *j, jinja_node_kind kind) {
    if (j->n_loops == 0) jinja_raise(j, "there is no loop");
    jinja_node *node = jinja_new_node(j, kind);
    end_tag(j);
    return node;
}

static jinja_node *parse_tag(jinja *j) {
    if (take_tag(j, "if")) return parse_if(j);
    if (take_tag(j, "for")) return parse_for(j);
    if (take_tag(j, "set")) return parse_set(j);
    if (take_tag(j, "generation")) return parse_generation(j);
    if (take_tag(j, "break")) return parse_jump(j, NODE_BREAK);
    if (take_tag(j, "continue")) return parse_jump(j, NODE_CONTINUE);
    const jinja_token *name = jinja_peek(j, 1);
    j->at = name->at;
    if (name->kind == TOKEN_NAME)
        jinja_refuse(j, "the tag %.*s is not supported", name->size > 32 ? 32 : (int)name->size, name->text);
    else
        jinja_raise(j, "a tag lacks its name");
    return NULL;
}

static jinja_node *parse_statement(jinja *j) {
    const jinja_token *token = jinja_peek(j, 0);
    jinja_node *node = NULL;
    if (jinja_enter(j)) {
        if (token->kind == TOKEN_BLOCK) {
            node = parse_tag(j);
        } else if (jinja_take(j, TOKEN_TEXT, NULL)) {
            node = jinja_new_node(j, NODE_TEXT);
            if (node != NULL) node->value = jinja_string(token->text, token->size);
        } else {
            jinja_expect(j, TOKEN_OUTPUT, NULL);
            node = jinja_new_node(j, NODE_OUTPUT);
            if (node != NULL) node->a = jinja_parse_tuple(j);
            jinja_expect(j, TOKEN_OUTPUT_END, NULL);
        }
    }
    jinja_leave(j);
    return node;
}

jinja_node *jinja_parse_template(jinja *j) {
    return parse_body(j, NULL, NULL, NULL);
}
