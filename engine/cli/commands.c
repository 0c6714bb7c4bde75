// The table of commands; see commands.h.
#include "engine/cli/commands.h"

#include <string.h>
#include <unistd.h>

enum {
    COMPUTES = QINS_COMMON_OPTIONS | QINS_SESSION_OPTIONS,
    GENERATES = COMPUTES | QINS_MARKERS_OPTIONS | QINS_LENGTH_OPTIONS | QINS_GENERATION_OPTIONS | QINS_VERBOSE_OPTIONS,
    MEASURES = COMPUTES | QINS_JSON_OPTIONS,
    WINDOWS = MEASURES | QINS_TEXT_OPTIONS | QINS_MARKERS_OPTIONS | QINS_WINDOWS_OPTIONS | QINS_BOS_OPTIONS,
    SERVES = COMPUTES | QINS_SERVICE_OPTIONS | QINS_VERBOSE_OPTIONS
};

const qins_command qins_commands[] = {
    {"run", "qinsrun -m MODEL -p PROMPT", "answer a prompt; without -p or -f, the one on standard input",
     GENERATES | QINS_JSON_OPTIONS | QINS_TEXT_OPTIONS | QINS_IDS_OPTIONS | QINS_NO_MARKERS_OPTIONS | QINS_RUN_OPTIONS,
     qins_cmd_run},
    {"chat", "qinsrun chat -m MODEL", "a conversation; /help lists its commands", GENERATES | QINS_CHAT_OPTIONS,
     qins_cmd_chat},
    {"serve", "qinsrun serve -m MODEL", "a server with OpenAI's API, and a chat page at http://127.0.0.1:8080",
     SERVES | QINS_SERVE_OPTIONS, qins_cmd_serve},
    {"batch", "qinsrun batch -m MODEL <REQUESTS >REPLIES",
     "answer the server's kind of requests, one JSON object per line", SERVES | QINS_BATCH_OPTIONS, qins_cmd_batch},
    {"score", "qinsrun score -m MODEL --ids FILE", "a JSON line per token: log-probability, log-sum-exp, best tokens",
     MEASURES | QINS_IDS_OPTIONS | QINS_SCORE_OPTIONS, qins_cmd_score},
    {"perplexity", "qinsrun perplexity -m MODEL -f TEXT", "perplexity of a text, cut into windows", WINDOWS,
     qins_cmd_perplexity},
    {"compare", "qinsrun compare -m MODEL --ref MODEL -f TEXT", "KL divergence from a reference over a text",
     WINDOWS | QINS_REFERENCE_OPTIONS | QINS_COMPARE_OPTIONS, qins_cmd_compare},
    {"eval", "qinsrun eval -m MODEL --task FILE", "multiple-choice questions by log-likelihood",
     MEASURES | QINS_BOS_OPTIONS | QINS_REFERENCE_OPTIONS | QINS_EVAL_OPTIONS, qins_cmd_eval},
    {"bench", "qinsrun bench -m MODEL", "speed, compared with the machine's limits",
     MEASURES | QINS_LENGTH_OPTIONS | QINS_BENCH_OPTIONS, qins_cmd_bench},
    {"tokenize", "qinsrun tokenize -m MODEL -p TEXT", "the token ids of a text; with --decode the text of ids",
     QINS_COMMON_OPTIONS | QINS_JSON_OPTIONS | QINS_TEXT_OPTIONS | QINS_IDS_OPTIONS | QINS_NO_MARKERS_OPTIONS |
         QINS_TOKENIZE_OPTIONS,
     qins_cmd_tokenize},
    {"info", "qinsrun info -m MODEL", "the contents of a file", QINS_COMMON_OPTIONS | QINS_JSON_OPTIONS, qins_cmd_info},
    {"verify", "qinsrun verify -m MODEL", "check every checksum and every stored value of a file",
     QINS_COMMON_OPTIONS | QINS_JSON_OPTIONS, qins_cmd_verify},
    {.name = NULL},
};

const qins_command *qins_command_find(const char *name) {
    const qins_command *command = qins_commands;
    while (command->name != NULL && strcmp(name, command->name) != 0) command++;
    return command->name != NULL ? command : NULL;
}

unsigned qins_default_options(void) {
    return qins_command_find("run")->options | qins_command_find("chat")->options;
}

const qins_command *qins_default_command(const qins_options *options) {
    const qins_prompt_options *prompt = &options->prompt;
    const bool has_prompt =
        prompt->text != NULL || prompt->n_files > 0 || prompt->ids != NULL || prompt->messages != NULL;
    const bool is_person = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    return qins_command_find(is_person && !has_prompt ? "chat" : "run");
}
