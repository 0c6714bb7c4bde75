// The interpreter's insides, shared by convert/jinja_*.c: text to tokens (lexer), tokens to a tree (expression,
// parser), the tree to values and text (evaluate, operators, call, filters, jinja.c). All memory is in one arena.
#ifndef QINS_CONVERT_JINJA_INTERNAL_H
#define QINS_CONVERT_JINJA_INTERNAL_H

#include "convert/jinja.h"
#include "engine/base/buffer.h"

enum {
    JINJA_MAX_DEPTH = 200,        // of nesting, in the text and in computed values
    JINJA_MAX_WORK = 1 << 24,     // steps, and bytes that are searched or compared
    JINJA_MAX_MEMORY = 1 << 24,   // bytes in the arena
    JINJA_MAX_OUTPUT = 1 << 20,   // bytes
    JINJA_MAX_TEMPLATE = 1 << 18, // bytes
    JINJA_MAX_ARGUMENTS = 8
};

// --- values ---

typedef enum jinja_kind {
    JINJA_UNDEFINED, // first, so zeroed values are undefined
    JINJA_NONE,
    JINJA_BOOLEAN,
    JINJA_INTEGER,
    JINJA_STRING,
    JINJA_LIST,
    JINJA_TUPLE,
    JINJA_VIEW, // range(), the keys, values and items of a dictionary: only for iteration
    JINJA_DICT,
    JINJA_NAMESPACE,
    JINJA_LOOP,
    JINJA_FUNCTION, // by its name
    JINJA_METHOD    // of a receiver, by its name
} jinja_kind;

typedef struct jinja_value jinja_value;
typedef struct jinja_dict jinja_dict;

struct jinja_value {
    jinja_kind kind;
    size_t size; // bytes of a string or name, number of items
    union {
        int64_t integer;  // a boolean's, too
        jinja_dict *dict; // a namespace's, too
    };
    const char *text;         // of a string; the name of a function or method
    const jinja_value *items; // of a list, tuple or view; a method's receiver; everything that a loop iterates over
};

typedef struct jinja_entry {
    jinja_value key, value; // the key is a string
} jinja_entry;

struct jinja_dict {
    jinja_entry *entries; // in the arena
    size_t count, capacity;
    jinja_dict *parent; // of a scope: the enclosing scope, for names that it lacks
};

// --- the tree ---

typedef enum jinja_node_kind {
    // Expressions
    NODE_LITERAL,   // value
    NODE_NAME,      // text
    NODE_LIST,      // items a
    NODE_TUPLE,     // items a
    NODE_DICT,      // keys a, each with its value b
    NODE_ATTRIBUTE, // a.text
    NODE_ITEM,      // a[b]
    NODE_SLICE,     // a[b:c:d]
    NODE_CALL,      // a(arguments b)
    NODE_FILTER,    // a | text(arguments b)
    NODE_TEST,      // a is text(arguments b)
    NODE_ARGUMENT,  // a; text: its name, or empty
    NODE_NOT,       // not a
    NODE_MINUS,     // -a
    NODE_AND,       // a and b
    NODE_OR,        // a or b
    NODE_CHOICE,    // b if a else c
    NODE_COMPARE,   // a, then operands b, each with its operator as text
    NODE_OPERAND,   // a
    NODE_BINARY,    // a text b
    // Statements
    NODE_TEXT,    // text
    NODE_OUTPUT,  // {{ a }}
    NODE_IF,      // test a, then body b, else c
    NODE_FOR,     // targets a in b if c: body, else
    NODE_SET,     // a = b: a name, an attribute of one or a tuple of names
    NODE_CAPTURE, // a = the output of the body
    NODE_BLOCK,   // body with names of its own
    NODE_BREAK,
    NODE_CONTINUE
} jinja_node_kind;

typedef struct jinja_node jinja_node;
struct jinja_node {
    jinja_node_kind kind;
    size_t at; // byte of the template
    const char *text;
    size_t size; // bytes of it
    jinja_value value;
    jinja_node *a, *b, *c, *d;
    jinja_node *body, *otherwise;
    jinja_node *next; // in a list of arguments, items, statements
};

// --- the state ---

typedef enum jinja_token_kind {
    TOKEN_END,
    TOKEN_TEXT,
    TOKEN_BLOCK,     // {%
    TOKEN_BLOCK_END, // %}
    TOKEN_OUTPUT,    // {{
    TOKEN_OUTPUT_END,
    TOKEN_NAME,
    TOKEN_STRING,
    TOKEN_INTEGER,
    TOKEN_OPERATOR
} jinja_token_kind;

typedef struct jinja_token {
    jinja_token_kind kind;
    size_t at;
    const char *text;
    size_t size;
} jinja_token;

typedef struct jinja_block jinja_block; // of memory

typedef struct jinja {
    const char *text; // the template, with \n as its only line ends
    size_t size;
    size_t at; // byte of it that is being processed
    qins_error *error;
    bool raised;
    jinja_block *blocks; // owned
    size_t memory;       // bytes
    size_t work, depth;
    jinja_token *tokens;
    size_t n_tokens, token_capacity;
    size_t next;    // token
    size_t n_loops; // that the next token is in
    jinja_dict *scope;
    qins_buffer *output;
} jinja;

// --- jinja_state.c: memory, limits, failures ---

