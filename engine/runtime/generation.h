// A reply in progress. The public part is in qins.h.
#ifndef QINS_RUNTIME_GENERATION_H
#define QINS_RUNTIME_GENERATION_H

#include "engine/runtime/session.h"

// Refuse (QINS_CONTEXT_OVERFLOW, with the counts) a prompt of n_ids that leaves no room for a reply of max_tokens, or
// of one token with SIZE_MAX.
qins_status qins_generation_check_room(const qins_session *session, size_t n_ids, size_t max_tokens, qins_error *error);

#endif
