// Parsing of qinsrun's options; see options.h.
#define _GNU_SOURCE // getopt_long
#include "engine/cli/options.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char qins_options_help[] =
    "qinsrun -m MODEL -p PROMPT        answer one prompt (or: -f FILE, or a prompt on standard input)\n"
    "qinsrun chat -m MODEL             talk, turn by turn\n"
    "qinsrun COMMAND -m MODEL ...      score, perplexity, compare, bench, tokenize, info, verify\n"
    "\n"
    "MODEL is a .qins file (made by qinsconvert) or a Hugging Face folder, converted in memory on the way in.\n"
    "\n"
    "Prompt\n"
    "  -p, --prompt TEXT       the prompt\n"
    "  -f, --file FILE         prompt from a file, - for standard input\n"
    "      --ids FILE          prompt as token ids, separated by white space\n"
    "      --system TEXT       system message in front of the conversation\n"
    "      --raw               no chat template: complete the text as it is\n"
    "      --parse-special     markers such as <|end|> typed in a message act as markers\n"
    "      --no-special        markers in --raw and tokenize input are plain text\n"
    "Generation\n"
    "  -n, --n-predict N       at most N tokens (default: until a stop token or the end of the context)\n"
    "  -c, --ctx-size N        context in tokens (default: the model's, as far as memory allows)\n"
    "      --stop TEXT         stop in front of this text; may be repeated\n"
    "      --ids-out           print token ids instead of text\n"
    "Sampling (default: greedy)\n"
    "      --temp X            temperature; 0 is greedy\n"
    "      --top-k N  --top-p X  --min-p X  --repeat-penalty X\n"
    "  -s, --seed N            seed of the random numbers (default: a new one, printed)\n"
    "Engine\n"
    "  -t, --threads N         threads (default: all processors)\n"
    "      --cpu scalar|avx2|avx512|auto  instructions to use (default: the best of this machine)\n"
    "      --matmul auto|sgemm|bf16  products of prompts (default: bf16 where the processor is fast at it)\n"
    "      --kv-k f16|f32      keys in the cache (default f16)\n"
    "      --kv-v qins8|f16|f32  values in the cache (default qins8)\n"
    "      --rope auto|long    LongRoPE factors: by the sequence's length, or long from the first token\n"
    "Conversion of a Hugging Face folder\n"
    "      --type qins8|bf16|f32  --lm-head bf16|qins8  --curve projective|log\n"
    "Commands\n"
    "  score --ids FILE [--top K]   one JSON line per position: log-probability, log-sum-exp, best tokens\n"
    "  perplexity -f TEXT | --ids-file FILE.i32 [-c WINDOW] [--bos ID] [--max-windows N]\n"
    "  compare --ref MODEL, and as perplexity: KL divergence from the reference, which always keeps K and V in FP32\n"
    "                               (a folder as reference: weights in FP32 as well)\n"
    "  tokenize -p TEXT [--no-special]   ids of a text;  --decode: text of ids\n"
    "  bench [-p TOKENS,..] [-n TOKENS] [-d DEPTH,..] [-r REPEATS]   speed of prompts and of generation behind DEPTH\n"
    "                               tokens, beside what the machine can do (default -p 512 -n 128 -d 0 -r 3)\n"
    "  info, verify                 what a file holds; check every hash\n"
    "      --json                   machine-readable output\n"
    "  -h, --help  --version\n"
    "\n"
    "Exit codes: 0 ok, 1 run-time failure, 2 usage, 3 bad model file, 4 context overflow, 130 interrupted.\n";

