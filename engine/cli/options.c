// Options of qinsrun; see options.h.
#include "engine/cli/options.h"

#include "convert/convert_arguments.h"
#include "engine/base/processors.h"
#include "engine/server/scheduler.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char *const qins_command_names[QINS_COMMAND_COUNT] = {
    [QINS_RUN] = "run",         [QINS_CHAT] = "chat",     [QINS_SCORE] = "score", [QINS_PERPLEXITY] = "perplexity",
    [QINS_COMPARE] = "compare", [QINS_EVAL] = "eval",     [QINS_BENCH] = "bench", [QINS_TOKENIZE] = "tokenize",
    [QINS_INFO] = "info",       [QINS_VERIFY] = "verify", [QINS_SERVE] = "serve", [QINS_BATCH] = "batch",
};

qins_command qins_command_from_name(const char *name) {
    int command = 0;
    while (command < QINS_COMMAND_COUNT && strcmp(name, qins_command_names[command]) != 0) command++;
    return (qins_command)command;
}

// --- setters of fields that need more than a value ---

static bool has_other_source(const qins_options *options, const qins_given *given, qins_error *error) {
    if (options->ids == NULL && options->ids_file == NULL && options->messages == NULL) return false;
    qins_fail(error, QINS_USAGE, "%s: the prompt was given already, by --ids, --ids-file or --messages", given->name);
    return true;
}

static void set_prompt(void *values, const qins_given *given, qins_error *error) {
    const qins_options *options = values;
    if (has_other_source(options, given, error)) return;
    if (options->prompt != NULL)
        qins_fail(error, QINS_USAGE, "%s: the prompt was given already; more of it can come with -f", given->name);
    qins_set_text(values, given, error);
}

static void add_file(void *values, const qins_given *given, qins_error *error) {
    qins_options *options = values;
    if (has_other_source(options, given, error)) return;
    if (options->n_files == QINS_MAX_FILES)
        qins_fail(error, QINS_USAGE, "--file may be given at most %d times", QINS_MAX_FILES);
    else
        options->files[options->n_files++] = given->value;
}

static void set_source(void *values, const qins_given *given, qins_error *error) {
    const qins_options *options = values;
    if (has_other_source(options, given, error)) return;
    if (options->prompt != NULL || options->n_files > 0)
        qins_fail(error, QINS_USAGE, "%s: the prompt was given already, by -p or -f", given->name);
    qins_set_text(values, given, error);
}

// -1 is what other engines call no limit, all tokens, or a random seed.
static bool is_minus_one(const qins_given *given) {
    return strcmp(given->value, "-1") == 0;
}

static void set_limit(void *values, const qins_given *given, qins_error *error) {
    qins_options *options = values;
    options->n_predict = is_minus_one(given) ? SIZE_MAX : (size_t)qins_given_count(given, error);
}

static void set_top_k(void *values, const qins_given *given, qins_error *error) {
    qins_options *options = values;
    options->sampler.top_k = is_minus_one(given) ? 0 : (size_t)qins_given_count(given, error);
}

static void add_stop(void *values, const qins_given *given, qins_error *error) {
    qins_options *options = values;
    if (given->value[0] == '\0')
        qins_fail(error, QINS_USAGE, "--stop takes a text of at least one character");
    else if (options->n_stops == QINS_MAX_STOP_TEXTS)
        qins_fail(error, QINS_USAGE, "--stop may be given at most %d times", QINS_MAX_STOP_TEXTS);
    else
        options->stops[options->n_stops++] = given->value;
}

static void add_task(void *values, const qins_given *given, qins_error *error) {
    qins_options *options = values;
    if (options->n_tasks == QINS_MAX_TASKS)
        qins_fail(error, QINS_USAGE, "--task may be given at most %d times", QINS_MAX_TASKS);
    else
        options->tasks[options->n_tasks++] = given->value;
}

static void set_format(void *values, const qins_given *given, qins_error *error) {
    ((qins_options *)values)->task_format = (qins_task_format)qins_given_choice(given, error);
}

