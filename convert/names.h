// Names of tensors, stripped of the prefixes of the program that saved them: a compiled, distributed or adapted model
// wraps the model itself. Strings only.
#ifndef QINS_CONVERT_NAMES_H
#define QINS_CONVERT_NAMES_H

#include <stddef.h>

enum { QINS_NAME_GROWTH = 6 }; // bytes, at most: "model."

// The name as the model itself would save it into to[strlen(name) + QINS_NAME_GROWTH + 1]; the end of `to`, at its NUL.
char *qins_plain_name(char *to, const char *name);

#endif
