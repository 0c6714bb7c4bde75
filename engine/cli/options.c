// Options of qinsrun; see options.h.
#include "engine/cli/options.h"

#include "convert/option_setters.h"
#include "engine/base/file.h"
#include "engine/base/processors.h"
#include "engine/cli/commands.h"
#include "engine/server/scheduler.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

// --- setters of fields that need more than a value ---

static bool has_other_source(const qins_options *options, const qins_given_option *given, qins_error *error) {
    const qins_prompt_options *prompt = &options->prompt;
    if (prompt->ids == NULL && prompt->ids_file == NULL && prompt->messages == NULL) return false;
    qins_fail(error, QINS_USAGE, "%s: the prompt was already given by --ids, --ids-file or --messages", given->name);
    return true;
}

static void set_prompt(void *values, const qins_given_option *given, qins_error *error) {
    const qins_options *options = values;
    if (has_other_source(options, given, error)) return;
    if (options->prompt.text != NULL)
        qins_fail(error, QINS_USAGE, "%s: the prompt was already given; add to it with -f", given->name);
    qins_set_text(values, given, error);
}

static void add_file(void *values, const qins_given_option *given, qins_error *error) {
    qins_options *options = values;
    if (has_other_source(options, given, error)) return;
    if (options->prompt.n_files == QINS_MAX_FILES)
        qins_fail(error, QINS_USAGE, "--file may be given at most %d times", QINS_MAX_FILES);
    else
        options->prompt.files[options->prompt.n_files++] = given->value;
}

static void set_source(void *values, const qins_given_option *given, qins_error *error) {
    const qins_options *options = values;
    if (has_other_source(options, given, error)) return;
    if (options->prompt.text != NULL || options->prompt.n_files > 0)
        qins_fail(error, QINS_USAGE, "%s: the prompt was already given by -p or -f", given->name);
    qins_set_text(values, given, error);
}

// Other engines write -1 for no limit, all tokens, or a random seed.
static bool is_minus_one(const qins_given_option *given) {
    return strcmp(given->value, "-1") == 0;
}

static void set_limit(void *values, const qins_given_option *given, qins_error *error) {
    qins_options *options = values;
    options->sampling.n_predict = is_minus_one(given) ? SIZE_MAX : (size_t)qins_given_count(given, error);
}

static void set_top_k(void *values, const qins_given_option *given, qins_error *error) {
    qins_options *options = values;
    options->sampling.sampler.top_k = is_minus_one(given) ? 0 : (size_t)qins_given_count(given, error);
}

static void add_stop(void *values, const qins_given_option *given, qins_error *error) {
    qins_options *options = values;
    if (given->value[0] == '\0')
        qins_fail(error, QINS_USAGE, "--stop takes a text of at least one character");
    else if (options->sampling.n_stops == QINS_MAX_STOP_TEXTS)
        qins_fail(error, QINS_USAGE, "--stop may be given at most %d times", QINS_MAX_STOP_TEXTS);
    else
        options->sampling.stops[options->sampling.n_stops++] = given->value;
}

static void add_task(void *values, const qins_given_option *given, qins_error *error) {
    qins_options *options = values;
    if (options->eval.n_tasks == QINS_MAX_TASKS)
        qins_fail(error, QINS_USAGE, "--task may be given at most %d times", QINS_MAX_TASKS);
    else
        options->eval.tasks[options->eval.n_tasks++] = given->value;
}

static void set_format(void *values, const qins_given_option *given, qins_error *error) {
    ((qins_options *)values)->eval.format = (qins_task_format)qins_given_choice(given, error);
}

static void set_seed(void *values, const qins_given_option *given, qins_error *error) {
    qins_options *options = values;
    options->sampling.seed_given = !is_minus_one(given);
    if (options->sampling.seed_given) options->sampling.sampler.seed = qins_given_count(given, error);
}

