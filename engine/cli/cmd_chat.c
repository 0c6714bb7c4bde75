// qinsrun chat: a conversation, turn by turn. The cache keeps the tokens of all turns, the generated ones as they were
// generated, so each turn costs only its own tokens.
#include "engine/base/file.h"
#include "engine/base/memory.h"
#include "engine/cli/chat_input.h"
#include "engine/cli/statistics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    MAX_FILE_BYTES = 1 << 28, // of /read
    LITTLE_ROOM = 8           // a warning comes when less than 1 / LITTLE_ROOM of the context is left
};

// Where a turn's message and its reply begin among the ids.
struct turn {
    size_t message, reply;
};

struct chat {
    qins_generator generator;
    bool terminal; // a person is there: mistakes are told and forgiven
    char *system;  // owned; NULL: none
    qins_ids ids;  // of all turns
    struct turn *turns;
    size_t n_turns, turn_capacity;
    qins_buffer attached; // from /read, for the next message
    qins_reply last;      // how the last turn went
    bool leave;
};

// --- turns ---

static void warn_of_little_room(const struct chat *chat) {
    const size_t n_ctx = qins_session_n_ctx(chat->generator.session), used = chat->ids.count;
    if (chat->generator.options->quiet || used + n_ctx / LITTLE_ROOM < n_ctx) return;
    fprintf(stderr, "qinsrun: %zu of %zu tokens of context are used%s; /undo and /clear make room, -c sets the size\n",
            used, n_ctx, chat->last.end == QINS_END_CONTEXT ? ", and the reply is cut short" : "");
}

// Close the assistant's turn: the format ends every message with <|end|>, whatever ended the reply.
static void end_reply(struct chat *chat, qins_error *error) {
    const int32_t end = qins_tokenizer_added_id(chat->generator.model->tokenizer, "<|end|>");
    if (chat->last.end == QINS_END_STOP_ID) chat->ids.count--;
    qins_ids_append(&chat->ids, end, error);
}

// Reply to the last turn.
static void reply(struct chat *chat, qins_error *error) {
    qins_generator *generator = &chat->generator;
    const struct turn *turn = &chat->turns[chat->n_turns - 1];
    chat->ids.count = turn->reply;
    if (qins_generate(generator, &chat->ids, &chat->last, error) != QINS_OK) return;
    if (!chat->terminal || generator->options->verbose) qins_statistics_print(generator, &chat->last, error);
    if (chat->last.end == QINS_END_INTERRUPTED && chat->last.n_generated == 0) {
        fprintf(stderr, "qinsrun: stopped before the reply began; the message is taken back\n");
        chat->ids.count = turn->message;
        chat->n_turns--;
        return;
    }
    end_reply(chat, error);
    warn_of_little_room(chat);
}

// A turn that fails leaves the conversation as it was.
static void take_turn(struct chat *chat, const char *text, size_t size, qins_error *error) {
    const size_t before = chat->ids.count;
    if (qins_grow((void **)&chat->turns, &chat->turn_capacity, chat->n_turns + 1, sizeof *chat->turns, error) !=
        QINS_OK)
        return;
    qins_encode_turn(chat->generator.options, chat->generator.model, before == 0 ? chat->system : NULL, text, size,
                     &chat->ids, error);
    if (error->status == QINS_OK && qins_check_room(&chat->generator, chat->ids.count, error) == QINS_OK) {
        qins_show_prompt(&chat->generator, &chat->ids, before);
        chat->turns[chat->n_turns++] = (struct turn){before, chat->ids.count};
        reply(chat, error);
    } else {
        chat->ids.count = before;
    }
}

// A message, behind the text of /read if there is some.
static void send_message(struct chat *chat, const qins_buffer *message, qins_error *error) {
    if (chat->attached.size == 0) {
        take_turn(chat, (const char *)message->data, message->size, error);
        return;
    }
    qins_buffer_append(&chat->attached, "\n\n", 2);
    qins_buffer_append(&chat->attached, message->data, message->size);
    if (error->status == QINS_OK) take_turn(chat, (const char *)chat->attached.data, chat->attached.size, error);
    chat->attached.size = 0;
}

// --- commands ---

static void show_help(struct chat *chat, const char *argument, qins_error *error);

static void clear(struct chat *chat, const char *argument, qins_error *error) {
    (void)argument, (void)error;
    chat->ids.count = chat->n_turns = chat->attached.size = 0;
}

static void set_system(struct chat *chat, const char *argument, qins_error *error) {
    char *text = argument[0] != '\0' ? qins_alloc(strlen(argument) + 1, 1, "system message", error) : NULL;
    if (error->status != QINS_OK) return;
    free(chat->system);
    chat->system = text != NULL ? strcpy(text, argument) : NULL;
    clear(chat, NULL, error);
}

static void read_file(struct chat *chat, const char *argument, qins_error *error) {
    size_t size;
    char *text = qins_file_read_all(argument, MAX_FILE_BYTES, &size, QINS_USAGE, error);
    chat->attached.error = error;
    if (text != NULL) qins_buffer_append(&chat->attached, text, size);
    if (error->status == QINS_OK && !chat->generator.options->quiet)
        fprintf(stderr, "qinsrun: %s, %zu bytes, goes in front of the next message\n", argument, size);
    free(text);
}

static void show_statistics(struct chat *chat, const char *argument, qins_error *error) {
    (void)argument;
    fprintf(stderr, "qinsrun: %zu turns, %zu of %zu tokens of context\n", chat->n_turns, chat->ids.count,
            qins_session_n_ctx(chat->generator.session));
    if (chat->n_turns > 0) qins_statistics_print(&chat->generator, &chat->last, error);
}

