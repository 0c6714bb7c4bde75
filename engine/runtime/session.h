// A session: one sequence and its KV cache. Callers pass whole sequences; only the session knows which part of them is
// cached and when LongRoPE changes its factors. The public part is in qins.h.
#ifndef QINS_RUNTIME_SESSION_H
#define QINS_RUNTIME_SESSION_H

#include "engine/base/progress.h"
#include "engine/runtime/model.h"

#include <stdatomic.h>

// The observer of a session. Every member may be absent.
typedef struct qins_observer {
    qins_progress *progress; // of more than one token that run alone, after every layer; false stops them
    // Called when all `n_tokens` must be computed again because LongRoPE changed its factors.
    void (*on_recompute)(void *context, size_t n_tokens, bool to_long);
    void *context; // of both
} qins_observer;

// For the runtime's own files; other code uses the functions.
struct qins_session {
    qins_engine *engine;
    const qins_model *model;
    qins_session_options options; // resolved: n_ctx > 0, no QINS_MATMUL_AUTO
    qins_kvcache cache;
    int32_t *ids;      // owned, [n_ctx]
    size_t n;          // tokens of the sequence, ids[n]
    size_t n_cached;   // the first of them are in the cache, all rotated with `set`
    size_t n_begun;    // of these, when the sequence began
    qins_rope_set set; // of the sequence
    float *logits;     // owned, reserved, [vocab_size]
    bool has_logits;   // they are those after ids[n]
    qins_observer observer;
    const atomic_bool *cancelled; // becomes true when a computation that runs alone must stop; NULL: never
};

void qins_session_observe(qins_session *session, const qins_observer *observer);

// Refuse ids[n] that are no sequence for this session: none, more than the context holds, or outside the vocabulary.
qins_status qins_session_check_ids(const qins_session *session, const int32_t *ids, size_t n, qins_error *error);

// qins_session_begin for a caller that wants the logits after the tokens from position n_kept on: at most n_kept tokens
// of the cache are kept.
qins_status qins_session_restart(qins_session *session, const int32_t *ids, size_t n, size_t n_kept, qins_error *error);

// Copy the first n_tokens that another session has cached; they become this session's sequence. Both have the same
// model and options.
void qins_session_copy(qins_session *session, const qins_session *from, size_t n_tokens);

// Begin and finish: afterwards the logits are those after the last token. On failure or interruption the session stays
// usable.
qins_status qins_session_sync(qins_session *session, const int32_t *ids, size_t n, qins_error *error);

// Compute the next pending tokens, at most QINS_STEP_TOKENS, alone. hidden[n_tokens, hidden_dim] receives the output of
// the final norm and the logits are skipped; NULL: logits are wanted.
qins_status qins_session_advance(qins_session *session, float *hidden, qins_error *error);

// Refuse logits[vocab_size] that are not finite, those after the token at `position`.
qins_status qins_session_check(const qins_session *session, const float *logits, size_t position, qins_error *error);

// Bytes of memory that a session takes whose longest sequence so far had n tokens.
size_t qins_session_touched_bytes(const qins_session *session, size_t n);

// The number of tokens of the sequence that were not in the cache when it began.
size_t qins_session_computed(const qins_session *session);

// Do sequences of these lengths use the same factors? If not (LongRoPE), they share nothing.
bool qins_session_same_factors(const qins_session *session, size_t n, size_t other_n);

const qins_config *qins_session_config(const qins_session *session);
qins_matmul qins_session_matmul(const qins_session *session); // exact or sgemm
size_t qins_session_threads(const qins_session *session);
// Keys and values clamped to FP16's range so far.
size_t qins_session_saturated(const qins_session *session);

// For benchmarks: make ids[n] the current sequence without computing it: a few of its tokens are run, their keys and
// values repeated up to position n - 1 (n = 0: the cache is empty). The next token takes its usual time, because that
// depends only on the number of stored values; its logits are meaningless.
qins_status qins_session_pretend(qins_session *session, const int32_t *ids, size_t n, qins_error *error);

#endif
