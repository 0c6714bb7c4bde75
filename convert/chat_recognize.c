// Recognizing chat templates; see chat_recognize.h. Two conversations, with and without a system message, show what the
// template puts before the first message and around the system message; then all conversations must render identically.
#include "convert/chat_recognize.h"

#include "engine/base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SYSTEM " Be brief,\n\tand {{ exact }}: \xC3\xA9\xE2\x82\xAC. "
#define MESSAGE(role, text)                                                                                            \
    { role, text, sizeof(text) - 1 }

// The engine's conversations: an optional system message, then user and assistant in turns, and a pending reply. White
// space at the edges shows whether contents are used verbatim.
static const qins_message conversations[][6] = {
    {MESSAGE("user", "Who are you?")},
    {MESSAGE("system", SYSTEM), MESSAGE("user", "Who are you?")},
    {MESSAGE("user", "\n  <b>One</b> & two\n\n"), MESSAGE("assistant", "Three, 'four', \"five\"."),
     MESSAGE("user", " six ")},
    {MESSAGE("system", SYSTEM), MESSAGE("user", "1"), MESSAGE("assistant", "2\n\n3"), MESSAGE("user", "4"),
     MESSAGE("assistant", "5"), MESSAGE("user", "\xE6\x97\xA5\xE6\x9C\xAC\r\n")},
};
enum { N_CONVERSATIONS = sizeof conversations / sizeof *conversations, MAX_START = 63 };

static bool has_system(size_t index) {
    return strcmp(conversations[index][0].role, "system") == 0;
}

static size_t count_messages(size_t index) {
    size_t n = 0;
    while (n < 6 && conversations[index][n].role != NULL) n++;
    return n;
}

// --- the template's renderings ---

typedef struct renderings {
    qins_jinja_result results[N_CONVERSATIONS]; // owned texts; NULL: it raises an error
} renderings;

static void release(renderings *rendered) {
    for (size_t i = 0; i < N_CONVERSATIONS; i++) free(rendered->results[i].text);
}

// False when the template's output cannot be determined, or is empty without a system message.
static bool render_all(const char *jinja, size_t size, const qins_jinja_text *texts, size_t n_texts,
                       renderings *rendered, qins_recognized *result, qins_error *error) {
    for (size_t i = 0; i < N_CONVERSATIONS; i++) {
        const qins_jinja_input input = {conversations[i], count_messages(i), true, texts, n_texts};
        qins_error failure = {0};
        if (qins_jinja_render(jinja, size, &input, &rendered->results[i], &failure) == QINS_OK) continue;
        if (failure.status == QINS_FAILED) *error = failure;
        if (rendered->results[i].raised && has_system(i)) continue;
        snprintf(result->reason, sizeof result->reason, "%.200s", failure.message);
        return false;
    }
    return true;
}

// --- comparison with a format ---

typedef struct span {
    const char *text;
    size_t size;
} span;

static bool take_front(span *text, const char *front) {
    const size_t size = strlen(front);
    if (size > text->size || memcmp(text->text, front, size) != 0) return false;
    text->text += size;
    text->size -= size;
    return true;
}

static bool take_back(span *text, const char *back, size_t size) {
    if (size > text->size || memcmp(text->text + text->size - size, back, size) != 0) return false;
    text->size -= size;
    return true;
}

static char *copy(span text, qins_error *error) {
    return qins_copy_text(text.text, text.size, "a chat template", error);
}

// The rest of a rendering of "Who are you?" without the start and the message: the system message, if there is one, as
// the format writes it. False when it is anything else.
static bool find_system(const qins_chat_template *chat, span text, span *system, qins_error *error) {
    char *plain = NULL;
    size_t size = 0;
    const qins_chat_format *format = chat->format;
    const qins_chat_template bare = {.format = format};
    if (chat->start != NULL && !take_front(&text, chat->start)) return false;
    qins_chat_render(&bare, conversations[0], 1, QINS_CHAT_REPLY, &plain, &size, error);
    bool fits = error->status == QINS_OK && take_back(&text, plain, size);
    free(plain);
    *system = (span){0};
    if (!fits || text.size == 0) return fits;
    fits = take_front(&text, format->system) && take_back(&text, format->gap, strlen(format->gap)) &&
           take_back(&text, format->end, strlen(format->end));
    *system = text;
    return fits && memchr(text.text, '\0', text.size) == NULL;
}

