// The server's endpoints, without HTTP: their paths, and the replies of those that need no generation.
#ifndef QINS_SERVER_ENDPOINTS_H
#define QINS_SERVER_ENDPOINTS_H

#include "engine/server/service.h"

typedef struct qins_endpoint {
    const char *path, *method;
    const char *content_type; // of its reply
    bool is_open;             // needs no key
    qins_request_kind kind;   // of generation; QINS_REQUEST_KINDS: it is answered at once, by
    void (*reply)(qins_service *service, const char *body, size_t size, qins_buffer *out, qins_refusal *refusal);
} qins_endpoint;

// The endpoint at a path of the server of the model `alias`; NULL and a refusal (404) when there is none.
const qins_endpoint *qins_endpoint_find(const char *path, const char *alias, bool has_page, qins_refusal *refusal);

// Refuse (405) a method that the endpoint does not have. HEAD is treated as GET, but only the headers of its reply are
// sent.
bool qins_endpoint_takes(const qins_endpoint *endpoint, const char *method, qins_refusal *refusal);

#endif
