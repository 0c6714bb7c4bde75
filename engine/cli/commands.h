// The commands of qinsrun.
#ifndef QINS_CLI_COMMANDS_H
#define QINS_CLI_COMMANDS_H

#include "engine/cli/options.h"

// Does the work, with parsed options; returns the exit code's status.
typedef qins_status qins_command_function(const qins_options *options, qins_error *error);

typedef struct qins_command {
    const char *name;  // as typed
    const char *usage; // a command line
    const char *help;  // what it does, in one line
    unsigned options;  // the sets that it takes (options.h)
    qins_command_function *run;
} qins_command;

// In the order of the help; the last row's name is NULL.
extern const qins_command qins_commands[];

// NULL when no command has that name.
const qins_command *qins_command_find(const char *name);

// The meaning of a command line without a command: run, or chat when both ends are a terminal and no prompt is given.
unsigned qins_default_options(void);
const qins_command *qins_default_command(const qins_options *options);

// Each in its cmd_*.c.
qins_command_function qins_cmd_run, qins_cmd_chat, qins_cmd_score, qins_cmd_perplexity, qins_cmd_compare, qins_cmd_eval,
    qins_cmd_bench, qins_cmd_tokenize, qins_cmd_info, qins_cmd_verify, qins_cmd_serve, qins_cmd_batch;
// --plan, in place of run and chat.
qins_command_function qins_cmd_plan;

#endif
