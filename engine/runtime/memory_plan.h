// The memory of sessions, computed before anything is allocated.
#ifndef QINS_RUNTIME_MEMORY_PLAN_H
#define QINS_RUNTIME_MEMORY_PLAN_H

#include "engine/format/config.h"

// The subject of a plan.
typedef struct qins_plan_request {
    const qins_config *config;
    size_t file_bytes;
    bool is_converted; // the file has yet to be made in memory; otherwise it is mapped
    bool has_engine;   // an engine has reserved its buffers already
    size_t n_threads;  // of the engine; 0: qins_default_threads()
    const qins_session_options *session;
} qins_plan_request;

// The memory that an engine and a session take, in bytes.
typedef struct qins_memory_plan {
    size_t n_ctx;       // tokens
    size_t max_ctx;     // tokens that fit
    size_t program;     // already held: the program's code and libraries, the tokenizer
    size_t weights;     // the file
    bool is_converted;  // made in memory for this run; otherwise the file is mapped, and its pages can be given up
    size_t token_bytes; // of keys, values and id
    size_t kv;          // reserved for n_ctx tokens; touched only as far as it is used
    size_t scratch;     // buffers, tiles, activations: touched by a full step
    size_t available;   // to this process before the session, and the converted file, are made
    bool is_limited;    // by the address space that the process may map (ulimit -v), not by the memory available
} qins_memory_plan;

// Plan. Refuses (QINS_CONTEXT_OVERFLOW) a context that does not fit or exceeds the model's maximum, and (QINS_FAILED) a
// model whose buffers do not fit; the plan is filled in nevertheless.
qins_status qins_plan_memory(const qins_plan_request *request, qins_memory_plan *plan, qins_error *error);

// The first half: buffers, and refusal where they do not fit.
qins_status qins_plan_buffers(const qins_plan_request *request, qins_memory_plan *plan, qins_error *error);

#endif
