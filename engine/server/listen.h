// The socket that a server listens on.
#ifndef QINS_SERVER_LISTEN_H
#define QINS_SERVER_LISTEN_H

#include "engine/base/error.h"

#include <stddef.h>
#include <stdint.h>

// Listen on an address (a name, or digits) and port (0: any free one); *port receives the port used. Returns the
// descriptor, or -1 and an error.
int qins_listen_tcp(const char *host, uint16_t *port, qins_error *error);

// The file of a socket. Its descriptor (O_PATH) only identifies it: while it is open, no other file gets its number.
typedef struct qins_socket_file {
    const char *path;
    int fd; // -1: none
} qins_socket_file;

// Listen on a socket at a path, which only the user may connect to. A stale socket, on which nothing listens any more,
// is replaced. *file: the new one; release with qins_socket_file_close. Returns the descriptor, or -1 and an error.
int qins_listen_unix(const char *path, qins_socket_file *file, qins_error *error);

// Remove it, unless something else is at its path by now: another server's socket, or a file of the user's.
void qins_socket_file_remove(const qins_socket_file *file);
void qins_socket_file_close(qins_socket_file *file);

#endif
