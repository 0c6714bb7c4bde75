// The chat format of Phi-3.5: messages to text, and to ids with contents taken as plain text or, as Hugging Face does,
// with the markers that they hold. The format is code; the Jinja text is only recognised, never interpreted.
#include "tokenizer/chat.h"

#include "engine/base/buffer.h"
#include "engine/base/utf8.h"
#include "tokenizer/tokenizer_internal.h"

#include <stdlib.h>
#include <string.h>

#define END_OF_MESSAGE "<|end|>"
#define END_OF_TEXT "<|endoftext|>"
#define ASSISTANT "<|assistant|>"

static const char phi3_jinja[] =
    "{% for message in messages %}{% if message['role'] == 'system' and message['content'] %}"
    "{{'<|system|>\n' + message['content'] + '<|end|>\n'}}{% elif message['role'] == 'user' %}"
    "{{'<|user|>\n' + message['content'] + '<|end|>\n'}}{% elif message['role'] == 'assistant' %}"
    "{{'<|assistant|>\n' + message['content'] + '<|end|>\n'}}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}";

qins_chat_template qins_chat_template_from_jinja(const char *jinja) {
    return jinja != NULL && strcmp(jinja, phi3_jinja) == 0 ? QINS_CHAT_PHI3 : QINS_CHAT_NONE;
}

const char *qins_chat_template_name(qins_chat_template kind) {
    return kind == QINS_CHAT_PHI3 ? "phi3" : "none";
}

bool qins_chat_template_from_name(const char *name, qins_chat_template *kind) {
    static const qins_chat_template kinds[] = {QINS_CHAT_NONE, QINS_CHAT_PHI3};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(name, qins_chat_template_name(kinds[i])) != 0) continue;
        *kind = kinds[i];
        return true;
    }
    return false;
}

// What opens the message; NULL if the template leaves the message out.
static const char *opening_marker(const qins_message *message) {
    if (strcmp(message->role, "system") == 0) return message->size > 0 ? "<|system|>" : NULL;
    if (strcmp(message->role, "user") == 0) return "<|user|>";
    return strcmp(message->role, "assistant") == 0 ? ASSISTANT : NULL;
}

static qins_status check_kind(qins_chat_template kind, qins_error *error) {
    if (error->status != QINS_OK || kind == QINS_CHAT_PHI3) return error->status;
    return qins_fail(error, QINS_USAGE, "the model has no chat template that is known; give it a raw prompt instead");
}

// --- text ---

static void append_string(qins_buffer *buffer, const char *string) {
    qins_buffer_append(buffer, string, strlen(string));
}

qins_status qins_chat_render(qins_chat_template kind, const qins_message *messages, size_t n_messages,
                             bool add_generation_prompt, char **text, size_t *size, qins_error *error) {
    if (check_kind(kind, error) != QINS_OK) return error->status;
    qins_buffer buffer = {.error = error};
    for (size_t i = 0; i < n_messages; i++) {
        const char *marker = opening_marker(&messages[i]);
        if (marker == NULL) continue;
        append_string(&buffer, marker);
        append_string(&buffer, "\n");
        qins_buffer_append(&buffer, messages[i].content, messages[i].size);
        append_string(&buffer, END_OF_MESSAGE "\n");
    }
    append_string(&buffer, add_generation_prompt ? ASSISTANT "\n" : END_OF_TEXT);
    qins_buffer_u8(&buffer, 0);
    if (error->status != QINS_OK) {
        qins_buffer_free(&buffer);
        return error->status;
    }
    *text = (char *)buffer.data;
    *size = buffer.size - 1;
    return QINS_OK;
}

// --- ids ---

static qins_status check_markers(const qins_tokenizer *tokenizer, qins_error *error) {
    static const char *const markers[] = {"<|system|>", "<|user|>", ASSISTANT, END_OF_MESSAGE, END_OF_TEXT};
    for (size_t i = 0; i < sizeof markers / sizeof *markers; i++)
        if (qins_tokenizer_added_id(tokenizer, markers[i]) < 0)
            return qins_fail(error, QINS_BAD_MODEL,
                             "the chat template needs the token %s, which the model's tokenizer does not have",
                             markers[i]);
    return QINS_OK;
}

// A marker and the text between it and the next one, which is a segment of its own in Hugging Face too.
static void encode_marked(const qins_tokenizer *tokenizer, const char *marker, const char *text, size_t size,
                          qins_ids *ids, qins_error *error) {
    int32_t id = qins_tokenizer_added_id(tokenizer, marker);
    if (error->status != QINS_OK || qins_ids_append(ids, id, error) != QINS_OK) return;
    size_t skip = tokenizer->token_flags[id] & TOKEN_RSTRIP ? utf8_white_space(text, size) : 0;
    qins_tokenizer_encode(tokenizer, text + skip, size - skip, QINS_CONTINUED, ids, error);
}

static void encode_message(const qins_tokenizer *tokenizer, const qins_message *message, qins_ids *ids,
                           qins_error *error) {
    const char *marker = opening_marker(message);
    if (marker == NULL) return;
    qins_buffer text = {.error = error};
    qins_buffer_u8(&text, '\n');
    qins_buffer_append(&text, message->content, message->size);
    encode_marked(tokenizer, marker, (const char *)text.data, text.size, ids, error);
    qins_buffer_free(&text);
    encode_marked(tokenizer, END_OF_MESSAGE, "\n", 1, ids, error);
}

static qins_status encode_rendered(const qins_tokenizer *tokenizer, qins_chat_template kind,
                                   const qins_message *messages, size_t n_messages, bool add_generation_prompt,
                                   qins_ids *ids, qins_error *error) {
    char *text;
    size_t size;
    if (qins_chat_render(kind, messages, n_messages, add_generation_prompt, &text, &size, error) != QINS_OK)
        return error->status;
    qins_tokenizer_encode(tokenizer, text, size, QINS_PARSE_SPECIAL, ids, error);
    free(text);
    return error->status;
}

qins_status qins_chat_encode(const qins_tokenizer *tokenizer, qins_chat_template kind, const qins_message *messages,
                             size_t n_messages, bool add_generation_prompt, bool parse_special, qins_ids *ids,
                             qins_error *error) {
    if (check_kind(kind, error) != QINS_OK || check_markers(tokenizer, error) != QINS_OK) return error->status;
    if (parse_special) return encode_rendered(tokenizer, kind, messages, n_messages, add_generation_prompt, ids, error);
    size_t before = ids->count;
    for (size_t i = 0; i < n_messages; i++) encode_message(tokenizer, &messages[i], ids, error);
    if (add_generation_prompt)
        encode_marked(tokenizer, ASSISTANT, "\n", 1, ids, error);
    else
        encode_marked(tokenizer, END_OF_TEXT, "", 0, ids, error);
    if (error->status != QINS_OK) ids->count = before;
    return error->status;
}
