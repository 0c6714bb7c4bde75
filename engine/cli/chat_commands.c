// The commands of a chat; see chat_internal.h.
#include "engine/base/memory.h"
#include "engine/base/plural.h"
#include "engine/base/utf8.h"
#include "engine/cli/chat_internal.h"
#include "engine/cli/input.h"
#include "engine/cli/statistics.h"
#include "engine/runtime/sampler.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// --- files ---

char *qins_chat_path(const char *argument, qins_error *error) {
    const char *home = argument[0] == '~' && (argument[1] == '/' || argument[1] == '\0') ? getenv("HOME") : NULL;
    size_t size = strlen(argument);
    while (size > 0 && argument[size - 1] == ' ') size--;
    if (size > 1 && (argument[0] == '"' || argument[0] == '\'') && argument[size - 1] == argument[0]) {
        argument++;
        size -= 2;
        if (size > 1 && strncmp(argument, "~/", 2) == 0) home = getenv("HOME");
    }
    const size_t skip = home != NULL, home_size = home != NULL ? strlen(home) : 0;
    char *path = qins_alloc(home_size + size + 1, 1, "path", error);
    if (path == NULL) return NULL;
    if (home != NULL) memcpy(path, home, home_size);
    memcpy(path + home_size, argument + skip, size - skip);
    return path;
}

// Refuse files that are not text: the model would read noise.
static void check_text(const char *path, const char *text, size_t size, qins_error *error) {
    if (memchr(text, '\0', size) != NULL || !utf8_is_valid(text, size))
        qins_fail(error, QINS_USAGE, "%s is not UTF-8 text; it was not read", path);
}

static void read_file(qins_chat *chat, const char *argument, qins_error *error) {
    size_t size = 0;
    char *path = qins_chat_path(argument, error), *text = NULL;
    if (path != NULL) text = qins_chat_desk_read(&chat->desk, &size, error);
    if (text != NULL) check_text(path, text, size, error);
    if (error->status == QINS_OK) {
        qins_clean_text(text, &size);
        qins_buffer_append(&chat->attached, text, size);
        qins_chat_say(chat, "%s, %zu bytes, will precede the next message", path, size);
    }
    free(text);
    free(path);
}

static void save(qins_chat *chat, const char *argument, qins_error *error) {
    qins_buffer text = {.error = error};
    char *path = qins_chat_path(argument, error);
    if (path != NULL) qins_conversation_print(&chat->conversation, &text);
    if (error->status == QINS_OK && qins_chat_desk_write(&chat->desk, text.data, text.size, error) == QINS_OK)
        qins_chat_say(chat, "%zu turn%s saved in %s", chat->conversation.n_turns,
                      qins_plural(chat->conversation.n_turns), path);
    qins_buffer_free(&text);
    free(path);
}

static qins_status parse(qins_chat *chat, const char *path, qins_conversation *loaded, bool *awaits_reply,
                         qins_error *error) {
    size_t size;
    char *text = qins_chat_desk_read(&chat->desk, &size, error);
    if (text == NULL) return error->status;
    qins_conversation_parse(loaded, text, size, awaits_reply, error);
    free(text);
    return qins_error_context(error, "%s", path);
}

static void load(qins_chat *chat, const char *argument, qins_error *error) {
    qins_conversation *current = &chat->conversation;
    qins_conversation loaded = qins_conversation_new(current->options, current->model);
    bool awaits_reply;
    char *path = qins_chat_path(argument, error);
    if (path != NULL && parse(chat, path, &loaded, &awaits_reply, error) == QINS_OK &&
        (loaded.n_turns == 0 || qins_check_room(&chat->generator, loaded.ids.count, error) == QINS_OK)) {
        qins_chat_say(chat, "%zu turn%s, %zu tokens from %s%s", loaded.n_turns, qins_plural(loaded.n_turns),
                      loaded.ids.count, path, current->n_turns > 0 ? "; the previous conversation is forgotten" : "");
        const qins_conversation old = *current;
        *current = loaded;
        loaded = old;
        if (awaits_reply) qins_chat_reply(chat, error);
    }
    qins_conversation_free(&loaded);
    free(path);
}

// --- turns ---

