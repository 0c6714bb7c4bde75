// qinsrun --plan: the memory and threads that a run will use. A Hugging Face folder is planned for, not converted.
#include "engine/cli/confine.h"
#include "engine/cli/setup.h"

#include "engine/base/file.h"

#include <stdio.h>

// The plan is shown also when it is refused.
static void plan_and_print(const qins_options *options, const qins_config *config, size_t file_bytes, bool is_converted,
                           qins_error *error) {
    qins_memory_plan plan;
    qins_error refusal = {0};
    const qins_plan_request request = {.config = config,
                                       .file_bytes = file_bytes,
                                       .is_converted = is_converted,
                                       .n_threads = options->process.n_threads,
                                       .session = &options->session};
    qins_plan_memory(&request, &plan, &refusal);
    if (options->output.json)
        qins_print_setup_json(options, &plan, error);
    else
        qins_print_setup(options, config, &plan, stdout);
    qins_flush(error);
    if (error->status == QINS_OK) *error = refusal;
}

static void plan_folder(const qins_options *options, qins_error *error) {
    qins_convert_report report = {0};
    if (qins_convert_plan(options->model.path, &options->model.convert, NULL, NULL, &report, error) == QINS_OK)
        plan_and_print(options, &report.header.config, report.file_bytes, true, error);
    qins_convert_report_free(&report);
}

static void plan_file(const qins_options *options, qins_error *error) {
    qins_model *model = qins_open_model(options->model.path, options, error);
    if (model != NULL) plan_and_print(options, qins_model_config(model), qins_image_bytes(model->image), false, error);
    qins_model_close(model);
}

qins_status qins_cmd_plan(const qins_options *options, qins_error *error) {
    qins_look look = {.kind = QINS_NOTHING};
    if (qins_confine(options, 0, error) != QINS_OK) return error->status;
    if (options->model.path != NULL && qins_look_at(options->model.path, &look, QINS_BAD_MODEL, error) != QINS_OK)
        return error->status;
    (look.kind == QINS_FOLDER ? plan_folder : plan_file)(options, error);
    return error->status;
}
