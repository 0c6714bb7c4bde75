// The sandbox of qinsrun; see confine.h.
#include "engine/cli/confine.h"

#include "engine/base/processors.h"
#include "engine/base/sandbox.h"
#include "engine/kernels/blas.h"

#include <string.h>

static void allow(qins_sandbox *sandbox, const char *path) {
    if (path != NULL && strcmp(path, "-") != 0) qins_sandbox_reads(sandbox, path);
}

static void allow_files(qins_sandbox *sandbox, const qins_options *options) {
    const char *const paths[] = {options->model.path,      options->model.ref,       options->prompt.ids,
                                 options->prompt.ids_file, options->prompt.messages, options->eval.examples,
                                 options->server.skip_done};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) allow(sandbox, paths[i]);
    for (size_t i = 0; i < options->prompt.n_files; i++) allow(sandbox, options->prompt.files[i]);
    for (size_t i = 0; i < options->eval.n_tasks; i++) allow(sandbox, options->eval.tasks[i]);
}

qins_status qins_confine(const qins_options *options, unsigned needs, qins_error *error) {
    const bool needs_blas = (needs & QINS_NEEDS_BLAS) != 0 || options->session.matmul == QINS_MATMUL_SGEMM;
    const size_t n_threads = options->process.n_threads > 0 ? options->process.n_threads : qins_default_threads();
    if (needs_blas && qins_blas_open(n_threads, error) != QINS_OK) return error->status;
    if (options->process.no_sandbox) return QINS_OK;
    qins_sandbox sandbox =
        qins_sandbox_plan((needs & QINS_SERVES) != 0 ? QINS_SANDBOX_SERVES : QINS_SANDBOX_RUNS, error);
    allow_files(&sandbox, options);
    return qins_sandbox_enter(&sandbox, "qinsrun");
}
