// qinsrun: finds the command, runs it, turns its status into the exit code.
#include "engine/cli/cli.h"

#include "engine/base/cpu.h"
#include "engine/base/file.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

// Where a command takes its text or ids from.
enum { FROM_PROMPT = 1, FROM_FILE = 2, FROM_IDS = 4, FROM_IDS_FILE = 8, FROM_TEXT = FROM_PROMPT | FROM_FILE };

typedef struct command {
    const char *name;
    qins_status (*function)(const qins_options *options, qins_error *error);
    unsigned sources;
} command;

static const command commands[] = {
    {"run", qins_cmd_run, FROM_TEXT | FROM_IDS},
    {"chat", qins_cmd_chat, 0},
    {"score", qins_cmd_score, FROM_IDS},
    {"perplexity", qins_cmd_perplexity, FROM_TEXT | FROM_IDS_FILE},
    {"compare", qins_cmd_compare, FROM_TEXT | FROM_IDS_FILE},
    {"bench", qins_cmd_bench, FROM_PROMPT},
    {"tokenize", qins_cmd_tokenize, FROM_TEXT | FROM_IDS},
    {"info", qins_cmd_info, 0},
    {"verify", qins_cmd_verify, 0},
};
enum { RUN, CHAT, N_COMMANDS = sizeof commands / sizeof commands[0] };

static const command *find_command(const char *name) {
    for (int i = 0; i < N_COMMANDS; i++) {
        if (strcmp(name, commands[i].name) == 0) return &commands[i];
    }
    return NULL;
}

// Without a command: a run, or a chat when a person sits at both ends and brought no prompt.
static const command *default_command(const qins_options *options) {
    bool has_prompt =
        options->prompt != NULL || options->prompt_file != NULL || options->ids != NULL || options->ids_file != NULL;
    bool person = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    return &commands[person && !has_prompt ? CHAT : RUN];
}

// An option that a command would silently ignore is a mistake: say so.
static qins_status check_options(const command *chosen, const qins_options *options, qins_error *error) {
    const struct {
        const char *option;
        bool given, allowed;
    } checks[] = {
        {"-p", options->prompt != NULL, chosen->sources & FROM_PROMPT},
        {"-f", options->prompt_file != NULL, chosen->sources & FROM_FILE},
        {"--ids", options->ids != NULL, chosen->sources & FROM_IDS},
        {"--ids-file", options->ids_file != NULL, chosen->sources & FROM_IDS_FILE},
        {"-d", options->depths != NULL, chosen->function == qins_cmd_bench},
        {"-r", options->repeats > 0, chosen->function == qins_cmd_bench},
        {"--raw", options->raw, chosen == &commands[RUN] && options->ids == NULL},
        {"--system", options->system != NULL,
         chosen == &commands[CHAT] || (chosen == &commands[RUN] && !options->raw && options->ids == NULL)},
    };
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
        if (checks[i].given && !checks[i].allowed)
            return qins_fail(error, QINS_USAGE, "%s has no meaning for \"%s\" as it is called here; see qinsrun --help",
                             checks[i].option, chosen->name);
    }
    return QINS_OK;
}

static qins_status run(int argc, char **argv, qins_error *error) {
    qins_options options;
    const command *chosen = argc > 1 ? find_command(argv[1]) : NULL;
    if (chosen != NULL) {
        argc--;
        argv++;
    }
    if (qins_options_parse(&options, argc, argv, error) != QINS_OK) return error->status;
    if (qins_cpu_select(options.cpu, error) != QINS_OK) return error->status;
    if (options.help) return qins_printf(error, "%s", qins_options_help);
    if (options.version) return qins_printf(error, "qinsrun " QINS_VERSION "\n");
    if (chosen == NULL) chosen = default_command(&options);
    if (check_options(chosen, &options, error) != QINS_OK) return error->status;
    return chosen->function(&options, error);
}

int main(int argc, char **argv) {
    qins_guard_standard_streams();
    signal(SIGPIPE, SIG_IGN);
    qins_error error = {0};
    if (run(argc, argv, &error) == QINS_OK) qins_flush(&error);
    if (error.status != QINS_OK) fprintf(stderr, "qinsrun: %s\n", error.message);
    return error.status;
}
