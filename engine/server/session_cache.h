// Sessions that replies borrow. Those that nobody uses keep what they have computed, so that the next turn of a
// conversation computes its own tokens only; how much memory they hold is bounded. For one thread at a time.
#ifndef QINS_SERVER_SESSION_CACHE_H
#define QINS_SERVER_SESSION_CACHE_H

#include "include/qins.h"

typedef struct qins_session_cache {
    qins_engine *engine;          // neither is owned
    const qins_model *model;      //
    qins_session_options options; // of every session
    size_t max_bytes;             // of idle sessions
    struct qins_held *idle;       // owned, those used last come first
    size_t n_idle, idle_bytes;
} qins_session_cache;

// A session, and how much of its memory has been used.
typedef struct qins_held {
    qins_session *session; // owned
    size_t n_tokens;       // of its sequence
    size_t n_touched;      // tokens of the longest sequence that it has had
    struct qins_held *next;
} qins_held;

// A session for the prompt ids[n], from the idle one that shares the longest beginning with it: that session itself,
// or, if that would throw away more than it saves, a new one with a copy of the beginning. Idle ones make room for a
// new one if they have to. NULL and an error otherwise.
qins_held *qins_session_cache_take(qins_session_cache *cache, const int32_t *ids, size_t n, qins_error *error);

// It is idle now, with a sequence of n_tokens. What exceeds max_bytes is released, least recently used first.
void qins_session_cache_give(qins_session_cache *cache, qins_held *held, size_t n_tokens);

void qins_session_cache_free(qins_session_cache *cache); // the idle sessions

#endif