// Zeroed memory that lives as long as the interpreter; NULL after a failure.
void *jinja_allocate(jinja *j, size_t count, size_t size);
char *jinja_copy(jinja *j, const char *text, size_t size);
void jinja_free(jinja *j);
static inline bool jinja_failed(const jinja *j) {
    return j->error->status != QINS_OK;
}
// Not understood here; an error in Jinja2 as well. Both return undefined.
jinja_value jinja_refuse(jinja *j, const char *format, ...) QINS_PRINTF(2, 3);
jinja_value jinja_raise(jinja *j, const char *format, ...) QINS_PRINTF(2, 3);
bool jinja_work(jinja *j, size_t amount); // false: too much
bool jinja_enter(jinja *j);               // a level of nesting; false: too deep. Always followed by jinja_leave
void jinja_leave(jinja *j);

// --- jinja_lexer.c ---

void jinja_read_tokens(jinja *j);

// --- jinja_expression.c, jinja_parser.c ---

const jinja_token *jinja_peek(const jinja *j, size_t ahead);
bool jinja_is(const jinja_token *token, jinja_token_kind kind, const char *text); // text NULL: any
bool jinja_take(jinja *j, jinja_token_kind kind, const char *text);               // consume it, if it is this one
void jinja_expect(jinja *j, jinja_token_kind kind, const char *text);
jinja_value jinja_constant(const jinja_token *name);        // true, none and so on; undefined: not a constant
jinja_node *jinja_new_node(jinja *j, jinja_node_kind kind); // at the next token
jinja_node *jinja_parse_expression(jinja *j);               // with its `if`, without commas
jinja_node *jinja_parse_or(jinja *j);                       // without an `if`
jinja_node *jinja_parse_tuple(jinja *j);                    // where Jinja2 takes a tuple without parentheses
jinja_node *jinja_parse_primary(jinja *j);
jinja_node *jinja_parse_template(jinja *j);

// --- jinja_value.c ---

jinja_value jinja_string(const char *text, size_t size);
jinja_value jinja_literal(const char *text); // a string
jinja_value jinja_integer(int64_t integer);
jinja_value jinja_boolean(bool boolean);
jinja_value jinja_sequence(jinja_kind kind, const jinja_value *items, size_t count);
bool jinja_is_number(const jinja_value *value);   // booleans are, in Python
bool jinja_is_sequence(const jinja_value *value); // list, tuple or view
bool jinja_equals(const jinja_value *string, const char *text);
bool jinja_truth(const jinja_value *value);
const char *jinja_type(const jinja_value *value);
bool jinja_same(jinja *j, const jinja_value *a, const jinja_value *b); // ==
jinja_value jinja_to_string(jinja *j, const jinja_value *value);       // str()
// The items that a loop over the value iterates over: characters, keys, items.
jinja_value jinja_iterate(jinja *j, const jinja_value *value);
jinja_dict *jinja_new_dict(jinja *j);
jinja_value *jinja_lookup(jinja *j, const jinja_dict *dict, const char *key, size_t size); // NULL: not there
void jinja_put(jinja *j, jinja_dict *dict, const jinja_value *key, const jinja_value *value);

// --- jinja_text.c: Python's strings ---

size_t jinja_space(const char *text, size_t size);     // bytes of white space, as Python defines it, at the start
size_t jinja_character(const char *text, size_t size); // bytes of the first one
jinja_value jinja_strip(jinja *j, const jinja_value *string, const jinja_value *set, bool left, bool right);
size_t jinja_find(jinja *j, const jinja_value *in, size_t from, const jinja_value *what); // SIZE_MAX: not there
jinja_value jinja_split(jinja *j, const jinja_value *string, const jinja_value *separator, int64_t limit);
jinja_value jinja_replace(jinja *j, const jinja_value *string, const jinja_value *old, const jinja_value *with);
jinja_value jinja_join(jinja *j, const jinja_value *separator, const jinja_value *items, size_t count);
jinja_value jinja_change_case(jinja *j, const jinja_value *string, bool upper, bool first_only);

// --- jinja_operators.c ---

jinja_value jinja_binary(jinja *j, const char *operator, size_t size, const jinja_value *a, const jinja_value *b);
bool jinja_compare(jinja *j, const char *operator, size_t size, const jinja_value *a, const jinja_value *b);
jinja_value jinja_attribute(jinja *j, const jinja_value *of, const char *name, size_t size);
jinja_value jinja_item(jinja *j, const jinja_value *of, const jinja_value *index);
jinja_value jinja_slice(jinja *j, const jinja_value *of, const jinja_value *start, const jinja_value *stop,
                        const jinja_value *step);

// --- jinja_evaluate.c, jinja_call.c, jinja_filters.c ---

typedef struct jinja_arguments {
    jinja_value values[JINJA_MAX_ARGUMENTS];
    size_t count;      // of those by position, which come first
    jinja_dict *named; // NULL: none
} jinja_arguments;

jinja_value jinja_evaluate(jinja *j, const jinja_node *node);
jinja_value jinja_global(const char *name, size_t size); // a function of this name, or undefined
jinja_value jinja_call(jinja *j, const jinja_value *function, const jinja_arguments *arguments);
bool jinja_has_method(const jinja_value *of, const char *name, size_t size); // as Python's type has it
jinja_value jinja_filter(jinja *j, const char *name, size_t size, const jinja_value *value,
                         const jinja_arguments *arguments);
bool jinja_test(jinja *j, const char *name, size_t size, const jinja_value *value, const jinja_arguments *arguments);

#endif
