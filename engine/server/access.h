// Access to the server: keys, and the names and origins that browsers send along.
#ifndef QINS_SERVER_ACCESS_H
#define QINS_SERVER_ACCESS_H

#include "engine/base/error.h"

#include <stddef.h>

enum { QINS_MAX_KEYS = 64, QINS_KEY_BYTES = 256 };

typedef struct qins_keys {
    char keys[QINS_MAX_KEYS][QINS_KEY_BYTES]; // padded with NULs
    size_t n;                                 // 0: no key is needed
} qins_keys;

// Read a file with one key per line. QINS_USAGE if it has none, too many, or one that is too long. Messages do not
// quote keys.
qins_status qins_keys_read(qins_keys *keys, const char *path, qins_error *error);

// Does an Authorization header ("Bearer KEY"; NULL: there is none) hold one of the keys? The time it takes does not
// depend on how much of a key is right.
bool qins_keys_match(const qins_keys *keys, const char *authorization);

// Does a Host header name this machine's loopback interface, or `host`? If not, the browser that sent it was directed
// here under another site's name (DNS rebinding).
bool qins_host_is_own(const char *header, const char *host);

// Is it an origin as browsers send it: http:// or https://, host and port, without a path?
bool qins_is_origin(const char *text);

// Is an Origin header that of the page at the Host header, or `allowed` (NULL: no other)?
bool qins_origin_is_allowed(const char *origin, const char *host_header, const char *allowed);

bool qins_is_loopback(const char *host);

#endif