static void set_seed(void *values, const qins_given *given, qins_error *error) {
    qins_options *options = values;
    options->seed_given = !is_minus_one(given);
    if (options->seed_given) options->sampler.seed = qins_given_count(given, error);
}

static void set_bos(void *values, const qins_given *given, qins_error *error) {
    ((qins_options *)values)->bos = (int64_t)qins_given_count(given, error);
}

static void set_rope(void *values, const qins_given *given, qins_error *error) {
    ((qins_options *)values)->session.rope_long = qins_given_choice(given, error) == 1;
}

static void set_stats(void *values, const qins_given *given, qins_error *error) {
    ((qins_options *)values)->stats_json = qins_given_choice(given, error) == 1;
}

static void set_matmul(void *values, const qins_given *given, qins_error *error) {
    static const qins_matmul choices[] = {QINS_MATMUL_AUTO, QINS_MATMUL_EXACT, QINS_MATMUL_SGEMM};
    ((qins_options *)values)->session.matmul = choices[qins_given_choice(given, error)];
}

static void refuse_operand(void *values, const qins_given *given, qins_error *error) {
    (void)values;
    if (qins_command_from_name(given->value) != QINS_COMMAND_COUNT)
        qins_fail(error, QINS_USAGE, "a command comes first: qinsrun %s ...", given->value);
    for (int i = 0; i < QINS_COMMAND_COUNT; i++) {
        if (qins_name_distance(given->value, qins_command_names[i]) != SIZE_MAX)
            qins_fail(error, QINS_USAGE, "\"%s\" is no command; did you mean %s? (see qinsrun --help)", given->value,
                      qins_command_names[i]);
    }
    qins_fail(error, QINS_USAGE, "\"%s\" is no option and no command; a prompt needs -p (see qinsrun --help)",
              given->value);
}

// --- the table ---

enum {
    ANY = (1u << QINS_COMMAND_COUNT) - 1,
    NOT_CHAT = ANY & ~(1u << QINS_CHAT),
    RUN = 1u << QINS_RUN,
    TOKENIZE = 1u << QINS_TOKENIZE,
    SCORE = 1u << QINS_SCORE,
    BENCH = 1u << QINS_BENCH,
    COMPARE = 1u << QINS_COMPARE,
    EVAL = 1u << QINS_EVAL,
    WINDOWS = 1u << QINS_PERPLEXITY | COMPARE,
    GENERATES = 1u << QINS_RUN | 1u << QINS_CHAT,
    SERVE = 1u << QINS_SERVE,
    SERVES = SERVE | 1u << QINS_BATCH,
    COMPUTES = ANY & ~(TOKENIZE | 1u << QINS_INFO | 1u << QINS_VERIFY)
};
enum { MAX_COUNT = 1 << 24 };
#define FIELD(field) offsetof(qins_options, field)

static const char PROMPT[] = "Prompt", GENERATION[] = "Generation", SAMPLING[] = "Sampling (default: greedy)",
                  OUTPUT[] = "Output", ENGINE[] = "Engine", FOLDER[] = "Conversion of a Hugging Face folder",
                  SERVER[] = "Server and batches", MEASUREMENTS[] = "Measurements", HELP[] = "Help";

