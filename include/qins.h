// libqins: text generation on the CPU with Phi-3.5 and its family, from .qins files. This header is the whole
// interface.
//
//     qins_model       an open file: weights, tokenizer, chat format; immutable, for any number of threads
//     qins_engine      threads and scratch. One is enough for a process, for all its models and sessions
//     qins_session     one sequence of tokens with its KV cache
//     qins_generation  a reply in progress: prompt, sampling, stop texts and limits in, events out
//
// The results of a sequence depend only on the file, its ids and the options of its session and generation: not on the
// processor, the number of threads, or the sequences that share a step with it.
//
// Errors. A function that can fail takes a qins_error, which the caller has set to zero. It fills it in and returns the
// status, or NULL in place of an object. The first error wins: a recorded one is never replaced, so set it to zero
// before going on. Threads. Steps of one engine take turns, whichever threads call them. A session and its generation
// are used by one thread at a time, and by no other thread during a step that includes them; only
// qins_generation_cancel may come from any thread at any time. Different objects need no synchronization.
//
// Texts are UTF-8, as (pointer, bytes); "string" in a comment means one that ends with NUL. Nothing depends on the
// locale. The library writes to no stream, handles no signal, and never ends the process. A model file that becomes
// shorter while it is open, or whose disk fails, raises SIGBUS; with qins_file_fault that ends only the model.
#ifndef QINS_H
#define QINS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __GNUC__
#pragma GCC visibility push(default)
#endif
#ifdef __cplusplus
extern "C" {
#endif

#define QINS_VERSION "0.1.0" // of this header

// "0.1.0 (1a2b3c4d5e)": the version of the library and the commit it was built from.
const char *qins_version(void);

// --- errors ---

// The values are the exit codes of qinsrun and qinsconvert.
typedef enum qins_status {
    QINS_OK = 0,
    QINS_FAILED = 1,           // at run time: out of memory, I/O error, logits that are not finite
    QINS_USAGE = 2,            // wrong arguments or input
    QINS_BAD_MODEL = 3,        // a model file or checkpoint that is missing, damaged or not understood
    QINS_CONTEXT_OVERFLOW = 4, // more tokens than the context holds
    QINS_INTERRUPTED = 130     // stopped from outside
} qins_status;

typedef struct qins_error {
    qins_status status;
    char message[2048]; // one or more lines, no newline at the end; control characters of arguments are escaped
} qins_error;

// --- models ---

typedef struct qins_model qins_model;

// Map a .qins file. Checks its header, not the weights (qinsrun verify does). NULL and an error (QINS_BAD_MODEL)
// otherwise. Release with qins_model_close, after the engines and generations that use it.
qins_model *qins_model_open(const char *path, qins_error *error);
void qins_model_close(qins_model *model); // NULL is fine, as for all that release

size_t qins_model_vocab_size(const qins_model *model); // ids are 0 .. vocab_size - 1
size_t qins_model_max_tokens(const qins_model *model); // longest sequence that the model was made for

// For a program's handler of SIGBUS, with siginfo_t's si_addr: if the address lies in a model's file, that file has
// been cut off or can no longer be read. It reads as zeros from now on, computations with that model fail with
// QINS_BAD_MODEL from then on (a step that includes it fails as a whole), and other models continue: the handler only
// needs to return. False: the fault does not belong to the library. Safe in signal handlers.
bool qins_file_fault(const void *address);

// --- text and ids ---

// A growing list of token ids. Zero-initialize; release with qins_ids_free.
typedef struct qins_ids {
    int32_t *data; // owned
    size_t count;
    size_t capacity;
} qins_ids;

qins_status qins_ids_append(qins_ids *ids, int32_t id, qins_error *error);
void qins_ids_free(qins_ids *ids);

// Conversion of text to ids. Hugging Face's `encode(text)` is QINS_PARSE_SPECIAL | QINS_ADD_PREFIX.
enum {
    QINS_PARSE_SPECIAL = 1, // added tokens that appear in the text become their ids; else they are plain text, and no
                            // text gives an added token's id (but for the unknown token's, where it is one)
    QINS_ADD_PREFIX = 2,    // put the post-processor's ids (such as <s>) around the result
    QINS_CONTINUED = 4      // the text continues another one: some tokenizers treat the start of a text differently
};

// A message of a conversation.
typedef struct qins_message {
    const char *role;    // string: "system", "user", "assistant"
    const char *content; // text, may hold NULs
    size_t size;         // bytes of content
} qins_message;

// Append the ids of a text, of at most 1 GiB, with the flags above. On failure *ids is as before; QINS_USAGE when the
// file has no tokenizer.
qins_status qins_model_encode(const qins_model *model, const char *text, size_t size, unsigned flags, qins_ids *ids,
                              qins_error *error);

// Append the ids of a conversation in the model's chat format, up to the marker that asks for the assistant's reply.
// `flags`: 0, or QINS_PARSE_SPECIAL if markers such as <|end|> in contents are to act as markers. On failure *ids is as
// before; QINS_USAGE when the file has no chat format.
qins_status qins_model_encode_chat(const qins_model *model, const qins_message *messages, size_t n_messages,
                                   unsigned flags, qins_ids *ids, qins_error *error);

// The text of ids[n_ids]: *text, *size bytes and a NUL after them, is released with qins_free. Bytes that are not UTF-8
// become U+FFFD, markers are left out.
qins_status qins_model_decode(const qins_model *model, const int32_t *ids, size_t n_ids, char **text, size_t *size,
                              qins_error *error);
void qins_free(void *memory);

// --- engine ---

typedef struct qins_engine qins_engine;

// Threads (0: one for each core that the process may use, the calling thread included) and scratch for sessions of
// these models, which must outlive the engine. The scratch is reserved and touched as it is used. NULL and an error
// otherwise. Release with qins_engine_free, after its sessions.
qins_engine *qins_engine_create(const qins_model *const *models, size_t n_models, size_t n_threads, qins_error *error);
void qins_engine_free(qins_engine *engine);
size_t qins_engine_threads(const qins_engine *engine);

// --- sessions ---

// Storage formats of numbers.
typedef enum qins_type {
    QINS_F32,
    QINS_F16,
    QINS_BF16,
    QINS_QINS8,
    QINS_QINS6,
    QINS_QINS5,
    QINS_QINS4,
    QINS_TYPE_COUNT
} qins_type;

// Methods of multiplying matrices.
typedef enum qins_matmul {
    QINS_MATMUL_AUTO,  // exact
    QINS_MATMUL_EXACT, // the same bits on every machine, for one row and for many
    QINS_MATMUL_SGEMM  // decoded to FP32, then OpenBLAS's sgemm, outside that promise
} qins_matmul;

// Everything that a sequence's results depend on besides the file and its ids.
typedef struct qins_session_options {
    size_t n_ctx;       // most tokens of a sequence; 0: the model's maximum, or what fits into memory
    qins_type k_type;   // of keys in the cache: QINS_F16, QINS_QINS8 or QINS_F32
    qins_type v_type;   // of values: QINS_QINS8, QINS_QINS4, QINS_F16 or QINS_F32
    qins_matmul matmul; // exact, or sgemm
    bool rope_long;     // LongRoPE's long factors from the first token on; else by the length of the sequence
} qins_session_options;

// K in QINS_F16, V in QINS_QINS8, exact products, the longest context.
qins_session_options qins_session_defaults(void);

typedef struct qins_session qins_session;

// Bytes that a session of options->n_ctx tokens (0: the model's maximum) takes when it is full. The memory is reserved
// and touched as tokens come.
size_t qins_session_bytes(const qins_model *model, const qins_session_options *options);

// An empty session of a model that the engine was made for. Refuses (QINS_CONTEXT_OVERFLOW) a context that exceeds the
// model's maximum or does not fit into the memory that is available. Afterwards nothing is allocated. Release with
// qins_session_free, after the generations that use it.
qins_session *qins_session_create(qins_engine *engine, const qins_model *model, const qins_session_options *options,
                                  qins_error *error);
void qins_session_free(qins_session *session);
size_t qins_session_n_ctx(const qins_session *session);

// Make ids[n] (1 <= n <= n_ctx; copied) the session's sequence, computing nothing yet. The prefix that it shares with
// the cached tokens is kept, but at least its last token remains to be computed, for the logits after it. On failure
// the session is as before.
//
// LongRoPE: a sequence of more than the model's original length uses the long factors for all its tokens, so nothing in
// the cache can be kept when a sequence crosses that length.
qins_status qins_session_begin(qins_session *session, const int32_t *ids, size_t n, qins_error *error);

// Tokens of ids[n] that the cache would save if qins_session_begin were called now.
size_t qins_session_shared(const qins_session *session, const int32_t *ids, size_t n);

// Tokens of the sequence that steps have yet to compute.
size_t qins_session_pending(const qins_session *session);

// Compute all pending tokens, in steps without other sessions.
qins_status qins_session_finish(qins_session *session, qins_error *error);

// logits[vocab_size] after the last token of the sequence, valid until the session's next begin or step; NULL while
// tokens are pending, and when no step was asked to compute them.
const float *qins_session_logits(const qins_session *session);

// --- scores: the logits after every token of a sequence ---

// They come a few rows at a time, so memory does not grow with the sequence.
typedef struct qins_scorer qins_scorer;

// For a session, which must outlive it. NULL and an error otherwise; release with qins_scorer_free.
qins_scorer *qins_scorer_create(qins_session *session, qins_error *error);
void qins_scorer_free(qins_scorer *scorer);

// Begin with ids[n], then take the logits after the tokens from position `first` on in order; n - k gives those after
// the last k. The prefix that the tokens before `first` share with the session's cached sequence is kept; with 0 the
// cache starts out empty. The session must not be used for anything else until all rows have been taken.
qins_status qins_scorer_begin(qins_scorer *scorer, const int32_t *ids, size_t n, size_t first, qins_error *error);

// The next rows: logits[n_rows, vocab_size] (valid until the next call) after the tokens at position first, first + 1,
// ... of the sequence, with the steps that they take; n_rows = 0 when all have been handed over.
qins_status qins_scorer_next(qins_scorer *scorer, const float **logits, size_t *first, size_t *n_rows,
                             qins_error *error);

// --- steps: many sessions share a pass through the weights ---

// The most tokens of a step, all its entries together.
enum { QINS_STEP_TOKENS = 512 };

typedef struct qins_entry {
    qins_session *session; // at most once in a step
    size_t n_tokens;       // to compute now: at least 1, at most those pending
    bool wants_logits;     // those after the last token, if the step gets there
} qins_entry;

// One pass through the weights for all entries (one for each model among them). Generation has one token each, a
// prompt may come in slices of any length. On QINS_USAGE nothing has happened.
qins_status qins_engine_step(qins_engine *engine, const qins_entry *entries, size_t n_entries, qins_error *error);

// --- generation ---

// Steps in Hugging Face's order: penalties and bias, temperature, top-k, top-p, min-p, one draw. Temperature 0 is
// greedy: the first of the largest logits.
typedef struct qins_sampler_options {
    float temperature;       // 0: greedy
    size_t top_k;            // keep the k most probable tokens; 0: all
    float top_p;             // keep the smallest set whose probabilities sum to top_p or more, at least one; 1: all
    float min_p;             // keep tokens of at least min_p times the largest probability; 0: all
    float repeat_penalty;    // for tokens of prompt and reply: logits > 0 are divided by it, others multiplied; 1: off
    float frequency_penalty; // times how often a token is in the reply is taken from its logit; 0: off
    float presence_penalty;  // is taken from the logit of tokens in the reply; 0: off
    uint64_t seed;
} qins_sampler_options;

// Greedy, nothing filtered, no penalty.
qins_sampler_options qins_sampler_defaults(void);

// Added to a token's logit; -INFINITY rules the token out.
typedef struct qins_bias {
    int32_t id;
    float bias;
} qins_bias;

typedef struct qins_generation_options {
    const int32_t *ids; // [n_ids], the prompt, at least one
    size_t n_ids;
    size_t max_tokens; // of the reply; SIZE_MAX: as many as fit
    qins_sampler_options sampler;
    const qins_bias *biases; // [n_biases], of different ids
    size_t n_biases;
    const char *const *stops; // [n_stops] strings, none empty: the reply ends before the first of them
    size_t n_stops;
    bool wants_logprobs; // log-probabilities of tokens, and of the
    size_t n_top;        // most probable ones beside them
} qins_generation_options;

// No prompt yet; the sampler's defaults, no limit but the context.
qins_generation_options qins_generation_defaults(void);

typedef enum qins_event_kind {
    QINS_EVENT_WAIT,  // qins_generation_poll only: a step is needed first
    QINS_EVENT_TOKEN, // the next token of the reply
    QINS_EVENT_TEXT,  // text that is final: whole characters, nothing that may be part of a stop text. It continues the
                      // prompt's text, or, after a marker, begins a text of its own
    QINS_EVENT_END    // the reply has ended; comes again at every further call
} qins_event_kind;

typedef enum qins_finish {
    QINS_FINISH_STOP_ID,   // the model ended it
    QINS_FINISH_STOP_TEXT, // a stop text occurred
    QINS_FINISH_LENGTH,    // max_tokens
    QINS_FINISH_CONTEXT,   // the context is full
    QINS_FINISH_CANCELLED, // qins_generation_cancel
    QINS_FINISH_FAILED     // a call failed
} qins_finish;

// A token and its log-probability, before penalties, bias and sampling.
typedef struct qins_candidate {
    int32_t id;
    double logprob;
} qins_candidate;

// Pointers are valid until the generation's next call.
typedef struct qins_event {
    qins_event_kind kind;
    qins_candidate token;      // TOKEN; its logprob only with wants_logprobs
    const qins_candidate *top; // TOKEN: [n_top] most probable tokens, best first
    size_t n_top;
    const char *text; // TEXT: [size] bytes
    size_t size;
    qins_finish finish;    // END
    int32_t stop_id;       // END by QINS_FINISH_STOP_ID
    const char *stop_text; // END by QINS_FINISH_STOP_TEXT: string
} qins_event;

typedef struct qins_generation qins_generation;

// A reply to a prompt in a session, which does not compute the prefix that its cache shares with the prompt. Refuses
// (QINS_CONTEXT_OVERFLOW) a prompt that leaves no room for a reply of max_tokens, or of one token when there is no
// limit. Everything that the options point to is copied. Release with qins_generation_free; the session keeps the
// sequence for the next one.
qins_generation *qins_generation_create(qins_session *session, const qins_generation_options *options,
                                        qins_error *error);
void qins_generation_free(qins_generation *generation);

// The next event, with the steps that it takes, without other sessions. An error ends the reply: further calls, with
// the error set to zero, give the text that was held back and the end.
qins_status qins_generation_next(qins_generation *generation, qins_event *event, qins_error *error);

// The next event that needs no computation. QINS_EVENT_WAIT: put the session into the next step, with wants_logits.
qins_status qins_generation_poll(qins_generation *generation, qins_event *event, qins_error *error);

// End the reply before its next token, or a prompt after its next layer where it runs alone. From any thread.
void qins_generation_cancel(qins_generation *generation);

// The numbers of the prompt's tokens that were in the cache, and of the reply's tokens so far, not counting a stop id.
size_t qins_generation_cached(const qins_generation *generation);
size_t qins_generation_count(const qins_generation *generation);

// The prompt's ids and the reply's, and the stop id if that ended it; valid until the generation's next call.
const int32_t *qins_generation_ids(const qins_generation *generation, size_t *n_ids);

#ifdef __cplusplus
}
#endif
#ifdef __GNUC__
#pragma GCC visibility pop
#endif

#endif
