// The server: HTTP for a service.
#ifndef QINS_SERVER_HTTP_H
#define QINS_SERVER_HTTP_H

#include "engine/server/access.h"
#include "engine/server/service.h"

#include <signal.h>

enum {
    QINS_MAX_CONNECTIONS = 512,
    QINS_MAX_HEADER_BYTES = 32 << 10,  // memory of a connection for request line, headers and reply headers
    QINS_MAX_PENDING_BYTES = 64 << 20, // of all incoming bodies
    QINS_REQUEST_SECONDS = 60,         // within which a request must arrive, headers and body
    QINS_WRITE_SECONDS = 30            // within which a client must read some of its reply
};

typedef struct qins_http_options {
    int fd;           // listens; the server closes it
    const char *host; // the address, as requested; NULL: at a path
    bool checks_host; // requests must name this machine: the server has no other protection
    qins_keys keys;
    const char *cors; // the origin of pages that may use the server besides its own; NULL: none
    bool has_page;
} qins_http_options;

// Serve until *stop is set; then admit no more requests, and return when all replies have been sent. Call it from the
// main thread.
qins_status qins_http_run(qins_service *service, const qins_http_options *options, const volatile sig_atomic_t *stop,
                          qins_error *error);

#endif
