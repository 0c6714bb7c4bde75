// qinsconvert: signals, the output file, the exit code; the work is convert.c's.
#include "convert/calibration_text.h"
#include "convert/confine.h"
#include "convert/convert.h"
#include "convert/export.h"
#include "convert/onnx_export.h"
#include "convert/print.h"
#include "convert/program_options.h"
#include "engine/base/clock.h"
#include "engine/base/escape.h"
#include "engine/base/fault.h"
#include "engine/base/file.h"
#include "engine/base/helper.h"
#include "engine/base/output_file.h"
#include "engine/base/sandbox.h"
#include "engine/kernels/tiers.h"

#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// The request to stop, and the helper that gives the output its name, or removes it.
static volatile sig_atomic_t interrupted;
static qins_helper finisher = {.fd = -1};

// The first signal lets the conversion stop by itself, the next one ends the program here.
static void on_signal(int number) {
    (void)number;
    if (interrupted) {
        qins_helper_end(&finisher);
        _exit(QINS_INTERRUPTED);
    }
    interrupted = 1;
    static const char answer[] = "\nqinsconvert: stopping; interrupt again to end at once\n"; // it may take a while
    (void)!write(STDERR_FILENO, answer, sizeof answer - 1);
}

static void catch_signals(void) {
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct sigaction old; // a signal that is ignored (nohup) stays ignored
        if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN) sigaction(numbers[i], &action, NULL);
    }
    signal(SIGXFSZ, SIG_IGN); // a write that fails is reported as such
}

static void print_notice(void *context, const char *line) {
    (void)context;
    fprintf(stderr, "qinsconvert: %s\n", line);
}

static bool stop_requested(void *context, uint64_t done, uint64_t total) {
    (void)context, (void)done, (void)total;
    return !interrupted;
}

// Enter the sandbox, in which files can be written in `folder` (NULL: nowhere), and start all threads that the work
// needs: no more can be started when the input is read. NULL and an error otherwise.
static qins_pool *confine(const qins_program_options *options, const char *folder, qins_error *error) {
    if (qins_convert_confine(options, folder, error) != QINS_OK) return NULL;
    qins_pool *pool = qins_pool_create(options->convert.n_threads, error);
    if (pool != NULL) qins_sandbox_tighten();
    return pool;
}

static void dry_run(const qins_program_options *options, qins_error *error) {
    qins_convert_options expecting = options->convert;
    qins_convert_report report = {0};
    expecting.expect_errors = true;
    expecting.pool = confine(options, NULL, error);
    if (expecting.pool != NULL &&
        qins_convert_plan(options->hf_dir, &expecting, stop_requested, NULL, &report, error) == QINS_OK)
        qins_print_plan(stdout, &report);
    qins_convert_report_free(&report);
    qins_pool_free(expecting.pool);
}

// The files that are being written, and appear together.
struct outputs {
    qins_output_file files[2];
    size_t n;
};

static void close_outputs(struct outputs *outputs) {
    for (size_t i = 0; i < outputs->n; i++) qins_output_file_close(&outputs->files[i]);
}

// The finisher's work: in the sandbox no file can get a name. Without a request it removes the unfinished files.
static void finish_outputs(int fd, void *context) {
    struct outputs *outputs = context;
    qins_error error = {0};
    uint32_t kind;
    size_t size;
    char *data;
    if (qins_helper_receive(fd, 0, &kind, &data, &size)) {
        free(data);
        qins_output_files_commit(outputs->files, outputs->n, &error);
        qins_helper_send(fd, 0, &error, sizeof error);
    }
    close_outputs(outputs);
}

static void commit(qins_error *error) {
    uint32_t kind;
    size_t size = 0;
    char *answer = NULL;
    if (!qins_helper_send(finisher.fd, 0, NULL, 0) ||
        !qins_helper_receive(finisher.fd, sizeof *error, &kind, &answer, &size) || size != sizeof *error)
        qins_fail(error, QINS_FAILED, "the process that names the output has ended; convert again");
    else
        memcpy(error, answer, sizeof *error);
    free(answer);
}

// The outputs get their names if all went well; otherwise they are removed.
static void finish(struct outputs *outputs, qins_error *error) {
    if (error->status == QINS_OK && interrupted) qins_fail(error, QINS_INTERRUPTED, "interrupted");
    if (error->status == QINS_OK) commit(error);
    qins_helper_end(&finisher);
    close_outputs(outputs);
}

static void convert(const qins_program_options *options, qins_error *error) {
    const char *calibrate = options->convert.calibrate;
    const bool is_file = calibrate != NULL && strcmp(calibrate, QINS_DEFAULT_TEXT) != 0;
    const qins_guard guard = {.force = options->force,
                              .magic = QINS_MAGIC,
                              .kind = ".qins file",
                              .inputs = {{options->hf_dir, "a file of the checkpoint"},
                                         {options->convert.lora, "a file of the adapter"},
                                         {is_file ? calibrate : NULL, "the text for calibration"}}};
    struct outputs outputs = {.n = 1};
    qins_output_file *file = &outputs.files[0];
    qins_convert_options how = options->convert;
    qins_convert_report report = {0};
    double start = qins_clock();
    qins_meter meter = qins_meter_start("converting", "MB", 1e6, &interrupted);
    if (qins_output_file_open(file, options->output, 0666, &guard, error) == QINS_OK &&
        qins_helper_start(&finisher, finish_outputs, &outputs, error) == QINS_OK &&
        (how.pool = confine(options, NULL, error)) != NULL)
        qins_convert(options->hf_dir, file->fd, options->output, &how,
                     options->quiet ? stop_requested : qins_meter_update, &meter, &report, error);
    qins_meter_end(&meter);
    finish(&outputs, error);
    if (error->status == QINS_OK && !options->quiet)
        qins_print_costs(stderr, &report, QINS_ESCAPED(options->output), qins_clock() - start);
    qins_convert_report_free(&report);
    qins_pool_free(how.pool);
}

