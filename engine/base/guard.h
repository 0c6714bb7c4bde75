// What an output may not replace: a file that is read for it, and any file that is not of the output's own kind.
#ifndef QINS_BASE_GUARD_H
#define QINS_BASE_GUARD_H

#include "engine/base/error.h"

#include <stddef.h>

// A file that is read, or a folder of such files.
typedef struct qins_guarded {
    const char *path; // NULL: none
    const char *what; // in messages: "a file of the checkpoint"
} qins_guarded;

enum { QINS_MAX_GUARDED = 4 };

typedef struct qins_guard {
    bool force;        // the user wants whatever is there replaced
    const char *magic; // what a file begins with that may be replaced without that; NULL: none may
    const char *kind;  // and what such a file is, in messages
    qins_guarded inputs[QINS_MAX_GUARDED];
} qins_guard;

// May a file be put at this path? Files are compared by identity, as paths have many spellings, and links lead
// anywhere. A guard that cannot look refuses. QINS_USAGE where the user has to choose another name.
qins_status qins_guard_check(const qins_guard *guard, const char *path, qins_error *error);

#endif
