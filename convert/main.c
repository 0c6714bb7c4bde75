// qinsconvert: options, signals, the output file; the work is convert.c's.
#include "convert/convert.h"
#include "convert/output_file.h"
#include "convert/print.h"
#include "engine/base/clock.h"
#include "engine/base/cpu.h"
#include "engine/base/file.h"
#include "engine/base/pool.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "Usage: qinsconvert HF_DIR -o MODEL.qins [options]\n"
    "\n"
    "Converts a Hugging Face folder of a Phi3ForCausalLM model (config.json, safetensors,\n"
    "tokenizer.json) to one file for qinsrun.\n"
    "\n"
    "  -o, --output FILE     the file to write; it appears when it is complete\n"
    "      --type TYPE       of the layers' matrices: qins8 (default), bf16, f32\n"
    "      --lm-head TYPE    of the output matrix: bf16, qins8 (default: 16 bits; f32 with --type f32)\n"
    "      --curve CURVE     of qins8 codes: projective (default), log\n"
    "  -t, --threads N       threads (default: all processors; the result is the same)\n"
    "      --dry-run         print what would be done with each tensor and write nothing\n"
    "      --quiet           no progress and no table\n"
    "  -h, --help            this text\n"
    "      --version         the version\n"
    "\n"
    "Exit codes: 0 done, 1 failure (such as a full disk), 2 wrong usage, 3 bad checkpoint, 130 interrupted.\n";

enum { MAX_THREADS = 1024 };

struct settings {
    const char *hf_dir, *output;
    bool dry_run, quiet, help, version;
    qins_convert_options convert;
};

// For the signal handler: the request to stop, and the unfinished file (NULL: none).
static volatile sig_atomic_t interrupted;
static char *volatile unfinished;

// The first signal lets the conversion stop by itself, the next one ends the program here.
static void on_signal(int number) {
    (void)number;
    if (interrupted) {
        char *path = unfinished;
        if (path != NULL) unlink(path);
        _exit(QINS_INTERRUPTED);
    }
    interrupted = 1;
}

static void catch_signals(void) {
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct sigaction old; // what is ignored (nohup) stays so
        if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN) sigaction(numbers[i], &action, NULL);
    }
    signal(SIGPIPE, SIG_IGN); // a write that fails is reported as such
    signal(SIGXFSZ, SIG_IGN);
}

static void print_notice(void *context, const char *line) {
    (void)context;
    fprintf(stderr, "qinsconvert: %s\n", line);
}

static void set_type(qins_type *type, const char *option, const char *name, const char *const *allowed,
                     const char *list, qins_error *error) {
    for (; *allowed != NULL; allowed++) {
        if (strcmp(*allowed, name) == 0) {
            qins_type_from_name(name, type);
            return;
        }
    }
    qins_fail(error, QINS_USAGE, "--%s takes %s, not \"%s\"", option, list, name);
}

static size_t parse_threads(const char *text, qins_error *error) {
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || value < 1 || value > MAX_THREADS) {
        qins_fail(error, QINS_USAGE, "--threads takes a number from 1 to %d, not \"%s\"", MAX_THREADS, text);
        return 1;
    }
    return (size_t)value;
}

enum { OPTION_TYPE = 256, OPTION_LM_HEAD, OPTION_CURVE, OPTION_DRY_RUN, OPTION_QUIET, OPTION_VERSION };

static const struct option long_options[] = {{"output", required_argument, NULL, 'o'},
                                             {"threads", required_argument, NULL, 't'},
                                             {"help", no_argument, NULL, 'h'},
                                             {"type", required_argument, NULL, OPTION_TYPE},
                                             {"lm-head", required_argument, NULL, OPTION_LM_HEAD},
                                             {"curve", required_argument, NULL, OPTION_CURVE},
                                             {"dry-run", no_argument, NULL, OPTION_DRY_RUN},
                                             {"quiet", no_argument, NULL, OPTION_QUIET},
                                             {"version", no_argument, NULL, OPTION_VERSION},
                                             {0}};