enum {
    OPT_IDS = 256,
    OPT_IDS_FILE,
    OPT_SYSTEM,
    OPT_RAW,
    OPT_PARSE_SPECIAL,
    OPT_NO_SPECIAL,
    OPT_STOP,
    OPT_IDS_OUT,
    OPT_TEMP,
    OPT_TOP_K,
    OPT_TOP_P,
    OPT_MIN_P,
    OPT_REPEAT_PENALTY,
    OPT_CPU,
    OPT_MATMUL,
    OPT_KV_K,
    OPT_KV_V,
    OPT_ROPE,
    OPT_TYPE,
    OPT_LM_HEAD,
    OPT_CURVE,
    OPT_TOP,
    OPT_REF,
    OPT_BOS,
    OPT_MAX_WINDOWS,
    OPT_DECODE,
    OPT_JSON,
    OPT_VERSION
};

static const struct option long_options[] = {{"model", required_argument, NULL, 'm'},
                                             {"prompt", required_argument, NULL, 'p'},
                                             {"file", required_argument, NULL, 'f'},
                                             {"ids", required_argument, NULL, OPT_IDS},
                                             {"ids-file", required_argument, NULL, OPT_IDS_FILE},
                                             {"system", required_argument, NULL, OPT_SYSTEM},
                                             {"raw", no_argument, NULL, OPT_RAW},
                                             {"parse-special", no_argument, NULL, OPT_PARSE_SPECIAL},
                                             {"no-special", no_argument, NULL, OPT_NO_SPECIAL},
                                             {"n-predict", required_argument, NULL, 'n'},
                                             {"ctx-size", required_argument, NULL, 'c'},
                                             {"window", required_argument, NULL, 'c'},
                                             {"stop", required_argument, NULL, OPT_STOP},
                                             {"ids-out", no_argument, NULL, OPT_IDS_OUT},
                                             {"temp", required_argument, NULL, OPT_TEMP},
                                             {"top-k", required_argument, NULL, OPT_TOP_K},
                                             {"top-p", required_argument, NULL, OPT_TOP_P},
                                             {"min-p", required_argument, NULL, OPT_MIN_P},
                                             {"repeat-penalty", required_argument, NULL, OPT_REPEAT_PENALTY},
                                             {"seed", required_argument, NULL, 's'},
                                             {"threads", required_argument, NULL, 't'},
                                             {"cpu", required_argument, NULL, OPT_CPU},
                                             {"matmul", required_argument, NULL, OPT_MATMUL},
                                             {"kv-k", required_argument, NULL, OPT_KV_K},
                                             {"kv-v", required_argument, NULL, OPT_KV_V},
                                             {"rope", required_argument, NULL, OPT_ROPE},
                                             {"type", required_argument, NULL, OPT_TYPE},
                                             {"lm-head", required_argument, NULL, OPT_LM_HEAD},
                                             {"curve", required_argument, NULL, OPT_CURVE},
                                             {"top", required_argument, NULL, OPT_TOP},
                                             {"ref", required_argument, NULL, OPT_REF},
                                             {"bos", required_argument, NULL, OPT_BOS},
                                             {"max-windows", required_argument, NULL, OPT_MAX_WINDOWS},
                                             {"decode", no_argument, NULL, OPT_DECODE},
                                             {"json", no_argument, NULL, OPT_JSON},
                                             {"help", no_argument, NULL, 'h'},
                                             {"version", no_argument, NULL, OPT_VERSION},
                                             {NULL, 0, NULL, 0}};

// What the option at hand is called, for messages.
typedef struct option_text {
    char name[32];
    const char *value;
    qins_error *error;
} option_text;

