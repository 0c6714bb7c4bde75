// qinsrun chat: a conversation, turn by turn. The cache keeps the tokens of all turns, the generated ones as they were
// generated, so each turn costs only its own tokens.
#include "engine/base/escape.h"
#include "engine/base/memory.h"
#include "engine/cli/chat_internal.h"
#include "engine/cli/confine.h"
#include "engine/cli/statistics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LITTLE_ROOM = 8 }; // a warning comes when less than 1 / LITTLE_ROOM of the context is left

void qins_chat_say(const qins_chat *chat, const char *format, ...) {
    if (chat->options->process.quiet) return;
    qins_error ignored = {0};
    qins_buffer shown = {.error = &ignored};
    qins_visible visible = {.n_held = 0};
    va_list arguments;
    va_start(arguments, format);
    char *text = qins_format(format, arguments, &ignored);
    va_end(arguments);
    if (text != NULL) qins_visible_push(&visible, text, strlen(text), &shown);
    qins_visible_finish(&visible, &shown);
    if (shown.size > 0) fprintf(stderr, "qinsrun: %.*s\n", (int)shown.size, (const char *)shown.data);
    qins_buffer_free(&shown);
    free(text);
}

// --- replies ---

static void warn_of_little_room(const qins_chat *chat) {
    const size_t n_ctx = qins_session_n_ctx(chat->generator.place.session), used = chat->conversation.ids.count;
    if (used + n_ctx / LITTLE_ROOM < n_ctx) return;
    qins_chat_say(chat, "%zu of %zu tokens of context are used%s; /undo and /clear make room, -c sets the size", used,
                  n_ctx, chat->last.finish == QINS_FINISH_CONTEXT ? ", and the reply is cut short" : "");
}

static void print_statistics(const qins_chat *chat, qins_error *error) {
    if (chat->desk.is_person && !chat->options->process.verbose && !chat->options->output.stats_json)
        qins_statistics_print_short(&chat->generator, &chat->last);
    else
        qins_statistics_print(&chat->generator, &chat->last, error);
}

// The format ends every message in the same way, whatever ended the reply.
static void end_reply(qins_chat *chat, qins_error *error) {
    if (chat->last.finish == QINS_FINISH_STOP_ID) chat->conversation.ids.count--;
    qins_conversation_end_turn(&chat->conversation, error);
    print_statistics(chat, error);
    warn_of_little_room(chat);
}

// Restore the turn from before a reply that never began: its reply of n_old ids; without one, remove the turn.
static void take_back(qins_chat *chat, const int32_t *old, size_t n_old) {
    qins_conversation *conversation = &chat->conversation;
    const qins_turn *turn = &conversation->turns[conversation->n_turns - 1];
    if (n_old == 0) {
        qins_conversation_drop_turn(conversation);
    } else {
        memcpy(conversation->ids.data + turn->reply, old, n_old * sizeof *old);
        conversation->ids.count = turn->reply + n_old;
    }
}

void qins_chat_reply(qins_chat *chat, qins_error *error) {
    qins_ids *ids = &chat->conversation.ids;
    const size_t reply = chat->conversation.turns[chat->conversation.n_turns - 1].reply, n_old = ids->count - reply;
    int32_t *old = qins_alloc(n_old, sizeof *old, "the previous reply", error);
    if (old == NULL) return;
    memcpy(old, ids->data + reply, n_old * sizeof *old);
    ids->count = reply;
    qins_generate(&chat->generator, ids, &chat->last, error);
    if (error->status != QINS_OK) {
        take_back(chat, old, n_old);
    } else if (chat->last.finish == QINS_FINISH_CANCELLED && chat->last.n_generated == 0) {
        take_back(chat, old, n_old);
        qins_chat_say(chat, "stopped before the reply began; %s",
                      n_old > 0 ? "the previous one is kept" : "the message is removed");
    } else {
        end_reply(chat, error);
    }
    free(old);
}

// --- messages ---

// A turn that fails leaves the conversation as it was.
static void take_turn(qins_chat *chat, const char *text, size_t size, qins_error *error) {
    qins_conversation *conversation = &chat->conversation;
    const size_t before = conversation->ids.count;
    if (qins_conversation_begin_turn(conversation, text, size, error) != QINS_OK) return;
    if (qins_check_room(&chat->generator, conversation->ids.count, error) != QINS_OK) {
        qins_conversation_drop_turn(conversation);
        return;
    }
    qins_show_prompt(&chat->generator, &conversation->ids, before);
    qins_chat_reply(chat, error);
}

