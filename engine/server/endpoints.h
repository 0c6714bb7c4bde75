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

// The endpoint; NULL and a refusal when there is none (404) or the method is another (405).
const qins_endpoint *qins_endpoint_find(const char *path, const char *method, bool has_page, qins_refusal *refusal);

#endif
