// The session; see session.h.
#include "engine/runtime/session.h"

#include "engine/base/map.h"
#include "engine/base/memory.h"
#include "engine/kernels/blas.h"
#include "engine/kernels/tiers.h"
#include "engine/runtime/engine.h"
#include "engine/runtime/memory_plan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

qins_session_options qins_session_defaults(void) {
    return (qins_session_options){.k_type = QINS_F16, .v_type = QINS_QINS8};
}

// --- creation ---

size_t qins_session_bytes(const qins_model *model, const qins_session_options *options) {
    const qins_config *config = qins_model_config(model);
    const size_t n_ctx = options->n_ctx > 0 ? options->n_ctx : config->max_positions;
    const size_t token_bytes = qins_kvcache_token_bytes(config, options->k_type, options->v_type) + sizeof(int32_t);
    size_t bytes;
    if (!qins_multiply(qins_round_up(n_ctx, QINS_PANEL), token_bytes, &bytes) ||
        !qins_add(bytes, sizeof(qins_session) + config->vocab_size * sizeof(float), &bytes))
        return SIZE_MAX;
    return bytes;
}

static bool is_cache_type(qins_type type, const qins_type *types, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (types[i] == type) return true;
    return false;
}

static qins_status check_options(const qins_engine *engine, const qins_model *model,
                                 const qins_session_options *options, qins_error *error) {
    static const qins_type k_types[] = {QINS_F16, QINS_QINS8, QINS_F32},
                           v_types[] = {QINS_QINS8, QINS_QINS4, QINS_F16, QINS_F32};
    if (!qins_engine_has_model(engine, model))
        return qins_fail(error, QINS_USAGE, "the engine was not made for this model");
    if (!is_cache_type(options->k_type, k_types, sizeof k_types / sizeof *k_types) ||
        !is_cache_type(options->v_type, v_types, sizeof v_types / sizeof *v_types))
        return qins_fail(error, QINS_USAGE, "keys are stored as f16, qins8 or f32, values as qins8, qins4, f16 or f32");
    return QINS_OK;
}

// The requested context, or the one that fits.
static qins_status settle_context(qins_session *session, qins_error *error) {
    const qins_plan_request request = {.config = qins_model_config(session->model),
                                       .file_bytes = qins_image_bytes(session->model->image),
                                       .has_engine = true,
                                       .n_threads = qins_engine_threads(session->engine),
                                       .session = &session->options};
    qins_memory_plan plan;
    if (qins_plan_memory(&request, &plan, error) == QINS_OK) session->options.n_ctx = plan.n_ctx;
    return error->status;
}

static qins_status make_parts(qins_session *session, qins_error *error) {
    qins_session_options *options = &session->options;
    const qins_config *config = qins_model_config(session->model);
    if (settle_context(session, error) != QINS_OK) return error->status;
    session->ids = qins_alloc(options->n_ctx, sizeof *session->ids, "token ids", error);
    if (error->status == QINS_OK)
        session->logits = qins_reserve(config->vocab_size * sizeof *session->logits, "logits", error);
    if (error->status == QINS_OK && options->matmul == QINS_MATMUL_SGEMM)
        qins_blas_open(qins_engine_threads(session->engine), error);
    else
        options->matmul = QINS_MATMUL_EXACT;
    if (error->status == QINS_OK)
        qins_kvcache_init(&session->cache, config, qins_kernels_get(), options->k_type, options->v_type, options->n_ctx,
                          error);
    return error->status;
}

qins_session *qins_session_create(qins_engine *engine, const qins_model *model, const qins_session_options *options,
                                  qins_error *error) {
    if (check_options(engine, model, options, error) != QINS_OK) return NULL;
    qins_session *session = qins_alloc(1, sizeof *session, "session", error);
    if (session == NULL) return NULL;
    session->engine = engine;
    session->model = model;
    session->options = *options;
    if (make_parts(session, error) == QINS_OK) return session;
    qins_session_free(session);
    return NULL;
}

