// The session; see session.h.
#include "engine/model/session.h"

#include "engine/base/memory.h"
#include "engine/base/processors.h"
#include "engine/kernels/blas.h"
#include "engine/model/forward.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct qins_session {
    qins_session_options options;
    qins_compute compute;
    qins_forward_state forward;
    size_t n_ctx;
    // The sequence in the cache: ids[n_cached], all rotated with `set`.
    int32_t *ids; // [n_ctx]
    size_t n_cached;
    qins_rope_set set;
    size_t n_computed;   // tokens that the last sync or scoring had to run
    const float *logits; // after the last token, NULL before the first
    // The sequence being scored: rows next_row .. n_cached of the chunk that began at chunk_start are ready.
    const int32_t *scored_ids;
    size_t n_scored, chunk_start, next_row;
};

static size_t thread_count(const qins_session_options *options) {
    return options->n_threads > 0 ? options->n_threads : qins_default_threads();
}

static double mib(size_t bytes) {
    return (double)bytes / (1 << 20);
}

// Tokens that fit beside buffers and weights. Without a wish for more, a mapped file's pages are left their room in the
// page cache, as far as that does not starve the context.
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

// Memory that is left, and what may be mapped besides all that is mapped without being touched.
static void find_available(qins_memory_plan *plan, size_t n_threads) {
    const size_t untouched = qins_compute_reserved_bytes(n_threads) + (n_threads - 1) * qins_memory_stack();
    const size_t mappable = qins_memory_mappable();
    plan->available = qins_memory_available();
    plan->is_limited = mappable < SIZE_MAX && (mappable < untouched || mappable - untouched < plan->available);
    if (plan->is_limited) plan->available = mappable < untouched ? 0 : mappable - untouched;
}

qins_status qins_session_plan(const qins_config *config, size_t file_bytes, bool is_converted,
                              const qins_session_options *options, qins_memory_plan *plan, qins_error *error) {
    *plan = (qins_memory_plan){.n_ctx = options->n_ctx,
                               .program = qins_memory_resident(),
                               .weights = file_bytes,
                               .is_converted = is_converted};
    find_available(plan, thread_count(options));
    plan->token_bytes = qins_kvcache_token_bytes(config, options->k_type, options->v_type) + sizeof(int32_t);
    plan->scratch = qins_forward_buffer_bytes(config, QINS_CHUNK) +
                    qins_attention_bytes(config, thread_count(options)) +
                    qins_compute_bytes(thread_count(options), widest(config));
    const char *limit = plan->is_limited ? " under the limit of ulimit -v" : "";
    const size_t needed = plan->scratch + (is_converted ? file_bytes : 0);
    if (options->n_ctx > config->max_positions)
        return qins_fail(error, QINS_CONTEXT_OVERFLOW,
                         "a context of %zu tokens is more than this model's maximum of %zu", options->n_ctx,
                         config->max_positions);
    if (needed > plan->available)
        return qins_fail(error, QINS_FAILED, "%.0f MiB of memory are needed for %s, %.0f MiB are available%s%s",
                         mib(needed), is_converted ? "converted weights and buffers" : "buffers", mib(plan->available),
                         limit, is_converted ? "; convert to a file: qinsconvert HF_DIR -o MODEL.qins" : "");
    plan->max_ctx = fitting_tokens(plan, options->n_ctx > 0);
    if (plan->max_ctx > config->max_positions) plan->max_ctx = config->max_positions;
    if (plan->n_ctx == 0) plan->n_ctx = plan->max_ctx;
    plan->kv = plan->n_ctx * plan->token_bytes; // at most max_positions of them
    if (plan->n_ctx > plan->max_ctx || plan->n_ctx == 0)
        return qins_fail(error, QINS_CONTEXT_OVERFLOW,
                         "a context of %zu tokens takes %.0f MiB beside %.0f MiB for the rest, %.0f MiB of memory are "
                         "available%s; at most %zu tokens fit (-c)",
                         plan->n_ctx, mib(plan->kv), mib(needed), mib(plan->available), limit, plan->max_ctx);
    return QINS_OK;
}

