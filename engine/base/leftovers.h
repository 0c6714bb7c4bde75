// Names of unfinished files, and the removal of those that a program left when it was killed.
#ifndef QINS_BASE_LEFTOVERS_H
#define QINS_BASE_LEFTOVERS_H

#include "engine/base/error.h"

// A new name for an unfinished file beside folder/NAME, `path` ending with that NAME: folder/.NAME.XXXXXX.unfinished,
// of random letters. NULL and an error otherwise; released with free().
char *qins_unfinished_name(const char *folder, const char *path, qins_error *error);

// Keep an open unfinished file from being removed, until it is closed. False when it has no name (any more).
bool qins_unfinished_lock(int fd);

// Remove the unfinished files in a folder that are this user's and that no program holds. What cannot be looked at or
// locked stays.
void qins_leftovers_remove(const char *folder);

#endif
