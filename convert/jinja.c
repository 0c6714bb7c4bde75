// Statements to text, and the interpreter as a whole; see jinja.h.
#include "convert/jinja_internal.h"
#include "engine/base/utf8.h"

#include <string.h>

typedef enum flow { GO_ON, BREAK_LOOP, CONTINUE_LOOP } flow;

static flow run(jinja *j, const jinja_node *node);

static void print(jinja *j, const jinja_value *value) {
    const jinja_value string = jinja_to_string(j, value);
    if (!jinja_work(j, string.size)) return;
    if (j->output->size + string.size > JINJA_MAX_OUTPUT)
        jinja_refuse(j, "its output exceeds %d MiB", JINJA_MAX_OUTPUT >> 20);
    else
        qins_buffer_append(j->output, string.text, string.size);
}

static void assign(jinja *j, const jinja_node *name, const jinja_value *value) {
    const jinja_value key = jinja_string(name->text, name->size);
    jinja_put(j, j->scope, &key, value);
}

// One name gets the value, several get its items.
static void unpack(jinja *j, const jinja_node *names, const jinja_value *value) {
    if (names->next == NULL) {
        assign(j, names, value);
        return;
    }
    const jinja_value items = jinja_iterate(j, value);
    size_t i = 0;
    for (const jinja_node *name = names; name != NULL && !jinja_failed(j); name = name->next, i++) {
        if (i == items.size)
            jinja_raise(j, "more names than values");
        else
            assign(j, name, &items.items[i]);
    }
    if (i < items.size) jinja_raise(j, "more values than names");
}

static void set(jinja *j, const jinja_node *target, const jinja_value *value) {
    if (target->kind != NODE_ATTRIBUTE) {
        unpack(j, target, value);
        return;
    }
    jinja_value *space = jinja_lookup(j, j->scope, target->a->text, target->a->size);
    const jinja_value key = jinja_string(target->text, target->size);
    if (jinja_failed(j)) return;
    if (space == NULL || space->kind != JINJA_NAMESPACE)
        jinja_raise(j, "only a namespace's parts can be set");
    else if (target->text[0] == '_')
        jinja_refuse(j, "names that begin with _ are not supported");
    else
        jinja_put(j, space->dict, &key, value);
}

// Names that are set inside end with it.
static flow run_scope(jinja *j, jinja_dict *scope, const jinja_node *body) {
    scope->parent = j->scope;
    j->scope = scope;
    const flow then = run(j, body);
    j->scope = scope->parent;
    return then;
}

static flow run_block(jinja *j, const jinja_node *body) {
    jinja_dict *scope = jinja_new_dict(j);
    return scope != NULL ? run_scope(j, scope, body) : GO_ON;
}

static void capture(jinja *j, const jinja_node *node) {
    qins_buffer text = {.error = j->error}, *output = j->output;
    j->output = &text;
    run_block(j, node->body);
    j->output = output;
    const char *copy = jinja_copy(j, (const char *)text.data, text.size);
    const jinja_value value = jinja_string(copy, text.size);
    if (!jinja_failed(j)) set(j, node->a, &value);
    qins_buffer_free(&text);
}

// The items for which the loop's condition holds.
static jinja_value filter_items(jinja *j, const jinja_node *node, const jinja_value *items) {
    jinja_value *kept = jinja_allocate(j, items->size, sizeof *kept);
    size_t count = 0;
    for (size_t i = 0; i < items->size && !jinja_failed(j); i++) {
        jinja_dict *scope = jinja_new_dict(j), *outer = j->scope;
        if (scope == NULL) break;
        scope->parent = outer;
        j->scope = scope;
        unpack(j, node->a, &items->items[i]);
        const jinja_value test = jinja_evaluate(j, node->c);
        j->scope = outer;
        if (jinja_truth(&test)) kept[count++] = items->items[i];
    }
    return jinja_sequence(JINJA_LIST, kept, count);
}

static flow run_for(jinja *j, const jinja_node *node) {
    const jinja_value of = jinja_evaluate(j, node->b), loop_name = jinja_literal("loop");
    jinja_value items = jinja_failed(j) ? of : jinja_iterate(j, &of);
    if (node->c != NULL && !jinja_failed(j)) items = filter_items(j, node, &items);
    if (jinja_failed(j)) return GO_ON;
    if (items.size == 0) return run_block(j, node->otherwise);
    flow then = GO_ON;
    for (size_t i = 0; i < items.size && then != BREAK_LOOP && jinja_work(j, 1); i++) {
        jinja_dict *scope = jinja_new_dict(j), *outer = j->scope;
        if (scope == NULL) break;
        const jinja_value loop = {.kind = JINJA_LOOP, .integer = (int64_t)i, .size = items.size, .items = items.items};
        jinja_put(j, scope, &loop_name, &loop);
        j->scope = scope; // unpack writes into the loop's own
        if (!jinja_failed(j)) unpack(j, node->a, &items.items[i]);
        j->scope = outer;
        if (!jinja_failed(j)) then = run_scope(j, scope, node->body);
    }
    return GO_ON;
}

