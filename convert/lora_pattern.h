// Patterns of adapter_config.json: regular expressions of Python's re, as far as POSIX can express them with bounded
// effort.
#ifndef QINS_CONVERT_LORA_PATTERN_H
#define QINS_CONVERT_LORA_PATTERN_H

#include "engine/base/error.h"

#include <regex.h>
#include <stdbool.h>

typedef struct qins_lora_pattern {
    const char *text;   // of the caller
    bool is_expression; // otherwise it is nothing but a name
    regex_t regex;      // of an expression
    double value;       // for the modules that match
} qins_lora_pattern;

// Compile a pattern. Refuses (QINS_BAD_MODEL) one that it does not understand. Release with qins_lora_pattern_free.
qins_status qins_lora_pattern_compile(qins_lora_pattern *pattern, const char *text, qins_error *error);
void qins_lora_pattern_free(qins_lora_pattern *pattern);

// Is it nothing but a name, or the end of one? In an expression a dot stands for any character.
bool qins_lora_pattern_is_name(const char *text);

// Does it match the whole name of a module, or the end of it after a dot? As peft's get_pattern_key:
// re.match("(.*\.)?(PATTERN)$", module).
bool qins_lora_pattern_matches(const qins_lora_pattern *pattern, const char *module);

#endif