void qins_session_free(qins_session *session) {
    if (session == NULL) return;
    qins_kvcache_free(&session->cache);
    qins_unmap(session->logits, qins_model_vocab_size(session->model) * sizeof *session->logits);
    free(session->ids);
    free(session);
}

// --- properties ---

const qins_config *qins_session_config(const qins_session *session) {
    return qins_model_config(session->model);
}

size_t qins_session_touched_bytes(const qins_session *session, size_t n) {
    const size_t others =
        sizeof *session + n * sizeof *session->ids + qins_model_vocab_size(session->model) * sizeof *session->logits;
    return qins_kvcache_touched_bytes(&session->cache, n) + qins_round_up(others, qins_page_bytes());
}

size_t qins_session_n_ctx(const qins_session *session) {
    return session->options.n_ctx;
}

qins_matmul qins_session_matmul(const qins_session *session) {
    return session->options.matmul;
}

size_t qins_session_threads(const qins_session *session) {
    return qins_engine_threads(session->engine);
}

size_t qins_session_saturated(const qins_session *session) {
    return session->cache.n_saturated;
}

size_t qins_session_pending(const qins_session *session) {
    return session->n - session->n_cached;
}

size_t qins_session_computed(const qins_session *session) {
    return session->n - session->n_begun;
}

const float *qins_session_logits(const qins_session *session) {
    return session->has_logits ? session->logits : NULL;
}

void qins_session_observe(qins_session *session, const qins_observer *observer) {
    session->observer = *observer;
}

// --- sequences ---

qins_status qins_session_check_ids(const qins_session *session, const int32_t *ids, size_t n, qins_error *error) {
    const size_t vocab_size = qins_model_vocab_size(session->model);
    if (n == 0) return qins_fail(error, QINS_USAGE, "the sequence is empty; at least one token is needed");
    if (n > session->options.n_ctx)
        return qins_fail(error, QINS_CONTEXT_OVERFLOW, "%zu tokens are more than the context of %zu", n,
                         session->options.n_ctx);
    for (size_t i = 0; i < n; i++) {
        if (ids[i] < 0 || (size_t)ids[i] >= vocab_size)
            return qins_fail(error, QINS_USAGE, "token id %d at position %zu is outside the vocabulary of %zu", ids[i],
                             i, vocab_size);
    }
    return QINS_OK;
}

static qins_rope_set rope_set(const qins_session *session, size_t n) {
    return session->options.rope_long ? QINS_ROPE_LONG_SET : qins_rope_set_for(qins_session_config(session), n);
}

bool qins_session_same_factors(const qins_session *session, size_t n, size_t other_n) {
    return rope_set(session, n) == rope_set(session, other_n);
}

// Cached tokens that ids[n] begins with, but at most `most` of them.
static size_t common_prefix(const qins_session *session, const int32_t *ids, size_t n, size_t most) {
    size_t common = 0;
    if (rope_set(session, n) != session->set) return 0;
    while (common < session->n_cached && common < most && session->ids[common] == ids[common]) common++;
    return common;
}

size_t qins_session_shared(const qins_session *session, const int32_t *ids, size_t n) {
    return n > 0 ? common_prefix(session, ids, n, n - 1) : 0;
}

qins_status qins_session_restart(qins_session *session, const int32_t *ids, size_t n, size_t n_kept,
                                 qins_error *error) {
    if (qins_session_check_ids(session, ids, n, error) != QINS_OK) return error->status;
    const qins_observer *observer = &session->observer;
    const qins_rope_set set = rope_set(session, n);
    if (set != session->set && session->n_cached > 0 && n_kept > 0 && observer->on_recompute != NULL)
        observer->on_recompute(observer->context, n, set == QINS_ROPE_LONG_SET);
    session->n_cached = session->n_begun = common_prefix(session, ids, n, n_kept);
    memcpy(session->ids + session->n_cached, ids + session->n_cached, (n - session->n_cached) * sizeof *ids);
    session->n = n;
    session->set = set;
    session->has_logits = false;
    return QINS_OK;
}

