// Options of qinsrun, in groups, parsed and range-checked here by one table. A command names the sets of
// options that it takes (commands.h); others are refused, and their fields keep their defaults.
#ifndef QINS_CLI_OPTIONS_H
#define QINS_CLI_OPTIONS_H

#include "convert/convert.h"
#include "engine/base/option_table.h"
#include "engine/measure/task.h"

// Sets of options, as bits of a mask. Every option is in one.
enum {
    QINS_COMMON_OPTIONS = 1 << 0,     // model, conversion of a folder, threads, help: for every command
    QINS_SESSION_OPTIONS = 1 << 1,    // context, cache, products, RoPE
    QINS_TEXT_OPTIONS = 1 << 2,       // -p, -f
    QINS_IDS_OPTIONS = 1 << 3,        // --ids
    QINS_MARKERS_OPTIONS = 1 << 4,    // --parse-special
    QINS_NO_MARKERS_OPTIONS = 1 << 5, // --no-special
    QINS_LENGTH_OPTIONS = 1 << 6,     // -n
    QINS_GENERATION_OPTIONS = 1 << 7, // sampling, stop texts, system message, statistics
    QINS_JSON_OPTIONS = 1 << 8,       // --json
    QINS_WINDOWS_OPTIONS = 1 << 9,    // of a measured text
    QINS_BOS_OPTIONS = 1 << 10,       // --bos
    QINS_REFERENCE_OPTIONS = 1 << 11, // --ref
    QINS_SERVICE_OPTIONS = 1 << 12,   // many replies at a time
    QINS_RUN_OPTIONS = 1 << 13,       // from here on, those of a single command
    QINS_CHAT_OPTIONS = 1 << 14,
    QINS_SCORE_OPTIONS = 1 << 15,
    QINS_COMPARE_OPTIONS = 1 << 16,
    QINS_EVAL_OPTIONS = 1 << 17,
    QINS_BENCH_OPTIONS = 1 << 18,
    QINS_TOKENIZE_OPTIONS = 1 << 19,
    QINS_SERVE_OPTIONS = 1 << 20,
    QINS_BATCH_OPTIONS = 1 << 21,
    QINS_VERBOSE_OPTIONS = 1 << 22 // -v
};

enum { QINS_MAX_STOP_TEXTS = 16, QINS_MAX_TASKS = 16, QINS_MAX_FILES = 64 };

// Asked for instead of work.
typedef struct qins_help_options {
    bool common, all, version, list;
} qins_help_options;

typedef struct qins_model_options {
    const char *path;             // -m, or the environment variable QINS_MODEL: .qins file or Hugging Face folder
    const char *ref;              // --ref: the model to compare with
    qins_convert_options convert; // for a Hugging Face folder
} qins_model_options;

typedef struct qins_process_options {
    size_t n_threads; // 0: qins_default_threads()
    const char *cpu;  // tier of kernels, NULL: as the environment or the machine says
    bool no_sandbox;
    bool quiet, verbose; // less or more on stderr
    bool plan;           // print the memory that will be used, and exit
} qins_process_options;

// The source of the prompt or text: -p and -f together, or one of the others. "-" is standard input.
typedef struct qins_prompt_options {
    const char *text;                  // -p
    const char *files[QINS_MAX_FILES]; // -f
    size_t n_files;
    const char *ids;      // --ids: ids as text
    const char *ids_file; // --ids-file: raw int32
    const char *messages; // --messages: a conversation in JSON
    const char *system;   // --system
    bool lines;           // of a chat, each taken verbatim as a message
    bool raw;             // complete the text as it is
    bool parse_special;   // markers in messages and measured texts act as markers
    bool no_special;      // all text is plain text
    bool decode;          // tokenize: ids to text
} qins_prompt_options;

typedef struct qins_sampling_options {
    size_t n_predict; // -n; SIZE_MAX: not given, until a stop id or the end of the context
    const char *stops[QINS_MAX_STOP_TEXTS];
    size_t n_stops;
    bool seed_given;
    qins_sampler_options sampler;
} qins_sampling_options;

typedef struct qins_output_options {
    bool ids_out; // ids instead of text
    bool json;
    bool stream;         // with --json: a line for each piece of the reply as well
    bool newline;        // the reply ends with a newline in pipes too
    bool stats_json;     // --stats json
    size_t logprobs;     // with --json: how many of the best tokens to report for each one; 0: not given
    bool verbose_prompt; // print the prompt's tokens on stderr
} qins_output_options;

// perplexity, compare, score.
typedef struct qins_measure_options {
    size_t max_windows; // SIZE_MAX: all
    int64_t bos;        // token before every window or question, -1: none
    size_t greedy;      // compare: steps of greedy text; 0: none
    size_t prompts;     // compare: how many of them; 0: not given
    size_t top;         // score: how many of the best tokens to print
} qins_measure_options;

typedef struct qins_eval_options {
    const char *tasks[QINS_MAX_TASKS]; // files of questions
    size_t n_tasks;
    qins_task_format format; // QINS_TASK_FORMAT_COUNT: by the file's name
    const char *examples;    // questions for the start of prompts, NULL: none
    size_t shots;            // how many of them; 0: not given
    size_t limit;            // questions of a file; SIZE_MAX: all
} qins_eval_options;

typedef struct qins_bench_options {
    const char *prompts; // lengths of prompts, a list; NULL: not given
    const char *depths;  // tokens before the measured ones, a list; NULL: not given
    size_t repeats;      // 0: not given
} qins_bench_options;

typedef struct qins_server_options {
    const char *host;         // where to listen
    size_t port;              // 0: any free one
    const char *unix_path;    // --unix: instead of both; NULL: not given
    const char *api_key_file; // NULL: everybody may use the server
    const char *alias;        // the model's name, NULL: that of its file
    const char *cors;         // origin of other pages that may use the server, NULL: none
    bool no_ui;
    size_t parallel;       // replies at a time
    size_t queue;          // requests that wait
    size_t cache_mib;      // of sessions between the turns of their conversations
    const char *skip_done; // batch: replies of an earlier run
} qins_server_options;

typedef struct qins_options {
    bool given[QINS_MAX_OPTIONS]; // rows of the table
    qins_help_options help;
    qins_model_options model;
    qins_process_options process;
    qins_session_options session; // n_ctx is also the window of perplexity and compare
    qins_prompt_options prompt;
    qins_sampling_options sampling;
    qins_output_options output;
    qins_measure_options measure;
    qins_eval_options eval;
    qins_bench_options bench;
    qins_server_options server;
} qins_options;

extern const qins_option_table qins_run_option_table; // the table

// Parse argv[1..] (argv[0] is skipped: the program's or the command's name) for a command that takes these sets.
// QINS_USAGE and a message on failure.
qins_status qins_options_parse(qins_options *options, unsigned sets, int argc, char **argv, qins_error *error);

// Refuse options that the command `name`, which takes these sets, would ignore.
qins_status qins_options_check(const qins_options *options, const char *name, unsigned sets, qins_error *error);

// Refuse options of a conversion, where the model is not a folder that needs one.
qins_status qins_options_check_file(const qins_options *options, qins_error *error);

// A list of whole numbers such as "0,4096", each at most `max`, into counts[max_counts]; returns how many there are, 0
// with QINS_USAGE when it is not such a list. `name`: the option's.
size_t qins_options_counts(const char *name, const char *text, size_t max, size_t *counts, size_t max_counts,
                           qins_error *error);

#endif