static void set_bos(void *values, const qins_given_option *given, qins_error *error) {
    ((qins_options *)values)->measure.bos = (int64_t)qins_given_count(given, error);
}

static void set_rope(void *values, const qins_given_option *given, qins_error *error) {
    ((qins_options *)values)->session.rope_long = qins_given_choice(given, error) == 1;
}

static void set_stats(void *values, const qins_given_option *given, qins_error *error) {
    ((qins_options *)values)->output.stats_json = qins_given_choice(given, error) == 1;
}

static void set_matmul(void *values, const qins_given_option *given, qins_error *error) {
    static const qins_matmul choices[] = {QINS_MATMUL_AUTO, QINS_MATMUL_EXACT, QINS_MATMUL_SGEMM};
    ((qins_options *)values)->session.matmul = choices[qins_given_choice(given, error)];
}

static const qins_command *closest_command(const char *name) {
    const qins_command *closest = NULL;
    size_t least = SIZE_MAX;
    for (const qins_command *command = qins_commands; command->name != NULL; command++) {
        const size_t distance = qins_name_distance(name, command->name);
        if (distance >= least) continue;
        least = distance;
        closest = command;
    }
    return closest;
}

static void refuse_operand(void *values, const qins_given_option *given, qins_error *error) {
    (void)values;
    const qins_command *closest = closest_command(given->value);
    if (strcmp(given->value, "help") == 0)
        qins_fail(error, QINS_USAGE, "for help, use qinsrun --help or qinsrun COMMAND --help");
    else if (qins_path_ends_in(given->value, ".qins"))
        qins_fail(error, QINS_USAGE, "\"%s\" looks like a model, which needs -m", given->value);
    else if (qins_command_find(given->value) != NULL)
        qins_fail(error, QINS_USAGE, "the command comes first: qinsrun %s ...", given->value);
    else if (closest != NULL)
        qins_fail(error, QINS_USAGE, "\"%s\" is not a command; did you mean %s? (see qinsrun --help)", given->value,
                  closest->name);
    else
        qins_fail(error, QINS_USAGE, "\"%s\" is not an option or a command; a prompt needs -p (see qinsrun --help)",
                  given->value);
}

// --- the table ---

enum { MAX_COUNT = 1 << 24 };
#define FIELD(field) offsetof(qins_options, field)

static const char PROMPT[] = "Prompt", GENERATION[] = "Generation", SAMPLING[] = "Sampling (default: greedy)",
                  OUTPUT[] = "Output", ENGINE[] = "Engine", FOLDER[] = "Conversion of a Hugging Face folder",
                  SERVER[] = "Server and batches", MEASUREMENTS[] = "Measurements", HELP[] = "Help";

