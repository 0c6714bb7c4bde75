// The server: HTTP for a service.
#ifndef QINS_SERVER_HTTP_H
#define QINS_SERVER_HTTP_H

#include "engine/server/access.h"
#include "engine/server/service.h"

#include <signal.h>

enum {
    QINS_MAX_CONNECTIONS = 512,
    QINS_MAX_HEADER_BYTES = 32 << 10,  // what a connection may use for request line, headers and reply headers
    QINS_MAX_PENDING_BYTES = 64 << 20, // of all bodies that are coming in
    QINS_REQUEST_SECONDS = 60,         // in which a request has to come, headers and body
    QINS_WRITE_SECONDS = 30            // in which a client has to take some of its reply
};

typedef struct qins_http_options {
    int fd;           // listens; the server closes it
    const char *host; // where, as it was asked for; NULL: at a path
    bool checks_host; // requests must name this machine: it has no other protection
    qins_keys keys;
    const char *cors; // the origin of pages that may use the server besides its own; NULL: none
    bool has_page;
} qins_http_options;

// Serve until *stop is set; then admit nothing more, and return when all replies are out. From the main thread.
qins_status qins_http_run(qins_service *service, const qins_http_options *options, const volatile sig_atomic_t *stop,
                          qins_error *error);

#endif