// Another finisher: it removes a folder that stayed empty.
static void remove_empty(int fd, void *context) {
    char byte;
    (void)!read(fd, &byte, 1); // returns when the program is done
    rmdir(context);
}

// Enter the sandbox, as above, and open the file.
static qins_image *open_image(const qins_program_options *options, const char *folder, qins_pool **pool,
                              qins_error *error) {
    *pool = confine(options, folder, error);
    qins_image *image = *pool != NULL ? qins_image_open(options->hf_dir, error) : NULL;
    if (image != NULL) qins_image_verify(image, *pool, error);
    return image;
}

// The folder must exist before the sandbox is entered, but errors in the file are reported first.
static void export_folder(const qins_program_options *options, qins_meter *meter, qins_error *error) {
    char *folder = (char *)(uintptr_t)options->output;
    const qins_export_options export = {folder, options->convert.weight_type, options->force};
    qins_error refusal = {0};
    qins_pool *pool = NULL;
    bool is_new = false;
    if (qins_path_ends_in(folder, ".qins"))
        qins_fail(&refusal, QINS_USAGE, "%s is a .qins file already; give -o a folder or an .onnx file, not %s",
                  options->hf_dir, folder);
    const bool is_made =
        refusal.status == QINS_OK && qins_export_make_folder(folder, options->force, &is_new, &refusal) == QINS_OK;
    if (is_new && qins_helper_start(&finisher, remove_empty, folder, error) != QINS_OK) {
        rmdir(folder);
        return;
    }
    qins_image *image = open_image(options, is_made ? folder : NULL, &pool, error);
    if (error->status == QINS_OK) *error = refusal;
    if (error->status == QINS_OK)
        qins_export_folder(image, &export, pool, options->quiet ? stop_requested : qins_meter_update, meter, error);
    qins_pool_free(pool);
    qins_image_close(image);
}

static void export_onnx(const qins_program_options *options, qins_meter *meter, qins_error *error) {
    const qins_guard guard = {.force = options->force, .inputs = {{options->hf_dir, "the file to read"}}};
    qins_pool *pool = NULL;
    qins_image *image = NULL;
    char data_path[PATH_MAX];
    struct outputs outputs = {.n = 2, .files = {{.fd = -1}, {.fd = -1}}};
    qins_output_file *data = &outputs.files[0], *model = &outputs.files[1];
    if (qins_output_file_open(model, options->output, 0666, &guard, error) == QINS_OK &&
        qins_onnx_data_path(data_path, sizeof data_path, model, error) == QINS_OK &&
        qins_output_file_open(data, data_path, 0666, &guard, error) == QINS_OK &&
        qins_helper_start(&finisher, finish_outputs, &outputs, error) == QINS_OK)
        image = open_image(options, NULL, &pool, error);
    if (error->status == QINS_OK)
        qins_export_onnx(image, model, data, pool, options->quiet ? stop_requested : qins_meter_update, meter, error);
    finish(&outputs, error);
    qins_pool_free(pool);
    qins_image_close(image);
}

// A .qins file becomes a folder or an ONNX model.
static void export(const qins_program_options *options, qins_error *error) {
    qins_meter meter = qins_meter_start("writing", "MB", 1e6, &interrupted);
    const double start = qins_clock();
    (options->is_onnx ? export_onnx : export_folder)(options, &meter, error);
    qins_meter_end(&meter);
    qins_helper_end(&finisher);
    if (error->status == QINS_OK && !options->quiet)
        fprintf(stderr, "%s: written in %.1f s\n", QINS_ESCAPED(options->output), qins_clock() - start);
}

int main(int argc, char **argv) {
    qins_guard_standard_streams();
    catch_signals();
    qins_error error = {0};
    qins_program_options options;
    qins_catch_faults(&error);
    qins_program_options_parse(&options, argc, argv, &error);
    options.convert.notice = print_notice;
    if (error.status == QINS_OK) qins_tier_select(NULL, &error);
    if (error.status != QINS_OK) {
        // said below
    } else if (options.help) {
        qins_convert_print_help();
    } else if (options.list_options) {
        qins_convert_list_options();
    } else if (options.version) {
        puts(QINS_CONVERTER);
    } else if (options.dry_run) {
        dry_run(&options, &error);
    } else {
        signal(SIGPIPE, SIG_IGN); // of the finisher, and of the progress; anything else ends with its reader
        (options.exports ? export : convert)(&options, &error);
    }
    if (fflush(stdout) != 0 || ferror(stdout)) qins_fail_errno(&error, QINS_FAILED, "cannot write to standard output");
    if (error.status != QINS_OK) fprintf(stderr, "qinsconvert: %s\n", error.message);
    return error.status;
}
