// The sandbox of qinsconvert; see confine.h.
#include "convert/confine.h"

#include "engine/base/sandbox.h"
#include "engine/kernels/blas.h"

#include <stdio.h>

static void enter(const qins_program_options *options, const char *folder, qins_error *error) {
    qins_sandbox sandbox = qins_sandbox_plan(folder != NULL ? QINS_SANDBOX_WRITES : QINS_SANDBOX_RUNS, error);
    const char *const inputs[] = {options->hf_dir, options->convert.lora, options->convert.calibrate};
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++)
        if (inputs[i] != NULL) qins_sandbox_reads(&sandbox, inputs[i]);
    if (folder != NULL) qins_sandbox_writes(&sandbox, folder);
    qins_sandbox_enter(&sandbox, "qinsconvert");
}

qins_status qins_convert_confine(const qins_program_options *options, const char *folder, qins_error *error) {
    if (options->convert.calibrate != NULL) qins_blas_open(options->convert.n_threads, error);
    if (error->status == QINS_OK && !options->no_sandbox) enter(options, folder, error);
    if (error->status == QINS_OK && options->verbose)
        fprintf(stderr, "qinsconvert: sandbox: %s\n", qins_sandbox_state());
    return error->status;
}
