// The service for a model; see serving.h.
#include "engine/cli/serving.h"

#include "engine/base/escape.h"
#include "engine/base/sandbox.h"
#include "engine/base/utf8.h"
#include "engine/kernels/tiers.h"

#include <stdio.h>
#include <string.h>

// The name of the model's file or folder, without ".qins".
static void name_model(char *name, size_t capacity, const char *path) {
    static const char suffix[] = ".qins";
    size_t end = strlen(path);
    while (end > 1 && path[end - 1] == '/') end--;
    size_t start = end;
    while (start > 0 && path[start - 1] != '/') start--;
    size_t length = end - start;
    const size_t cut = strlen(suffix);
    if (length > cut && memcmp(path + end - cut, suffix, cut) == 0) length -= cut;
    if (length >= capacity) length = capacity - 1;
    memcpy(name, path + start, length);
    name[length] = '\0';
}

// Every reply contains the name, in JSON.
static qins_status check_name(const char *name, qins_error *error) {
    if (name[0] == '\0')
        return qins_fail(error, QINS_USAGE, "the model's name in replies would be empty; give one with --alias NAME");
    if (!utf8_is_valid(name, strlen(name)))
        return qins_fail(error, QINS_USAGE,
                         "the model's name in replies would be \"%s\", which is not UTF-8; give one with --alias NAME",
                         QINS_ESCAPED(name));
    return QINS_OK;
}

static void tell_resources(const qins_serving *serving, const qins_options *options) {
    const qins_scheduler *scheduler = qins_service_scheduler(serving->service);
    qins_session_options each = options->session;
    each.n_ctx = qins_scheduler_n_ctx(scheduler);
    fprintf(stderr, "weights   %zu MiB\n", qins_image_bytes(serving->model->image) >> 20);
    fprintf(stderr, "contexts  at most %zu times %zu MiB, for %zu tokens each; taken as needed\n",
            options->server.parallel, qins_session_bytes(serving->model, &each) >> 20, each.n_ctx);
    fprintf(stderr, "idle ones at most %zu MiB\n", options->server.cache_mib);
    fprintf(stderr, "threads   %zu\n", qins_scheduler_threads(scheduler));
    fprintf(stderr, "CPU       %s\n", qins_tier_get()->name);
    fprintf(stderr, "sandbox   %s\n", qins_sandbox_state());
}

qins_status qins_serving_open(qins_serving *serving, const qins_options *options, qins_error *error) {
    const qins_scheduler_options how = {.n_threads = options->process.n_threads,
                                        .n_parallel = options->server.parallel,
                                        .n_queued = options->server.queue,
                                        .cache_bytes = options->server.cache_mib << 20,
                                        .session = options->session};
    *serving = (qins_serving){0};
    const char *path = options->model.path;
    const char *alias = options->server.alias != NULL ? options->server.alias : serving->name;
    if (path != NULL) name_model(serving->name, sizeof serving->name, path);
    if (path != NULL && check_name(alias, error) != QINS_OK) return error->status;
    serving->model = qins_open_model(path, options, error);
    if (serving->model == NULL || qins_need_tokenizer(serving->model, error) == NULL) return error->status;
    serving->service = qins_service_open(serving->model, alias, &how, error);
    qins_sandbox_tighten();
    if (serving->service != NULL && options->process.verbose) tell_resources(serving, options);
    return error->status;
}

void qins_serving_close(qins_serving *serving) {
    qins_service_close(serving->service);
    qins_model_close(serving->model);
}
