// The page at /: one static file built into the program.
#ifndef QINS_SERVER_PAGE_H
#define QINS_SERVER_PAGE_H

#include <stddef.h>

const char *qins_page(size_t *size);

// Its Content-Security-Policy: it may load and run only its own style and script, identified by their hashes.
extern const char qins_page_policy[];

#endif
