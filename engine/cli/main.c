// qinsrun: finds the command, runs it, turns its status into the exit code.
#include "engine/cli/characters.h"
#include "engine/cli/cli.h"
#include "engine/cli/commands.h"
#include "engine/cli/help.h"

#include "engine/base/fault.h"
#include "engine/base/file.h"
#include "engine/base/processors.h"
#include "engine/kernels/tiers.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static void warn_of_threads(const qins_process_options *options) {
    const size_t default_threads = qins_default_threads();
    if (options->n_threads > default_threads && !options->quiet)
        fprintf(stderr, "qinsrun: -t %zu is more than the %zu cores for this process; that rarely helps\n",
                options->n_threads, default_threads);
}

static qins_status run(int argc, char **argv, qins_error *error) {
    qins_options options;
    const qins_command *named = argc > 1 ? qins_command_find(argv[1]) : NULL;
    const bool is_named = named != NULL;
    const unsigned sets = is_named ? named->options : qins_default_options();
    if (qins_options_parse(&options, sets, argc - is_named, argv + is_named, error) != QINS_OK) return error->status;
    if (qins_tier_select(options.process.cpu, error) != QINS_OK) return error->status;
    if (options.help.list)
        qins_list_options(named);
    else if (options.help.common || options.help.all)
        qins_print_help(&options.help, named);
    else if (options.help.version)
        qins_print_version();
    else {
        const qins_command *command = is_named ? named : qins_default_command(&options);
        if (qins_options_check(&options, command->name, command->options, error) != QINS_OK) return error->status;
        warn_of_threads(&options.process);
        (options.process.plan ? qins_cmd_plan : command->run)(&options, error);
    }
    return error->status;
}

int main(int argc, char **argv) {
    qins_guard_standard_streams();
    signal(SIGXFSZ, SIG_IGN); // a file that may not grow must not end the conversation
    qins_characters_open();
    qins_error error = {0};
    if (qins_catch_faults(&error) == QINS_OK && run(argc, argv, &error) == QINS_OK) qins_end_output(&error);
    if (error.status != QINS_OK) fprintf(stderr, "qinsrun: %s\n", error.message);
    return error.status;
}
