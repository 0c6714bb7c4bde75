// The version with the commit it was built from. A file of its own, as each commit compiles it anew: the Makefile
// defines QINS_COMMIT.
#include "include/qins.h"

#ifndef QINS_COMMIT
#define QINS_COMMIT "unknown commit"
#endif

const char *qins_version(void) {
    return QINS_VERSION " (" QINS_COMMIT ")";
}
