// Access; see access.h.
#include "engine/server/access.h"

#include "engine/base/file.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

// --- keys ---

static qins_status add_key(qins_keys *keys, const char *line, size_t size, const char *path, qins_error *error) {
    while (size > 0 && strchr(" \t\r", line[size - 1]) != NULL) size--;
    if (size == 0) return QINS_OK;
    if (size >= QINS_KEY_BYTES)
        return qins_fail(error, QINS_USAGE, "%s: a key may have at most %d bytes", path, QINS_KEY_BYTES - 1);
    if (keys->n == QINS_MAX_KEYS) return qins_fail(error, QINS_USAGE, "%s: more than %d keys", path, QINS_MAX_KEYS);
    memcpy(keys->keys[keys->n++], line, size);
    return QINS_OK;
}

qins_status qins_keys_read(qins_keys *keys, const char *path, qins_error *error) {
    size_t size;
    *keys = (qins_keys){0};
    char *text = qins_file_read_all(path, QINS_MAX_KEYS * QINS_KEY_BYTES, &size, QINS_USAGE, error);
    if (text == NULL) return error->status;
    for (size_t start = 0; start < size && error->status == QINS_OK;) {
        const char *end = memchr(text + start, '\n', size - start);
        const size_t length = end == NULL ? size - start : (size_t)(end - text) - start;
        add_key(keys, text + start, length, path, error);
        start += length + 1;
    }
    memset(text, 0, size);
    free(text);
    if (error->status == QINS_OK && keys->n == 0) qins_fail(error, QINS_USAGE, "%s: it contains no key", path);
    return error->status;
}

bool qins_keys_match(const qins_keys *keys, const char *authorization) {
    static const char scheme[] = "Bearer ";
    char given[QINS_KEY_BYTES] = {0};
    unsigned matches = 0;
    if (keys->n == 0) return true;
    if (authorization == NULL || strncasecmp(authorization, scheme, strlen(scheme)) != 0) return false;
    const char *key = authorization + strlen(scheme);
    const size_t length = strlen(key);
    if (length == 0 || length >= sizeof given) return false;
    memcpy(given, key, length);
    for (size_t i = 0; i < keys->n; i++) {
        unsigned difference = 0;
        for (size_t j = 0; j < sizeof given; j++) difference |= (unsigned)(given[j] ^ keys->keys[i][j]) & 0xFF;
        matches |= difference == 0;
    }
    return matches != 0;
}

// --- names ---

bool qins_is_loopback(const char *host) {
    static const char *const names[] = {"localhost", "::1", "[::1]"};
    struct in_addr address;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcasecmp(host, names[i]) == 0) return true;
    return inet_pton(AF_INET, host, &address) == 1 && ntohl(address.s_addr) >> 24 == IN_LOOPBACKNET;
}

// Bytes of a Host header without its port.
static size_t name_length(const char *header) {
    if (header[0] == '[') return strcspn(header, "]") + (strchr(header, ']') != NULL);
    return strcspn(header, ":");
}

bool qins_host_is_own(const char *header, const char *host) {
    char name[256];
    const size_t length = header != NULL ? name_length(header) : 0;
    if (length == 0 || length >= sizeof name) return false;
    memcpy(name, header, length);
    name[length] = '\0';
    return qins_is_loopback(name) || strcasecmp(name, host) == 0;
}

bool qins_is_origin(const char *text) {
    static const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        const size_t length = strlen(schemes[i]);
        if (strncmp(text, schemes[i], length) != 0) continue;
        return text[length] != '\0' && text[length + strcspn(text + length, "/*?# ")] == '\0';
    }
    return false;
}

bool qins_origin_is_allowed(const char *origin, const char *host_header, const char *allowed) {
    static const char scheme[] = "http://";
    if (origin == NULL || (allowed != NULL && strcmp(origin, allowed) == 0)) return true;
    return host_header != NULL && strncmp(origin, scheme, strlen(scheme)) == 0 &&
           strcasecmp(origin + strlen(scheme), host_header) == 0;
}