qins_status qins_session_begin(qins_session *session, const int32_t *ids, size_t n, qins_error *error) {
    return qins_session_restart(session, ids, n, n > 0 ? n - 1 : 0, error);
}

void qins_session_copy(qins_session *session, const qins_session *from, size_t n_tokens) {
    qins_kvcache_copy(&session->cache, &from->cache, n_tokens);
    memcpy(session->ids, from->ids, n_tokens * sizeof *session->ids);
    session->n = session->n_cached = session->n_begun = n_tokens;
    session->set = from->set;
    session->has_logits = false;
}

// --- steps alone ---

// Progress through a long sequence, layer by layer, in tokens.
struct watch {
    const qins_session *session;
    size_t length; // tokens of the step
};

static bool report_layer(void *context, size_t layer) {
    const struct watch *watch = context;
    const qins_session *session = watch->session;
    const size_t total = qins_session_computed(session);
    if (session->cancelled != NULL && atomic_load(session->cancelled)) return false;
    if (session->observer.progress == NULL || total == 1) return true;
    const size_t done =
        session->n_cached - session->n_begun + watch->length * (layer + 1) / qins_session_config(session)->n_layers;
    return session->observer.progress(session->observer.context, done, total);
}

qins_status qins_session_advance(qins_session *session, float *hidden, qins_error *error) {
    const size_t pending = qins_session_pending(session);
    const size_t length = pending < QINS_STEP_TOKENS ? pending : QINS_STEP_TOKENS;
    struct watch watch = {session, length};
    const qins_entry entry = {.session = session, .n_tokens = length, .wants_logits = hidden == NULL};
    const qins_onlooker onlooker = {.on_layer = report_layer, .context = &watch, .hidden = hidden};
    return qins_engine_run(session->engine, &entry, 1, &onlooker, error);
}

qins_status qins_session_check(const qins_session *session, const float *logits, size_t position, qins_error *error) {
    const size_t vocab_size = qins_model_vocab_size(session->model);
    if (qins_image_check(session->model->image, error) != QINS_OK) return error->status;
    for (size_t i = 0; i < vocab_size; i++) {
        if (!isfinite(logits[i]))
            return qins_fail(error, QINS_FAILED,
                             "%s: the logits after position %zu are not finite; check the file with: qinsrun verify",
                             qins_image_name(session->model->image), position);
    }
    return QINS_OK;
}

qins_status qins_session_finish(qins_session *session, qins_error *error) {
    while (qins_session_pending(session) > 0)
        if (qins_session_advance(session, NULL, error) != QINS_OK) return error->status;
    if (!session->has_logits) return QINS_OK;
    return qins_session_check(session, session->logits, session->n - 1, error);
}

qins_status qins_session_sync(qins_session *session, const int32_t *ids, size_t n, qins_error *error) {
    if (qins_session_begin(session, ids, n, error) != QINS_OK) return error->status;
    return qins_session_finish(session, error);
}

qins_status qins_session_pretend(qins_session *session, const int32_t *ids, size_t n, qins_error *error) {
    const size_t n_run = n < QINS_PANEL ? n : QINS_PANEL; // whole tiles of keys can be repeated
    session->n = session->n_cached = 0;
    if (n == 0) return QINS_OK;
    if (qins_session_check_ids(session, ids, n, error) != QINS_OK) return error->status;
    if (qins_session_sync(session, ids, n_run, error) != QINS_OK) return error->status;
    qins_kvcache_repeat(&session->cache, qins_engine_pool(session->engine), n_run, n);
    memcpy(session->ids, ids, n * sizeof *ids);
    session->n = session->n_cached = n;
    session->set = rope_set(session, n);
    return QINS_OK;
}
