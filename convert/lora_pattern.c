// Patterns; see lora_pattern.h. regcomp copies an operand that is repeated, so a short expression could take all
// memory: only single characters may be repeated, once, and at most MAX_REPEAT times by number.
#include "convert/lora_pattern.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_BYTES = 256, MAX_REPEAT = 32 };

static const char word[] = "[A-Za-z0-9_]", digit[] = "[0-9]"; // \w and \d, of the characters that names have

#define NAME_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"

// An expression that is rewritten for POSIX.
struct rewriting {
    const char *at; // in the pattern
    char *out;
    bool is_start;      // nothing precedes
    bool is_repeatable; // a single character precedes
    size_t depth;       // of groups
};

static bool is_one_of(char c, const char *set) {
    return c != '\0' && strchr(set, c) != NULL;
}

static bool copy(struct rewriting *rewriting, size_t size) {
    memcpy(rewriting->out, rewriting->at, size);
    rewriting->out += size;
    rewriting->at += size;
    return true;
}

static bool replace(struct rewriting *rewriting, size_t size, const char *text) {
    memcpy(rewriting->out, text, strlen(text));
    rewriting->out += strlen(text);
    rewriting->at += size;
    return true;
}

// A class such as [a-z0-9_] or [^.], in which POSIX and Python agree.
static bool rewrite_class(struct rewriting *rewriting) {
    const size_t skip = rewriting->at[1] == '^' ? 2 : 1, size = strspn(rewriting->at + skip, NAME_CHARACTERS ".");
    return size > 0 && rewriting->at[skip + size] == ']' && copy(rewriting, skip + size + 1);
}

static bool rewrite_escape(struct rewriting *rewriting) {
    const char c = rewriting->at[1];
    if (c == 'd') return replace(rewriting, 2, digit);
    if (c == 'w') return replace(rewriting, 2, word);
    if (c == '-') return replace(rewriting, 2, "-"); // POSIX does not escape it
    return is_one_of(c, ".*+?()|[]^${}") && copy(rewriting, 2);
}

// {2}, {1,3} or {1,}
static bool rewrite_bounds(struct rewriting *rewriting) {
    static const char digits[] = "0123456789";
    const char *first = rewriting->at + 1, *end = first + strspn(first, digits);
    const int least = atoi(first);
    int most = least;
    if (end == first || end - first > 2) return false;
    if (*end == ',') {
        const char *second = end + 1;
        end = second + strspn(second, digits);
        if (end - second > 2) return false;
        if (end > second) most = atoi(second);
    }
    return *end == '}' && least <= most && most <= MAX_REPEAT && copy(rewriting, (size_t)(end + 1 - rewriting->at));
}

// The next part; false: it is not understood.
static bool rewrite_part(struct rewriting *rewriting) {
    const char c = *rewriting->at;
    const bool was_repeatable = rewriting->is_repeatable;
    rewriting->is_repeatable = true;
    if (c == '[') return rewrite_class(rewriting);
    if (c == '\\') return rewrite_escape(rewriting);
    if (is_one_of(c, NAME_CHARACTERS ".")) return copy(rewriting, 1);
    rewriting->is_repeatable = false;
    if (c == '{') return was_repeatable && rewrite_bounds(rewriting);
    if (is_one_of(c, "*+?")) return was_repeatable && copy(rewriting, 1);
    if (c == '^') return rewriting->is_start && copy(rewriting, 1);
    if (c == '$') return rewriting->at[1] == '\0' && copy(rewriting, 1);
    if (c == ')' && rewriting->depth == 0) return false;
    if (c == '(') rewriting->depth++;
    if (c == ')') rewriting->depth--;
    return is_one_of(c, "()|") && copy(rewriting, 1);
}

static bool rewrite(const char *pattern, char *out) {
    struct rewriting rewriting = {.at = pattern, .out = out, .is_start = true};
    bool is_known = strlen(pattern) <= MAX_BYTES;
    while (is_known && *rewriting.at != '\0') {
        is_known = rewrite_part(&rewriting);
        rewriting.is_start = false;
    }
    *rewriting.out = '\0';
    return is_known && rewriting.depth == 0;
}

bool qins_lora_pattern_is_name(const char *text) {
    return strspn(text, NAME_CHARACTERS ".") == strlen(text);
}

qins_status qins_lora_pattern_compile(qins_lora_pattern *pattern, const char *text, qins_error *error) {
    char posix[MAX_BYTES * sizeof word], anchored[sizeof posix + 16];
    *pattern = (qins_lora_pattern){.text = text};
    if (qins_lora_pattern_is_name(text)) return QINS_OK;
    int failure = REG_BADPAT;
    if (rewrite(text, posix)) {
        snprintf(anchored, sizeof anchored, "^(.*\\.)?(%s)$", posix);
        failure = regcomp(&pattern->regex, anchored, REG_EXTENDED | REG_NOSUB);
    }
    pattern->is_expression = failure == 0;
    if (failure == REG_ESPACE) return qins_fail(error, QINS_FAILED, "out of memory for the pattern \"%s\"", text);
    if (failure != 0)
        return qins_fail(error, QINS_BAD_MODEL, "the pattern \"%s\" is not supported; merge the adapter with peft",
                         text);
    return QINS_OK;
}

void qins_lora_pattern_free(qins_lora_pattern *pattern) {
    if (pattern->is_expression) regfree(&pattern->regex);
    pattern->is_expression = false;
}

static bool ends_with_name(const char *module, const char *name) {
    const size_t length = strlen(module), name_length = strlen(name);
    if (name_length > length) return false;
    const char *end = module + length - name_length;
    if (name_length < length && end[-1] != '.') return false;
    for (size_t i = 0; i < name_length; i++)
        if (name[i] != '.' && name[i] != end[i]) return false;
    return true;
}

bool qins_lora_pattern_matches(const qins_lora_pattern *pattern, const char *module) {
    if (!pattern->is_expression) return ends_with_name(module, pattern->text);
    return regexec(&pattern->regex, module, 0, NULL, 0) == 0;
}
