// Showing of foreign text; see escape.h.
#include "engine/base/escape.h"

#include "engine/base/utf8.h"

#include <stdio.h>
#include <string.h>

// What stands for the control character or stray byte.
static int escape_of(char escape[static 8], unsigned char byte) {
    const char *const letters = "\nn\rr\tt", *at = byte != '\0' ? strchr(letters, byte) : NULL;
    const bool has_letter = at != NULL && (at - letters) % 2 == 0;
    return has_letter ? snprintf(escape, 8, "\\%c", at[1]) : snprintf(escape, 8, "\\x%02x", byte);
}

const char *qins_escape(char *to, size_t capacity, const char *text, size_t size) {
    size_t used = 0;
    for (size_t at = 0, length; at < size; at += length) {
        char escape[8];
        uint32_t c;
        length = utf8_decode(text + at, size - at, &c);
        const bool is_valid = length > 0, is_shown = is_valid && c >= 0x20 && (c < 0x7F || c > 0x9F);
        if (!is_valid) length = 1;
        const size_t written =
            is_shown ? length : (size_t)escape_of(escape, is_valid ? (unsigned char)c : (unsigned char)text[at]);
        if (used + written >= capacity) break;
        memcpy(to + used, is_shown ? text + at : escape, written);
        used += written;
    }
    to[used] = '\0';
    return to;
}
