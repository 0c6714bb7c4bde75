// See version.h. The Makefile defines QINS_COMMIT.
#include "engine/cli/version.h"

#ifndef QINS_COMMIT
#define QINS_COMMIT "unknown commit"
#endif

const char qins_version[] = "0.1.0 (" QINS_COMMIT ")";