static flow run_if(jinja *j, const jinja_node *node) {
    const jinja_value test = jinja_evaluate(j, node->a);
    if (jinja_failed(j)) return GO_ON;
    return run(j, jinja_truth(&test) ? node->body : node->otherwise);
}

static flow run_statement(jinja *j, const jinja_node *node) {
    jinja_value value;
    switch (node->kind) {
    case NODE_TEXT:
        print(j, &node->value);
        return GO_ON;
    case NODE_IF:
        return run_if(j, node);
    case NODE_FOR:
        return run_for(j, node);
    case NODE_BLOCK:
        return run_block(j, node->body);
    case NODE_CAPTURE:
        capture(j, node);
        return GO_ON;
    case NODE_BREAK:
        return BREAK_LOOP;
    case NODE_CONTINUE:
        return CONTINUE_LOOP;
    case NODE_SET:
        value = jinja_evaluate(j, node->b);
        if (!jinja_failed(j)) set(j, node->a, &value);
        return GO_ON;
    default:
        value = jinja_evaluate(j, node->a);
        if (!jinja_failed(j)) print(j, &value);
        return GO_ON;
    }
}

static flow run(jinja *j, const jinja_node *node) {
    flow then = GO_ON;
    if (jinja_enter(j)) {
        for (; node != NULL && then == GO_ON && jinja_work(j, 1); node = node->next) {
            j->at = node->at;
            then = run_statement(j, node);
        }
    }
    jinja_leave(j);
    return then;
}

// --- the whole ---

static void define(jinja *j, const char *name, jinja_value value) {
    const jinja_value key = jinja_literal(name);
    if (!jinja_failed(j)) jinja_put(j, j->scope, &key, &value);
}

static jinja_value make_message(jinja *j, const qins_message *message) {
    jinja_dict *dict = jinja_new_dict(j);
    const jinja_value keys[] = {jinja_literal("role"), jinja_literal("content")},
                      values[] = {jinja_literal(message->role),
                                  jinja_string(message->size > 0 ? message->content : "", message->size)};
    for (size_t i = 0; i < 2 && !jinja_failed(j); i++) jinja_put(j, dict, &keys[i], &values[i]);
    return (jinja_value){.kind = JINJA_DICT, .dict = dict};
}

static void define_input(jinja *j, const qins_jinja_input *input) {
    jinja_value *messages = jinja_allocate(j, input->n_messages, sizeof *messages);
    j->scope = jinja_new_dict(j);
    for (size_t i = 0; i < input->n_messages && messages != NULL; i++)
        messages[i] = make_message(j, &input->messages[i]);
    define(j, "messages", jinja_sequence(JINJA_LIST, messages, input->n_messages));
    define(j, "add_generation_prompt", jinja_boolean(input->add_generation_prompt));
    define(j, "tools", (jinja_value){.kind = JINJA_NONE});
    define(j, "documents", (jinja_value){.kind = JINJA_NONE});
    for (size_t i = 0; i < input->n_texts; i++)
        if (input->texts[i].text != NULL) define(j, input->texts[i].name, jinja_literal(input->texts[i].text));
}

qins_status qins_jinja_render(const char *text, size_t size, const qins_jinja_input *input, qins_jinja_result *result,
                              qins_error *error) {
    *result = (qins_jinja_result){0};
    if (error->status != QINS_OK) return error->status;
    qins_buffer output = {.error = error};
    jinja j = {.text = text, .size = size, .error = error, .output = &output};
    if (size > JINJA_MAX_TEMPLATE)
        jinja_refuse(&j, "it has more than %d bytes", JINJA_MAX_TEMPLATE);
    else if (!utf8_is_valid(text, size))
        jinja_refuse(&j, "it is not UTF-8");
    else
        jinja_read_tokens(&j);
    const jinja_node *root = jinja_failed(&j) ? NULL : jinja_parse_template(&j);
    if (!jinja_failed(&j)) define_input(&j, input);
    if (!jinja_failed(&j)) run(&j, root);
    if (!jinja_failed(&j)) qins_buffer_u8(&output, 0);
    result->raised = j.raised;
    jinja_free(&j);
    if (error->status != QINS_OK) {
        qins_buffer_free(&output);
        return error->status;
    }
    result->text = (char *)output.data;
    result->size = output.size - 1;
    return QINS_OK;
}
