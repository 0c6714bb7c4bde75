// A chat template as Jinja text, for transformers: the counterpart of chat_recognize.c. See export.h.
#include "convert/export.h"

#include "engine/base/buffer.h"

#include <string.h>

static void put(qins_buffer *jinja, const char *text) {
    qins_buffer_append(jinja, text, strlen(text));
}

// The inside of a string in quotes.
static void put_escaped(qins_buffer *jinja, const char *text) {
    for (; *text != '\0'; text++) {
        if (*text == '\n') {
            put(jinja, "\\n");
            continue;
        }
        if (*text == '\r') {
            put(jinja, "\\r");
            continue;
        }
        if (*text == '\'' || *text == '\\') put(jinja, "\\");
        qins_buffer_append(jinja, text, 1);
    }
}

static void put_literal(qins_buffer *jinja, const char *const *texts, size_t n) {
    put(jinja, "'");
    for (size_t i = 0; i < n; i++)
        if (texts[i] != NULL) put_escaped(jinja, texts[i]);
    put(jinja, "'");
}

// OPENING [PREFIX] CONTENT END GAP
static void put_message(qins_buffer *jinja, const qins_chat_format *format, const char *opening, const char *prefix) {
    put(jinja, "{{ ");
    put_literal(jinja, (const char *const[]){opening, prefix}, 2);
    put(jinja, " + message['content'] + ");
    put_literal(jinja, (const char *const[]){format->end, format->gap}, 2);
    put(jinja, " }}");
}

static void put_system(qins_buffer *jinja, const qins_chat_template *chat) {
    const bool is_skipped = chat->no_system || chat->format->skips_empty_system;
    put(jinja, "{% if message['role'] == 'system' %}");
    if (is_skipped) put(jinja, "{% if message['content'] %}");
    if (chat->no_system)
        put(jinja, "{{ raise_exception('This model has no system messages') }}");
    else
        put_message(jinja, chat->format, chat->format->system, chat->system_prefix);
    if (is_skipped) put(jinja, "{% endif %}");
}

static void put_start(qins_buffer *jinja, const qins_chat_template *chat) {
    const qins_chat_format *format = chat->format;
    if (chat->start != NULL) {
        put(jinja, "{{ ");
        put_literal(jinja, &chat->start, 1);
        put(jinja, " }}");
    }
    if (chat->default_system == NULL) return;
    put(jinja, "{% if not messages or messages[0]['role'] != 'system' %}{{ ");
    put_literal(jinja, (const char *const[]){format->system, chat->default_system, format->end, format->gap}, 4);
    put(jinja, " }}{% endif %}");
}

char *qins_export_chat(const qins_chat_template *chat, qins_error *error) {
    qins_buffer jinja = {.error = error};
    put_start(&jinja, chat);
    put(&jinja, "{% for message in messages %}");
    put_system(&jinja, chat);
    put(&jinja, "{% elif message['role'] == 'user' %}");
    put_message(&jinja, chat->format, chat->format->user, NULL);
    put(&jinja, "{% elif message['role'] == 'assistant' %}");
    put_message(&jinja, chat->format, chat->format->assistant, NULL);
    put(&jinja, "{% endif %}{% endfor %}{% if add_generation_prompt %}{{ ");
    put_literal(&jinja, &chat->format->assistant, 1);
    put(&jinja, " }}{% endif %}");
    qins_buffer_u8(&jinja, 0);
    if (error->status == QINS_OK) return (char *)jinja.data;
    qins_buffer_free(&jinja);
    return NULL;
}
