// The sandbox of qinsrun; see engine/base/sandbox.h.
#ifndef QINS_CLI_CONFINE_H
#define QINS_CLI_CONFINE_H

#include "engine/cli/options.h"

// What a command needs besides reading files and computing.
enum {
    QINS_NEEDS_BLAS = 1, // even if --matmul does not ask for OpenBLAS; it is loaded here, as nothing can be later
    QINS_SERVES = 2      // connections, at a socket that listens already
};

// From now on the process opens no files but those that the options name, and makes no system calls but those that
// commands need; not with --no-sandbox. Each command does so before it opens a model.
qins_status qins_confine(const qins_options *options, unsigned needs, qins_error *error);

#endif