static const qins_option rows[] = {
    {PROMPT, 'm', "model", "MODEL", QINS_COMMON_OPTIONS, true, qins_set_text, FIELD(model.path), 0, 0,
     ".qins file or Hugging Face folder (default: $QINS_MODEL)"},
    {PROMPT, 'p', "prompt", "TEXT", QINS_TEXT_OPTIONS, true, set_prompt, FIELD(prompt.text), 0, 0, "the prompt"},
    {PROMPT, 'f', "file", "FILE", QINS_TEXT_OPTIONS, true, add_file, 0, 0, 0,
     "prompt from a file, - for standard input; may be repeated, after -p"},
    {PROMPT, 0, "messages", "FILE", QINS_RUN_OPTIONS, false, set_source, FIELD(prompt.messages), 0, 0,
     "a conversation as JSON: [{\"role\": ..., \"content\": ...}, ...]"},
    {PROMPT, 0, "ids", "FILE", QINS_IDS_OPTIONS, false, set_source, FIELD(prompt.ids), 0, 0,
     "prompt as token ids, separated by white space"},
    {PROMPT, 0, "ids-file", "FILE", QINS_WINDOWS_OPTIONS, false, set_source, FIELD(prompt.ids_file), 0, 0,
     "text as raw int32 token ids (perplexity, compare)"},
    {PROMPT, 0, "system", "TEXT", QINS_GENERATION_OPTIONS, true, qins_set_text, FIELD(prompt.system), 0, 0,
     "system message before the conversation"},
    {PROMPT, 0, "raw", NULL, QINS_RUN_OPTIONS, true, qins_set_switch, FIELD(prompt.raw), 0, 0,
     "no chat template: complete the text as it is"},
    {PROMPT, 0, "parse-special", NULL, QINS_MARKERS_OPTIONS, false, qins_set_switch, FIELD(prompt.parse_special), 0, 0,
     "markers such as <|end|> in a message or text act as markers"},
    {PROMPT, 0, "no-special", NULL, QINS_NO_MARKERS_OPTIONS, false, qins_set_switch, FIELD(prompt.no_special), 0, 0,
     "markers in --raw and tokenize input are plain text"},
    {PROMPT, 0, "lines", NULL, QINS_CHAT_OPTIONS, false, qins_set_switch, FIELD(prompt.lines), 0, 0,
     "chat: take each line of input verbatim as a message, never as a command"},
    {GENERATION, 'n', "n-predict", "N", QINS_LENGTH_OPTIONS, true, set_limit, 0, 0, MAX_COUNT,
     "at most N tokens (default: until a stop token)"},
    {GENERATION, 'c', "ctx-size", "N", QINS_SESSION_OPTIONS, true, qins_set_count, FIELD(session.n_ctx), 0, MAX_COUNT,
     "context size in tokens (default: the model's, if memory allows)"},
    {GENERATION, 0, "stop", "TEXT", QINS_GENERATION_OPTIONS, true, add_stop, 0, 0, 0,
     "stop before this text; may be repeated"},
    {SAMPLING, 0, "temp", "X", QINS_GENERATION_OPTIONS, true, qins_set_number, FIELD(sampling.sampler.temperature), 0,
     0, "temperature; 0 is greedy"},
    {SAMPLING, 0, "top-k", "N", QINS_GENERATION_OPTIONS, false, set_top_k, 0, 0, MAX_COUNT,
     "sample from only the N most probable tokens; 0: all"},
    {SAMPLING, 0, "top-p", "X", QINS_GENERATION_OPTIONS, true, qins_set_number, FIELD(sampling.sampler.top_p), 0, 0,
     "sample from only the most probable tokens that together reach probability X"},
    {SAMPLING, 0, "min-p", "X", QINS_GENERATION_OPTIONS, false, qins_set_number, FIELD(sampling.sampler.min_p), 0, 0,
     "sample from only tokens of at least X times the probability of the best one"},
    {SAMPLING, 0, "repeat-penalty", "X", QINS_GENERATION_OPTIONS, false, qins_set_number,
     FIELD(sampling.sampler.repeat_penalty), 0, 0, "above 1: already seen tokens become less likely"},
    {SAMPLING, 's', "seed", "N", QINS_GENERATION_OPTIONS, true, set_seed, 0, 0, UINT64_MAX,
     "random seed (default: a new one, which is printed)"},
    {OUTPUT, 0, "ids-out", NULL, QINS_GENERATION_OPTIONS, false, qins_set_switch, FIELD(output.ids_out), 0, 0,
     "print token ids instead of text"},
    {OUTPUT, 0, "json", NULL, QINS_JSON_OPTIONS, false, qins_set_switch, FIELD(output.json), 0, 0,
     "machine-readable output; for a run: text, ids, finish reason, times"},
    {OUTPUT, 0, "stream", NULL, QINS_RUN_OPTIONS, false, qins_set_switch, FIELD(output.stream), 0, 0,
     "with --json: a line {\"text\": ...} for each piece of the reply, then the record"},
    {OUTPUT, 0, "newline", NULL, QINS_RUN_OPTIONS, false, qins_set_switch, FIELD(output.newline), 0, 0,
     "end the reply with a newline in pipes too"},
    {OUTPUT, 0, "logprobs", "K", QINS_RUN_OPTIONS, false, qins_set_count, FIELD(output.logprobs), 1, MAX_COUNT,
     "with --json: log-probabilities, including those of the K best tokens"},
    {OUTPUT, 0, "stats", "text|json", QINS_GENERATION_OPTIONS, false, set_stats, 0, 0, 0,
     "format of the statistics on stderr (default: text)"},
    {OUTPUT, 0, "verbose-prompt", NULL, QINS_GENERATION_OPTIONS, false, qins_set_switch, FIELD(output.verbose_prompt),
     0, 0, "print the tokens of the prompt on stderr"},
    {OUTPUT, 'q', "quiet", NULL, QINS_COMMON_OPTIONS, true, qins_set_switch, FIELD(process.quiet), 0, 0,
     "print only errors on stderr"},
    {OUTPUT, 'v', "verbose", NULL, QINS_VERBOSE_OPTIONS, true, qins_set_switch, FIELD(process.verbose), 0, 0,
     "report on stderr the memory, threads, instruction set and sandbox in use"},
    {ENGINE, 't', "threads", "N", QINS_COMMON_OPTIONS, true, qins_set_count, FIELD(process.n_threads), 1, 1024,
     "threads (default: all available cores)"},
    {ENGINE, 0, "plan", NULL, QINS_GENERATION_OPTIONS, true, qins_set_switch, FIELD(process.plan), 0, 0,
     "print the memory and threads a run would use, and exit"},
    {ENGINE, 0, "no-sandbox", NULL, QINS_COMMON_OPTIONS, false, qins_set_switch, FIELD(process.no_sandbox), 0, 0,
     "do not restrict which files and system calls the program may use"},
    {ENGINE, 0, "cpu", "scalar|avx2|avx512|avx512vnni|auto", QINS_COMMON_OPTIONS, false, qins_set_text,
     FIELD(process.cpu), 0, 0, "instruction set to use (default: the best available)"},
    {ENGINE, 0, "matmul", "auto|exact|sgemm", QINS_SESSION_OPTIONS, false, set_matmul, 0, 0, 0,
     "matrix products: exact (default), the same bits on every machine, or OpenBLAS's"},
    {ENGINE, 0, "kv-k", "f16|qins8|f32", QINS_SESSION_OPTIONS, false, qins_set_type, FIELD(session.k_type), 0, 0,
     "type of the keys in the cache (default: f16)"},
    {ENGINE, 0, "kv-v", "qins8|qins4|f16|f32", QINS_SESSION_OPTIONS, false, qins_set_type, FIELD(session.v_type), 0, 0,
     "type of the values in the cache (default: qins8)"},
    {ENGINE, 0, "rope", "auto|long", QINS_SESSION_OPTIONS, false, set_rope, 0, 0, 0,
     "LongRoPE factors: chosen by length, or long from the first token"},
    {FOLDER, 0, "type", "qins8|qins6|qins5|qins4|bf16|f32", QINS_COMMON_OPTIONS, false, qins_set_type,
     FIELD(model.convert.weight_type), 0, 0, "type of the layers' weights (default: qins8)"},
    {FOLDER, 0, "lm-head", "bf16|qins8|qins6", QINS_COMMON_OPTIONS, false, qins_set_head_type, FIELD(model.convert), 0,
     0, "type of the output matrix (default: as in qinsconvert)"},
    {FOLDER, 0, "embedding", "bf16|qins8|qins6", QINS_COMMON_OPTIONS, false, qins_set_embedding_type,
     FIELD(model.convert), 0, 0, "type of the embedding (default: as in qinsconvert)"},
    {FOLDER, 0, "chat-template", "phi3|phi4|phi4-mini|chatml|none", QINS_COMMON_OPTIONS, false, qins_set_choice,
     FIELD(model.convert.chat_template), 0, 0, "chat format (default: the one the folder's template renders)"},
    {MEASUREMENTS, 0, "top", "K", QINS_SCORE_OPTIONS, false, qins_set_count, FIELD(measure.top), 0, MAX_COUNT,
     "score: how many of the best tokens to print (default: 5)"},
    {MEASUREMENTS, 0, "ref", "MODEL", QINS_REFERENCE_OPTIONS, false, qins_set_text, FIELD(model.ref), 0, 0,
     "compare, eval: the reference; K and V in FP32 (a folder: weights too)"},
    {MEASUREMENTS, 0, "window", "N", QINS_WINDOWS_OPTIONS, false, qins_set_count, FIELD(session.n_ctx), 0, MAX_COUNT,
     "perplexity, compare: tokens per window, same as -c (default: 512)"},
    {MEASUREMENTS, 0, "max-windows", "N", QINS_WINDOWS_OPTIONS, false, qins_set_count, FIELD(measure.max_windows), 1,
     SIZE_MAX, "perplexity, compare: only the first N windows"},
    {MEASUREMENTS, 0, "greedy", "N", QINS_COMPARE_OPTIONS, false, qins_set_count, FIELD(measure.greedy), 1, MAX_COUNT,
     "compare: also N tokens of greedy text after the first halves of windows"},
    {MEASUREMENTS, 0, "prompts", "N", QINS_COMPARE_OPTIONS, false, qins_set_count, FIELD(measure.prompts), 1, MAX_COUNT,
     "compare --greedy: how many windows to use for that (default: 4)"},
    {MEASUREMENTS, 0, "bos", "ID", QINS_BOS_OPTIONS, false, set_bos, 0, 0, INT32_MAX,
     "perplexity, compare, eval: token to put before every sequence"},
    {MEASUREMENTS, 0, "task", "FILE", QINS_EVAL_OPTIONS, false, add_task, 0, 0, 0,
     "eval: questions, one per line of JSON; may be repeated"},
    {MEASUREMENTS, 0, "format", "arc|hellaswag|mmlu|openbookqa|piqa|winogrande", QINS_EVAL_OPTIONS, false, set_format,
     0, 0, 0, "eval: format of the questions (default: from the start of the file's name)"},
    {MEASUREMENTS, 0, "examples", "FILE", QINS_EVAL_OPTIONS, false, qins_set_text, FIELD(eval.examples), 0, 0,
     "eval: answered questions to put before each prompt (few-shot)"},
    {MEASUREMENTS, 0, "shots", "N", QINS_EVAL_OPTIONS, false, qins_set_count, FIELD(eval.shots), 1, 1000,
     "eval --examples: how many to use, of the question's subject (default: 5)"},
    {MEASUREMENTS, 0, "limit", "N", QINS_EVAL_OPTIONS, false, qins_set_count, FIELD(eval.limit), 1, SIZE_MAX,
     "eval: only the first N questions of each file"},
    {MEASUREMENTS, 'p', "prompt", "N,..", QINS_BENCH_OPTIONS, false, qins_set_text, FIELD(bench.prompts), 0, 0,
     "bench: prompt lengths in tokens (default: 512)"},
    {MEASUREMENTS, 'd', "depth", "N,..", QINS_BENCH_OPTIONS, false, qins_set_text, FIELD(bench.depths), 0, 0,
     "bench: context tokens before the measured ones (default: 0)"},
    {MEASUREMENTS, 'r', "repeats", "N", QINS_BENCH_OPTIONS, false, qins_set_count, FIELD(bench.repeats), 1, 100,
     "bench: runs per test (default: 3)"},
    {MEASUREMENTS, 0, "decode", NULL, QINS_TOKENIZE_OPTIONS, false, qins_set_switch, FIELD(prompt.decode), 0, 0,
     "tokenize: the text of ids"},
    {SERVER, 0, "host", "ADDRESS", QINS_SERVE_OPTIONS, false, qins_set_text, FIELD(server.host), 0, 0,
     "serve: address to listen on (default: 127.0.0.1); others need --api-key-file"},
    {SERVER, 0, "port", "N", QINS_SERVE_OPTIONS, false, qins_set_count, FIELD(server.port), 0, 65535,
     "serve: the port (default: 8080); 0 picks a free one"},
    {SERVER, 0, "unix", "PATH", QINS_SERVE_OPTIONS, false, qins_set_text, FIELD(server.unix_path), 0, 0,
     "serve: listen on a socket at this path instead"},
    {SERVER, 0, "api-key-file", "FILE", QINS_SERVE_OPTIONS, false, qins_set_text, FIELD(server.api_key_file), 0, 0,
     "serve: only clients with one of the keys in FILE, one per line, may use the server"},
    {SERVER, 0, "cors", "ORIGIN", QINS_SERVE_OPTIONS, false, qins_set_text, FIELD(server.cors), 0, 0,
     "serve: pages of this origin may use the server (default: only its own)"},
    {SERVER, 0, "no-ui", NULL, QINS_SERVE_OPTIONS, false, qins_set_switch, FIELD(server.no_ui), 0, 0,
     "serve: no page at /"},
    {SERVER, 0, "queue", "N", QINS_SERVE_OPTIONS, false, qins_set_count, FIELD(server.queue), 0, 4096,
     "serve: how many requests may wait (default: 32)"},
    {SERVER, 0, "alias", "NAME", QINS_SERVICE_OPTIONS, false, qins_set_text, FIELD(server.alias), 0, 0,
     "serve, batch: the model's name in requests (default: its file's)"},
    {SERVER, 0, "parallel", "N", QINS_SERVICE_OPTIONS, false, qins_set_count, FIELD(server.parallel), 1,
     QINS_MAX_PARALLEL, "serve, batch: how many replies to compute at a time (default: 8)"},
    {SERVER, 0, "cache-mib", "N", QINS_SERVICE_OPTIONS, false, qins_set_count, FIELD(server.cache_mib), 0, MAX_COUNT,
     "serve, batch: memory for sessions between turns (default: 1024)"},
    {SERVER, 0, "skip-done", "FILE", QINS_BATCH_OPTIONS, false, qins_set_text, FIELD(server.skip_done), 0, 0,
     "batch: skip as many requests as FILE, the replies so far, has lines"},
    {HELP, 'h', "help", NULL, QINS_COMMON_OPTIONS, true, qins_set_switch, FIELD(help.common), 0, 0,
     "the common options, or all options of a command"},
    {HELP, 0, "help-all", NULL, QINS_COMMON_OPTIONS, true, qins_set_switch, FIELD(help.all), 0, 0, "all options"},
    {HELP, 0, "list-options", NULL, QINS_COMMON_OPTIONS, false, qins_set_switch, FIELD(help.list), 0, 0,
     "words, values and help, separated by tabs, for completion"},
    {HELP, 0, "version", NULL, QINS_COMMON_OPTIONS, true, qins_set_switch, FIELD(help.version), 0, 0,
     "version, libraries and instruction set"},
    {NULL, 0, NULL, "COMMAND", QINS_COMMON_OPTIONS, false, refuse_operand, 0, 0, 0, NULL},
};

