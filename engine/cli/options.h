// Command line of qinsrun: its commands, and one set of options for all of them, parsed and range-checked here.
#ifndef QINS_CLI_OPTIONS_H
#define QINS_CLI_OPTIONS_H

#include "convert/convert.h"
#include "engine/base/arguments.h"
#include "engine/measure/task.h"

typedef enum qins_command {
    QINS_RUN,
    QINS_CHAT,
    QINS_SCORE,
    QINS_PERPLEXITY,
    QINS_COMPARE,
    QINS_EVAL,
    QINS_BENCH,
    QINS_TOKENIZE,
    QINS_INFO,
    QINS_VERIFY,
    QINS_SERVE,
    QINS_BATCH,
    QINS_COMMAND_COUNT
} qins_command;

// As typed, in the order of the enumeration.
extern const char *const qins_command_names[QINS_COMMAND_COUNT];
// QINS_COMMAND_COUNT when there is none of that name.
qins_command qins_command_from_name(const char *name);

// A mask for qins_arguments: one command, or those that a command line without one may mean.
#define QINS_COMMAND_BIT(command) (1u << (command))
enum { QINS_DEFAULT_COMMANDS = 1u << QINS_RUN | 1u << QINS_CHAT };

enum { QINS_MAX_STOP_TEXTS = 16, QINS_MAX_TASKS = 16, QINS_MAX_FILES = 64 };

typedef struct qins_options {
    bool given[QINS_MAX_ARGUMENTS]; // rows of the table

    const char *model; // -m, or the environment variable QINS_MODEL: .qins file or Hugging Face folder
    const char *ref;   // --ref: the model to compare with

    // Where the prompt or text comes from: -p and -f together, or one of the others. "-" is standard input.
    const char *prompt;                // -p; bench: lengths of prompts, a list
    const char *files[QINS_MAX_FILES]; // -f
    size_t n_files;
    const char *ids;      // --ids: ids as text
    const char *ids_file; // --ids-file: raw int32
    const char *messages; // --messages: a conversation in JSON

    const char *system;                     // --system
    bool lines;                             // --lines: of a chat, each a message as it is
    const char *stops[QINS_MAX_STOP_TEXTS]; // --stop
    size_t n_stops;
    size_t n_predict;   // -n; SIZE_MAX: not given, until a stop id or the end of the context
    bool raw;           // complete the text as it is
    bool parse_special; // markers in messages and measured texts act as markers
    bool no_special;    // all text is plain text
    bool decode;        // tokenize: ids to text
    bool ids_out;       // print ids instead of text
    bool json;
    bool stream;         // with --json: a line for each piece of the reply as well
    bool newline;        // the reply ends with a newline in pipes too
    bool stats_json;     // --stats json
    size_t logprobs;     // with --json: how many of the best tokens to report for each one; 0: not given
    bool verbose_prompt; // print the prompt's tokens on stderr
    bool quiet, verbose; // less and more on stderr
    bool no_sandbox;     // --no-sandbox
    bool plan;           // print what memory will be used, and end
    bool help, help_all, version, list_options; // nothing else was asked for

    size_t max_windows;                // perplexity, compare; SIZE_MAX: all
    size_t greedy;                     // compare: steps of greedy text; 0: none
    size_t prompts;                    // compare: how many of them; 0: not given
    const char *tasks[QINS_MAX_TASKS]; // eval: files of questions
    size_t n_tasks;
    qins_task_format task_format; // eval; QINS_TASK_FORMAT_COUNT: by the file's name
    const char *examples;         // eval: questions for the front of prompts, NULL: none
    size_t shots;                 // eval: how many of them; 0: not given
    size_t limit;                 // eval: questions of a file; SIZE_MAX: all
    int64_t bos;                  // token before every window, -1: none
    const char *depths;           // bench: tokens before the measured ones, a list
    size_t repeats;               // bench; 0: not given
    size_t top;                   // score: how many of the best tokens to print

    const char *host;         // serve: where to listen
    size_t port;              // 0: one that is free
    const char *unix_path;    // --unix: in place of both; NULL: not given
    const char *api_key_file; // NULL: everybody may use the server
    const char *alias;        // what the model is called, NULL: as its file
    const char *cors;         // origin of other pages that may use the server, NULL: none
    bool no_ui;
    size_t parallel;       // serve, batch: replies at a time
    size_t queue;          // serve: requests that wait
    size_t cache_mib;      // serve, batch: of sessions between the turns of their conversations
    const char *skip_done; // batch: replies of an earlier run

    const char *cpu; // --cpu: tier of kernels, NULL: as the environment or the machine says
    bool seed_given;
    size_t n_threads; // 0: qins_default_threads()
    qins_sampler_options sampler;
    qins_session_options session; // n_ctx is also the window of perplexity and compare
    qins_convert_options convert; // for a Hugging Face folder
} qins_options;

extern const qins_arguments qins_run_arguments; // the table

// Parse argv[1..] (argv[0] is skipped: the program's or the command's name) for the commands of a mask. QINS_USAGE and
// a message otherwise.
qins_status qins_options_parse(qins_options *options, unsigned commands, int argc, char **argv, qins_error *error);

// Refuse options that the command would ignore.
qins_status qins_options_check(const qins_options *options, qins_command command, qins_error *error);

// A list of whole numbers such as "0,4096", each at most `max`, into counts[max_counts]; returns how many there are, 0
// with QINS_USAGE when it is no such list. `name`: the option's.
size_t qins_options_counts(const char *name, const char *text, size_t max, size_t *counts, size_t max_counts,
                           qins_error *error);

#endif
