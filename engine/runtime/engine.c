// Steps; see engine.h.
#include "engine/runtime/engine.h"

#include "engine/base/lock.h"
#include "engine/base/memory.h"
#include "engine/base/processors.h"
#include "engine/runtime/memory_plan.h"

#include <stdlib.h>
#include <string.h>

struct qins_engine {
    qins_lock *lock; // of everything below: steps take turns
    qins_compute compute;
    qins_pass pass;
    const qins_model **models; // owned list, [n_models]
    size_t n_models;
    // Of the step that runs, [QINS_STEP_TOKENS] each.
    qins_span *spans;
    const qins_entry **members; // the entries that they are of
    bool *taken;                // entries that have had their pass
};

static qins_status check_memory(const qins_model *model, size_t n_threads, qins_error *error) {
    const qins_plan_request request = {
        .config = qins_model_config(model), .file_bytes = qins_image_bytes(model->image), .n_threads = n_threads};
    qins_memory_plan plan;
    return qins_plan_buffers(&request, &plan, error);
}

// Room for passes by any of the models.
static qins_status make_pass(qins_engine *engine, qins_error *error) {
    const qins_config **configs = qins_alloc(engine->n_models, sizeof *configs, "list of models", error);
    for (size_t i = 0; i < engine->n_models && error->status == QINS_OK; i++)
        configs[i] = qins_model_config(engine->models[i]);
    if (error->status == QINS_OK)
        qins_pass_init(&engine->pass, &engine->compute, configs, engine->n_models, QINS_STEP_TOKENS, error);
    free(configs);
    return error->status;
}

static qins_status make_parts(qins_engine *engine, const qins_model *const *models, size_t n_threads,
                              qins_error *error) {
    if (engine->n_models == 0) return qins_fail(error, QINS_USAGE, "an engine needs at least one model");
    for (size_t i = 0; i < engine->n_models; i++)
        if (check_memory(models[i], n_threads, error) != QINS_OK) return error->status;
    engine->models = qins_alloc(engine->n_models, sizeof *engine->models, "list of models", error);
    engine->spans = qins_alloc(QINS_STEP_TOKENS, sizeof *engine->spans, "spans of a step", error);
    engine->members = qins_alloc(QINS_STEP_TOKENS, sizeof *engine->members, "spans of a step", error);
    engine->taken = qins_alloc(QINS_STEP_TOKENS, sizeof *engine->taken, "spans of a step", error);
    engine->lock = qins_lock_create(error);
    if (error->status != QINS_OK || qins_compute_init(&engine->compute, n_threads, error) != QINS_OK)
        return error->status;
    memcpy(engine->models, models, engine->n_models * sizeof *models);
    return make_pass(engine, error);
}

qins_engine *qins_engine_create(const qins_model *const *models, size_t n_models, size_t n_threads, qins_error *error) {
    qins_engine *engine = qins_alloc(1, sizeof *engine, "engine", error);
    if (engine == NULL) return NULL;
    engine->n_models = n_models;
    if (make_parts(engine, models, n_threads > 0 ? n_threads : qins_default_threads(), error) == QINS_OK) return engine;
    qins_engine_free(engine);
    return NULL;
}

void qins_engine_free(qins_engine *engine) {
    if (engine == NULL) return;
    qins_pass_free(&engine->pass);
    qins_compute_free(&engine->compute);
    qins_lock_free(engine->lock);
    free(engine->taken);
    free(engine->members);
    free(engine->spans);
    free(engine->models);
    free(engine);
}

size_t qins_engine_threads(const qins_engine *engine) {
    return qins_pool_threads(engine->compute.pool);
}

qins_pool *qins_engine_pool(qins_engine *engine) {
    return engine->compute.pool;
}

bool qins_engine_has_model(const qins_engine *engine, const qins_model *model) {
    for (size_t i = 0; i < engine->n_models; i++)
        if (engine->models[i] == model) return true;
    return false;
}

// --- steps ---

static qins_status check_entries(const qins_engine *engine, const qins_entry *entries, size_t n, qins_error *error) {
    size_t n_tokens = 0;
    for (size_t i = 0; i < n; i++) {
        const qins_entry *entry = &entries[i];
        const size_t pending = qins_session_pending(entry->session);
        if (entry->session->engine != engine)
            return qins_fail(error, QINS_USAGE, "entry %zu of a step has a session of another engine", i);
        if (entry->n_tokens == 0 || entry->n_tokens > pending)
            return qins_fail(error, QINS_USAGE, "entry %zu of a step has %zu tokens; its session awaits %zu", i,
                             entry->n_tokens, pending);
        if (entry->n_tokens > QINS_STEP_TOKENS - n_tokens)
            return qins_fail(error, QINS_USAGE, "a step takes at most %d tokens", QINS_STEP_TOKENS);
        n_tokens += entry->n_tokens;
        for (size_t j = 0; j < i; j++)
            if (entries[j].session == entry->session)
                return qins_fail(error, QINS_USAGE, "entries %zu and %zu of a step have the same session", j, i);
    }
    return QINS_OK;
}

