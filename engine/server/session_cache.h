// Sessions that replies borrow. Idle ones keep their caches, so the next turn of a conversation computes only its own
// tokens; the memory that they hold is bounded. To be used by one thread at a time.
#ifndef QINS_SERVER_SESSION_CACHE_H
#define QINS_SERVER_SESSION_CACHE_H

#include "include/qins.h"

typedef struct qins_session_cache {
    qins_engine *engine;          // neither is owned
    const qins_model *model;      //
    qins_session_options options; // of every session
    size_t max_bytes;             // of idle sessions
    struct qins_held *idle;       // owned, most recently used first
    size_t n_idle, idle_bytes;
} qins_session_cache;

// A session, and how much of its memory has been touched.
typedef struct qins_held {
    qins_session *session; // owned
    size_t n_tokens;       // of its sequence
    size_t n_touched;      // tokens of the longest sequence that it has had
    struct qins_held *next;
} qins_held;

// A session for the prompt ids[n], from the idle one that shares the longest prefix with it: that session itself or, if
// taking it would discard more than it saves, a new one with a copy of the prefix. Idle sessions are released to make
// room for a new one if necessary. NULL and an error otherwise.
qins_held *qins_session_cache_take(qins_session_cache *cache, const int32_t *ids, size_t n, qins_error *error);

// Return a session that is now idle, with a sequence of n_tokens. Sessions beyond max_bytes are released, least
// recently used first.
void qins_session_cache_give(qins_session_cache *cache, qins_held *held, size_t n_tokens);

void qins_session_cache_free(qins_session_cache *cache); // the idle sessions

#endif
