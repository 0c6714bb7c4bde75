// The lines typed before, of this session and earlier ones: a file in the user's state folder.
#ifndef QINS_CLI_HISTORY_H
#define QINS_CLI_HISTORY_H

#include "engine/base/error.h"

#include <stddef.h>

typedef struct qins_history {
    char **entries; // owned, oldest first, as they were typed
    size_t n_entries, capacity;
    char *path; // owned; NULL: there is no file
} qins_history;

// Read $XDG_STATE_HOME/qins/history (~/.local/state/qins/history): its newest lines. A file that is missing or cannot
// be used is not an error: then the history has only this session's lines. Release with qins_history_close.
void qins_history_open(qins_history *history, qins_error *error);
void qins_history_close(qins_history *history);

// Add text[size], which has no NUL, in memory and to the file, unless it repeats the last entry or is empty.
void qins_history_add(qins_history *history, const char *text, size_t size, qins_error *error);

#endif
