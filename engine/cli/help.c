// Help texts; see help.h.
#include "engine/cli/help.h"

#include "engine/kernels/tiers.h"
#include "engine/measure/machine.h"

#include <stdio.h>

static const struct {
    const char *usage, *what;
} commands[QINS_COMMAND_COUNT] = {
    [QINS_RUN] = {"qinsrun -m MODEL -p PROMPT", "answer a prompt; without -p or -f, the one on standard input"},
    [QINS_CHAT] = {"qinsrun chat -m MODEL", "talk, turn by turn; /help lists what can be typed"},
    [QINS_SCORE] = {"qinsrun score -m MODEL --ids FILE",
                    "a JSON line per token: log-probability, log-sum-exp, best ones"},
    [QINS_PERPLEXITY] = {"qinsrun perplexity -m MODEL -f TEXT", "perplexity of a text, cut into windows"},
    [QINS_COMPARE] = {"qinsrun compare -m MODEL --ref MODEL -f TEXT", "KL divergence from a reference over a text"},
    [QINS_EVAL] = {"qinsrun eval -m MODEL --task FILE", "multiple-choice questions by log-likelihood"},
    [QINS_BENCH] = {"qinsrun bench -m MODEL", "speed, beside what the machine can do"},
    [QINS_TOKENIZE] = {"qinsrun tokenize -m MODEL -p TEXT", "the token ids of a text; with --decode the text of ids"},
    [QINS_INFO] = {"qinsrun info -m MODEL", "what a file holds"},
    [QINS_VERIFY] = {"qinsrun verify -m MODEL", "check every hash of a file"},
    [QINS_SERVE] = {"qinsrun serve -m MODEL",
                    "a server with OpenAI's API, and a page to talk at http://127.0.0.1:8080"},
    [QINS_BATCH] = {"qinsrun batch -m MODEL <REQUESTS >REPLIES", "answer requests to such a server, a JSON line each"},
};

static const char examples[] = "Examples\n"
                               "  qinsrun -m model.qins -p \"Why is the sky blue?\" -n 200\n"
                               "  git diff | qinsrun -m model.qins --system \"Write a commit message.\" >message\n"
                               "  qinsrun chat -m model.qins --temp 0.7 --top-p 0.9\n";

static const char exit_codes[] =
    "Exit codes: 0 ok, 1 run-time failure, 2 usage, 3 bad model file, 4 context overflow, 130 interrupted.\n";

static void print_usage(int first, int last) {
    for (int i = first; i <= last; i++) printf("%-46s %s\n", commands[i].usage, commands[i].what);
}

void qins_print_help(const qins_options *options, qins_command named) {
    if (named != QINS_COMMAND_COUNT) {
        print_usage((int)named, (int)named);
        putchar('\n');
        qins_arguments_print(&qins_run_arguments, QINS_COMMAND_BIT(named), false, stdout);
    } else if (options->help_all) {
        print_usage(0, QINS_COMMAND_COUNT - 1);
        printf("\n%s\n", examples);
        qins_arguments_print(&qins_run_arguments, QINS_COMMAND_BIT(QINS_COMMAND_COUNT) - 1, false, stdout);
    } else {
        print_usage(QINS_RUN, QINS_CHAT);
        printf("%-46s %s\n\n%s\n", "qinsrun COMMAND -m MODEL ...",
               "serve, batch, score, perplexity, compare, eval, bench, tokenize, info, verify", examples);
        qins_arguments_print(&qins_run_arguments, QINS_DEFAULT_COMMANDS, true, stdout);
    }
    printf("\n%s", exit_codes);
}

void qins_list_options(qins_command named) {
    const bool is_named = named != QINS_COMMAND_COUNT;
    for (int i = 0; i < QINS_COMMAND_COUNT && !is_named; i++)
        printf("%s\t\t%s\n", qins_command_names[i], commands[i].what);
    qins_arguments_list(&qins_run_arguments, is_named ? QINS_COMMAND_BIT(named) : QINS_DEFAULT_COMMANDS, stdout);
}

void qins_print_version(void) {
    printf("qinsrun %s\nBLAS %s\nCPU %s\n", qins_version(), qins_blas_name(), qins_tier_get()->name);
}
