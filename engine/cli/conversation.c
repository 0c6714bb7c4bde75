// Turns and their ids; see conversation.h.
#include "engine/cli/conversation.h"

#include "engine/base/file.h"
#include "engine/base/memory.h"
#include "engine/base/output_file.h"
#include "engine/cli/generate.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_FILE_BYTES = 1 << 28 };

qins_conversation qins_conversation_new(const qins_prompt_options *options, const qins_model *model) {
    return (qins_conversation){.options = options, .model = model};
}

void qins_conversation_free(qins_conversation *conversation) {
    qins_conversation_clear(conversation);
    free(conversation->turns);
    free(conversation->system);
    qins_ids_free(&conversation->ids);
    *conversation = (qins_conversation){0};
}

// --- turns ---

qins_status qins_conversation_begin_turn(qins_conversation *conversation, const char *text, size_t size,
                                         qins_error *error) {
    qins_turn turn = {.size = size, .message = conversation->ids.count};
    void *turns = conversation->turns;
    qins_grow(&turns, &conversation->capacity, conversation->n_turns + 1, sizeof turn, error);
    conversation->turns = turns;
    if (error->status != QINS_OK) return error->status;
    const bool begins = conversation->n_turns == 0;
    qins_encode_turn(conversation->options, conversation->model, begins, begins ? conversation->system : NULL, text,
                     size, &conversation->ids, error);
    turn.text = error->status == QINS_OK ? qins_copy_text(text, size, "message", error) : NULL;
    if (turn.text == NULL) {
        conversation->ids.count = turn.message;
        return error->status;
    }
    turn.reply = turn.end = conversation->ids.count;
    conversation->turns[conversation->n_turns++] = turn;
    return QINS_OK;
}

qins_status qins_conversation_end_turn(qins_conversation *conversation, qins_error *error) {
    const qins_model *model = conversation->model;
    conversation->turns[conversation->n_turns - 1].end = conversation->ids.count;
    return qins_chat_encode_end(model->tokenizer, &model->chat_template, &conversation->ids, error);
}

void qins_conversation_drop_turn(qins_conversation *conversation) {
    qins_turn *turn = &conversation->turns[--conversation->n_turns];
    conversation->ids.count = turn->message;
    free(turn->text);
}

void qins_conversation_clear(qins_conversation *conversation) {
    while (conversation->n_turns > 0) qins_conversation_drop_turn(conversation);
}

// The end of a turn's reply among the ids, with its closing marker.
static size_t reply_end(const qins_conversation *conversation, size_t turn) {
    return turn + 1 < conversation->n_turns ? conversation->turns[turn + 1].message : conversation->ids.count;
}

qins_status qins_conversation_set_system(qins_conversation *conversation, const char *text, qins_error *error) {
    qins_conversation changed = qins_conversation_new(conversation->options, conversation->model);
    if (text != NULL) changed.system = qins_copy_text(text, strlen(text), "message", error);
    for (size_t i = 0; i < conversation->n_turns && error->status == QINS_OK; i++) {
        const qins_turn *turn = &conversation->turns[i];
        const size_t end = reply_end(conversation, i);
        qins_conversation_begin_turn(&changed, turn->text, turn->size, error);
        for (size_t at = turn->reply; at < end && error->status == QINS_OK; at++)
            qins_ids_append(&changed.ids, conversation->ids.data[at], error);
        if (error->status == QINS_OK) changed.turns[i].end = changed.turns[i].reply + turn->end - turn->reply;
    }
    if (error->status == QINS_OK) {
        const qins_conversation old = *conversation;
        *conversation = changed;
        changed = old;
    }
    qins_conversation_free(&changed);
    return error->status;
}

// --- files ---

// A message as a line of the array.
static void append_message(qins_buffer *out, const char *role, const char *text, size_t size) {
    qins_error *error = out->error;
    qins_json *message = qins_json_new_object(error);
    qins_json_add_string(message, "role", role, error);
    qins_json_add_text(message, "content", text, size, error);
    const char *separator = out->size > 0 ? ",\n  " : "[\n  ";
    qins_buffer_append(out, separator, strlen(separator));
    qins_json_write(message, out);
    qins_json_free(message);
}

static void append_turn(qins_buffer *out, const qins_conversation *conversation, size_t index) {
    const qins_turn *turn = &conversation->turns[index];
    const int32_t *ids = conversation->ids.data + turn->reply;
    char *reply;
    size_t size;
    append_message(out, "user", turn->text, turn->size);
    if (reply_end(conversation, index) == turn->reply) return;
    if (qins_tokenizer_decode(conversation->model->tokenizer, ids, turn->end - turn->reply, true, &reply, &size,
                              out->error) != QINS_OK)
        return;
    append_message(out, "assistant", reply, size);
    free(reply);
}