static bool has_turn(const struct chat *chat, qins_error *error) {
    if (chat->n_turns == 0) qins_fail(error, QINS_USAGE, "there is no message yet");
    return chat->n_turns > 0;
}

static void undo(struct chat *chat, const char *argument, qins_error *error) {
    (void)argument;
    if (has_turn(chat, error)) chat->ids.count = chat->turns[--chat->n_turns].message;
}

static void regenerate(struct chat *chat, const char *argument, qins_error *error) {
    (void)argument;
    if (has_turn(chat, error)) reply(chat, error);
}

static void quit(struct chat *chat, const char *argument, qins_error *error) {
    (void)argument, (void)error;
    chat->leave = true;
}

static const struct command {
    const char *name, *argument, *help;
    bool needs_argument;
    void (*run)(struct chat *chat, const char *argument, qins_error *error);
} commands[] = {
    {"/help", "", "this list", false, show_help},
    {"/clear", "", "forget the conversation", false, clear},
    {"/system", "TEXT", "begin anew with this system message, without TEXT with none", false, set_system},
    {"/read", "FILE", "put the text of a file in front of the next message", true, read_file},
    {"/stats", "", "what the last reply took, and how full the context is", false, show_statistics},
    {"/undo", "", "take the last message and its reply back", false, undo},
    {"/regen", "", "reply to the last message again", false, regenerate},
    {"/quit", "", "end, as Ctrl-D does", false, quit},
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

static void show_help(struct chat *chat, const char *argument, qins_error *error) {
    (void)chat, (void)argument, (void)error;
    for (int i = 0; i < N_COMMANDS; i++)
        fprintf(stderr, "%-7s %-4s  %s\n", commands[i].name, commands[i].argument, commands[i].help);
    fputs("A line that ends with \\ goes on with the next; so do the lines between \"\"\" and \"\"\".\n"
          "Ctrl-C stops a reply, which stays in the conversation; at the prompt, it ends the chat.\n",
          stderr);
}

// Does the message begin with a command's name, or with what looks like one? Letters alone: /etc/hosts is a message.
static bool is_command(const char *text) {
    const size_t length = strspn(text + (text[0] == '/'), "abcdefghijklmnopqrstuvwxyz");
    return text[0] == '/' && length > 0 && (text[1 + length] == '\0' || text[1 + length] == ' ');
}

static void run_command(struct chat *chat, const char *text, qins_error *error) {
    const size_t length = strcspn(text, " ");
    const char *argument = text + length + strspn(text + length, " ");
    for (int i = 0; i < N_COMMANDS; i++) {
        const struct command *command = &commands[i];
        if (strlen(command->name) != length || strncmp(command->name, text, length) != 0) continue;
        if (argument[0] != '\0' && command->argument[0] == '\0')
            qins_fail(error, QINS_USAGE, "%s stands alone; a space in front makes the line a message", command->name);
        else if (argument[0] == '\0' && command->needs_argument)
            qins_fail(error, QINS_USAGE, "%s takes a %s", command->name, command->argument);
        else
            command->run(chat, argument, error);
        return;
    }
    qins_fail(error, QINS_USAGE,
              "there is no %.*s; /help lists the commands, a space in front makes the line a message", (int)length,
              text);
}

// --- the conversation ---

// A person's mistake is told, and the chat goes on.
static void forgive(const struct chat *chat, qins_error *error) {
    if (!chat->terminal || (error->status != QINS_USAGE && error->status != QINS_CONTEXT_OVERFLOW)) return;
    fprintf(stderr, "qinsrun: %s%s\n", error->message,
            error->status == QINS_CONTEXT_OVERFLOW ? "; /undo and /clear make room" : "");
    *error = (qins_error){0};
}

static void converse(struct chat *chat, qins_error *error) {
    qins_buffer message = {0};
    if (chat->terminal && !chat->generator.options->quiet)
        fprintf(stderr, "Type a message; /help lists what else can be typed.\n");
    qins_release_interrupts(); // at the prompt a signal ends the program; the line editor restores the terminal
    while (error->status == QINS_OK && !chat->leave && qins_chat_input_read(chat->terminal, &message, error)) {
        qins_interrupted = 0;
        qins_catch_interrupts();
        if (is_command((const char *)message.data))
            run_command(chat, (const char *)message.data, error);
        else if (message.size > 0)
            send_message(chat, &message, error);
        qins_release_interrupts();
        forgive(chat, error);
        if (qins_interrupted && !chat->terminal) qins_fail(error, QINS_INTERRUPTED, "interrupted");
    }
    if (chat->terminal && !chat->leave) fputc('\n', stderr); // Ctrl-D leaves the prompt's line open
    qins_buffer_free(&message);
}

qins_status qins_cmd_chat(const qins_options *given, qins_error *error) {
    qins_options options = *given;
    qins_model model = {0};
    qins_watch watch;
    struct chat chat = {.terminal = isatty(STDIN_FILENO) && isatty(STDERR_FILENO)};
    qins_chat_input_open();
    if (options.system != NULL) set_system(&chat, options.system, error);
    if (error->status == QINS_OK && qins_model_open(&model, options.model, &options, error) == QINS_OK &&
        qins_generator_open(&chat.generator, &options, &model, &watch, error) == QINS_OK) {
        chat.generator.is_chat = true;
        converse(&chat, error);
    }
    qins_generator_close(&chat.generator);
    qins_model_close(&model);
    qins_ids_free(&chat.ids);
    qins_buffer_free(&chat.attached);
    free(chat.turns);
    free(chat.system);
    return error->status;
}
