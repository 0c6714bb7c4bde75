// The texts of --help, --help-all, --list-options and --version.
#ifndef QINS_CLI_HELP_H
#define QINS_CLI_HELP_H

#include "engine/cli/commands.h"

// The short help, or with --help-all the full one; for a command that was named (or NULL), all of its options.
void qins_print_help(const qins_help_options *options, const qins_command *named);

// For completion: the possible next words of the command line, the options of a command that was named, otherwise the
// commands and the options that are known without one.
void qins_list_options(const qins_command *named);
void qins_print_version(void);

#endif
