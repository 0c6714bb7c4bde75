// Log-probabilities; see logprobs.h. They are printed as they come: a long reply's as objects of a JSON library would
// take several times the memory.
#include "engine/server/logprobs.h"

#include "engine/base/utf8.h"
#include "engine/runtime/model.h"

#include <stdlib.h>
#include <string.h>

static const char *const legacy_names[QINS_LOGPROB_LISTS] = {"tokens", "token_logprobs", "top_logprobs", "text_offset"};

// --- pieces of JSON ---

// The bytes of a token; special tokens have their names.
static void token_bytes(const qins_reply *reply, int32_t id, qins_buffer *bytes) {
    const qins_tokenizer *tokenizer = reply->model->tokenizer;
    size_t size;
    const char *piece;
    if (tokenizer == NULL || qins_tokenizer_token_bytes(tokenizer, id, bytes)) return;
    if ((piece = qins_tokenizer_piece(tokenizer, id, &size)) != NULL) qins_buffer_append(bytes, piece, size);
}

// Does the decoder drop a space at the beginning of a text, if this token comes first?
static bool loses_space(const qins_reply *reply, int32_t id, const qins_buffer *bytes) {
    char *text = NULL;
    size_t size = 0;
    if (bytes->size == 0 || bytes->data[0] != ' ') return false;
    qins_tokenizer_decode(reply->model->tokenizer, &id, 1, true, &text, &size, bytes->error);
    const bool loses = text != NULL && (size == 0 || text[0] != ' ');
    free(text);
    return loses;
}

// The bytes of the reply's tokens make up its text, as with OpenAI.
static void fill_candidate(const qins_reply *reply, qins_json *object, const qins_candidate *candidate,
                           qins_error *error) {
    qins_buffer bytes = {.error = error};
    token_bytes(reply, candidate->id, &bytes);
    if (!reply->has_tokens && loses_space(reply, candidate->id, &bytes))
        memmove(bytes.data, bytes.data + 1, --bytes.size);
    qins_json_add_text(object, "token", bytes.size > 0 ? (const char *)bytes.data : "", bytes.size, error);
    qins_json_add_number(object, "logprob", candidate->logprob, error);
    qins_json *array = qins_json_add_array(object, "bytes", error);
    for (size_t i = 0; i < bytes.size; i++) qins_json_append_number(array, bytes.data[i], error);
    qins_buffer_free(&bytes);
}

// Append a value of `json`, which is released, to a list.
static void append(qins_buffer *list, qins_json *json, const char *key) {
    if (list->size > 0) qins_buffer_u8(list, ',');
    qins_json_write(key != NULL ? qins_json_get(json, key) : json, list);
    qins_json_free(json);
}

// --- the two forms ---

static void add_chat(qins_reply *reply, const qins_event *event, qins_error *error) {
    qins_json *object = qins_json_new_object(error);
    fill_candidate(reply, object, &event->token, error);
    qins_json *top = qins_json_add_array(object, "top_logprobs", error);
    for (size_t i = 0; i < event->n_top; i++)
        fill_candidate(reply, qins_json_append_object(top, error), &event->top[i], error);
    append(&reply->lists[0], object, NULL);
    reply->has_tokens = true;
}

// A token's bytes as a text: themselves, or, where they are not UTF-8, as OpenAI writes them: bytes:\xf0\x9f. It ends
// with a NUL. The texts of two tokens are the same only if their bytes are.
static void legacy_text(const qins_reply *reply, int32_t id, qins_buffer *text) {
    static const char digits[] = "0123456789abcdef", prefix[] = "bytes:";
    qins_buffer bytes = {.error = text->error};
    text->size = 0;
    token_bytes(reply, id, &bytes);
    const char *data = bytes.size > 0 ? (const char *)bytes.data : "";
    if (utf8_is_valid(data, bytes.size) && memchr(data, '\0', bytes.size) == NULL) {
        qins_buffer_append(text, data, bytes.size);
    } else {
        qins_buffer_append(text, prefix, sizeof prefix - 1);
        for (size_t i = 0; i < bytes.size; i++) {
            const char escape[] = {'\\', 'x', digits[bytes.data[i] >> 4], digits[bytes.data[i] & 15]};
            qins_buffer_append(text, escape, sizeof escape);
        }
    }
    qins_buffer_u8(text, '\0');
    qins_buffer_free(&bytes);
}

