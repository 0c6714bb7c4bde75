// Planning of memory; see memory_plan.h.
#include "engine/runtime/memory_plan.h"

#include "engine/base/memory.h"
#include "engine/base/processors.h"
#include "engine/model/forward.h"

static double mib(size_t bytes) {
    return (double)bytes / (1 << 20);
}

// Tokens that fit beside buffers and weights. Unless a context was asked for, a mapped file's pages keep their room in
// the page cache, as far as that does not starve the context.
static size_t fitting_tokens(const qins_memory_plan *plan, bool is_wished) {
    size_t left = plan->available - plan->scratch - (plan->is_converted ? plan->weights : 0);
    if (!is_wished && !plan->is_converted) left = left > 2 * plan->weights ? left - plan->weights : left / 2;
    return left / plan->token_bytes;
}

// Columns of the widest matrix.
static size_t widest(const qins_config *config) {
    const size_t q_dim = qins_config_q_dim(config), hidden = config->hidden_dim;
    const size_t attention = q_dim > hidden ? q_dim : hidden;
    return config->ffn_dim > attention ? config->ffn_dim : attention;
}

// Memory that is left for buffers and cache. The limit of mappings is lowered by all that an engine maps without
// touching it, or raised by the buffers that it has already mapped.
static void find_available(qins_memory_plan *plan, size_t n_threads, bool has_engine) {
    const size_t untouched = qins_compute_reserved_bytes(n_threads) + (n_threads - 1) * qins_memory_stack();
    size_t mappable = qins_memory_mappable();
    plan->available = qins_memory_available();
    if (mappable == SIZE_MAX) return;
    if (has_engine)
        mappable += plan->scratch;
    else
        mappable = mappable < untouched ? 0 : mappable - untouched;
    plan->is_limited = mappable < plan->available;
    if (plan->is_limited) plan->available = mappable;
}

static const char *limit_of(const qins_memory_plan *plan) {
    return plan->is_limited ? " under the limit of ulimit -v" : "";
}

// Without the cache.
static size_t needed_bytes(const qins_memory_plan *plan) {
    return plan->scratch + (plan->is_converted ? plan->weights : 0);
}

qins_status qins_plan_buffers(const qins_plan_request *request, qins_memory_plan *plan, qins_error *error) {
    const size_t n_threads = request->n_threads > 0 ? request->n_threads : qins_default_threads();
    *plan = (qins_memory_plan){
        .program = qins_memory_resident(), .weights = request->file_bytes, .is_converted = request->is_converted};
    plan->scratch = qins_pass_bytes(request->config, QINS_STEP_TOKENS, n_threads) +
                    qins_compute_bytes(n_threads, widest(request->config));
    find_available(plan, n_threads, request->has_engine);
    const size_t needed = needed_bytes(plan);
    if (needed <= plan->available) return QINS_OK;
    return qins_fail(error, QINS_FAILED, "%.0f MiB of memory are needed for %s, %.0f MiB are available%s%s",
                     mib(needed), plan->is_converted ? "converted weights and buffers" : "buffers",
                     mib(plan->available), limit_of(plan),
                     plan->is_converted ? "; convert to a file: qinsconvert HF_DIR -o MODEL.qins" : "");
}

qins_status qins_plan_memory(const qins_plan_request *request, qins_memory_plan *plan, qins_error *error) {
    const qins_session_options *session = request->session;
    const size_t most = request->config->max_positions;
    qins_plan_buffers(request, plan, error);
    plan->n_ctx = session->n_ctx;
    plan->token_bytes = qins_kvcache_token_bytes(request->config, session->k_type, session->v_type) + sizeof(int32_t);
    if (session->n_ctx > most)
        return qins_fail(error, QINS_CONTEXT_OVERFLOW,
                         "a context of %zu tokens is more than this model's maximum of %zu", session->n_ctx, most);
    if (error->status != QINS_OK) return error->status;
    plan->max_ctx = fitting_tokens(plan, session->n_ctx > 0);
    if (plan->max_ctx > most) plan->max_ctx = most;
    if (plan->n_ctx == 0) plan->n_ctx = plan->max_ctx;
    plan->kv = plan->n_ctx * plan->token_bytes; // at most max_positions of them
    if (plan->n_ctx > plan->max_ctx || plan->n_ctx == 0)
        return qins_fail(
            error, QINS_CONTEXT_OVERFLOW,
            "a context of %zu tokens takes %.0f MiB in addition to %.0f MiB for the rest; %.0f MiB of memory are "
            "available%s; at most %zu tokens fit (-c)",
            plan->n_ctx, mib(plan->kv), mib(needed_bytes(plan)), mib(plan->available), limit_of(plan), plan->max_ctx);
    return QINS_OK;
}