static const qins_argument rows[] = {
    {PROMPT, 'm', "model", "MODEL", ANY, true, qins_set_text, FIELD(model), 0, 0,
     ".qins file or Hugging Face folder (default: $QINS_MODEL)"},
    {PROMPT, 'p', "prompt", "TEXT", RUN | TOKENIZE | WINDOWS, true, set_prompt, FIELD(prompt), 0, 0, "the prompt"},
    {PROMPT, 'f', "file", "FILE", RUN | TOKENIZE | WINDOWS, true, add_file, 0, 0, 0,
     "prompt from a file, - for standard input; may be repeated, after -p"},
    {PROMPT, 0, "messages", "FILE", RUN, false, set_source, FIELD(messages), 0, 0,
     "a conversation as JSON: [{\"role\": ..., \"content\": ...}, ...]"},
    {PROMPT, 0, "ids", "FILE", RUN | SCORE | TOKENIZE, false, set_source, FIELD(ids), 0, 0,
     "prompt as token ids, separated by white space"},
    {PROMPT, 0, "ids-file", "FILE", WINDOWS, false, set_source, FIELD(ids_file), 0, 0,
     "text as raw int32 token ids (perplexity, compare)"},
    {PROMPT, 0, "system", "TEXT", GENERATES, true, qins_set_text, FIELD(system), 0, 0,
     "system message before the conversation"},
    {PROMPT, 0, "raw", NULL, RUN, true, qins_set_switch, FIELD(raw), 0, 0,
     "no chat template: complete the text as it is"},
    {PROMPT, 0, "parse-special", NULL, GENERATES | WINDOWS, false, qins_set_switch, FIELD(parse_special), 0, 0,
     "markers such as <|end|> in a message or text act as markers"},
    {PROMPT, 0, "no-special", NULL, RUN | TOKENIZE, false, qins_set_switch, FIELD(no_special), 0, 0,
     "markers in --raw and tokenize input are plain text"},
    {PROMPT, 0, "lines", NULL, 1u << QINS_CHAT, false, qins_set_switch, FIELD(lines), 0, 0,
     "chat: each line of input is a message as it is, no command"},
    {GENERATION, 'n', "n-predict", "N", GENERATES | BENCH, true, set_limit, 0, 0, MAX_COUNT,
     "at most N tokens (default: until a stop token)"},
    {GENERATION, 'c', "ctx-size", "N", COMPUTES, true, qins_set_count, FIELD(session.n_ctx), 0, MAX_COUNT,
     "context in tokens (default: the model's, if memory allows)"},
    {GENERATION, 0, "stop", "TEXT", GENERATES, true, add_stop, 0, 0, 0, "stop before this text; may be repeated"},
    {SAMPLING, 0, "temp", "X", GENERATES, true, qins_set_number, FIELD(sampler.temperature), 0, 0,
     "temperature; 0 is greedy"},
    {SAMPLING, 0, "top-k", "N", GENERATES, false, set_top_k, 0, 0, MAX_COUNT,
     "only the N most probable tokens; 0: all"},
    {SAMPLING, 0, "top-p", "X", GENERATES, true, qins_set_number, FIELD(sampler.top_p), 0, 0,
     "only the most probable ones that make up X"},
    {SAMPLING, 0, "min-p", "X", GENERATES, false, qins_set_number, FIELD(sampler.min_p), 0, 0,
     "only those of at least X times the best one's probability"},
    {SAMPLING, 0, "repeat-penalty", "X", GENERATES, false, qins_set_number, FIELD(sampler.repeat_penalty), 0, 0,
     "above 1: tokens that were there before become less likely"},
    {SAMPLING, 's', "seed", "N", GENERATES, true, set_seed, 0, 0, UINT64_MAX,
     "of the random numbers (default: a new one, printed)"},
    {OUTPUT, 0, "ids-out", NULL, GENERATES, false, qins_set_switch, FIELD(ids_out), 0, 0,
     "print token ids instead of text"},
    {OUTPUT, 0, "json", NULL, NOT_CHAT, false, qins_set_switch, FIELD(json), 0, 0,
     "machine-readable output; of a run: text, ids, finish reason, times"},
    {OUTPUT, 0, "stream", NULL, RUN, false, qins_set_switch, FIELD(stream), 0, 0,
     "with --json: a line {\"text\": ...} for each piece of the reply, then the record"},
    {OUTPUT, 0, "newline", NULL, RUN, false, qins_set_switch, FIELD(newline), 0, 0,
     "end the reply with a newline in pipes too"},
    {OUTPUT, 0, "logprobs", "K", RUN, false, qins_set_count, FIELD(logprobs), 1, MAX_COUNT,
     "in the record of --json: log-probabilities, of the K best tokens too"},
    {OUTPUT, 0, "stats", "text|json", GENERATES, false, set_stats, 0, 0, 0,
     "form of the statistics on stderr (default: text)"},
    {OUTPUT, 0, "verbose-prompt", NULL, GENERATES, false, qins_set_switch, FIELD(verbose_prompt), 0, 0,
     "print the tokens of the prompt on stderr"},
    {OUTPUT, 'q', "quiet", NULL, ANY, true, qins_set_switch, FIELD(quiet), 0, 0, "nothing on stderr but errors"},
    {OUTPUT, 'v', "verbose", NULL, GENERATES, true, qins_set_switch, FIELD(verbose), 0, 0,
     "say on stderr what memory, threads, instructions and sandbox are used"},
    {ENGINE, 't', "threads", "N", ANY, true, qins_set_count, FIELD(n_threads), 1, 1024,
     "threads (default: all available cores)"},
    {ENGINE, 0, "plan", NULL, GENERATES, true, qins_set_switch, FIELD(plan), 0, 0,
     "print what memory and threads will be used, and end"},
    {ENGINE, 0, "no-sandbox", NULL, ANY, false, qins_set_switch, FIELD(no_sandbox), 0, 0,
     "do not limit what files and system calls the program may use"},
    {ENGINE, 0, "cpu", "scalar|avx2|avx512|avx512vnni|auto", ANY, false, qins_set_text, FIELD(cpu), 0, 0,
     "instructions to use (default: the machine's best)"},
    {ENGINE, 0, "matmul", "auto|exact|sgemm", COMPUTES, false, set_matmul, 0, 0, 0,
     "products: exact (default), the same bits on every machine, or OpenBLAS's"},
    {ENGINE, 0, "kv-k", "f16|qins8|f32", COMPUTES, false, qins_set_type, FIELD(session.k_type), 0, 0,
     "keys in the cache (default: f16)"},
    {ENGINE, 0, "kv-v", "qins8|qins4|f16|f32", COMPUTES, false, qins_set_type, FIELD(session.v_type), 0, 0,
     "values in the cache (default: qins8)"},
    {ENGINE, 0, "rope", "auto|long", COMPUTES, false, set_rope, 0, 0, 0,
     "LongRoPE factors: by the length, or long from the first token"},
    {FOLDER, 0, "type", "qins8|qins6|qins5|qins4|bf16|f32", ANY, false, qins_set_type, FIELD(convert.weight_type), 0, 0,
     "weights of the layers (default: qins8)"},
    {FOLDER, 0, "lm-head", "bf16|qins8|qins6", ANY, false, qins_set_head_type, FIELD(convert), 0, 0,
     "output matrix (default: as qinsconvert chooses it)"},
    {FOLDER, 0, "embedding", "bf16|qins8|qins6", ANY, false, qins_set_embedding_type, FIELD(convert), 0, 0,
     "embedding (default: as qinsconvert chooses it)"},
    {FOLDER, 0, "chat-template", "phi3|phi4|phi4-mini|chatml|none", ANY, false, qins_set_choice,
     FIELD(convert.chat_template), 0, 0, "format of conversations (default: what the folder's template renders)"},
    {MEASUREMENTS, 0, "top", "K", SCORE, false, qins_set_count, FIELD(top), 0, MAX_COUNT,
     "score: how many of the best tokens to print (default: 5)"},
    {MEASUREMENTS, 0, "ref", "MODEL", COMPARE | EVAL, false, qins_set_text, FIELD(ref), 0, 0,
     "compare, eval: the reference; K and V in FP32 (a folder: weights too)"},
    {MEASUREMENTS, 0, "window", "N", WINDOWS, false, qins_set_count, FIELD(session.n_ctx), 0, MAX_COUNT,
     "perplexity, compare: tokens of a window, as -c (default: 512)"},
    {MEASUREMENTS, 0, "max-windows", "N", WINDOWS, false, qins_set_count, FIELD(max_windows), 1, SIZE_MAX,
     "perplexity, compare: the first N windows alone"},
    {MEASUREMENTS, 0, "greedy", "N", COMPARE, false, qins_set_count, FIELD(greedy), 1, MAX_COUNT,
     "compare: N tokens of greedy text too, after halves of windows"},
    {MEASUREMENTS, 0, "prompts", "N", COMPARE, false, qins_set_count, FIELD(prompts), 1, MAX_COUNT,
     "compare --greedy: after the first N windows' halves (default: 4)"},
    {MEASUREMENTS, 0, "bos", "ID", WINDOWS | EVAL, false, set_bos, 0, 0, INT32_MAX,
     "perplexity, compare, eval: token before every sequence"},
    {MEASUREMENTS, 0, "task", "FILE", EVAL, false, add_task, 0, 0, 0,
     "eval: questions, a line of JSON each; may be repeated"},
    {MEASUREMENTS, 0, "format", "arc|hellaswag|mmlu|openbookqa|piqa|winogrande", EVAL, false, set_format, 0, 0, 0,
     "eval: of the questions (default: how the file's name begins)"},
    {MEASUREMENTS, 0, "examples", "FILE", EVAL, false, qins_set_text, FIELD(examples), 0, 0,
     "eval: answered questions to put in front (few-shot)"},
    {MEASUREMENTS, 0, "shots", "N", EVAL, false, qins_set_count, FIELD(shots), 1, 1000,
     "eval --examples: how many, of the question's subject (default: 5)"},
    {MEASUREMENTS, 0, "limit", "N", EVAL, false, qins_set_count, FIELD(limit), 1, SIZE_MAX,
     "eval: the first N questions of each file alone"},
    {MEASUREMENTS, 'p', "prompt", "N,..", BENCH, false, qins_set_text, FIELD(prompt), 0, 0,
     "bench: lengths of prompts (default: 512)"},
    {MEASUREMENTS, 'd', "depth", "N,..", BENCH, false, qins_set_text, FIELD(depths), 0, 0,
     "bench: tokens before the measured ones (default: 0)"},
    {MEASUREMENTS, 'r', "repeats", "N", BENCH, false, qins_set_count, FIELD(repeats), 1, 100,
     "bench: runs of each test (default: 3)"},
    {MEASUREMENTS, 0, "decode", NULL, TOKENIZE, false, qins_set_switch, FIELD(decode), 0, 0,
     "tokenize: the text of ids"},
    {SERVER, 0, "host", "ADDRESS", SERVE, false, qins_set_text, FIELD(host), 0, 0,
     "serve: where to listen (default: 127.0.0.1); elsewhere only with --api-key-file"},
    {SERVER, 0, "port", "N", SERVE, false, qins_set_count, FIELD(port), 0, 65535,
     "serve: the port (default: 8080); 0: one that is free"},
    {SERVER, 0, "unix", "PATH", SERVE, false, qins_set_text, FIELD(unix_path), 0, 0,
     "serve: listen at a socket of this path instead"},
    {SERVER, 0, "api-key-file", "FILE", SERVE, false, qins_set_text, FIELD(api_key_file), 0, 0,
     "serve: only clients with one of its keys, a line each, may use the server"},
    {SERVER, 0, "cors", "ORIGIN", SERVE, false, qins_set_text, FIELD(cors), 0, 0,
     "serve: pages of this origin may use the server (default: only its own)"},
    {SERVER, 0, "no-ui", NULL, SERVE, false, qins_set_switch, FIELD(no_ui), 0, 0, "serve: no page at /"},
    {SERVER, 0, "queue", "N", SERVE, false, qins_set_count, FIELD(queue), 0, 4096,
     "serve: requests that may wait for a place (default: 32)"},
    {SERVER, 0, "alias", "NAME", SERVES, false, qins_set_text, FIELD(alias), 0, 0,
     "serve, batch: what the model is called (default: as its file)"},
    {SERVER, 0, "parallel", "N", SERVES, false, qins_set_count, FIELD(parallel), 1, QINS_MAX_PARALLEL,
     "serve, batch: replies at a time (default: 8)"},
    {SERVER, 0, "cache-mib", "N", SERVES, false, qins_set_count, FIELD(cache_mib), 0, MAX_COUNT,
     "serve, batch: memory for sessions between turns (default: 1024)"},
    {SERVER, 0, "skip-done", "FILE", 1u << QINS_BATCH, false, qins_set_text, FIELD(skip_done), 0, 0,
     "batch: skip as many requests as FILE, the replies so far, has lines"},
    {HELP, 'h', "help", NULL, ANY, true, qins_set_switch, FIELD(help), 0, 0,
     "the common options, or all of a command's"},
    {HELP, 0, "help-all", NULL, ANY, true, qins_set_switch, FIELD(help_all), 0, 0, "all options"},
    {HELP, 0, "list-options", NULL, ANY, false, qins_set_switch, FIELD(list_options), 0, 0,
     "words, values and help with tabs between them, for completion"},
    {HELP, 0, "version", NULL, ANY, true, qins_set_switch, FIELD(version), 0, 0, "version, libraries and instructions"},
    {NULL, 0, NULL, "COMMAND", ANY, false, refuse_operand, 0, 0, 0, NULL},
};

