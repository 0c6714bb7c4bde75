// Files that an output must not replace: those that are read to make it, and any file that is not of the output's own
// kind.
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
    bool force;        // the user wants any existing file replaced
    const char *magic; // the first bytes of files that may be replaced without `force`; NULL: none may
    const char *kind;  // the name of such files in messages
    qins_guarded inputs[QINS_MAX_GUARDED];
} qins_guard;

// May a file be put at this path? Files are compared by identity, because a path can be spelled in many ways and links
// can lead anywhere. A guard that cannot look refuses. QINS_USAGE where the user has to choose another name.
qins_status qins_guard_check(const qins_guard *guard, const char *path, qins_error *error);

#endif
