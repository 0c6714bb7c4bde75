// UTF-8 as Rust's str understands it (no overlong forms, no surrogates, nothing above U+10FFFF), and Unicode's
// White_Space.
#ifndef QINS_BASE_UTF8_H
#define QINS_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Bytes (1-4) of the valid character at the start of the text, 0 if there is none; *code_point only when valid.
size_t utf8_decode(const char *text, size_t size, uint32_t *code_point);

// Bytes (1-3) at the start of a text that does not start with a valid character, which together become one U+FFFD
// (Unicode, "maximal subpart"). *may_go_on: they are all of the text, and the start of a character.
size_t utf8_broken(const char *text, size_t size, bool *may_go_on);

bool utf8_is_valid(const char *text, size_t size);

// Bytes of White_Space characters at the start of the text.
size_t utf8_white_space(const char *text, size_t size);

#endif
