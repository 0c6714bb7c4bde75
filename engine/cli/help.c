// Help texts; see help.h.
#include "engine/cli/help.h"

#include "engine/kernels/tiers.h"
#include "engine/measure/machine.h"

#include <stdio.h>

static const char examples[] = "Examples\n"
                               "  qinsrun -m model.qins -p \"Why is the sky blue?\" -n 200\n"
                               "  git diff | qinsrun -m model.qins --system \"Write a commit message.\" >message\n"
                               "  qinsrun chat -m model.qins --temp 0.7 --top-p 0.9\n";

static const char exit_codes[] =
    "Exit codes: 0 success, 1 run-time failure, 2 usage, 3 bad model file, 4 context overflow, 130 interrupted.\n";

static void print_usage(const qins_command *command) {
    printf("%-46s %s\n", command->usage, command->help);
}

static void print_command_help(const qins_command *command) {
    print_usage(command);
    putchar('\n');
    qins_option_table_print(&qins_run_option_table, command->options, false, stdout);
}

static void print_whole_help(void) {
    unsigned all = 0;
    for (const qins_command *command = qins_commands; command->name != NULL; command++) {
        print_usage(command);
        all |= command->options;
    }
    printf("\n%s\n", examples);
    qins_option_table_print(&qins_run_option_table, all, false, stdout);
}

static void print_short_help(void) {
    const qins_command *command = qins_commands;
    for (size_t i = 0; i < 2; i++) print_usage(command++); // commands that need no name
    printf("%-46s %s", "qinsrun COMMAND -m MODEL ...", command->name);
    for (command++; command->name != NULL; command++) printf(", %s", command->name);
    printf("\n\n%s\n", examples);
    qins_option_table_print(&qins_run_option_table, qins_default_options(), true, stdout);
}

void qins_print_help(const qins_help_options *options, const qins_command *named) {
    if (named != NULL)
        print_command_help(named);
    else if (options->all)
        print_whole_help();
    else
        print_short_help();
    printf("\n%s", exit_codes);
}

void qins_list_options(const qins_command *named) {
    for (const qins_command *command = qins_commands; command->name != NULL && named == NULL; command++)
        printf("%s\t\t%s\n", command->name, command->help);
    qins_option_table_list(&qins_run_option_table, named != NULL ? named->options : qins_default_options(), stdout);
}

void qins_print_version(void) {
    printf("qinsrun %s\nBLAS %s\nCPU %s\n", qins_version(), qins_blas_name(), qins_tier_get()->name);
}
