// The resources of a run: memory, threads, instructions (--plan, -v).
#ifndef QINS_CLI_SETUP_H
#define QINS_CLI_SETUP_H

#include "engine/cli/cli.h"
#include "engine/runtime/memory_plan.h"

#include <stdio.h>

void qins_print_setup(const qins_options *options, const qins_config *config, const qins_memory_plan *plan, FILE *file);

// To stdout.
qins_status qins_print_setup_json(const qins_options *options, const qins_memory_plan *plan, qins_error *error);

#endif