void qins_conversation_print(const qins_conversation *conversation, qins_buffer *out) {
    if (conversation->system != NULL) append_message(out, "system", conversation->system, strlen(conversation->system));
    for (size_t i = 0; i < conversation->n_turns && out->error->status == QINS_OK; i++)
        append_turn(out, conversation, i);
    qins_buffer_append(out, out->size > 0 ? "\n]\n" : "[]\n", 3);
}

static qins_json *parse_messages(const char *text, size_t size, qins_error *error) {
    qins_json *json = qins_json_parse(text, size, QINS_USAGE, error);
    if (json != NULL && !qins_json_is_array(json)) {
        qins_fail(error, QINS_USAGE, "it does not contain an array of messages");
        qins_json_free(json);
        json = NULL;
    }
    return json;
}

static bool is_message(const qins_json *item) {
    return qins_json_text(qins_json_get(item, "role")) != NULL &&
           qins_json_text(qins_json_get(item, "content")) != NULL;
}

// A typing mistake must not destroy a file: only a conversation, or an empty file, may be replaced.
static void refuse_other_file(const char *path, qins_error *error) {
    qins_look look;
    if (qins_look_at(path, &look, QINS_USAGE, error) != QINS_OK || look.kind != QINS_REGULAR || look.size == 0) return;
    qins_error reason = {0};
    size_t size;
    char *text = qins_file_read_all(path, MAX_FILE_BYTES, &size, QINS_USAGE, &reason);
    qins_json *messages = text != NULL ? parse_messages(text, size, &reason) : NULL;
    free(text);
    for (const qins_json *item = qins_json_first(messages); item != NULL; item = qins_json_next(item))
        if (!is_message(item)) qins_fail(&reason, QINS_USAGE, "%s: it contains items that are not messages", path);
    qins_json_free(messages);
    if (reason.status == QINS_FAILED) *error = reason;
    if (reason.status != QINS_OK)
        qins_fail(error, QINS_USAGE, "%s exists and is not a conversation; give another name", path);
}

qins_status qins_conversation_write(const char *path, const void *text, size_t size, qins_error *error) {
    refuse_other_file(path, error);
    if (error->status == QINS_OK) qins_file_replace(path, text, size, 0666, error);
    return error->status;
}

static void load_reply(qins_conversation *conversation, const char *text, qins_error *error) {
    const qins_tokenizer *tokenizer = conversation->model->tokenizer;
    if (qins_tokenizer_encode(tokenizer, text, strlen(text), QINS_CONTINUED, &conversation->ids, error) == QINS_OK)
        qins_conversation_end_turn(conversation, error);
}

// Message `number` (from 1): first the system's, if there is one, then the user's and the assistant's in turns.
static void load_message(qins_conversation *conversation, size_t number, const qins_json *message, bool *awaits_reply,
                         qins_error *error) {
    const char *role = qins_json_get_string(message, "role", QINS_USAGE, error);
    const char *content = qins_json_get_string(message, "content", QINS_USAGE, error);
    const char *expected = *awaits_reply ? "assistant" : "user";
    if (error->status == QINS_OK && number == 1 && strcmp(role, "system") == 0) {
        conversation->system = qins_copy_text(content, strlen(content), "message", error);
    } else if (error->status == QINS_OK && strcmp(role, expected) == 0) {
        if (*awaits_reply)
            load_reply(conversation, content, error);
        else
            qins_conversation_begin_turn(conversation, content, strlen(content), error);
        *awaits_reply = !*awaits_reply;
    } else {
        qins_fail(error, QINS_USAGE, "the role must be \"%s\", not \"%s\"", expected, role);
    }
    qins_error_context(error, "message %zu", number);
}

qins_status qins_conversation_parse(qins_conversation *conversation, const char *text, size_t size, bool *awaits_reply,
                                    qins_error *error) {
    size_t number = 0;
    *awaits_reply = false;
    qins_json *messages = parse_messages(text, size, error);
    if (messages == NULL) return error->status;
    for (const qins_json *item = qins_json_first(messages); item != NULL && error->status == QINS_OK;
         item = qins_json_next(item))
        load_message(conversation, ++number, item, awaits_reply, error);
    qins_json_free(messages);
    return error->status;
}

qins_status qins_conversation_load(qins_conversation *conversation, const char *path, bool *awaits_reply,
                                   qins_error *error) {
    size_t size;
    char *text = qins_file_read_all(path, MAX_FILE_BYTES, &size, QINS_USAGE, error);
    if (text == NULL) return error->status;
    qins_conversation_parse(conversation, text, size, awaits_reply, error);
    free(text);
    return qins_error_context(error, "%s", path);
}
