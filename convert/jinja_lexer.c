// Template text to tokens, with Jinja2's rules for white space around tags (jinja2/lexer.py, trim_blocks and
// lstrip_blocks on).
#include "convert/jinja_internal.h"
#include "engine/base/memory.h"
#include "engine/base/utf8.h"

#include <string.h>

static void add_token(jinja *j, jinja_token_kind kind, size_t at, const char *text, size_t size) {
    if (jinja_failed(j)) return;
    if (j->n_tokens == j->token_capacity) {
        const size_t capacity = j->token_capacity == 0 ? 64 : 2 * j->token_capacity;
        jinja_token *tokens = jinja_allocate(j, capacity, sizeof *tokens);
        if (tokens == NULL) return;
        if (j->n_tokens > 0) memcpy(tokens, j->tokens, j->n_tokens * sizeof *tokens);
        j->tokens = tokens;
        j->token_capacity = capacity;
    }
    j->tokens[j->n_tokens++] = (jinja_token){kind, at, text, size};
}

static bool starts_with(const jinja *j, size_t at, const char *text) {
    const size_t size = strlen(text);
    return j->size - at >= size && memcmp(j->text + at, text, size) == 0;
}

static size_t skip_space(const jinja *j, size_t at) {
    return at + jinja_space(j->text + at, j->size - at);
}

