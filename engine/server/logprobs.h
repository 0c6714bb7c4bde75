// Log-probabilities in a reply. For reply.c.
#ifndef QINS_SERVER_LOGPROBS_H
#define QINS_SERVER_LOGPROBS_H

#include "engine/server/reply.h"

// Prepare for a reply, before its first event.
qins_status qins_logprobs_begin(qins_reply *reply, qins_error *error);

// Note those of a TOKEN event.
void qins_logprobs_add(qins_reply *reply, const qins_event *event, qins_error *error);

// Put what has been noted into a choice as "logprobs", null if the request did not ask for them, and forget it.
void qins_logprobs_take(qins_reply *reply, qins_json *choice, qins_error *error);

#endif
