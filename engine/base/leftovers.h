// Names of unfinished files, and the removal of those that a program left when it was killed.
#ifndef QINS_BASE_LEFTOVERS_H
#define QINS_BASE_LEFTOVERS_H

#include "engine/base/error.h"

// A new name for an unfinished file next to folder/NAME, where `path` ends with that NAME:
// folder/.NAME.XXXXXX.unfinished, with random letters. NULL and an error otherwise; released with free().
char *qins_unfinished_name(const char *folder, const char *path, qins_error *error);

// Protect an open unfinished file from removal until it is closed. False when it has no name (any more).
bool qins_unfinished_lock(int fd);

// Remove the unfinished files in a folder that belong to this user and that no program holds. Files that cannot be
// examined or locked are left alone.
void qins_leftovers_remove(const char *folder);

#endif