static void set_option(struct settings *settings, int option, qins_error *error) {
    static const char *const weight_types[] = {"qins8", "bf16", "f32", NULL}, *const head_types[] = {"bf16", "qins8",
                                                                                                     NULL};
    qins_convert_options *convert = &settings->convert;
    switch (option) {
    case 'o':
        settings->output = optarg;
        break;
    case 't':
        convert->n_threads = parse_threads(optarg, error);
        break;
    case 'h':
        settings->help = true;
        break;
    case OPTION_TYPE:
        set_type(&convert->weight_type, "type", optarg, weight_types, "qins8, bf16 or f32", error);
        break;
    case OPTION_LM_HEAD:
        set_type(&convert->head_type, "lm-head", optarg, head_types, "bf16 or qins8", error);
        convert->head_given = true;
        break;
    case OPTION_CURVE:
        if (!qins_curve_from_name(optarg, &convert->curve))
            qins_fail(error, QINS_USAGE, "--curve takes projective or log, not \"%s\"", optarg);
        break;
    case OPTION_DRY_RUN:
        settings->dry_run = true;
        break;
    case OPTION_QUIET:
        settings->quiet = true;
        break;
    case OPTION_VERSION:
        settings->version = true;
        break;
    default:
        qins_fail(error, QINS_USAGE, "see qinsconvert --help");
        break; // getopt_long has said what is wrong
    }
}

static void parse_options(struct settings *settings, int argc, char **argv, qins_error *error) {
    *settings = (struct settings){.convert = {.weight_type = QINS_QINS8,
                                              .curve = QINS_PROJECTIVE,
                                              .n_threads = qins_processor_count(),
                                              .notice = print_notice}};
    for (int option; (option = getopt_long(argc, argv, "o:t:h", long_options, NULL)) != -1;)
        set_option(settings, option, error);
    if (settings->help || settings->version || error->status != QINS_OK) return;
    if (optind == argc)
        qins_fail(error, QINS_USAGE, "no folder was given; see qinsconvert --help");
    else if (optind + 1 < argc)
        qins_fail(error, QINS_USAGE, "more than one folder was given: %s, %s", argv[optind], argv[optind + 1]);
    else if (settings->output == NULL && !settings->dry_run)
        qins_fail(error, QINS_USAGE, "no output was given; use -o MODEL.qins");
    else
        settings->hf_dir = argv[optind];
}

static void dry_run(const struct settings *settings, qins_error *error) {
    qins_convert_report report;
    if (qins_convert_plan(settings->hf_dir, &settings->convert, &report, error) == QINS_OK)
        qins_print_plan(stdout, &report);
    qins_convert_report_free(&report);
}

static bool stop_requested(void *context, uint64_t done, uint64_t total) {
    (void)context, (void)done, (void)total;
    return !interrupted;
}

static void convert(const struct settings *settings, qins_error *error) {
    qins_output_file file;
    qins_convert_report report = {0};
    double start = qins_clock();
    qins_meter meter = qins_meter_start("converting", "MB", 1e6, &interrupted);
    qins_output_file_open(&file, settings->output, settings->hf_dir, error);
    unfinished = file.temporary;
    if (error->status == QINS_OK)
        qins_convert(settings->hf_dir, file.fd, settings->output, &settings->convert,
                     settings->quiet ? stop_requested : qins_meter_update, &meter, &report, error);
    qins_meter_end(&meter);
    if (error->status == QINS_OK && interrupted) qins_fail(error, QINS_INTERRUPTED, "interrupted");
    if (error->status == QINS_OK) qins_output_file_commit(&file, error);
    unfinished = NULL;
    qins_output_file_close(&file);
    if (error->status == QINS_OK && !settings->quiet)
        qins_print_costs(stderr, &report, settings->output, qins_clock() - start);
    qins_convert_report_free(&report);
}

int main(int argc, char **argv) {
    qins_guard_standard_streams();
    catch_signals();
    qins_error error = {0};
    struct settings settings;
    parse_options(&settings, argc, argv, &error);
    if (error.status == QINS_OK) qins_cpu_select(NULL, &error);
    if (error.status != QINS_OK) {
        // said below
    } else if (settings.help) {
        fputs(usage, stdout);
    } else if (settings.version) {
        puts(QINS_CONVERTER);
    } else if (settings.dry_run) {
        dry_run(&settings, &error);
    } else {
        convert(&settings, &error);
    }
    if (fflush(stdout) != 0 || ferror(stdout)) qins_fail_errno(&error, QINS_FAILED, "cannot write to standard output");
    if (error.status != QINS_OK) fprintf(stderr, "qinsconvert: %s\n", error.message);
    return error.status;
}
