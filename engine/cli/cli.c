// Shared parts of the commands; see cli.h.
#include "engine/cli/cli.h"

#include "engine/base/clock.h"
#include "engine/base/file.h"
#include "engine/base/map.h"
#include "engine/cli/terminal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

volatile sig_atomic_t qins_interrupted;

const char qins_stopping[] = "\nqinsrun: stopping; once more ends at once\n";

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

// Convert a folder into a file in memory and open that.
static void convert_in_memory(qins_model *model, const char *path, const qins_options *options, qins_error *error) {
    qins_convert_options convert = options->convert;
    qins_convert_report report = {0};
    qins_convert_plan(path, &convert, NULL, NULL, &report, error);
    qins_memory_plan plan;
    if (error->status == QINS_OK)
        qins_session_plan(&report.header.config, report.file_bytes, true, &options->session, &plan, error);
    qins_convert_report_free(&report);
    int fd = error->status == QINS_OK ? qins_memory_file("qins-model", error) : -1;
    if (fd < 0) return;
    convert.notice = options->quiet ? NULL : print_notice;
    qins_meter meter = qins_meter_start(options->quiet ? NULL : "converting", "MB", 1e6, &qins_interrupted);
    qins_convert(path, fd, path, &convert, qins_meter_update, &meter, &report, error);
    qins_meter_end(&meter);
    qins_convert_report_free(&report);
    if (error->status == QINS_OK) model->image = qins_image_from_fd(fd, path, error);
    close(fd);
}

// Ids of text must be rows of the model: from here on nobody asks.
static void read_tokenizer(qins_model *model, const qins_options *options, qins_error *error) {
    size_t size;
    const uint8_t *packed = qins_image_tokenizer(model->image, &size);
    if (packed != NULL) model->tokenizer = qins_tokenizer_unpack(packed, size, error);
    if (model->tokenizer == NULL) return;
    const size_t n_rows = qins_image_header(model->image)->config.vocab_size;
    const size_t n_ids = qins_tokenizer_vocab_size(model->tokenizer);
    const size_t n_without = qins_tokenizer_ids_without_text(model->tokenizer, n_rows);
    if (n_ids > n_rows)
        qins_fail(error, QINS_BAD_MODEL, "it has ids up to %zu, but the model's vocabulary has %zu rows", n_ids - 1,
                  n_rows);
    else if (n_without > QINS_PADDING_IDS && !options->quiet)
        fprintf(stderr, "qinsrun: %zu of the model's %zu ids have no text; the tokenizer may be another model's\n",
                n_without, n_rows);
}

qins_status qins_model_open(qins_model *model, const char *path, const qins_options *options, qins_error *error) {
    *model = (qins_model){0};
    if (path == NULL) return qins_fail(error, QINS_USAGE, "no model was given; use -m MODEL");
    qins_catch_interrupts(qins_stopping);
    if (qins_file_is_directory(path))
        convert_in_memory(model, path, options, error);
    else
        model->image = qins_image_open(path, error);
    if (error->status != QINS_OK) return error->status;
    const qins_header *header = qins_image_header(model->image);
    if (!qins_chat_template_from_name(header->chat_template, &model->chat_template))
        return qins_fail(error, QINS_BAD_MODEL, "%s: chat template \"%s\" is unknown; a newer version may know it",
                         path, header->chat_template);
    read_tokenizer(model, options, error);
    return qins_error_context(error, "%s: tokenizer", path);
}

void qins_model_close(qins_model *model) {
    qins_tokenizer_free(model->tokenizer);
    qins_image_close(model->image);
    *model = (qins_model){0};
}

qins_status qins_reference_open(qins_model *reference, qins_options *options, const qins_model *model,
                                qins_error *error) {
    options->convert.weight_type = QINS_F32;
    options->convert.n_rules = 0;
    options->session.k_type = options->session.v_type = QINS_F32;
    options->session.matmul = QINS_MATMUL_SGEMM;
    if (qins_model_open(reference, options->ref, options, error) != QINS_OK) return error->status;
    const size_t vocab_size = qins_image_header(model->image)->config.vocab_size;
    const size_t ref_vocab_size = qins_image_header(reference->image)->config.vocab_size;
    if (ref_vocab_size != vocab_size)
        qins_fail(error, QINS_USAGE, "the models have vocabularies of %zu and %zu tokens; they cannot be compared",
                  vocab_size, ref_vocab_size);
    return error->status;
}

const qins_tokenizer *qins_model_tokenizer(const qins_model *model, qins_error *error) {
    if (model->tokenizer == NULL)
        qins_fail(error, QINS_USAGE,
                  "this model was converted without a tokenizer: give the prompt with --ids and take the reply with "
                  "--ids-out");
    return model->tokenizer;
}

// --- output ---

static qins_status output_failed(qins_error *error) {
    return qins_fail_errno(error, QINS_FAILED, "cannot write to standard output");
}

qins_status qins_print(const void *text, size_t size, qins_error *error) {
    if (size == 0) return QINS_OK; // `text` may be NULL then
    return fwrite(text, 1, size, stdout) == size ? QINS_OK : output_failed(error);
}

qins_status qins_printf(qins_error *error, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int written = vprintf(format, arguments);
    va_end(arguments);
    return written >= 0 ? QINS_OK : output_failed(error);
}

qins_status qins_flush(qins_error *error) {
    return fflush(stdout) == 0 && !ferror(stdout) ? QINS_OK : output_failed(error);
}

qins_status qins_print_json(qins_json *json, qins_error *error) {
    char *text = error->status == QINS_OK ? qins_json_print(json, error) : NULL;
    if (text != NULL) qins_printf(error, "%s\n", text);
    free(text);
    qins_json_free(json);
    return error->status == QINS_OK ? qins_flush(error) : error->status;
}

// --- progress ---

void qins_watch_begin(qins_watch *watch, const char *label) {
    watch->meter = qins_meter_start(watch->quiet ? NULL : label, "tok", 1, &qins_interrupted);
}

// Back to where the reply was left.
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

void qins_watch_session(qins_watch *watch, qins_session_options *options, bool quiet) {
    *watch = (qins_watch){.quiet = quiet};
    qins_watch_begin(watch, "prompt");
    options->progress = show_prompt_progress;
    options->on_recompute = announce_recompute;
    options->context = watch;
}