_Static_assert(sizeof rows / sizeof rows[0] <= QINS_MAX_ARGUMENTS, "a place for each row");

static const qins_alias aliases[] = {
    {"max-tokens", "n-predict"},
    {"max-new-tokens", "n-predict"},
    {"predict", "n-predict"},
    {"temperature", "temp"},
    {"system-prompt", "system"},
    {"repetition-penalty", "repeat-penalty"},
    {NULL, NULL},
};

const qins_arguments qins_run_arguments = {"qinsrun", rows, sizeof rows / sizeof rows[0], aliases};

// --- parsing ---

qins_status qins_options_parse(qins_options *options, unsigned commands, int argc, char **argv, qins_error *error) {
    *options = (qins_options){.n_predict = SIZE_MAX,
                              .max_windows = SIZE_MAX,
                              .bos = -1,
                              .task_format = QINS_TASK_FORMAT_COUNT,
                              .limit = SIZE_MAX,
                              .top = 5,
                              .host = "127.0.0.1",
                              .port = 8080,
                              .parallel = 8,
                              .queue = 32,
                              .cache_mib = 1024,
                              .sampler = qins_sampler_defaults(),
                              .session = qins_session_defaults(),
                              .convert = {.weight_type = QINS_QINS8}};
    qins_arguments_parse(&qins_run_arguments, commands, argc, argv, options, options->given, error);
    const char *model = getenv("QINS_MODEL");
    if (options->model == NULL && model != NULL && model[0] != '\0') options->model = model;
    options->convert.n_threads = options->n_threads > 0 ? options->n_threads : qins_default_threads();
    return error->status;
}

