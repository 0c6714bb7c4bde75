// Why a request gets no reply: an HTTP status and OpenAI's error object.
#ifndef QINS_SERVER_REFUSAL_H
#define QINS_SERVER_REFUSAL_H

#include "engine/base/buffer.h"

typedef struct qins_refusal {
    unsigned status;  // of HTTP; 0: it is not refused
    const char *type; // "invalid_request_error", ...
    const char *code; // NULL: null
    char param[64];   // the field; "": null
    char message[1024];
} qins_refusal;

// Refuse, unless it has been refused before. `type` follows from the status. `param` may be NULL. Returns false.
bool qins_refuse(qins_refusal *refusal, unsigned status, const char *code, const char *param, const char *format, ...)
    QINS_PRINTF(5, 6);

// The same for a qins_error: 400, or 500 if it is not the request's fault.
bool qins_refuse_error(qins_refusal *refusal, const char *code, const char *param, const qins_error *error);

// Append {"error": {...}} and a newline.
void qins_refusal_print(const qins_refusal *refusal, qins_buffer *out);

#endif