static void clear(qins_chat *chat, const char *argument, qins_error *error) {
    (void)argument, (void)error;
    const size_t n = chat->conversation.n_turns;
    qins_chat_say(chat, "%zu turn%s forgotten%s%s", n, qins_plural(n),
                  chat->attached.size > 0 ? ", and the file that was read" : "",
                  chat->conversation.system != NULL ? "; the system message is kept" : "");
    qins_conversation_clear(&chat->conversation);
    chat->attached.size = 0;
}

static void set_system(qins_chat *chat, const char *argument, qins_error *error) {
    qins_conversation *conversation = &chat->conversation;
    if (argument[0] == '\0') {
        qins_chat_say(chat, "the system message is: %s%s", conversation->system != NULL ? conversation->system : "none",
                      conversation->system != NULL ? "\n/system \"\" removes it" : "");
        return;
    }
    const char *text = strcmp(argument, "\"\"") != 0 ? argument : NULL;
    if (qins_conversation_set_system(conversation, text, error) == QINS_OK)
        qins_chat_say(chat, "the system message is %s%s", text != NULL ? "set" : "removed",
                      conversation->n_turns > 0 ? "; the conversation is kept, /clear forgets it" : "");
}

static bool has_turn(const qins_chat *chat, qins_error *error) {
    if (chat->conversation.n_turns == 0) qins_fail(error, QINS_USAGE, "there is no message yet");
    return chat->conversation.n_turns > 0;
}

// The beginning of a message, for a line that names it.
static int shortened(const qins_turn *turn) {
    enum { MOST = 40 };
    size_t length = 0;
    uint32_t c;
    for (size_t bytes = 1; bytes > 0 && length < turn->size && turn->text[length] != '\n' && length < MOST;
         length += bytes)
        bytes = utf8_decode(turn->text + length, turn->size - length, &c);
    return (int)length;
}

static void undo(qins_chat *chat, const char *argument, qins_error *error) {
    (void)argument;
    if (!has_turn(chat, error)) return;
    const qins_turn *turn = &chat->conversation.turns[chat->conversation.n_turns - 1];
    const int length = shortened(turn);
    const size_t n_left = chat->conversation.n_turns - 1;
    qins_chat_say(chat, "\"%.*s%s\" and its reply are removed; %zu turn%s left", length, turn->text,
                  (size_t)length < turn->size ? "..." : "", n_left, qins_plural(n_left));
    qins_conversation_drop_turn(&chat->conversation);
}

// Without a temperature of its own, greedy decoding gives the same reply again.
static void regenerate(qins_chat *chat, const char *argument, qins_error *error) {
    if (!has_turn(chat, error)) return;
    qins_sampler_options *sampling = &chat->options->sampling.sampler;
    const qins_sampler_options before = *sampling;
    if (argument[0] != '\0') {
        char *end;
        sampling->temperature = strtof(argument, &end);
        if (end == argument || *end != '\0')
            qins_fail(error, QINS_USAGE, "/regen takes a temperature such as 0.7, not \"%s\"", argument);
    }
    if (error->status == QINS_OK && qins_sampler_check(sampling, error) == QINS_OK) {
        if (sampling->temperature == 0)
            qins_chat_say(chat, "decoding is greedy, so the reply would be the same; /regen 0.7 draws another one, "
                                "/set temp 0.7 does so from now on");
        qins_chat_reply(chat, error);
    }
    *sampling = before;
}

static void show_statistics(qins_chat *chat, const char *argument, qins_error *error) {
    (void)argument;
    const size_t n = chat->conversation.n_turns;
    fprintf(stderr, "qinsrun: %zu turn%s; the next one begins after %zu of %zu tokens of context\n", n, qins_plural(n),
            chat->conversation.ids.count, qins_session_n_ctx(chat->generator.place.session));
    if (chat->conversation.n_turns > 0) qins_statistics_print(&chat->generator, &chat->last, error);
}

static void quit(qins_chat *chat, const char *argument, qins_error *error) {
    (void)argument, (void)error;
    chat->leave = true;
}

// --- the table ---

static void show_help(qins_chat *chat, const char *argument, qins_error *error);

