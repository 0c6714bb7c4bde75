// Splitting rules; see split.h. The expressions are ordered choices with greedy repetition, so each function below
// tries what its expression tries, in that order, and takes the first that matches. None needs to backtrack: where a
// repetition would give characters back, the place to return to is recorded while scanning.
#include "tokenizer/split.h"

#include "tokenizer/unicode_class.h"

#include <string.h>

typedef struct scanner {
    const char *text;
    size_t size;
} scanner;

static const unsigned letters = 1u << UNICODE_UPPER | 1u << UNICODE_LOWER | 1u << UNICODE_LETTER;
static const unsigned numbers = 1u << UNICODE_DIGIT | 1u << UNICODE_NUMBER;
static const unsigned spaces = 1u << UNICODE_SPACE;
static const unsigned others = 1u << UNICODE_OTHER | 1u << UNICODE_MARK | 1u << UNICODE_WORD; // neither of these three

// The end of the character at `at` if it is of one of these classes, else `at`; also at the end of the text.
static size_t skip_one(const scanner *scan, size_t at, unsigned classes) {
    if (at >= scan->size) return at;
    size_t length;
    unicode_class class = unicode_class_at(scan->text + at, scan->size - at, &length);
    return classes >> class & 1 ? at + length : at;
}

static size_t skip(const scanner *scan, size_t at, unsigned classes, size_t at_most) {
    for (size_t next; at_most-- > 0 && (next = skip_one(scan, at, classes)) > at; at = next) continue;
    return at;
}

static size_t skip_all(const scanner *scan, size_t at, unsigned classes) {
    return skip(scan, at, classes, SIZE_MAX);
}

static bool is_at(const scanner *scan, size_t at, char c) {
    return at < scan->size && scan->text[at] == c;
}

static bool is_newline(const scanner *scan, size_t at) {
    return is_at(scan, at, '\n') || is_at(scan, at, '\r');
}

// 's|'t|'re|'ve|'m|'ll|'d
static size_t skip_contraction(const scanner *scan, size_t at, bool any_case) {
    static const char *const endings[] = {"s", "t", "re", "ve", "m", "ll", "d"};
    if (!is_at(scan, at, '\'')) return at;
    const char *text = scan->text + at + 1;
    size_t size = scan->size - at - 1;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t length = strlen(endings[i]), same = 0;
        while (same < length && same < size &&
               (any_case && (unsigned char)text[same] < 128 ? text[same] | 32 : text[same]) == endings[i][same])
            same++;
        if (same == length) return at + 1 + length;
    }
    bool is_long_s = any_case && size >= 2 && memcmp(text, "\xC5\xBF", 2) == 0; // U+017F is an s without case
    return is_long_s ? at + 3 : at;
}

// \s+(?!\S)|\s+
static size_t skip_spaces(const scanner *scan, size_t at) {
    size_t last = at, end = at;
    for (size_t next; (next = skip_one(scan, end, spaces)) > end; end = next) last = end;
    return end < scan->size && last > at ? last : end;
}

// \s*[\r\n]+
static size_t skip_lines(const scanner *scan, size_t at) {
    size_t end = at;
    for (size_t next; (next = skip_one(scan, at, spaces)) > at; at = next)
        if (is_newline(scan, at)) end = next;
    return end;
}

// ` ?[CLASSES]+`
static size_t skip_spaced(const scanner *scan, size_t at, unsigned classes) {
    size_t start = at + is_at(scan, at, ' '), end = skip_all(scan, start, classes);
    return end > start ? end : at;
}

// ` ?[^\s\p{L}\p{N}]+[\r\n]*`, o200k: `[\r\n/]*`
static size_t skip_signs(const scanner *scan, size_t at, bool with_slashes) {
    size_t end = skip_spaced(scan, at, others);
    if (end > at)
        while (is_newline(scan, end) || (with_slashes && is_at(scan, end, '/'))) end++;
    return end;
}

// [^\r\n\p{L}\p{N}]
static size_t skip_lead(const scanner *scan, size_t at) {
    return is_newline(scan, at) ? at : skip_one(scan, at, spaces | others);
}

static size_t end_gpt2(const scanner *scan, size_t at) {
    size_t end = skip_contraction(scan, at, false);
    if (end == at) end = skip_spaced(scan, at, letters);
    if (end == at) end = skip_spaced(scan, at, numbers);
    if (end == at) end = skip_spaced(scan, at, others);
    return end == at ? skip_spaces(scan, at) : end;
}

// \p{N}{1,3} and what follows it in cl100k and o200k
static size_t end_of_no_word(const scanner *scan, size_t at, bool with_slashes) {
    size_t end = skip(scan, at, numbers, 3);
    if (end == at) end = skip_signs(scan, at, with_slashes);
    if (end == at) end = skip_lines(scan, at);
    return end == at ? skip_spaces(scan, at) : end;
}

static size_t end_cl100k(const scanner *scan, size_t at) {
    size_t end = skip_contraction(scan, at, true);
    if (end > at) return end;
    size_t start = skip_lead(scan, at);
    end = skip_all(scan, start, letters);
    return end > start ? end : end_of_no_word(scan, at, false);
}

// o200k separates a word in upper case from the word in lower case that follows it. A: Lu Lt Lm Lo M; C: Ll Lm Lo M.
static const unsigned both_cases = 1u << UNICODE_LETTER | 1u << UNICODE_MARK;
static const unsigned upper_case = 1u << UNICODE_UPPER | 1u << UNICODE_LETTER | 1u << UNICODE_MARK;
static const unsigned lower_case = 1u << UNICODE_LOWER | 1u << UNICODE_LETTER | 1u << UNICODE_MARK;

// A*C+: if no C follows the run of A, it is given back up to its last character that is in C as well.
static size_t skip_ending_low(const scanner *scan, size_t at) {
    size_t end = at, given_back = at;
    for (size_t next; (next = skip_one(scan, end, upper_case)) > end; end = next)
        if (skip_one(scan, end, both_cases) > end) given_back = next;
    size_t low = skip_all(scan, end, lower_case);
    return low > end ? low : given_back;
}

static size_t end_o200k(const scanner *scan, size_t at) {
    const size_t lead = skip_lead(scan, at);
    size_t end = skip_ending_low(scan, lead);
    if (end == lead) end = lead > at ? skip_ending_low(scan, at) : at;
    if (end == at) { // A+C*, where no C can follow
        end = skip_all(scan, lead, upper_case);
        if (end == lead) end = lead > at ? skip_all(scan, at, upper_case) : at;
    }
    return end > at ? skip_contraction(scan, end, true) : end_of_no_word(scan, at, true);
}

static size_t end_digits(const scanner *scan, size_t at, size_t at_most) {
    size_t end = skip(scan, at, numbers, at_most);
    return end > at ? end : skip_all(scan, at, ~numbers);
}

size_t split_word_end(split_rule rule, const char *text, size_t size, size_t at) {
    const scanner scan = {text, size};
    switch (rule) {
    case SPLIT_GPT2:
        return end_gpt2(&scan, at);
    case SPLIT_CL100K:
        return end_cl100k(&scan, at);
    case SPLIT_O200K:
        return end_o200k(&scan, at);
    case SPLIT_DIGITS:
        return end_digits(&scan, at, 1);
    case SPLIT_DIGIT_RUNS:
        return end_digits(&scan, at, SIZE_MAX);
    }
    return size;
}
