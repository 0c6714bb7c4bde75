// The table of chat formats, and their rendering: one text with the positions of its markers. For contents as plain
// text, the stretches between the markers are encoded.
#include "tokenizer/chat.h"

#include "engine/base/buffer.h"
#include "engine/base/memory.h"
#include "engine/base/utf8.h"
#include "tokenizer/tokenizer_internal.h"

#include <stdlib.h>
#include <string.h>

#define ROLE(role) "<|im_start|>" role
static const qins_chat_format formats[] = {
    {"phi3", "<|system|>\n", "<|user|>\n", "<|assistant|>\n", "<|end|>", "\n", true},
    {"phi4", ROLE("system<|im_sep|>"), ROLE("user<|im_sep|>"), ROLE("assistant<|im_sep|>"), "<|im_end|>", "", false},
    {"phi4-mini", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>", "", false},
    {"chatml", ROLE("system\n"), ROLE("user\n"), ROLE("assistant\n"), "<|im_end|>", "\n", false},
};
static const char no_format[] = "none";

const qins_chat_format *qins_chat_format_at(size_t index) {
    return index < sizeof formats / sizeof *formats ? &formats[index] : NULL;
}

const char *qins_chat_format_name(const qins_chat_format *format) {
    return format != NULL ? format->name : no_format;
}

bool qins_chat_format_find(const char *name, const qins_chat_format **format) {
    size_t i = 0;
    while (qins_chat_format_at(i) != NULL && strcmp(formats[i].name, name) != 0) i++;
    *format = qins_chat_format_at(i);
    return *format != NULL || strcmp(name, no_format) == 0;
}

// --- text ---

typedef struct marker {
    size_t start, end; // bytes of the text
} marker;

typedef struct rendering {
    qins_buffer text;
    marker *markers; // owned, in order
    size_t n_markers, capacity;
} rendering;

static void release(rendering *rendered) {
    qins_buffer_free(&rendered->text);
    free(rendered->markers);
}

static void append_marker(rendering *rendered, const char *text, size_t size) {
    qins_error *error = rendered->text.error;
    void *markers = rendered->markers;
    const size_t start = rendered->text.size, needed = rendered->n_markers + 1;
    qins_buffer_append(&rendered->text, text, size);
    if (error->status != QINS_OK ||
        qins_grow(&markers, &rendered->capacity, needed, sizeof *rendered->markers, error) != QINS_OK)
        return;
    rendered->markers = markers;
    rendered->markers[rendered->n_markers++] = (marker){start, start + size};
}

// Text of the table, in which <|...|> are markers.
static void append_markup(rendering *rendered, const char *text) {
    for (const char *open, *close; (open = strstr(text, "<|")) != NULL; text = close) {
        close = strstr(open, "|>") + 2;
        qins_buffer_append(&rendered->text, text, (size_t)(open - text));
        append_marker(rendered, open, (size_t)(close - open));
    }
    qins_buffer_append(&rendered->text, text, strlen(text));
}

static void append_end(rendering *rendered, const qins_chat_format *format) {
    append_markup(rendered, format->end);
    append_markup(rendered, format->gap);
}

static bool is_system(const qins_message *message) {
    return strcmp(message->role, "system") == 0;
}

static void append_message(rendering *rendered, const qins_chat_template *chat, const qins_message *message) {
    const qins_chat_format *format = chat->format;
    const char *opening = NULL, *prefix = NULL;
    if (is_system(message)) {
        opening = message->size > 0 || !format->skips_empty_system ? format->system : NULL;
        prefix = chat->system_prefix;
    } else if (strcmp(message->role, "user") == 0) {
        opening = format->user;
    } else if (strcmp(message->role, "assistant") == 0) {
        opening = format->assistant;
    }
    if (opening == NULL) return;
    append_markup(rendered, opening);
    if (prefix != NULL) qins_buffer_append(&rendered->text, prefix, strlen(prefix));
    qins_buffer_append(&rendered->text, message->content, message->size);
    append_end(rendered, format);
}

static void append_start(rendering *rendered, const qins_chat_template *chat, bool has_system) {
    if (chat->start != NULL) append_marker(rendered, chat->start, strlen(chat->start));
    if (has_system || chat->default_system == NULL) return;
    append_markup(rendered, chat->format->system);
    qins_buffer_append(&rendered->text, chat->default_system, strlen(chat->default_system));
    append_end(rendered, chat->format);
}

static qins_status check_format(const qins_chat_template *chat, qins_error *error) {
    if (error->status != QINS_OK || chat->format != NULL) return error->status;
    return qins_fail(error, QINS_USAGE, "the model has no chat template that qins knows; give it a raw prompt instead");
}

// Release also after a failure.
static qins_status render(const qins_chat_template *chat, const qins_message *messages, size_t n_messages,
                          unsigned flags, rendering *rendered, qins_error *error) {
    *rendered = (rendering){.text.error = error};
    if (check_format(chat, error) != QINS_OK) return error->status;
    if (flags & QINS_CHAT_BEGINS) append_start(rendered, chat, n_messages > 0 && is_system(&messages[0]));
    for (size_t i = 0; i < n_messages && error->status == QINS_OK; i++) {
        if (chat->no_system && is_system(&messages[i]) && messages[i].size > 0)
            return qins_fail(error, QINS_USAGE,
                             "the model's chat template has no system message; put the text into the first message");
        if (!chat->no_system || !is_system(&messages[i])) append_message(rendered, chat, &messages[i]);
    }
    if (flags & QINS_CHAT_REPLY) append_markup(rendered, chat->format->assistant);
    return error->status;
}

qins_status qins_chat_render(const qins_chat_template *chat, const qins_message *messages, size_t n_messages,
                             unsigned flags, char **text, size_t *size, qins_error *error) {
    rendering rendered;
    render(chat, messages, n_messages, flags, &rendered, error);
    qins_buffer_u8(&rendered.text, 0);
    if (error->status == QINS_OK) {
        *text = (char *)rendered.text.data;
        *size = rendered.text.size - 1;
        rendered.text.data = NULL;
    }
    release(&rendered);
    return error->status;
}

// --- ids ---

// The id of marker `index`; -1 with an error when the tokenizer does not have it.
static int32_t marker_id(const qins_tokenizer *tokenizer, const rendering *rendered, size_t index, qins_error *error) {
    const marker *at = &rendered->markers[index];
    char name[256] = {0};
    const size_t size = at->end - at->start;
    if (size < sizeof name) memcpy(name, rendered->text.data + at->start, size);
    const int32_t id = size < sizeof name ? qins_tokenizer_added_id(tokenizer, name) : -1;
    if (id < 0)
        qins_fail(error, QINS_BAD_MODEL,
                  "the chat template needs the token %s, which the model's tokenizer does not have", name);
    return id;
}

// The first `n_markers` markers with the text around them, up to the next marker. Text between markers is a segment of
// its own, in Hugging Face too.
static void encode_parts(const qins_tokenizer *tokenizer, const rendering *rendered, size_t n_markers, qins_ids *ids,
                         qins_error *error) {
    const char *text = (const char *)rendered->text.data;
    size_t at = 0;
    for (size_t i = 0; i <= n_markers && error->status == QINS_OK; i++) {
        const bool has_marker = i < rendered->n_markers;
        const int32_t id = has_marker ? marker_id(tokenizer, rendered, i, error) : -1;
        const unsigned flags = id >= 0 ? tokenizer->token_flags[id] : 0;
        size_t end = has_marker ? rendered->markers[i].start : rendered->text.size;
        if (i > 0 && tokenizer->token_flags[ids->data[ids->count - 1]] & TOKEN_RSTRIP)
            at += utf8_white_space(text + at, end - at);
        if (flags & TOKEN_LSTRIP) end = added_space_start(text, at, end);
        if (end > at) qins_tokenizer_encode(tokenizer, text + at, end - at, QINS_CONTINUED, ids, error);
        if (i == n_markers || error->status != QINS_OK) break;
        qins_ids_append(ids, id, error);
        at = rendered->markers[i].end;
    }
}

static void encode(const qins_tokenizer *tokenizer, const rendering *rendered, unsigned flags, qins_ids *ids,
                   qins_error *error) {
    const size_t before = ids->count;
    for (size_t i = 0; i < rendered->n_markers && error->status == QINS_OK; i++)
        marker_id(tokenizer, rendered, i, error);
    if (flags & QINS_PARSE_SPECIAL)
        qins_tokenizer_encode(tokenizer, (const char *)rendered->text.data, rendered->text.size, QINS_PARSE_SPECIAL,
                              ids, error);
    else
        encode_parts(tokenizer, rendered, rendered->n_markers, ids, error);
    if (error->status != QINS_OK) ids->count = before;
}

qins_status qins_chat_encode(const qins_tokenizer *tokenizer, const qins_chat_template *chat,
                             const qins_message *messages, size_t n_messages, unsigned flags, qins_ids *ids,
                             qins_error *error) {
    rendering rendered;
    if (render(chat, messages, n_messages, flags, &rendered, error) == QINS_OK)
        encode(tokenizer, &rendered, flags, ids, error);
    release(&rendered);
    return error->status;
}

qins_status qins_chat_check_markers(const qins_tokenizer *tokenizer, const qins_chat_template *chat,
                                    qins_error *error) {
    static const qins_message messages[] = {{"system", "1", 1}, {"user", "1", 1}, {"assistant", "1", 1}};
    const size_t first = chat->no_system;
    qins_ids ids = {0};
    qins_chat_encode(tokenizer, chat, messages + first, 3 - first, QINS_CHAT_BEGINS | QINS_CHAT_REPLY, &ids, error);
    qins_ids_free(&ids);
    return error->status;
}

qins_status qins_chat_encode_end(const qins_tokenizer *tokenizer, const qins_chat_template *chat, qins_ids *ids,
                                 qins_error *error) {
    rendering rendered = {.text.error = error};
    const size_t before = ids->count;
    if (check_format(chat, error) == QINS_OK) {
        append_end(&rendered, chat->format);
        append_markup(&rendered, chat->format->user); // the next message's marker, which may consume white space before
                                                      // it
    }
    if (error->status == QINS_OK) encode_parts(tokenizer, &rendered, 1, ids, error);
    if (error->status != QINS_OK) ids->count = before;
    release(&rendered);
    return error->status;
}
