// The sandbox of qinsrun; see engine/base/sandbox.h.
#ifndef QINS_CLI_CONFINE_H
#define QINS_CLI_CONFINE_H

#include "engine/cli/options.h"

// The needs of a command besides reading files and computing.
enum {
    QINS_NEEDS_BLAS = 1, // even without --matmul sgemm; loaded here, because nothing can be loaded later
    QINS_SERVES = 2      // connections, on a socket that is listening already
};

// From now on the process opens only the files that the options name, and makes only the system calls that commands
// need; does nothing with --no-sandbox. Each command does so before it opens a model.
qins_status qins_confine(const qins_options *options, unsigned needs, qins_error *error);

#endif