static uint64_t parse_count(const option_text *option, uint64_t min, uint64_t max) {
    char *end;
    errno = 0;
    unsigned long long value = strtoull(option->value, &end, 10);
    bool is_number = option->value[0] >= '0' && option->value[0] <= '9' && *end == '\0';
    if (is_number && errno == 0 && value >= min && value <= max) return value;
    qins_fail(option->error, QINS_USAGE, "%s takes a whole number from %llu to %llu, not \"%s\"", option->name,
              (unsigned long long)min, (unsigned long long)max, option->value);
    return min;
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

static float parse_number(const option_text *option) {
    char *end;
    float value = strtof(option->value, &end);
    if (end != option->value && *end == '\0' && isfinite(value)) return value;
    qins_fail(option->error, QINS_USAGE, "%s takes a number, not \"%s\"", option->name, option->value);
    return 0;
}

// One of the named types; `allowed` is a list such as "f16|f32" of names.
static qins_type parse_type(const option_text *option, const char *allowed) {
    qins_type type = QINS_F32;
    const char *found = strstr(allowed, option->value);
    size_t length = strlen(option->value);
    bool is_whole =
        found != NULL && (found == allowed || found[-1] == '|') && (found[length] == '|' || found[length] == '\0');
    if (!is_whole || !qins_type_from_name(option->value, &type))
        qins_fail(option->error, QINS_USAGE, "%s takes %s, not \"%s\"", option->name, allowed, option->value);
    return type;
}

static qins_matmul parse_matmul(const option_text *option) {
    static const char *const names[] = {
        [QINS_MATMUL_AUTO] = "auto", [QINS_MATMUL_SGEMM] = "sgemm", [QINS_MATMUL_BF16] = "bf16"};
    for (int i = 0; i < 3; i++) {
        if (strcmp(option->value, names[i]) == 0) return (qins_matmul)i;
    }
    qins_fail(option->error, QINS_USAGE, "%s takes auto|sgemm|bf16, not \"%s\"", option->name, option->value);
    return QINS_MATMUL_AUTO;
}

static void set_source(const char **source, const qins_options *options, const option_text *option) {
    if (options->prompt != NULL || options->prompt_file != NULL || options->ids != NULL || options->ids_file != NULL)
        qins_fail(option->error, QINS_USAGE, "%s: the prompt was given already; use one of -p, -f, --ids, --ids-file",
                  option->name);
    *source = option->value;
}

static void add_stop(qins_options *options, const option_text *option) {
    if (option->value[0] == '\0') {
        qins_fail(option->error, QINS_USAGE, "--stop takes a text of at least one character");
    } else if (options->n_stops == QINS_MAX_STOP_TEXTS) {
        qins_fail(option->error, QINS_USAGE, "--stop may be given at most %d times", QINS_MAX_STOP_TEXTS);
    } else {
        options->stops[options->n_stops++] = option->value;
    }
}

static void apply(qins_options *options, int code, const option_text *option) {
    const size_t max_count = 1 << 24;
    switch (code) {
    case 'm':
        options->model = option->value;
        break;
    case 'p':
        set_source(&options->prompt, options, option);
        break;
    case 'f':
        set_source(&options->prompt_file, options, option);
        break;
    case OPT_IDS:
        set_source(&options->ids, options, option);
        break;
    case OPT_IDS_FILE:
        set_source(&options->ids_file, options, option);
        break;
    case OPT_SYSTEM:
        options->system = option->value;
        break;
    case OPT_RAW:
        options->raw = true;
        break;
    case OPT_PARSE_SPECIAL:
        options->parse_special = true;
        break;
    case OPT_NO_SPECIAL:
        options->no_special = true;
        break;
    case 'n':
        options->n_predict = parse_count(option, 0, max_count);
        options->n_predict_given = true;
        break;
    case 'c':
        options->session.n_ctx = options->window = parse_count(option, 0, max_count);
        break;
    case OPT_STOP:
        add_stop(options, option);
        break;
    case OPT_IDS_OUT:
        options->ids_out = true;
        break;
    case OPT_TEMP:
        options->sampler.temperature = parse_number(option);
        break;
    case OPT_TOP_K:
        options->sampler.top_k = parse_count(option, 0, max_count);
        break;
    case OPT_TOP_P:
        options->sampler.top_p = parse_number(option);
        break;
    case OPT_MIN_P:
        options->sampler.min_p = parse_number(option);
        break;
    case OPT_REPEAT_PENALTY:
        options->sampler.repeat_penalty = parse_number(option);
        break;
    case 's':
        options->sampler.seed = parse_count(option, 0, UINT64_MAX);
        options->seed_given = true;
        break;
    case 't':
        options->session.n_threads = options->convert.n_threads = parse_count(option, 1, 1024);
        break;
    case OPT_CPU:
        options->cpu = option->value;
        break;
    case OPT_MATMUL:
        options->session.matmul = parse_matmul(option);
        break;
    case OPT_KV_K:
        options->session.k_type = parse_type(option, "f16|f32");
        break;
    case OPT_KV_V:
        options->session.v_type = parse_type(option, "qins8|f16|f32");
        break;
    case OPT_ROPE:
        options->session.rope_long = strcmp(option->value, "long") == 0;
        if (!options->session.rope_long && strcmp(option->value, "auto") != 0)
            qins_fail(option->error, QINS_USAGE, "--rope takes auto|long, not \"%s\"", option->value);
        break;
    case OPT_TYPE:
        options->convert.weight_type = parse_type(option, "qins8|bf16|f32");
        break;
    case OPT_LM_HEAD:
        options->convert.head_type = parse_type(option, "bf16|qins8");
        options->convert.head_given = true;
        break;
    case OPT_CURVE:
        if (!qins_curve_from_name(option->value, &options->convert.curve))
            qins_fail(option->error, QINS_USAGE, "--curve takes projective|log, not \"%s\"", option->value);
        break;
    case OPT_TOP:
        options->top = parse_count(option, 0, max_count);
        break;
    case OPT_REF:
        options->ref = option->value;
        break;
    case OPT_BOS:
        options->bos = (int64_t)parse_count(option, 0, INT32_MAX);
        break;
    case OPT_MAX_WINDOWS:
        options->max_windows = parse_count(option, 1, SIZE_MAX);
        break;
    case 'd':
        options->depths = option->value;
        break;
    case 'r':
        options->repeats = parse_count(option, 1, 100);
        break;
    case OPT_DECODE:
        options->decode = true;
        break;
    case OPT_JSON:
        options->json = true;
        break;
    case 'h':
        options->help = true;
        break;
    case OPT_VERSION:
        options->version = true;
        break;
    default:
        break; // '?' was reported by the caller
    }
}

qins_status qins_options_parse(qins_options *options, int argc, char **argv, qins_error *error) {
    *options = (qins_options){
        .n_predict = SIZE_MAX,
        .max_windows = SIZE_MAX,
        .bos = -1,
        .top = 5,
        .sampler = {.top_p = 1.0f, .repeat_penalty = 1.0f},
        .session = {.k_type = QINS_F16, .v_type = QINS_QINS8},
        .convert = {.weight_type = QINS_QINS8, .curve = QINS_PROJECTIVE, .n_threads = qins_processor_count()}};
    opterr = 0;
    optind = 0; // forgets an earlier parse that ended early, as 1 does not
    for (;;) {
        int index = -1, at = optind == 0 ? 1 : optind;
        int code = getopt_long(argc, argv, "+:m:p:f:n:c:t:s:d:r:h", long_options, &index); // +: nothing is reordered
        if (code == -1) break;
        if (code == '?' || code == ':')
            return qins_fail(error, QINS_USAGE, "%s %s; see qinsrun --help", argv[at < argc ? at : argc - 1],
                             code == '?' ? "is not an option" : "needs a value");
        option_text option = {.value = optarg, .error = error};
        if (index >= 0)
            snprintf(option.name, sizeof option.name, "--%s", long_options[index].name);
        else
            snprintf(option.name, sizeof option.name, "-%c", code);
        apply(options, code, &option);
    }
    if (optind < argc)
        qins_fail(error, QINS_USAGE, "\"%s\" is no option (a command comes first); see qinsrun --help", argv[optind]);
    return error->status;
}