// Determine how the template handles system messages, if it follows the format at all.
static bool read_system(const renderings *rendered, qins_recognized *result, qins_error *error) {
    const qins_jinja_result *without = &rendered->results[0], *with = &rendered->results[1];
    qins_chat_template *chat = &result->chat;
    span usual, given;
    if (!find_system(chat, (span){without->text, without->size}, &usual, error)) return false;
    if (usual.text != NULL) chat->default_system = result->default_system = copy(usual, error);
    chat->no_system = with->text == NULL || (with->size == without->size && strcmp(with->text, without->text) == 0);
    if (chat->no_system) return error->status == QINS_OK;
    if (!find_system(chat, (span){with->text, with->size}, &given, error)) return false;
    if (given.text == NULL || !take_back(&given, SYSTEM, sizeof SYSTEM - 1)) return false;
    if (given.size > 0) chat->system_prefix = result->system_prefix = copy(given, error);
    return error->status == QINS_OK;
}

static bool renders_the_same(const renderings *rendered, const qins_chat_template *chat, qins_error *error) {
    bool same = true;
    for (size_t i = 0; i < N_CONVERSATIONS && same; i++) {
        const size_t skipped = chat->no_system && has_system(i); // its handling of them is known
        const qins_jinja_result *result = &rendered->results[i];
        char *text = NULL;
        size_t size = 0;
        if (result->text == NULL) continue;
        qins_chat_render(chat, conversations[i] + skipped, count_messages(i) - skipped,
                         QINS_CHAT_BEGINS | QINS_CHAT_REPLY, &text, &size, error);
        same = text != NULL && size == result->size && memcmp(text, result->text, size) == 0;
        free(text);
    }
    return same && error->status == QINS_OK;
}

static bool fits(const renderings *rendered, const qins_chat_format *format, const char *start, qins_recognized *result,
                 qins_error *error) {
    qins_recognized_free(result);
    result->chat = (qins_chat_template){.format = format};
    if (start != NULL) {
        result->start = copy((span){start, strlen(start)}, error);
        result->chat.start = result->start;
    }
    if (error->status == QINS_OK && read_system(rendered, result, error) &&
        renders_the_same(rendered, &result->chat, error))
        return true;
    qins_recognized_free(result);
    return false;
}

static const char *beginning_token(const qins_jinja_text *texts, size_t n_texts) {
    for (size_t i = 0; i < n_texts; i++) {
        const char *text = texts[i].text;
        if (strcmp(texts[i].name, "bos_token") == 0 && text != NULL && text[0] != '\0' && strlen(text) <= MAX_START)
            return text;
    }
    return NULL;
}

qins_status qins_chat_recognize(const char *jinja, size_t size, const qins_jinja_text *texts, size_t n_texts,
                                qins_recognized *result, qins_error *error) {
    *result = (qins_recognized){0};
    renderings rendered = {0};
    const char *start = beginning_token(texts, n_texts);
    bool found = false;
    if (render_all(jinja, size, texts, n_texts, &rendered, result, error)) {
        const qins_chat_format *format;
        for (size_t i = 0; !found && (format = qins_chat_format_at(i)) != NULL; i++)
            found = fits(&rendered, format, NULL, result, error) ||
                    (start != NULL && fits(&rendered, format, start, result, error));
    }
    release(&rendered);
    return error->status;
}

void qins_recognized_free(qins_recognized *result) {
    free(result->start);
    free(result->default_system);
    free(result->system_prefix);
    *result = (qins_recognized){0};
}
