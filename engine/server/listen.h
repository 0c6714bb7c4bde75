// The socket that a server listens on.
#ifndef QINS_SERVER_LISTEN_H
#define QINS_SERVER_LISTEN_H

#include "engine/base/error.h"

#include <stddef.h>
#include <stdint.h>

// Listen on an address (a name, or digits) and port (0: any free one); *port receives the port used. Returns the
// descriptor, or -1 and an error.
int qins_listen_tcp(const char *host, uint16_t *port, qins_error *error);

// Listen on a socket at a path, which only the user may connect to. A stale socket, on which nothing listens any more,
// is replaced.
int qins_listen_unix(const char *path, qins_error *error);

#endif
