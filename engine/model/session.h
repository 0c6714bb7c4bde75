// The engine's interface: a model with its cache, threads and buffers. Callers pass whole token sequences; only the
// session knows what of them is cached, when LongRoPE changes its factors, and how prompts are cut into chunks. With
// exact products the logits of a sequence are the same bits on every machine, for any number of threads, and whatever
// was cached before.
#ifndef QINS_MODEL_SESSION_H
#define QINS_MODEL_SESSION_H

#include "engine/base/progress.h"
#include "engine/kernels/linear.h"
#include "engine/model/qinsfile.h"

typedef struct qins_session qins_session;

typedef struct qins_session_options {
    size_t n_ctx;            // most tokens of a sequence; 0: the model's maximum, or what fits into memory
    size_t n_threads;        // 0: qins_default_threads()
    qins_type k_type;        // of keys in the cache: QINS_F16, QINS_QINS8 or QINS_F32
    qins_type v_type;        // and of values: QINS_QINS8, QINS_QINS4, QINS_F16 or QINS_F32
    qins_matmul matmul;      // exact, or sgemm
    bool rope_long;          // LongRoPE's long factors from the first token on
    qins_progress *progress; // of long prompts, in tokens; may be NULL
    // Told when all `n_tokens` are computed again because LongRoPE changed its factors; may be NULL.
    void (*on_recompute)(void *context, size_t n_tokens, bool to_long);
    void *context; // of both
} qins_session_options;

// What a session takes, in bytes.
typedef struct qins_memory_plan {
    size_t n_ctx;       // tokens
    size_t max_ctx;     // tokens that fit
    size_t program;     // held already: the programs' code and libraries, the tokenizer
    size_t weights;     // the file
    bool is_converted;  // made in memory for this run; otherwise the file is mapped, and its pages can be given up
    size_t token_bytes; // of keys, values and id
    size_t kv;          // reserved for n_ctx tokens; touched only as far as it is used
    size_t scratch;     // buffers, tiles, activations: what a full chunk touches
    size_t available;   // to this process before the session, and the converted file, are made
    bool is_limited;    // by what the process may map (ulimit -v), not by the memory that there is
} qins_memory_plan;

// Work out the memory for a file of `file_bytes`, mapped or still to be converted in memory. Refuses
// (QINS_CONTEXT_OVERFLOW) a context that does not fit or exceeds the model's maximum, and (QINS_FAILED) a model whose
// buffers do not fit; the plan is filled in all the same.
qins_status qins_session_plan(const qins_config *config, size_t file_bytes, bool is_converted,
                              const qins_session_options *options, qins_memory_plan *plan, qins_error *error);

// The image must outlive the session. NULL and an error otherwise; release with qins_session_free. After this, nothing
// is allocated.
qins_session *qins_session_create(const qins_image *image, const qins_session_options *options, qins_error *error);
void qins_session_free(qins_session *session);

const qins_config *qins_session_config(const qins_session *session);
size_t qins_session_n_ctx(const qins_session *session);
size_t qins_session_threads(const qins_session *session);
qins_matmul qins_session_matmul(const qins_session *session); // as qins_compute_matmul
// Keys and values clamped to FP16's range so far.
size_t qins_session_saturated(const qins_session *session);

// Make ids[n] (n >= 1) the current sequence: what it shares with the cached one is kept, the rest is rewound or
// computed. Afterwards the logits are those after its last token. On failure or interruption the session stays usable.
qins_status qins_session_sync(qins_session *session, const int32_t *ids, size_t n, qins_error *error);

// How many tokens the last qins_session_sync or qins_session_score_begin had to compute; the others are in the cache.
size_t qins_session_computed(const qins_session *session);

// logits[vocab_size] after the last token of the current sequence; valid until the next call.
const float *qins_session_logits(const qins_session *session);

// Do sequences of these lengths use the same factors? Otherwise (LongRoPE) they share nothing.
bool qins_session_same_factors(const qins_session *session, size_t n, size_t other_n);

// For benchmarks. The threads; most tokens of one forward pass (longer prompts are cut); and make ids[n] the current
// sequence without computing it: a few of its tokens are run, their keys and values repeated up to position n - 1
// (n = 0: the cache is empty). The next token takes the time that it would take, as that depends only on the
// number of stored values; its logits mean nothing.
qins_pool *qins_session_pool(const qins_session *session);
size_t qins_session_chunk(const qins_session *session);
qins_status qins_session_pretend(qins_session *session, const int32_t *ids, size_t n, qins_error *error);

// Score a sequence: begin with ids[n], which must stay valid, then take the logits after the tokens from position
// `first` on in order, a few rows at a time, so that memory does not grow with the sequence. What the tokens before
// `first` share with the cached sequence is kept; with 0 the cache starts out empty.
qins_status qins_session_score_begin(qins_session *session, const int32_t *ids, size_t n, size_t first,
                                     qins_error *error);

// The next rows: logits[n_rows, vocab_size] (valid until the next call) after the tokens at position first, first + 1,
// ... of the sequence; n_rows = 0 when all have been handed over.
qins_status qins_session_score_next(qins_session *session, const float **logits, size_t *first, size_t *n_rows,
                                    qins_error *error);

#endif