_Static_assert(sizeof rows / sizeof rows[0] <= QINS_MAX_OPTIONS, "a place for each row");

static const qins_option_alias aliases[] = {
    {"max-tokens", "n-predict"},
    {"max-new-tokens", "n-predict"},
    {"predict", "n-predict"},
    {"temperature", "temp"},
    {"system-prompt", "system"},
    {"repetition-penalty", "repeat-penalty"},
    {NULL, NULL},
};

const qins_option_table qins_run_option_table = {"qinsrun", rows, sizeof rows / sizeof rows[0], aliases};

// --- parsing ---

qins_status qins_options_parse(qins_options *options, unsigned sets, int argc, char **argv, qins_error *error) {
    *options = (qins_options){
        .model.convert.weight_type = QINS_QINS8,
        .session = qins_session_defaults(),
        .sampling = {.n_predict = SIZE_MAX, .sampler = qins_sampler_defaults()},
        .measure = {.max_windows = SIZE_MAX, .bos = -1, .top = 5},
        .eval = {.format = QINS_TASK_FORMAT_COUNT, .limit = SIZE_MAX},
        .server = {.host = "127.0.0.1", .port = 8080, .parallel = 8, .queue = 32, .cache_mib = 1024},
    };
    qins_option_table_parse(&qins_run_option_table, sets, argc, argv, options, options->given, error);
    const char *model = getenv("QINS_MODEL");
    if (options->model.path == NULL && model != NULL && model[0] != '\0') options->model.path = model;
    const size_t n_threads = options->process.n_threads;
    options->model.convert.n_threads = n_threads > 0 ? n_threads : qins_default_threads();
    return error->status;
}

