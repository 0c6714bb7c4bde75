// Counts in messages: printf("%zu token%s", n, qins_plural(n)).
#ifndef QINS_BASE_PLURAL_H
#define QINS_BASE_PLURAL_H

#include <stddef.h>

static inline const char *qins_plural(size_t n) {
    return n == 1 ? "" : "s";
}

#endif