qins_session *qins_session_create(const qins_image *image, const qins_session_options *options, qins_error *error) {
    qins_memory_plan plan;
    const qins_config *config = &qins_image_header(image)->config;
    if (qins_session_plan(config, qins_image_bytes(image), false, options, &plan, error) != QINS_OK) return NULL;
    qins_session *session = qins_alloc(1, sizeof *session, "session", error);
    if (session == NULL) return NULL;
    session->options = *options;
    session->n_ctx = plan.n_ctx;
    session->ids = qins_alloc(plan.n_ctx, sizeof *session->ids, "token ids", error);
    if (error->status == QINS_OK && options->matmul == QINS_MATMUL_SGEMM) qins_blas_open(thread_count(options), error);
    if (error->status == QINS_OK) qins_compute_init(&session->compute, thread_count(options), error);
    session->compute.matmul = options->matmul;
    if (error->status == QINS_OK)
        qins_forward_init(&session->forward, image, &session->compute, options->k_type, options->v_type, plan.n_ctx,
                          error);
    if (error->status == QINS_OK) return session;
    qins_session_free(session);
    return NULL;
}

void qins_session_free(qins_session *session) {
    if (session == NULL) return;
    qins_forward_free(&session->forward);
    qins_compute_free(&session->compute);
    free(session->ids);
    free(session);
}

const qins_config *qins_session_config(const qins_session *session) {
    return session->forward.config;
}

size_t qins_session_n_ctx(const qins_session *session) {
    return session->n_ctx;
}

qins_matmul qins_session_matmul(const qins_session *session) {
    return qins_compute_matmul(&session->compute);
}

size_t qins_session_threads(const qins_session *session) {
    return qins_pool_threads(session->compute.pool);
}

size_t qins_session_saturated(const qins_session *session) {
    return session->forward.cache.n_saturated;
}

size_t qins_session_computed(const qins_session *session) {
    return session->n_computed;
}

const float *qins_session_logits(const qins_session *session) {
    return session->logits;
}

static qins_status check_ids(const qins_session *session, const int32_t *ids, size_t n, qins_error *error) {
    const size_t vocab_size = session->forward.config->vocab_size;
    if (n == 0) return qins_fail(error, QINS_USAGE, "the sequence is empty; at least one token is needed");
    if (n > session->n_ctx)
        return qins_fail(error, QINS_CONTEXT_OVERFLOW, "%zu tokens are more than the context of %zu", n,
                         session->n_ctx);
    for (size_t i = 0; i < n; i++) {
        if (ids[i] < 0 || (size_t)ids[i] >= vocab_size)
            return qins_fail(error, QINS_USAGE, "token id %d at position %zu is outside the vocabulary of %zu", ids[i],
                             i, vocab_size);
    }
    return QINS_OK;
}

static qins_status check_finite(const float *logits, size_t vocab_size, size_t position, qins_error *error) {
    for (size_t i = 0; i < vocab_size; i++) {
        if (!isfinite(logits[i]))
            return qins_fail(error, QINS_FAILED,
                             "the logits behind position %zu are not finite; check the model file with: qinsrun verify",
                             position);
    }
    return QINS_OK;
}

static qins_rope_set rope_set(const qins_session *session, size_t n) {
    return session->options.rope_long ? QINS_ROPE_LONG_SET : qins_rope_set_for(session->forward.config, n);
}

bool qins_session_same_factors(const qins_session *session, size_t n, size_t other_n) {
    return rope_set(session, n) == rope_set(session, other_n);
}

// Keep the cached tokens that ids[n] begins with, all rotated alike, but at most `most` of them.
static void rewind_to_prefix(qins_session *session, const int32_t *ids, size_t n, size_t most) {
    qins_rope_set set = rope_set(session, n);
    if (set != session->set && session->n_cached > 0) {
        if (session->options.on_recompute != NULL && most > 0)
            session->options.on_recompute(session->options.context, n, set == QINS_ROPE_LONG_SET);
        session->n_cached = 0;
    }
    session->set = set;
    size_t common = 0;
    while (common < session->n_cached && common < most && session->ids[common] == ids[common]) common++;
    session->n_cached = common;
    session->n_computed = n - common;
}

// Progress through a long sequence, layer by layer, in tokens.
struct progress {
    const qins_session *session;
    size_t first, n; // tokens [first, n) are to be computed
    size_t length;   // of the chunk that runs
};

