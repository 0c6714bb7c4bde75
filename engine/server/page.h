// The page at /: one static file, which is part of the program.
#ifndef QINS_SERVER_PAGE_H
#define QINS_SERVER_PAGE_H

#include <stddef.h>

const char *qins_page(size_t *size);

// What it may load and run, for Content-Security-Policy: its own style and script, known by their hashes.
extern const char qins_page_policy[];

#endif