qins_status qins_options_check(const qins_options *options, qins_command command, qins_error *error) {
    const char *name = qins_command_names[command];
    for (size_t i = 0; i < qins_run_arguments.count; i++) {
        const bool given = options->given[i];
        if (given && (rows[i].commands & QINS_COMMAND_BIT(command)) == 0)
            return qins_fail(error, QINS_USAGE, "--%s has no meaning for \"%s\" (see qinsrun %s --help)", rows[i].name,
                             name, name);
    }
    if (options->logprobs > 0 && !options->json)
        return qins_fail(error, QINS_USAGE, "--logprobs are part of the record of --json; add --json");
    if (options->stream && !options->json)
        return qins_fail(error, QINS_USAGE, "--stream is for --json; text comes piece by piece without it");
    if (options->messages != NULL && (options->raw || options->system != NULL))
        return qins_fail(error, QINS_USAGE, "--%s has no meaning for --messages, which hold the conversation",
                         options->raw ? "raw" : "system");
    if (options->shots > 0 && options->examples == NULL)
        return qins_fail(error, QINS_USAGE, "--shots needs --examples FILE, questions to take them from");
    if (options->prompts > 0 && options->greedy == 0)
        return qins_fail(error, QINS_USAGE, "--prompts has no meaning without --greedy");
    if (options->ids != NULL && (options->raw || options->system != NULL))
        return qins_fail(error, QINS_USAGE, "--%s has no meaning for --ids, which are taken as they are",
                         options->raw ? "raw" : "system");
    if (options->raw && options->system != NULL)
        return qins_fail(error, QINS_USAGE, "--system has no meaning for --raw, which has no messages");
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