static bool report_layer(void *context, size_t layer) {
    const struct progress *progress = context;
    const qins_session *session = progress->session;
    const qins_session_options *options = &session->options;
    if (options->progress == NULL || progress->n - progress->first == 1) return true;
    size_t done = session->n_cached - progress->first;
    done += progress->length * (layer + 1) / session->forward.config->n_layers;
    return options->progress(options->context, done, progress->n - progress->first);
}

// Run the next chunk of ids[n] after the cached tokens; *length: its tokens. `first`: where this work began.
static qins_status run_chunk(qins_session *session, const int32_t *ids, size_t n, size_t first, size_t *length,
                             qins_error *error) {
    const size_t start = session->n_cached;
    *length = n - start < QINS_CHUNK ? n - start : QINS_CHUNK;
    struct progress progress = {session, first, n, *length};
    if (!qins_forward(&session->forward, ids + start, *length, start, session->set, report_layer, &progress))
        return qins_fail(error, QINS_INTERRUPTED, "interrupted after %zu of %zu tokens", start, n);
    memcpy(session->ids + start, ids + start, *length * sizeof *ids);
    session->n_cached = start + *length;
    return QINS_OK;
}

qins_status qins_session_sync(qins_session *session, const int32_t *ids, size_t n, qins_error *error) {
    if (check_ids(session, ids, n, error) != QINS_OK) return error->status;
    rewind_to_prefix(session, ids, n, n - 1);
    const size_t first = session->n_cached;
    size_t length = 0;
    while (session->n_cached < n) {
        if (run_chunk(session, ids, n, first, &length, error) != QINS_OK) return error->status;
    }
    qins_forward_logits(&session->forward, length - 1, 1);
    session->logits = session->forward.logits;
    return check_finite(session->logits, session->forward.config->vocab_size, n - 1, error);
}

qins_pool *qins_session_pool(const qins_session *session) {
    return session->compute.pool;
}

size_t qins_session_chunk(const qins_session *session) {
    (void)session;
    return QINS_CHUNK;
}

qins_status qins_session_pretend(qins_session *session, const int32_t *ids, size_t n, qins_error *error) {
    const size_t n_run = n < QINS_PANEL ? n : QINS_PANEL; // whole tiles of keys can be repeated
    session->n_cached = 0;
    if (n == 0) return QINS_OK;
    if (check_ids(session, ids, n, error) != QINS_OK) return error->status;
    if (qins_session_sync(session, ids, n_run, error) != QINS_OK) return error->status;
    qins_kvcache_repeat(&session->forward.cache, session->compute.pool, n_run, n);
    memcpy(session->ids, ids, n * sizeof *ids);
    session->n_cached = n;
    session->set = rope_set(session, n);
    return QINS_OK;
}

qins_status qins_session_score_begin(qins_session *session, const int32_t *ids, size_t n, size_t first,
                                     qins_error *error) {
    if (check_ids(session, ids, n, error) != QINS_OK) return error->status;
    rewind_to_prefix(session, ids, n, first);
    session->scored_ids = ids;
    session->n_scored = n;
    session->next_row = first;
    return QINS_OK;
}

qins_status qins_session_score_next(qins_session *session, const float **logits, size_t *first, size_t *n_rows,
                                    qins_error *error) {
    *n_rows = 0;
    *first = session->next_row;
    if (session->next_row >= session->n_scored) return QINS_OK;
    while (session->n_cached <= session->next_row) {
        const size_t n_kept = session->n_scored - session->n_computed;
        size_t length;
        session->chunk_start = session->n_cached;
        if (run_chunk(session, session->scored_ids, session->n_scored, n_kept, &length, error) != QINS_OK)
            return error->status;
    }
    size_t left = session->n_cached - session->next_row;
    *n_rows = left < QINS_LOGIT_ROWS ? left : QINS_LOGIT_ROWS;
    qins_forward_logits(&session->forward, session->next_row - session->chunk_start, *n_rows);
    *logits = session->forward.logits;
    session->next_row += *n_rows;
    const size_t vocab_size = session->forward.config->vocab_size;
    for (size_t i = 0; i < *n_rows; i++) check_finite(*logits + i * vocab_size, vocab_size, *first + i, error);
    return error->status;
}
