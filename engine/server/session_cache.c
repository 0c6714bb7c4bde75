// Idle sessions; see session_cache.h.
#include "engine/server/session_cache.h"

#include "engine/base/memory.h"
#include "engine/runtime/session.h"

#include <stdlib.h>

static size_t bytes_of(const qins_held *held) {
    return qins_session_touched_bytes(held->session, held->n_touched);
}

static void release(qins_held *held) {
    qins_session_free(held->session);
    free(held);
}

// Take the one that *place points to out of the list.
static qins_held *unlink_held(qins_session_cache *cache, qins_held **place) {
    qins_held *held = *place;
    *place = held->next;
    held->next = NULL;
    cache->n_idle--;
    cache->idle_bytes -= bytes_of(held);
    return held;
}

static void release_oldest(qins_session_cache *cache) {
    qins_held **place = &cache->idle;
    while ((*place)->next != NULL) place = &(*place)->next;
    release(unlink_held(cache, place));
}

// The link to the session that shares the most of ids[n], *shared tokens; NULL if none shares any.
static qins_held **find_best(qins_session_cache *cache, const int32_t *ids, size_t n, size_t *shared) {
    qins_held **best = NULL;
    *shared = 0;
    for (qins_held **place = &cache->idle; *place != NULL; place = &(*place)->next) {
        const size_t its = qins_session_shared((*place)->session, ids, n);
        if (its <= *shared) continue;
        best = place;
        *shared = its;
    }
    return best;
}

static qins_held *make_held(const qins_session_cache *cache, qins_error *error) {
    qins_held *held = qins_alloc(1, sizeof *held, "session", error);
    if (held == NULL) return NULL;
    held->session = qins_session_create(cache->engine, cache->model, &cache->options, error);
    if (held->session != NULL) return held;
    free(held);
    return NULL;
}

// A new session. If there is no memory for it, idle ones make room.
static qins_held *make_room(qins_session_cache *cache, qins_error *error) {
    qins_held *held = make_held(cache, error);
    while (held == NULL && cache->idle != NULL) {
        *error = (qins_error){0};
        release_oldest(cache);
        held = make_held(cache, error);
    }
    return held;
}

qins_held *qins_session_cache_take(qins_session_cache *cache, const int32_t *ids, size_t n, qins_error *error) {
    size_t shared;
    qins_held **best = find_best(cache, ids, n, &shared);
    if (best == NULL) return make_room(cache, error);
    qins_held *source = unlink_held(cache, best); // so it is not released to make room
    if (source->n_tokens - shared <= shared) return source;
    qins_held *held = make_room(cache, error);
    if (held == NULL) { // it has to suffice
        *error = (qins_error){0};
        return source;
    }
    qins_session_copy(held->session, source->session, shared);
    held->n_touched = shared;
    qins_session_cache_give(cache, source, source->n_tokens);
    return held;
}

void qins_session_cache_give(qins_session_cache *cache, qins_held *held, size_t n_tokens) {
    held->n_tokens = n_tokens;
    if (n_tokens > held->n_touched) held->n_touched = n_tokens;
    held->next = cache->idle;
    cache->idle = held;
    cache->n_idle++;
    cache->idle_bytes += bytes_of(held);
    while (cache->idle_bytes > cache->max_bytes) release_oldest(cache);
}

void qins_session_cache_free(qins_session_cache *cache) {
    while (cache->idle != NULL) release_oldest(cache);
}