qins_status qins_options_check(const qins_options *options, const char *name, unsigned sets, qins_error *error) {
    const qins_prompt_options *prompt = &options->prompt;
    for (size_t i = 0; i < qins_run_option_table.count; i++) {
        if (options->given[i] && (rows[i].sets & sets) == 0)
            return qins_fail(error, QINS_USAGE, "--%s has no meaning for \"%s\" (see qinsrun %s --help)", rows[i].name,
                             name, name);
    }
    if (options->output.logprobs > 0 && !options->output.json)
        return qins_fail(error, QINS_USAGE, "--logprobs are part of the record of --json; add --json");
    if (options->output.stream && !options->output.json)
        return qins_fail(error, QINS_USAGE, "--stream is for --json; plain text is streamed anyway");
    if (prompt->messages != NULL && (prompt->raw || prompt->system != NULL))
        return qins_fail(error, QINS_USAGE, "--%s has no meaning for --messages, which hold the conversation",
                         prompt->raw ? "raw" : "system");
    if (options->eval.shots > 0 && options->eval.examples == NULL)
        return qins_fail(error, QINS_USAGE, "--shots needs --examples FILE, questions to take them from");
    if (options->measure.prompts > 0 && options->measure.greedy == 0)
        return qins_fail(error, QINS_USAGE, "--prompts has no meaning without --greedy");
    if (prompt->ids != NULL && (prompt->raw || prompt->system != NULL))
        return qins_fail(error, QINS_USAGE, "--%s has no meaning for --ids, which are used as they are",
                         prompt->raw ? "raw" : "system");
    if (prompt->raw && prompt->system != NULL)
        return qins_fail(error, QINS_USAGE, "--system has no meaning for --raw, which has no messages");
    return QINS_OK;
}

qins_status qins_options_check_file(const qins_options *options, qins_error *error) {
    for (size_t i = 0; i < qins_run_option_table.count; i++)
        if (options->given[i] && rows[i].group == FOLDER)
            return qins_fail(error, QINS_USAGE, "--%s is for the conversion of a folder; %s is a converted file",
                             rows[i].name, options->model.path);
    return QINS_OK;
}

size_t qins_options_counts(const char *name, const char *text, size_t max, size_t *counts, size_t max_counts,
                           qins_error *error) {
    size_t n = 0;
    for (const char *at = text; n < max_counts && *at >= '0' && *at <= '9'; n++) {
        char *end;
        errno = 0;
        const unsigned long long value = strtoull(at, &end, 10);
        if (errno != 0 || value > max) break;
        counts[n] = (size_t)value;
        if (*end == '\0') return n + 1;
        at = *end == ',' ? end + 1 : "";
    }
    qins_fail(error, QINS_USAGE, "%s takes up to %zu whole numbers from 0 to %zu with commas between them, not \"%s\"",
              name, max_counts, max, text);
    return 0;
}
