// Messages; see messages.h.
#include "engine/server/messages.h"

#include "engine/base/memory.h"
#include "engine/server/request_fields.h"

#include <string.h>

static bool refuse(qins_refusal *refusal, size_t index, const char *what) {
    return qins_refuse(refusal, 400, "invalid_value", "messages", "message %zu %s", index, what);
}

// The role; NULL if it is not one. OpenAI's newer models call the system the developer.
static const char *role_of(const char *text) {
    static const char *const roles[] = {"system", "user", "assistant"};
    if (text == NULL || strcmp(text, "developer") == 0) return text != NULL ? roles[0] : NULL;
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (strcmp(text, roles[i]) == 0) return roles[i];
    return NULL;
}

// The text of a part; NULL if it is something else.
static const char *part_text(const qins_json *part) {
    const char *type = qins_json_text(qins_json_get(part, "type"));
    return type != NULL && strcmp(type, "text") == 0 ? qins_json_text(qins_json_get(part, "text")) : NULL;
}

// Parts become one text, a line feed between them.
static bool join_parts(qins_request *request, size_t index, const qins_json *parts, qins_refusal *refusal) {
    static const char *const names[] = {"type", "text", NULL};
    qins_error error = {0};
    qins_buffer text = {.error = &error};
    for (const qins_json *part = qins_json_first(parts); part != NULL; part = qins_json_next(part)) {
        const char *piece = part_text(part);
        if (piece == NULL)
            refuse(refusal, index,
                   "has a part that is not {\"type\": \"text\", \"text\": ...}; only text is supported");
        else if (qins_fields_check(part, names, refusal)) {
            if (part != qins_json_first(parts)) qins_buffer_u8(&text, '\n');
            qins_buffer_append(&text, piece, strlen(piece));
        }
    }
    const size_t size = text.size;
    qins_buffer_u8(&text, '\0');
    if (error.status != QINS_OK) qins_refuse_error(refusal, NULL, NULL, &error);
    request->contents[index] = (char *)text.data;
    request->messages[index].content = request->contents[index];
    request->messages[index].size = size;
    return refusal->status == 0;
}

// Role and content; also members of another server's replies that clients send back, as long as they are null.
static bool is_member(const qins_json *message, const char *key) {
    static const char *const nulls[] = {"name", "refusal", "tool_calls", "function_call", "audio", "annotations"};
    if (strcmp(key, "role") == 0 || strcmp(key, "content") == 0) return true;
    for (size_t i = 0; i < sizeof nulls / sizeof *nulls; i++)
        if (strcmp(key, nulls[i]) == 0) return qins_json_get(message, key) == NULL;
    return false;
}

static bool read_message(qins_request *request, size_t index, const qins_json *item, qins_refusal *refusal) {
    qins_message *message = &request->messages[index];
    const qins_json *content = qins_json_get(item, "content");
    if (!qins_json_is_object(item)) return refuse(refusal, index, "is not an object");
    for (const qins_json *member = qins_json_first(item); member != NULL; member = qins_json_next(member))
        if (!is_member(item, qins_json_key(member)))
            return qins_refuse(refusal, 400, "unknown_parameter", "messages",
                               "message %zu has the field \"%.100s\", which is not supported", index,
                               qins_json_key(member));
    message->role = role_of(qins_json_text(qins_json_get(item, "role")));
    if (message->role == NULL) return refuse(refusal, index, "needs a \"role\": system, user or assistant");
    if (qins_json_is_array(content)) return join_parts(request, index, content, refusal);
    message->content = qins_json_text(content);
    if (message->content == NULL) return refuse(refusal, index, "needs a \"content\": a string, or parts of type text");
    message->size = strlen(message->content);
    return true;
}

bool qins_messages_read(qins_request *request, const qins_json *array, qins_refusal *refusal) {
    qins_error error = {0};
    const size_t n = qins_json_count(array);
    if (!qins_json_is_array(array) || n == 0 || n > QINS_MAX_MESSAGES)
        return qins_refuse(refusal, 400, "invalid_value", "messages",
                           "\"messages\" must be an array of 1 to %d messages", QINS_MAX_MESSAGES);
    request->messages = qins_alloc(n, sizeof *request->messages, "messages", &error);
    request->contents = qins_alloc(n, sizeof *request->contents, "messages", &error);
    if (error.status != QINS_OK) return qins_refuse_error(refusal, NULL, NULL, &error);
    for (const qins_json *item = qins_json_first(array); item != NULL; item = qins_json_next(item))
        if (!read_message(request, request->n_messages++, item, refusal)) return false;
    return true;
}
