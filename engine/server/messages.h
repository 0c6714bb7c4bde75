// The messages of a chat request. For request_fields.c.
#ifndef QINS_SERVER_MESSAGES_H
#define QINS_SERVER_MESSAGES_H

#include "engine/server/request.h"

// Read a JSON array of messages into the request. False: it is refused.
bool qins_messages_read(qins_request *request, const qins_json *array, qins_refusal *refusal);

#endif