// Send a message, preceded by the text of /read, if any, which is kept for another message if this one fails.
static void send_message(qins_chat *chat, const qins_buffer *message, qins_error *error) {
    const size_t n_turns = chat->conversation.n_turns, n_attached = chat->attached.size;
    if (n_attached > 0) qins_buffer_append(&chat->attached, "\n\n", 2);
    qins_buffer_append(&chat->attached, message->data, message->size);
    if (error->status == QINS_OK) take_turn(chat, (const char *)chat->attached.data, chat->attached.size, error);
    chat->attached.size = chat->conversation.n_turns > n_turns ? 0 : n_attached;
}

// --- the conversation ---

// A user's mistake is reported, and the chat goes on.
static void forgive(const qins_chat *chat, qins_error *error) {
    if (!chat->desk.is_person || (error->status != QINS_USAGE && error->status != QINS_CONTEXT_OVERFLOW)) return;
    fprintf(stderr, "qinsrun: %s%s\n", error->message,
            error->status == QINS_CONTEXT_OVERFLOW ? "; /undo and /clear make room" : "");
    *error = (qins_error){0};
}

static void greet(const qins_chat *chat) {
    if (!chat->desk.is_person) return;
    const char *slash = strrchr(chat->options->model.path, '/');
    const char *name = slash != NULL && slash[1] != '\0' ? slash + 1 : chat->options->model.path;
    const double bytes = (double)qins_image_bytes(chat->generator.model->image);
    qins_chat_say(chat, "%s, %.*f %s, context of %zu tokens; /help lists the commands, Ctrl-D ends the chat", name,
                  bytes < 1e10 ? 1 : 0, bytes < 1e9 ? bytes / 1e6 : bytes / 1e9, bytes < 1e9 ? "MB" : "GB",
                  qins_session_n_ctx(chat->generator.place.session));
}

static void obey(qins_chat *chat, const qins_buffer *message, qins_error *error) {
    if (qins_chat_is_command(chat, (const char *)message->data))
        qins_chat_run_command(chat, (const char *)message->data, error);
    else if (message->size > 0)
        send_message(chat, message, error);
}

static void converse(qins_chat *chat, qins_error *error) {
    qins_buffer message = {0};
    bool goes_on = true;
    greet(chat);
    while (goes_on && error->status == QINS_OK && !chat->leave) {
        if (chat->desk.is_edited) // a signal is a key among others, and the editor restores the terminal
            qins_catch_interrupts(NULL);
        else
            qins_release_interrupts();
        goes_on = qins_chat_desk_message(&chat->desk, &message, error);
        qins_interrupted = 0;
        qins_catch_interrupts(NULL);
        if (goes_on) obey(chat, &message, error);
        forgive(chat, error);
        if (qins_interrupted && !chat->desk.is_person) qins_fail(error, QINS_INTERRUPTED, "interrupted");
        qins_interrupted = 0;
    }
    qins_buffer_free(&message);
}

static void chat_with(qins_chat *chat, const qins_model *model, qins_error *error) {
    qins_watch watch;
    chat->conversation.model = model;
    if (qins_generator_open(&chat->generator, chat->options, model, &watch, error) == QINS_OK) {
        chat->generator.is_chat = true;
        converse(chat, error);
    }
    qins_generator_close(&chat->generator);
}

qins_status qins_cmd_chat(const qins_options *given, qins_error *error) {
    qins_options options = *given;
    qins_model *model = NULL;
    qins_chat chat = {.options = &options,
                      .desk.helper.fd = -1,
                      .attached.error = error,
                      .conversation = qins_conversation_new(&options.prompt, NULL)};
    if (qins_conversation_set_system(&chat.conversation, options.prompt.system, error) == QINS_OK &&
        qins_chat_desk_open(&chat.desk, options.prompt.lines, error) == QINS_OK &&
        qins_confine(&options, 0, error) == QINS_OK)
        model = qins_open_model(options.model.path, &options, error);
    if (model != NULL) chat_with(&chat, model, error);
    qins_chat_desk_close(&chat.desk);
    qins_conversation_free(&chat.conversation);
    qins_model_close(model);
    qins_buffer_free(&chat.attached);
    return error->status;
}