static bool go_together(const qins_session *a, const qins_session *b) {
    return a->model == b->model && a->options.matmul == b->options.matmul;
}

// The entries from `first` on that can share a pass with it; returns how many.
static size_t gather(qins_engine *engine, const qins_entry *entries, size_t n_entries, size_t first) {
    size_t n = 0;
    for (size_t i = first; i < n_entries; i++) {
        qins_session *session = entries[i].session;
        if (engine->taken[i] || !go_together(entries[first].session, session)) continue;
        engine->taken[i] = true;
        engine->members[n] = &entries[i];
        engine->spans[n++] = (qins_span){.cache = &session->cache,
                                         .ids = session->ids + session->n_cached,
                                         .n = entries[i].n_tokens,
                                         .position = session->n_cached,
                                         .set = session->set};
    }
    return n;
}

// Compute logits of rows of `branch` and hand them to the sessions that they are for.
static void deliver(qins_engine *engine, qins_session *const *sessions, size_t n) {
    qins_pass *pass = &engine->pass;
    const size_t vocab_size = pass->network->config->vocab_size;
    qins_pass_logits(pass, pass->network, pass->logits, pass->branch, n);
    for (size_t i = 0; i < n; i++) {
        memcpy(sessions[i]->logits, pass->logits + i * vocab_size, vocab_size * sizeof *pass->logits);
        sessions[i]->has_logits = true;
    }
}

// The pass is done: its tokens are in the caches, and the entries that want logits get them, a few rows at a time.
static void finish(qins_engine *engine, size_t n_members) {
    qins_pass *pass = &engine->pass;
    const size_t dim = pass->network->config->hidden_dim;
    qins_session *sessions[QINS_LOGIT_ROWS];
    size_t n = 0, end = 0; // rows
    for (size_t i = 0; i < n_members; i++) {
        qins_session *session = engine->members[i]->session;
        end += engine->members[i]->n_tokens;
        session->n_cached += engine->members[i]->n_tokens;
        session->has_logits = false;
        if (session->n_cached < session->n || !engine->members[i]->wants_logits) continue;
        memcpy(pass->branch + n * dim, pass->normed + (end - 1) * dim, dim * sizeof *pass->normed);
        sessions[n++] = session;
        if (n < QINS_LOGIT_ROWS) continue;
        deliver(engine, sessions, n);
        n = 0;
    }
    if (n > 0) deliver(engine, sessions, n);
}

static qins_status run(qins_engine *engine, const qins_entry *entries, size_t n_entries, const qins_onlooker *onlooker,
                       qins_error *error) {
    qins_pass *pass = &engine->pass;
    memset(engine->taken, 0, n_entries * sizeof *engine->taken);
    for (size_t i = 0; i < n_entries; i++) {
        if (engine->taken[i]) continue;
        const qins_session *session = entries[i].session;
        const qins_network *network = &session->model->network;
        const size_t n = gather(engine, entries, n_entries, i);
        engine->compute.matmul = session->options.matmul;
        if (!qins_forward(pass, network, engine->spans, n, onlooker->on_layer, onlooker->context))
            return qins_fail(error, QINS_INTERRUPTED, "interrupted after %zu of %zu tokens", session->n_cached,
                             session->n);
        if (onlooker->hidden != NULL)
            memcpy(onlooker->hidden, pass->normed, pass->n * network->config->hidden_dim * sizeof *pass->normed);
        finish(engine, n);
    }
    return QINS_OK;
}

qins_status qins_engine_run(qins_engine *engine, const qins_entry *entries, size_t n_entries,
                            const qins_onlooker *onlooker, qins_error *error) {
    if (check_entries(engine, entries, n_entries, error) != QINS_OK) return error->status;
    qins_lock_enter(engine->lock);
    run(engine, entries, n_entries, onlooker, error);
    qins_lock_leave(engine->lock);
    for (size_t i = 0; i < n_entries; i++) qins_image_check(entries[i].session->model->image, error);
    return error->status;
}

qins_status qins_engine_step(qins_engine *engine, const qins_entry *entries, size_t n_entries, qins_error *error) {
    return qins_engine_run(engine, entries, n_entries, &(qins_onlooker){0}, error);
}

void qins_engine_logits(qins_engine *engine, const qins_session *session, float *logits, const float *hidden,
                        size_t n) {
    qins_lock_enter(engine->lock);
    engine->compute.matmul = session->options.matmul;
    qins_pass_logits(&engine->pass, &session->model->network, logits, hidden, n);
    qins_lock_leave(engine->lock);
}
