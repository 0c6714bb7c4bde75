// Classes of characters; see unicode_class.h.
#include "tokenizer/unicode_class.h"

#include "engine/base/utf8.h"

static unicode_class class_of_ascii(uint32_t c) {
    if ((c | 32) >= 'a' && (c | 32) <= 'z') return c & 32 ? UNICODE_LOWER : UNICODE_UPPER;
    if (c >= '0' && c <= '9') return UNICODE_DIGIT;
    if (c == ' ' || (c >= '\t' && c <= '\r')) return UNICODE_SPACE;
    return c == '_' ? UNICODE_WORD : UNICODE_OTHER;
}

unicode_class unicode_class_of(uint32_t code_point) {
    if (code_point < 128) return class_of_ascii(code_point);
    size_t low = 0, high = unicode_n_runs; // the last run that begins at or before the code point is in [low, high)
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (unicode_runs[middle] >> 4 <= code_point)
            low = middle;
        else
            high = middle;
    }
    return (unicode_class)(unicode_runs[low] & 15);
}

unicode_class unicode_class_at(const char *text, size_t size, size_t *length) {
    uint32_t code_point;
    *length = utf8_decode(text, size, &code_point);
    if (*length > 0) return unicode_class_of(code_point);
    *length = 1;
    return UNICODE_OTHER;
}

unicode_class unicode_class_before(const char *text, size_t size, size_t *length) {
    for (size_t back = 1; back <= 4 && back <= size; back++) {
        uint32_t code_point;
        if (((unsigned char)text[size - back] & 0xC0) == 0x80) continue;
        if (utf8_decode(text + size - back, back, &code_point) != back) break;
        *length = back;
        return unicode_class_of(code_point);
    }
    *length = 1;
    return UNICODE_OTHER;
}
