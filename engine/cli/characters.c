// Characters and their widths; see characters.h.
#define _XOPEN_SOURCE 700 // wcwidth
#include "engine/cli/characters.h"

#include "engine/base/utf8.h"

#include <locale.h>
#include <stdbool.h>
#include <stdlib.h>
#include <wchar.h>

enum { JOINER = 0x200D, EMOJI_STYLE = 0xFE0F };

static bool locale_is_utf8(void) {
    wchar_t c;
    return mbtowc(&c, "\xE6\x97\xA5", 3) == 3 && c == 0x65E5;
}

void qins_characters_open(void) {
    static const char *const fallbacks[] = {"C.UTF-8", "C.utf8", "en_US.UTF-8"};
    const char *name = setlocale(LC_CTYPE, "");
    for (size_t i = 0; (name == NULL || !locale_is_utf8()) && i < sizeof fallbacks / sizeof *fallbacks; i++)
        name = setlocale(LC_CTYPE, fallbacks[i]);
}

// Columns of a code point. One that the C library does not know may be a new emoji.
static size_t columns_of(uint32_t c) {
    if (c < 0x80) return c >= 0x20 && c != 0x7F ? 1 : 2; // control characters are shown as ^X
    const int columns = wcwidth((wchar_t)c);
    return columns >= 0 ? (size_t)columns : 2;
}

static bool is_flag_letter(uint32_t c) {
    return c >= 0x1F1E6 && c <= 0x1F1FF;
}

// Does a code point belong to the character before it?
static bool extends(uint32_t c) {
    const bool accent = c >= 0x300 && c <= 0x36F, style = c >= 0xFE00 && c <= EMOJI_STYLE;
    const bool skin = c >= 0x1F3FB && c <= 0x1F3FF;
    return accent || style || skin || c == JOINER || (c >= 0x80 && wcwidth((wchar_t)c) == 0);
}

size_t qins_character_bytes(const char *text, size_t size) {
    uint32_t first, c;
    size_t bytes = utf8_decode(text, size, &first);
    if (bytes == 0 || first < 0x20) return size > 0;
    bool is_joined = false, is_half_a_flag = is_flag_letter(first);
    for (size_t length; (length = utf8_decode(text + bytes, size - bytes, &c)) > 0; bytes += length) {
        if (!extends(c) && !is_joined && !(is_half_a_flag && is_flag_letter(c))) break;
        is_joined = c == JOINER;
        is_half_a_flag = false;
    }
    return bytes;
}

size_t qins_character_bytes_before(const char *text, size_t size) {
    enum { LONGEST = 128 }; // bytes, unless somebody stacks accents
    size_t at = size > LONGEST ? size - LONGEST : 0, last;
    while (at > 0 && ((unsigned char)text[at] & 0xC0) == 0x80) at--;
    for (last = at; at < size; at += qins_character_bytes(text + at, size - at)) last = at;
    return size - last;
}

size_t qins_character_columns(const char *text, size_t size) {
    size_t columns = 0, length;
    uint32_t c;
    for (size_t at = 0; at < size; at += length) {
        length = utf8_decode(text + at, size - at, &c);
        if (length == 0) return columns + size - at; // a '?' for each byte
        columns += columns_of(c) + (c == EMOJI_STYLE);
    }
    return columns;
}