// --- inside of tags ---

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_word(char c) {
    return is_digit(c) || c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// The character that a \x, \u or \U with this many hexadecimal digits stands for, as UTF-8.
static size_t put_hexadecimal(jinja *j, const char *digits, size_t left, size_t n_digits, char *to) {
    uint32_t code = 0;
    for (size_t i = 0; i < n_digits; i++) {
        const char *all = "0123456789abcdef", *digit = NULL;
        if (i < left) digit = memchr(all, digits[i] >= 'A' && digits[i] <= 'F' ? digits[i] + 32 : digits[i], 16);
        if (digit == NULL) return jinja_raise(j, "an escape lacks digits"), 0;
        code = code << 4 | (uint32_t)(digit - all);
    }
    size_t size = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const uint8_t marks[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = size; i-- > 0; code >>= 6) to[i] = (char)(i > 0 ? 0x80 | (code & 0x3F) : marks[size] | code);
    uint32_t again;
    if (utf8_decode(to, size, &again) != size) jinja_refuse(j, "an escape stands for no character");
    return size;
}

// The escape after a backslash, text[0]; returns its bytes, *put are those that it stands for.
static size_t read_escape(jinja *j, const char *text, size_t left, char *to, size_t *put) {
    static const char names[] = "ntr\\'\"abfv", values[] = "\n\t\r\\'\"\a\b\f\v";
    const char *name = memchr(names, text[0], sizeof names - 1);
    const size_t n_digits = text[0] == 'x' ? 2 : text[0] == 'u' ? 4 : text[0] == 'U' ? 8 : 0;
    if (name != NULL) {
        to[0] = values[name - names];
        *put = 1;
    } else if (n_digits > 0) {
        *put = put_hexadecimal(j, text + 1, left - 1, n_digits, to);
        return 1 + n_digits;
    } else if (text[0] == '\n') {
        *put = 0;
    } else if (is_digit(text[0]) || text[0] == 'N' || (unsigned char)text[0] >= 0x80) {
        jinja_refuse(j, "an escape is not supported");
    } else { // stays as it is
        to[0] = '\\';
        *put = 1;
        return 0;
    }
    return 1;
}

static size_t read_string(jinja *j, size_t at) {
    const char quote = j->text[at];
    size_t end = at + 1, size = 0;
    while (end < j->size && j->text[end] != quote) end += j->text[end] == '\\' ? 2 : 1;
    if (end >= j->size) return jinja_raise(j, "a string does not end"), j->size;
    char *text = jinja_allocate(j, end - at, 1);
    for (size_t i = at + 1; i < end && text != NULL && !jinja_failed(j);) {
        if (j->text[i] != '\\') {
            text[size++] = j->text[i++];
        } else {
            size_t put = 0;
            i += 1 + read_escape(j, j->text + i + 1, end - i - 1, text + size, &put);
            size += put;
        }
    }
    add_token(j, TOKEN_STRING, at, text, size);
    return end + 1;
}

static size_t read_word(jinja *j, size_t at) {
    size_t end = at;
    const bool is_number = is_digit(j->text[at]);
    while (end < j->size && (is_number ? is_digit(j->text[end]) : is_word(j->text[end]))) end++;
    const bool goes_on = end < j->size && (is_word(j->text[end]) || (unsigned char)j->text[end] >= 0x80);
    const bool is_float = end + 1 < j->size && j->text[end] == '.' && is_digit(j->text[end + 1]);
    if (goes_on || (is_number && (is_float || (j->text[at] == '0' && end > at + 1))))
        jinja_refuse(j, "such numbers and names are not supported");
    add_token(j, is_number ? TOKEN_INTEGER : TOKEN_NAME, at, j->text + at, end - at);
    return end;
}

static size_t read_operator(jinja *j, size_t at) {
    static const char *const operators[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
                                            "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ","};
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
        if (!starts_with(j, at, operators[i])) continue;
        add_token(j, TOKEN_OPERATOR, at, operators[i], strlen(operators[i]));
        return at + strlen(operators[i]);
    }
    jinja_refuse(j, "an unexpected character in a tag");
    return j->size;
}

// The end of the tag, if it is here: the byte after it and what it swallows; else 0.
static size_t tag_end(const jinja *j, size_t at, bool is_block) {
    const char *plain = is_block ? "%}" : "}}";
    if (starts_with(j, at, is_block ? "-%}" : "-}}")) return skip_space(j, at + 3);
    if (is_block && starts_with(j, at, "+%}")) return at + 3;
    if (!starts_with(j, at, plain)) return 0;
    return at + 2 + (is_block && starts_with(j, at + 2, "\n"));
}

static size_t read_tag(jinja *j, size_t at, bool is_block) {
    size_t n_open = 0, end = 0; // brackets
    while (!jinja_failed(j)) {
        j->at = at = skip_space(j, at);
        if (at >= j->size) return jinja_raise(j, "a tag does not end"), at;
        if (n_open == 0 && (end = tag_end(j, at, is_block)) > 0) break;
        const char c = j->text[at];
        if (c == '\'' || c == '"')
            at = read_string(j, at);
        else if (is_word(c))
            at = read_word(j, at);
        else
            at = read_operator(j, at);
        n_open += c == '(' || c == '[' || c == '{';
        if (c != ')' && c != ']' && c != '}') continue;
        if (n_open == 0) jinja_raise(j, "a closing bracket has no opening one");
        n_open--;
    }
    add_token(j, is_block ? TOKEN_BLOCK_END : TOKEN_OUTPUT_END, at, NULL, 0);
    return end;
}

static size_t read_comment(jinja *j, size_t at) {
    const size_t start = at;
    while (at < j->size && !starts_with(j, at, "#}")) at++;
    if (at >= j->size) return jinja_refuse(j, "a comment does not end"), at;
    const char sign = at > start ? j->text[at - 1] : ' ';
    if (sign == '-') return skip_space(j, at + 2);
    return at + 2 + (sign != '+' && starts_with(j, at + 2, "\n"));
}

// --- between tags ---

// Text before a tag: a '-' strips it; before blocks and comments, a line's indentation goes, unless there is a '+'.
static void add_text(jinja *j, size_t at, size_t size, char tag, char sign, bool starts_line) {
    const char *text = j->text + at;
    if (sign == '-') {
        const jinja_value whole = jinja_string(text, size);
        size = jinja_strip(j, &whole, NULL, false, true).size;
    } else if (sign != '+' && tag != '{') {
        size_t line = size;
        while (line > 0 && text[line - 1] != '\n') line--;
        if ((line > 0 || starts_line) && jinja_space(text + line, size - line) == size - line) size = line;
    }
    if (size > 0) add_token(j, TOKEN_TEXT, at, text, size);
}

static size_t find_tag(const jinja *j, size_t at) {
    while (at < j->size && !(starts_with(j, at, "{%") || starts_with(j, at, "{{") || starts_with(j, at, "{#"))) at++;
    return at;
}

static void normalize_lines(jinja *j) {
    char *text = jinja_allocate(j, j->size + 1, 1);
    size_t size = 0;
    for (size_t i = 0; i < j->size && text != NULL; i++) {
        const char c = j->text[i];
        if (c == '\r' && i + 1 < j->size && j->text[i + 1] == '\n') continue;
        text[size++] = c == '\r' ? '\n' : c;
    }
    size -= size > 0 && text[size - 1] == '\n';
    if (text == NULL) return;
    j->text = text;
    j->size = size;
}

void jinja_read_tokens(jinja *j) {
    bool starts_line = true;
    normalize_lines(j);
    for (size_t at = 0; !jinja_failed(j);) {
        const size_t tag = find_tag(j, at);
        if (tag == j->size) {
            if (tag > at) add_token(j, TOKEN_TEXT, at, j->text + at, tag - at);
            break;
        }
        const char kind = j->text[tag + 1], sign = tag + 2 < j->size ? j->text[tag + 2] : ' ';
        add_text(j, at, tag - at, kind, sign, starts_line);
        j->at = tag;
        at = tag + 2 + (sign == '-' || sign == '+');
        if (kind != '#') add_token(j, kind == '%' ? TOKEN_BLOCK : TOKEN_OUTPUT, tag, NULL, 0);
        at = kind == '#' ? read_comment(j, at) : read_tag(j, at, kind == '%');
        starts_line = at > 0 && at <= j->size && j->text[at - 1] == '\n';
    }
    add_token(j, TOKEN_END, j->size, NULL, 0);
}
