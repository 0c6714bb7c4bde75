// The sandbox of qinsconvert; see confine.h.
#include "convert/confine.h"

#include "engine/base/sandbox.h"
#include "engine/kernels/blas.h"

#include <stdio.h>

static void enter(const qins_convert_settings *settings, const char *folder, qins_error *error) {
    qins_sandbox sandbox = qins_sandbox_plan(folder != NULL ? QINS_SANDBOX_WRITES : QINS_SANDBOX_RUNS, error);
    const char *const inputs[] = {settings->hf_dir, settings->convert.lora, settings->convert.calibrate};
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++)
        if (inputs[i] != NULL) qins_sandbox_reads(&sandbox, inputs[i]);
    if (folder != NULL) qins_sandbox_writes(&sandbox, folder);
    qins_sandbox_enter(&sandbox, "qinsconvert");
}

qins_status qins_convert_confine(const qins_convert_settings *settings, const char *folder, qins_error *error) {
    if (settings->convert.calibrate != NULL) qins_blas_open(settings->convert.n_threads, error);
    if (error->status == QINS_OK && !settings->no_sandbox) enter(settings, folder, error);
    if (error->status == QINS_OK && settings->verbose)
        fprintf(stderr, "qinsconvert: sandbox: %s\n", qins_sandbox_state());
    return error->status;
}
