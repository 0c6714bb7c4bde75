// Shared parts of the commands; see cli.h.
#include "engine/cli/cli.h"

#include "engine/base/clock.h"
#include "engine/base/escape.h"
#include "engine/base/file.h"
#include "engine/base/map.h"
#include "engine/base/memory.h"
#include "engine/base/sandbox.h"
#include "engine/cli/terminal.h"
#include "engine/runtime/memory_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

volatile sig_atomic_t qins_interrupted;

const char qins_stopping[] = "\nqinsrun: stopping; interrupt again to end at once\n";

// --- signals ---

static const char *volatile answer_to_interrupt;

static void on_interrupt(int signal_number) {
    (void)signal_number;
    const char *answer = answer_to_interrupt;
    qins_interrupted = 1;
    if (answer != NULL) (void)!write(STDERR_FILENO, answer, strlen(answer));
}

static void handle_signals(struct sigaction *action) {
    static const int numbers[] = {SIGINT, SIGTERM};
    sigemptyset(&action->sa_mask);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct sigaction old;
        if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN) sigaction(numbers[i], action, NULL);
    }
}

void qins_catch_interrupts(const char *answer) {
    answer_to_interrupt = answer;
    handle_signals(&(struct sigaction){.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND | SA_RESTART});
}

void qins_release_interrupts(void) {
    handle_signals(&(struct sigaction){.sa_handler = SIG_DFL});
}

// --- models ---

static void print_notice(void *context, const char *line) {
    (void)context;
    fprintf(stderr, "qinsrun: %s\n", line);
}

static qins_status check_memory(const qins_convert_report *report, const qins_options *options, qins_error *error) {
    const qins_plan_request request = {.config = &report->header.config,
                                       .file_bytes = report->file_bytes,
                                       .is_converted = true,
                                       .n_threads = options->process.n_threads,
                                       .session = &options->session};
    qins_memory_plan plan;
    return qins_plan_memory(&request, &plan, error);
}

// Convert a folder into a file in memory and open that.
static qins_image *convert_in_memory(const char *path, const qins_options *options, qins_error *error) {
    qins_convert_options convert = options->model.convert;
    qins_convert_report report = {0};
    if (qins_convert_plan(path, &convert, NULL, NULL, &report, error) == QINS_OK) check_memory(&report, options, error);
    qins_convert_report_free(&report);
    int fd = error->status == QINS_OK ? qins_memory_file("qins-model", error) : -1;
    if (fd < 0) return NULL;
    convert.notice = options->process.quiet ? NULL : print_notice;
    qins_meter meter = qins_meter_start(options->process.quiet ? NULL : "converting", "MB", 1e6, &qins_interrupted);
    qins_convert(path, fd, path, &convert, qins_meter_update, &meter, &report, error);
    qins_meter_end(&meter);
    qins_convert_report_free(&report);
    qins_image *image = error->status == QINS_OK ? qins_image_from_fd(fd, path, error) : NULL;
    close(fd);
    return image;
}

static void warn_of_ids_without_text(const qins_model *model) {
    if (model->tokenizer == NULL) return;
    const size_t n_rows = qins_model_vocab_size(model);
    const size_t n_without = qins_tokenizer_ids_without_text(model->tokenizer, n_rows);
    if (n_without > QINS_PADDING_IDS)
        fprintf(stderr, "qinsrun: %zu of the model's %zu ids have no text; the tokenizer may be another model's\n",
                n_without, n_rows);
}

qins_model *qins_open_model(const char *path, const qins_options *options, qins_error *error) {
    if (path == NULL) {
        qins_fail(error, QINS_USAGE, "no model was given; use -m MODEL");
        return NULL;
    }
    qins_look look;
    qins_catch_interrupts(qins_stopping);
    if (qins_look_at(path, &look, QINS_BAD_MODEL, error) != QINS_OK) return NULL;
    const bool is_converted = look.kind != QINS_FOLDER && path == options->model.path;
    if (is_converted && qins_options_check_file(options, error) != QINS_OK) return NULL;
    qins_model *model = look.kind == QINS_FOLDER
                            ? qins_model_from_image(convert_in_memory(path, options, error), path, error)
                            : qins_model_open(path, error);
    if (model != NULL && !options->process.quiet) warn_of_ids_without_text(model);
    return model;
}

qins_model *qins_open_reference(qins_options *options, const qins_model *model, qins_error *error) {
    options->model.convert.weight_type = QINS_F32;
    options->model.convert.n_rules = 0;
    options->session.k_type = options->session.v_type = QINS_F32;
    options->session.matmul = QINS_MATMUL_SGEMM;
    qins_model *reference = qins_open_model(options->model.ref, options, error);
    if (reference == NULL) return NULL;
    const size_t vocab_size = qins_model_vocab_size(model), ref_vocab_size = qins_model_vocab_size(reference);
    if (ref_vocab_size == vocab_size) return reference;
    qins_fail(error, QINS_USAGE, "the models have vocabularies of %zu and %zu tokens; they cannot be compared",
              vocab_size, ref_vocab_size);
    qins_model_close(reference);
    return NULL;
}

