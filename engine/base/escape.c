// Showing of foreign text; see escape.h.
#include "engine/base/escape.h"

#include "engine/base/utf8.h"

#include <stdio.h>
#include <string.h>

// The escape for a control character or stray byte.
static int escape_of(char escape[static 8], unsigned char byte) {
    const char *const letters = "\nn\rr\tt", *at = byte != '\0' ? strchr(letters, byte) : NULL;
    const bool has_letter = at != NULL && (at - letters) % 2 == 0;
    return has_letter ? snprintf(escape, 8, "\\%c", at[1]) : snprintf(escape, 8, "\\x%02x", byte);
}

static bool is_control(uint32_t c) {
    return c < 0x20 || (c >= 0x7F && c <= 0x9F);
}

const char *qins_escape(char *to, size_t capacity, const char *text, size_t size) {
    size_t used = 0;
    for (size_t at = 0, length; at < size; at += length) {
        char escape[8];
        uint32_t c;
        length = utf8_decode(text + at, size - at, &c);
        const bool is_valid = length > 0, is_shown = is_valid && !is_control(c);
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

static void append_escape(qins_buffer *out, unsigned char byte) {
    char escape[8];
    qins_buffer_append(out, escape, (size_t)escape_of(escape, byte));
}

// Pass on those of the held bytes that are certain; with `ends` all of them.
static void release(qins_visible *visible, bool ends, qins_buffer *out) {
    while (visible->n_held > 0) {
        uint32_t c;
        bool may_go_on = false;
        const size_t length = utf8_decode(visible->held, visible->n_held, &c);
        const size_t n = length > 0 ? length : utf8_broken(visible->held, visible->n_held, &may_go_on);
        if (may_go_on && !ends) return;
        if (length > 0 && (!is_control(c) || c == '\t' || c == '\n'))
            qins_buffer_append(out, visible->held, length);
        else if (length > 0)
            append_escape(out, (unsigned char)c);
        for (size_t i = 0; i < n && length == 0; i++) append_escape(out, (unsigned char)visible->held[i]);
        visible->n_held -= n;
        memmove(visible->held, visible->held + n, visible->n_held);
    }
}

void qins_visible_push(qins_visible *visible, const char *text, size_t size, qins_buffer *out) {
    for (size_t i = 0; i < size; i++) {
        visible->held[visible->n_held++] = text[i];
        release(visible, false, out);
    }
}

void qins_visible_finish(qins_visible *visible, qins_buffer *out) {
    release(visible, true, out);
}
