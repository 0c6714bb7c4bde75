// qinsconvert: signals, the output file, the exit code; the work is convert.c's.
#include "convert/calibration_text.h"
#include "convert/convert.h"
#include "convert/export.h"
#include "convert/print.h"
#include "convert/settings.h"
#include "engine/base/clock.h"
#include "engine/base/escape.h"
#include "engine/base/fault.h"
#include "engine/base/file.h"
#include "engine/base/output_file.h"
#include "engine/kernels/tiers.h"

#include <limits.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

// For the signal handler: the request to stop, and the path of the unfinished file, where that has one. The path does
// not change once it is said to be there.
static volatile sig_atomic_t interrupted, has_unfinished;
static char unfinished[PATH_MAX];

// The first signal lets the conversion stop by itself, the next one ends the program here.
static void on_signal(int number) {
    (void)number;
    if (interrupted) {
        if (has_unfinished) unlink(unfinished);
        _exit(QINS_INTERRUPTED);
    }
    interrupted = 1;
    static const char answer[] = "\nqinsconvert: stopping; once more ends at once\n"; // it may take a while
    (void)!write(STDERR_FILENO, answer, sizeof answer - 1);
}

static void catch_signals(void) {
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct sigaction old; // what is ignored (nohup) stays so
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

static void dry_run(const qins_convert_settings *settings, qins_error *error) {
    qins_convert_options options = settings->convert;
    options.expect_errors = true;
    qins_convert_report report;
    if (qins_convert_plan(settings->hf_dir, &options, stop_requested, NULL, &report, error) == QINS_OK)
        qins_print_plan(stdout, &report);
    qins_convert_report_free(&report);
}

// Most file systems leave nothing of an unfinished file; here is what others need.
static void note_unfinished(const qins_output_file *file) {
    if (file->temporary == NULL || strlen(file->temporary) >= sizeof unfinished) return;
    memcpy(unfinished, file->temporary, strlen(file->temporary) + 1);
    has_unfinished = 1;
}

static void convert(const qins_convert_settings *settings, qins_error *error) {
    const char *calibrate = settings->convert.calibrate;
    const bool is_file = calibrate != NULL && strcmp(calibrate, QINS_DEFAULT_TEXT) != 0;
    const qins_guard guard = {.force = settings->force,
                              .magic = QINS_MAGIC,
                              .kind = ".qins file",
                              .inputs = {{settings->hf_dir, "a file of the checkpoint"},
                                         {settings->convert.lora, "a file of the adapter"},
                                         {is_file ? calibrate : NULL, "the text for calibration"}}};
    qins_output_file file;
    qins_convert_report report = {0};
    double start = qins_clock();
    signal(SIGPIPE, SIG_IGN); // nobody need read the progress; anything else ends with its reader
    qins_meter meter = qins_meter_start("converting", "MB", 1e6, &interrupted);
    qins_output_file_open(&file, settings->output, 0666, &guard, error);
    note_unfinished(&file);
    if (error->status == QINS_OK)
        qins_convert(settings->hf_dir, file.fd, settings->output, &settings->convert,
                     settings->quiet ? stop_requested : qins_meter_update, &meter, &report, error);
    qins_meter_end(&meter);
    if (error->status == QINS_OK && interrupted) qins_fail(error, QINS_INTERRUPTED, "interrupted");
    has_unfinished = 0;
    if (error->status == QINS_OK) qins_output_file_commit(&file, error);
    qins_output_file_close(&file);
    if (error->status == QINS_OK && !settings->quiet)
        qins_print_costs(stderr, &report, QINS_ESCAPED(settings->output), qins_clock() - start);
    qins_convert_report_free(&report);
}

// A .qins file becomes a folder.
static void export(const qins_convert_settings *settings, qins_error *error) {
    qins_meter meter = qins_meter_start("writing", "MB", 1e6, &interrupted);
    qins_image *image = qins_image_open(settings->hf_dir, error);
    qins_pool *pool = image != NULL ? qins_pool_create(settings->convert.n_threads, error) : NULL;
    if (pool != NULL) qins_image_verify(image, pool, error);
    const qins_export_options options = {settings->output, settings->convert.weight_type, settings->force};
    if (error->status == QINS_OK)
        qins_export_folder(image, &options, pool, settings->quiet ? stop_requested : qins_meter_update, &meter, error);
    qins_meter_end(&meter);
    qins_pool_free(pool);
    qins_image_close(image);
}

int main(int argc, char **argv) {
    qins_guard_standard_streams();
    catch_signals();
    qins_error error = {0};
    qins_convert_settings settings;
    qins_catch_faults(&error);
    qins_convert_settings_parse(&settings, argc, argv, &error);
    settings.convert.notice = print_notice;
    if (error.status == QINS_OK) qins_tier_select(NULL, &error);
    if (error.status != QINS_OK) {
        // said below
    } else if (settings.help) {
        qins_convert_print_help();
    } else if (settings.list_options) {
        qins_convert_list_options();
    } else if (settings.version) {
        puts(QINS_CONVERTER);
    } else if (settings.exports) {
        export(&settings, &error);
    } else if (settings.dry_run) {
        dry_run(&settings, &error);
    } else {
        convert(&settings, &error);
    }
    if (fflush(stdout) != 0 || ferror(stdout)) qins_fail_errno(&error, QINS_FAILED, "cannot write to standard output");
    if (error.status != QINS_OK) fprintf(stderr, "qinsconvert: %s\n", error.message);
    return error.status;
}
