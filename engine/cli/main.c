// qinsrun: finds the command, runs it, turns its status into the exit code.
#include "engine/cli/characters.h"
#include "engine/cli/cli.h"
#include "engine/cli/help.h"

#include "engine/base/fault.h"
#include "engine/base/file.h"
#include "engine/base/processors.h"
#include "engine/kernels/tiers.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static qins_status (*const functions[QINS_COMMAND_COUNT])(const qins_options *options, qins_error *error) = {
    [QINS_RUN] = qins_cmd_run,         [QINS_CHAT] = qins_cmd_chat,
    [QINS_SCORE] = qins_cmd_score,     [QINS_PERPLEXITY] = qins_cmd_perplexity,
    [QINS_COMPARE] = qins_cmd_compare, [QINS_EVAL] = qins_cmd_eval,
    [QINS_BENCH] = qins_cmd_bench,     [QINS_TOKENIZE] = qins_cmd_tokenize,
    [QINS_INFO] = qins_cmd_info,       [QINS_VERIFY] = qins_cmd_verify,
    [QINS_SERVE] = qins_cmd_serve,     [QINS_BATCH] = qins_cmd_batch,
};

// Without a command: a run, or a chat when a person sits at both ends and brought no prompt.
static qins_command default_command(const qins_options *options) {
    bool has_prompt =
        options->prompt != NULL || options->n_files > 0 || options->ids != NULL || options->messages != NULL;
    bool person = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    return person && !has_prompt ? QINS_CHAT : QINS_RUN;
}

static void warn_of_threads(const qins_options *options) {
    const size_t default_threads = qins_default_threads();
    if (options->n_threads > default_threads && !options->quiet)
        fprintf(stderr, "qinsrun: -t %zu is more than the %zu cores for this process; that rarely helps\n",
                options->n_threads, default_threads);
}

static qins_status run(int argc, char **argv, qins_error *error) {
    qins_options options;
    const qins_command named = argc > 1 ? qins_command_from_name(argv[1]) : QINS_COMMAND_COUNT;
    const bool is_named = named != QINS_COMMAND_COUNT;
    const unsigned commands = is_named ? QINS_COMMAND_BIT(named) : QINS_DEFAULT_COMMANDS;
    if (qins_options_parse(&options, commands, argc - is_named, argv + is_named, error) != QINS_OK)
        return error->status;
    if (qins_tier_select(options.cpu, error) != QINS_OK) return error->status;
    if (options.list_options)
        qins_list_options(named);
    else if (options.help || options.help_all)
        qins_print_help(&options, named);
    else if (options.version)
        qins_print_version();
    else {
        const qins_command command = is_named ? named : default_command(&options);
        if (qins_options_check(&options, command, error) != QINS_OK) return error->status;
        warn_of_threads(&options);
        (options.plan ? qins_cmd_plan : functions[command])(&options, error);
    }
    return error->status;
}

int main(int argc, char **argv) {
    qins_guard_standard_streams();
    signal(SIGXFSZ, SIG_IGN); // a file that may not grow must not cost the conversation
    qins_characters_open();
    qins_error error = {0};
    if (qins_catch_faults(&error) == QINS_OK && run(argc, argv, &error) == QINS_OK) qins_end_output(&error);
    if (error.status != QINS_OK) fprintf(stderr, "qinsrun: %s\n", error.message);
    return error.status;
}
