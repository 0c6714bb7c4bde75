// What --help, --help-all and --version print.
#ifndef QINS_CLI_HELP_H
#define QINS_CLI_HELP_H

#include "engine/cli/options.h"

// The short help, or with --help-all the whole one; for a command that was named, all of its options.
void qins_print_help(const qins_options *options, qins_command named);
void qins_print_version(void);

#endif
