// UTF-8 decoding; see utf8.h.
#include "engine/base/utf8.h"

// Unicode, table 3-7: the first byte fixes the length (0: no character starts with it) and the range of the second
// byte; the others are 80..BF.
static size_t sequence_length(unsigned first) {
    if (first < 0x80) return 1;
    if (first < 0xC2 || first > 0xF4) return 0;
    return first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
}

static bool may_be_second(unsigned first, unsigned second) {
    unsigned low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    unsigned high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    return second >= low && second <= high;
}

size_t utf8_decode(const char *text, size_t size, uint32_t *code_point) {
    if (size == 0) return 0;
    const unsigned char *byte = (const unsigned char *)text;
    const size_t length = sequence_length(byte[0]);
    if (length == 0 || length > size || (length > 1 && !may_be_second(byte[0], byte[1]))) return 0;
    uint32_t value = length == 1 ? byte[0] : byte[0] & (0x7Fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((byte[i] & 0xC0) != 0x80) return 0;
        value = value << 6 | (byte[i] & 0x3F);
    }
    *code_point = value;
    return length;
}

size_t utf8_broken(const char *text, size_t size, bool *may_go_on) {
    const unsigned char *byte = (const unsigned char *)text;
    const size_t length = sequence_length(byte[0]);
    size_t at = 1;
    if (length > 1 && size > 1 && may_be_second(byte[0], byte[1]))
        for (at = 2; at < length && at < size && (byte[at] & 0xC0) == 0x80;) at++;
    *may_go_on = length > 1 && at == size && at < length;
    return at;
}

bool utf8_is_valid(const char *text, size_t size) {
    uint32_t code_point;
    for (size_t at = 0; at < size;) {
        size_t length = utf8_decode(text + at, size - at, &code_point);
        if (length == 0) return false;
        at += length;
    }
    return true;
}

// Unicode PropList.txt, White_Space.
static bool is_white_space(uint32_t c) {
    return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

size_t utf8_white_space(const char *text, size_t size) {
    size_t at = 0;
    while (at < size) {
        uint32_t code_point;
        size_t length = utf8_decode(text + at, size - at, &code_point);
        if (length == 0 || !is_white_space(code_point)) break;
        at += length;
    }
    return at;
}