static const struct command {
    const char *name, *argument, *help;
    bool needs_argument;
    void (*run)(qins_chat *chat, const char *argument, qins_error *error);
} commands[] = {
    {"/help", "", "list these commands (also /?)", false, show_help},
    {"/clear", "", "start a new conversation", false, clear},
    {"/system", "TEXT", "set the system message, \"\" for none; without TEXT, show it", false, set_system},
    {"/read", "FILE", "prepend a file's text to the next message", true, read_file},
    {"/save", "FILE", "write the conversation to a file (JSON)", true, save},
    {"/load", "FILE", "continue the conversation in a file", true, load},
    {"/set", "NAME VALUE", "change an option, such as temp 0.7; without NAME, show them", false, qins_chat_set},
    {"/stats", "", "statistics of the last reply, and how full the context is", false, show_statistics},
    {"/undo", "", "remove the last message and its reply", false, undo},
    {"/regen", "TEMP", "reply again, at this temperature if given", false, regenerate},
    {"/quit", "", "end the chat (also /exit, /bye, Ctrl-D)", false, quit},
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

static const struct {
    const char *name, *command;
} aliases[] = {{"/?", "/help"}, {"/exit", "/quit"}, {"/bye", "/quit"}};

static void show_help(qins_chat *chat, const char *argument, qins_error *error) {
    (void)chat, (void)argument, (void)error;
    for (int i = 0; i < N_COMMANDS; i++)
        fprintf(stderr, "%-7s %-10s  %s\n", commands[i].name, commands[i].argument, commands[i].help);
    fputs("A line that ends with \\ continues on the next; so do the lines between \"\"\"\n"
          "and \"\"\". A paste of several lines is one message; Alt-Enter begins a new line.\n"
          "Ctrl-C clears the line or stops a reply, which stays in the conversation;\n"
          "twice on an empty line it ends the chat. Ctrl-R searches earlier lines.\n",
          stderr);
}

static size_t name_length(const char *text) {
    return strcspn(text, " \t\n");
}

static const struct command *find_command(const char *text) {
    const size_t length = name_length(text);
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
        if (strlen(aliases[i].name) == length && strncmp(aliases[i].name, text, length) == 0)
            return find_command(aliases[i].command);
    for (int i = 0; i < N_COMMANDS; i++)
        if (strlen(commands[i].name) == length && strncmp(commands[i].name, text, length) == 0) return &commands[i];
    return NULL;
}

const char *qins_chat_command_name(size_t index, bool *takes_file) {
    if (index >= N_COMMANDS) return NULL;
    *takes_file = strcmp(commands[index].argument, "FILE") == 0;
    return commands[index].name;
}

// Words with which people leave a program.
static bool is_farewell(const char *text) {
    return strcmp(text, "exit") == 0 || strcmp(text, "quit") == 0;
}

// Letters only: /etc/hosts is a message, and so are several lines that begin like an unknown command.
bool qins_chat_is_command(const qins_chat *chat, const char *text) {
    if (chat->options->prompt.lines) return false;
    if (chat->desk.is_person && is_farewell(text)) return true;
    if (text[0] != '/') return false;
    if (find_command(text) != NULL) return true;
    const size_t length = strspn(text + 1, "abcdefghijklmnopqrstuvwxyz");
    return length > 0 && length + 1 == name_length(text) && strchr(text, '\n') == NULL;
}

void qins_chat_run_command(qins_chat *chat, const char *text, qins_error *error) {
    const struct command *command = is_farewell(text) ? find_command("/quit") : find_command(text);
    const char *argument = text + name_length(text);
    argument += strspn(argument, " \t\n");
    if (command == NULL) // the conversation does not depend on it
        fprintf(
            stderr,
            "qinsrun: %.*s is not a command; /help lists the commands, a space before it makes the line a message\n",
            (int)name_length(text), text);
    else if (argument[0] != '\0' && command->argument[0] == '\0')
        qins_fail(error, QINS_USAGE, "%s takes no argument; a leading space makes the line a message", command->name);
    else if (argument[0] == '\0' && command->needs_argument)
        qins_fail(error, QINS_USAGE, "%s takes a %s", command->name, command->argument);
    else
        command->run(chat, argument, error);
}
