// /set: options that can be changed during a chat; see chat_internal.h.
#include "engine/cli/chat_internal.h"

#include "engine/runtime/sampler.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { MAX_NAME = 31 };

static const char *const settable[] = {"temp", "top-k", "top-p", "min-p", "repeat-penalty", "seed", "n-predict"};

static const struct {
    const char *name, *option;
} aliases[] = {{"temperature", "temp"}, {"n", "n-predict"}, {"max-tokens", "n-predict"}, {"num-predict", "n-predict"}};

static void show_settings(const qins_sampling_options *options) {
    const qins_sampler_options *sampler = &options->sampler;
    fprintf(stderr, "qinsrun: temp %g, top-k %zu, top-p %g, min-p %g, repeat-penalty %g, seed %" PRIu64 ", n-predict ",
            (double)sampler->temperature, sampler->top_k, (double)sampler->top_p, (double)sampler->min_p,
            (double)sampler->repeat_penalty, sampler->seed);
    if (options->n_predict != SIZE_MAX)
        fprintf(stderr, "%zu\n", options->n_predict);
    else
        fputs("no limit\n", stderr);
}

// The option that is meant by name[size], NULL if it cannot be set. top_p is top-p.
static const char *find_option(const char *text, size_t size) {
    char name[MAX_NAME + 1] = "";
    if (size > MAX_NAME) return NULL;
    for (size_t i = 0; i < size; i++) name[i] = text[i] == '_' ? '-' : text[i];
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
        if (strcmp(aliases[i].name, name) == 0) return aliases[i].option;
    for (size_t i = 0; i < sizeof settable / sizeof *settable; i++)
        if (strcmp(settable[i], name) == 0) return settable[i];
    return NULL;
}

void qins_chat_set(qins_chat *chat, const char *argument, qins_error *error) {
    if (argument[0] == '\0') {
        show_settings(&chat->options->sampling);
        return;
    }
    static const char word[] = "parameter "; // as in ollama
    if (strncmp(argument, word, sizeof word - 1) == 0) argument += sizeof word - 1;
    const size_t size = strcspn(argument, " =");
    const char *name = find_option(argument, size), *value = argument + size + strspn(argument + size, " =");
    qins_options changed = *chat->options;
    if (name == NULL)
        qins_fail(error, QINS_USAGE,
                  "%.*s cannot be set; these can: temp, top-k, top-p, min-p, repeat-penalty, seed, n-predict",
                  (int)size, argument);
    else if (value[0] == '\0')
        qins_fail(error, QINS_USAGE, "/set %s takes a value", name);
    else
        qins_option_table_set(&qins_run_option_table, QINS_GENERATION_OPTIONS | QINS_LENGTH_OPTIONS, name, value,
                              &changed, error);
    if (error->status != QINS_OK || qins_sampler_check(&changed.sampling.sampler, error) != QINS_OK) return;
    if (changed.sampling.sampler.seed != chat->options->sampling.sampler.seed) chat->generator.n_replies = 0;
    *chat->options = changed;
    qins_chat_say(chat, "%s is %s from now on", name, value);
}
