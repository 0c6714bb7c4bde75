// The methods of Python's str: white space, searching, cutting, replacing, joining, case. Searching counts as work.
#include "convert/jinja_internal.h"
#include "engine/base/utf8.h"

#include <string.h>

size_t jinja_character(const char *text, size_t size) {
    uint32_t code_point;
    const size_t bytes = utf8_decode(text, size, &code_point);
    return bytes > 0 ? bytes : size > 0;
}

// str.isspace() has U+001C to U+001F beside Unicode's White_Space.
size_t jinja_space(const char *text, size_t size) {
    size_t at = 0;
    for (size_t more = 1; more > 0 && at < size; at += more)
        more = text[at] >= 0x1C && text[at] <= 0x1F ? 1 : utf8_white_space(text + at, size - at);
    return at;
}

static bool is_in_set(const char *text, size_t size, const jinja_value *set) {
    if (set == NULL) return jinja_space(text, size) == size;
    for (size_t at = 0; at < set->size; at += jinja_character(set->text + at, set->size - at))
        if (set->size - at >= size && memcmp(set->text + at, text, size) == 0) return true;
    return false;
}

jinja_value jinja_strip(jinja *j, const jinja_value *string, const jinja_value *set, bool left, bool right) {
    size_t start = string->size, end = 0; // the first and the last that stays
    const size_t cost = set != NULL ? set->size + 1 : 1;
    if (string->size > 0 && (string->size > JINJA_MAX_WORK / cost || !jinja_work(j, string->size * cost)))
        return jinja_refuse(j, "it takes too many steps");
    for (size_t at = 0, size; at < string->size; at += size) {
        size = jinja_character(string->text + at, string->size - at);
        if (is_in_set(string->text + at, size, set)) continue;
        if (start == string->size) start = at;
        end = at + size;
    }
    if (!left) start = 0;
    if (!right) end = string->size;
    return start < end ? jinja_string(string->text + start, end - start) : jinja_string("", 0);
}

size_t jinja_find(jinja *j, const jinja_value *in, size_t from, const jinja_value *what) {
    if (what->size == 0) return from;
    while (in->size - from >= what->size) {
        const char *at = memchr(in->text + from, what->text[0], in->size - from - what->size + 1);
        if (at == NULL) break;
        if (!jinja_work(j, (size_t)(at - in->text) - from + what->size)) break;
        from = (size_t)(at - in->text);
        if (memcmp(at, what->text, what->size) == 0) return from;
        from++;
    }
    jinja_work(j, in->size - from);
    return SIZE_MAX;
}

// The next piece of string[*at ..]; *at: where to go on, SIZE_MAX after the last one.
static jinja_value next_piece(jinja *j, const jinja_value *string, const jinja_value *separator, size_t *at) {
    const size_t start = *at, found = jinja_find(j, string, start, separator);
    *at = found == SIZE_MAX ? SIZE_MAX : found + separator->size;
    return jinja_string(string->text + start, (found == SIZE_MAX ? string->size : found) - start);
}

// The next word, without the white space around it; an empty one after the last.
static jinja_value next_word(const jinja_value *string, size_t *at) {
    *at += jinja_space(string->text + *at, string->size - *at);
    const size_t start = *at;
    while (*at < string->size && jinja_space(string->text + *at, string->size - *at) == 0)
        *at += jinja_character(string->text + *at, string->size - *at);
    return jinja_string(string->text + start, *at - start);
}

jinja_value jinja_split(jinja *j, const jinja_value *string, const jinja_value *separator, int64_t limit) {
    jinja_value *items = NULL;
    size_t count = 0;
    if (separator != NULL && separator->size == 0) return jinja_raise(j, "an empty separator");
    // First counted, then kept.
    for (int pass = 0; pass < 2 && !jinja_failed(j); pass++) {
        if (pass == 1 && (items = jinja_allocate(j, count, sizeof *items)) == NULL) break;
        count = 0;
        for (size_t at = 0; at != SIZE_MAX && jinja_work(j, 1);) {
            const bool is_last = limit >= 0 && count == (size_t)limit;
            jinja_value piece = jinja_string(string->text + at, string->size - at);
            if (is_last)
                at = SIZE_MAX;
            else
                piece = separator != NULL ? next_piece(j, string, separator, &at) : next_word(string, &at);
            if (is_last && separator == NULL) piece = jinja_strip(j, &piece, NULL, true, false);
            if (separator == NULL && piece.size == 0) break;
            if (items != NULL) items[count] = piece;
            count++;
        }
        if (separator == NULL) jinja_work(j, string->size);
    }
    return jinja_sequence(JINJA_LIST, items, items != NULL ? count : 0);
}

jinja_value jinja_join(jinja *j, const jinja_value *separator, const jinja_value *items, size_t count) {
    size_t size = 0, used = 0;
    if (!jinja_work(j, count)) return jinja_string("", 0);
    for (size_t i = 0; i < count; i++) size += items[i].size + (i > 0 ? separator->size : 0);
    char *text = jinja_allocate(j, size + 1, 1);
    for (size_t i = 0; i < count && text != NULL; i++) {
        if (i > 0 && separator->size > 0) memcpy(text + used, separator->text, separator->size);
        used += i > 0 ? separator->size : 0;
        if (items[i].size > 0) memcpy(text + used, items[i].text, items[i].size);
        used += items[i].size;
    }
    return jinja_string(text, text != NULL ? size : 0);
}

jinja_value jinja_replace(jinja *j, const jinja_value *string, const jinja_value *old, const jinja_value *with) {
    if (old->size == 0) return jinja_refuse(j, "replacing an empty string is not supported");
    const jinja_value pieces = jinja_split(j, string, old, -1);
    return jinja_join(j, with, pieces.items, pieces.size);
}

jinja_value jinja_change_case(jinja *j, const jinja_value *string, bool upper, bool first_only) {
    char *text = jinja_copy(j, string->text, string->size);
    for (size_t i = 0; i < string->size && text != NULL; i++) {
        const char c = text[i];
        const bool up = upper && (i == 0 || !first_only);
        if ((unsigned char)c >= 0x80)
            return jinja_refuse(j, "changing the case of letters other than ASCII is not supported");
        if (up && c >= 'a' && c <= 'z') text[i] = (char)(c - 32);
        if (!up && c >= 'A' && c <= 'Z') text[i] = (char)(c + 32);
    }
    return jinja_string(text, text != NULL ? string->size : 0);
}
