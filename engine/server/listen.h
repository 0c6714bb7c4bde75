// The socket that a server listens at.
#ifndef QINS_SERVER_LISTEN_H
#define QINS_SERVER_LISTEN_H

#include "engine/base/error.h"

#include <stddef.h>
#include <stdint.h>

// Listen at an address (a name, or digits) and port (0: one that is free); *port gets the one that it is. The
// descriptor, or -1 and an error.
int qins_listen_tcp(const char *host, uint16_t *port, qins_error *error);

// Listen at a path, which only the user may connect to. A socket that nobody listens at any more gives way.
int qins_listen_unix(const char *path, qins_error *error);

#endif