const qins_tokenizer *qins_need_tokenizer(const qins_model *model, qins_error *error) {
    if (model->tokenizer == NULL)
        qins_fail(error, QINS_USAGE,
                  "this model was converted without a tokenizer: give the prompt with --ids and take the reply with "
                  "--ids-out");
    return model->tokenizer;
}

qins_status qins_workplace_open(qins_workplace *place, const qins_options *options, const qins_model *model,
                                qins_error *error) {
    *place = (qins_workplace){.engine = qins_engine_create(&model, 1, options->process.n_threads, error)};
    if (place->engine != NULL) place->session = qins_session_create(place->engine, model, &options->session, error);
    qins_sandbox_tighten();
    return error->status;
}

void qins_workplace_close(qins_workplace *place) {
    qins_session_free(place->session);
    qins_engine_free(place->engine);
    *place = (qins_workplace){0};
}

// --- output ---

static qins_status output_failed(qins_error *error) {
    return qins_fail_errno(error, QINS_FAILED, "cannot write to standard output");
}

static qins_status print_bytes(const void *text, size_t size, qins_error *error) {
    if (size == 0) return QINS_OK; // `text` may be NULL then
    return fwrite(text, 1, size, stdout) == size ? QINS_OK : output_failed(error);
}

static qins_visible visible; // text on its way to stdout, if that is a terminal

static qins_status print_visible(const char *text, size_t size, bool ends, qins_error *error) {
    qins_buffer shown = {.error = error};
    qins_visible_push(&visible, text, size, &shown);
    if (ends) qins_visible_finish(&visible, &shown);
    if (error->status == QINS_OK) print_bytes(shown.data, shown.size, error);
    qins_buffer_free(&shown);
    return error->status;
}

qins_status qins_print(const void *text, size_t size, qins_error *error) {
    return isatty(STDOUT_FILENO) ? print_visible(text, size, false, error) : print_bytes(text, size, error);
}

char *qins_format(const char *format, va_list arguments, qins_error *error) {
    va_list again;
    va_copy(again, arguments);
    const int length = vsnprintf(NULL, 0, format, arguments);
    char *text = qins_alloc(length >= 0 ? (size_t)length + 1 : 1, 1, "text", error);
    if (text != NULL && length >= 0) vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}

qins_status qins_printf(qins_error *error, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char *text = qins_format(format, arguments, error);
    va_end(arguments);
    if (text != NULL) qins_print(text, strlen(text), error);
    free(text);
    return error->status;
}

qins_status qins_flush(qins_error *error) {
    return fflush(stdout) == 0 && !ferror(stdout) ? QINS_OK : output_failed(error);
}

qins_status qins_end_output(qins_error *error) {
    print_visible(NULL, 0, true, error);
    return qins_flush(error);
}

qins_status qins_print_json(qins_json *json, qins_error *error) {
    char *text = qins_json_print(json, error);
    if (text != NULL) qins_printf(error, "%s\n", text);
    free(text);
    qins_json_free(json);
    return error->status == QINS_OK ? qins_flush(error) : error->status;
}

// --- progress ---

void qins_watch_begin(qins_watch *watch, const char *label) {
    watch->meter = qins_meter_start(watch->quiet ? NULL : label, "tok", 1, &qins_interrupted);
}

// Move the cursor back to the end of the reply.
void qins_watch_end(qins_watch *watch) {
    if (watch->is_below) fprintf(stderr, "\r\033[K\033[A\033[%zuC", *watch->column);
    watch->meter.visible = watch->meter.visible && !watch->is_below;
    watch->is_below = false;
    qins_meter_end(&watch->meter);
}

static void announce_recompute(void *context, size_t n_tokens, bool to_long) {
    qins_watch *watch = context;
    char line[128], duration[32] = "";
    qins_meter_end(&watch->meter);
    qins_watch_begin(watch, "computing again");
    if (watch->quiet) return;
    if (watch->prompt_seconds > 0)
        snprintf(duration, sizeof duration, ", about %.0f s", 1 + watch->prompt_seconds * (double)n_tokens);
    snprintf(line, sizeof line, "LongRoPE switches to its %s factors: computing %zu tokens again%s",
             to_long ? "long" : "short", n_tokens, duration);
    size_t columns, lines;
    qins_terminal_size(STDERR_FILENO, &columns, &lines);
    watch->is_below = watch->meter.terminal && watch->column != NULL && *watch->column > 0;
    if (watch->meter.terminal)
        fprintf(stderr, "%s%.*s", watch->is_below ? "\n" : "", (int)columns - 1, line);
    else
        fprintf(stderr, "qinsrun: %s\n", line);
    watch->meter.visible = watch->meter.terminal;
}

static bool show_prompt_progress(void *context, uint64_t done, uint64_t total) {
    qins_watch *watch = context;
    const double seconds = qins_clock() - watch->meter.start;
    if (done == total && total > 1) watch->prompt_seconds = seconds / (double)total;
    return qins_meter_update(&watch->meter, done, total);
}

void qins_watch_session(qins_watch *watch, qins_session *session, bool quiet) {
    *watch = (qins_watch){.quiet = quiet};
    qins_watch_begin(watch, "prompt");
    qins_session_observe(session, &(qins_observer){show_prompt_progress, announce_recompute, watch});
}