// Characters of a text; at its end, the start of one does not count.
static size_t count_characters(const char *text, size_t size) {
    size_t n = 0;
    bool may_go_on = false;
    for (size_t at = 0; at < size; n += !may_go_on) {
        uint32_t code_point;
        const size_t length = utf8_decode(text + at, size - at, &code_point);
        at += length > 0 ? length : utf8_broken(text + at, size - at, &may_go_on);
    }
    return n;
}

// The place of the next token in the reply's text, in characters; all tokens that spell one character begin at the same
// place. A token of whole characters comes after all held-back bytes, however those were decoded.
static size_t next_offset(qins_reply *reply, int32_t id, qins_error *error) {
    qins_buffer bytes = {.error = error};
    const char *text;
    size_t size;
    const size_t held_size = qins_text_stream_held(reply->texts, &text), n_held = count_characters(text, held_size);
    token_bytes(reply, id, &bytes);
    const size_t n_own = count_characters((const char *)bytes.data, bytes.size);
    const bool is_whole = utf8_is_valid((const char *)bytes.data, bytes.size);
    qins_text_stream_push(reply->texts, id, &text, &size, error);
    const size_t n = error->status == QINS_OK ? count_characters(text, size) : 0;
    const size_t offset = reply->n_characters + (held_size > 0 && is_whole && n >= n_own ? n - n_own : n_held);
    reply->n_characters += n;
    qins_buffer_free(&bytes);
    return offset;
}

static void add_legacy(qins_reply *reply, const qins_event *event, qins_error *error) {
    qins_json *token = qins_json_new_object(error), *number = qins_json_new_object(error),
              *top = qins_json_new_object(error), *offset = qins_json_new_object(error);
    qins_buffer text = {.error = error};
    legacy_text(reply, event->token.id, &text);
    if (error->status == QINS_OK) qins_json_add_string(token, "", (const char *)text.data, error);
    qins_json_add_number(number, "", event->token.logprob, error);
    qins_json_add_number(offset, "", (double)next_offset(reply, event->token.id, error), error);
    for (size_t i = 0; i < event->n_top; i++) {
        legacy_text(reply, event->top[i].id, &text);
        if (error->status != QINS_OK || qins_json_has(top, (const char *)text.data)) continue; // two ids, one text
        qins_json_add_number(top, (const char *)text.data, event->top[i].logprob, error);
    }
    qins_buffer_free(&text);
    append(&reply->lists[0], token, "");
    append(&reply->lists[1], number, "");
    append(&reply->lists[2], top, NULL);
    append(&reply->lists[3], offset, "");
}

qins_status qins_logprobs_begin(qins_reply *reply, qins_error *error) {
    const qins_request *request = reply->request;
    if (request->kind != QINS_TEXT_REQUEST || !request->generation.wants_logprobs) return QINS_OK;
    reply->texts = qins_text_stream_create(reply->model->tokenizer, true, error);
    if (reply->texts == NULL) return error->status;
    qins_text_stream_follow(reply->texts, request->ids.data[request->ids.count - 1]);
    return QINS_OK;
}

void qins_logprobs_add(qins_reply *reply, const qins_event *event, qins_error *error) {
    for (size_t i = 0; i < QINS_LOGPROB_LISTS; i++) reply->lists[i].error = error;
    if (reply->request->kind == QINS_CHAT_REQUEST)
        add_chat(reply, event, error);
    else
        add_legacy(reply, event, error);
}

// Put a list into the object, and empty it.
static void take_list(qins_buffer *list, qins_json *object, const char *name, qins_error *error) {
    qins_buffer text = {.error = error};
    qins_buffer_u8(&text, '[');
    if (list->size > 0) qins_buffer_append(&text, list->data, list->size);
    qins_buffer_append(&text, "]", 2); // with its NUL
    if (error->status == QINS_OK) qins_json_add_raw(object, name, (const char *)text.data, error);
    qins_buffer_free(&text);
    list->size = 0;
}

void qins_logprobs_take(qins_reply *reply, qins_json *choice, qins_error *error) {
    const bool is_chat = reply->request->kind == QINS_CHAT_REQUEST;
    if (!reply->request->generation.wants_logprobs) {
        qins_json_add_null(choice, "logprobs", error);
        return;
    }
    qins_json *object = qins_json_add_object(choice, "logprobs", error);
    for (size_t i = 0; i < (is_chat ? 1 : QINS_LOGPROB_LISTS); i++)
        take_list(&reply->lists[i], object, is_chat ? "content" : legacy_names[i], error);
}
