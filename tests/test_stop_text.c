// Stop texts: whatever the pieces in which a text comes, the stream shows the text before the first stop text.
#include "engine/runtime/stop_text.h"
#include "tests/support.h"

#include <string.h>

enum { MAX_STOPS = 3, MAX_TEXT = 64 };

typedef struct stop_case {
    const char *text;
    const char *stops[MAX_STOPS];
} stop_case;

static const stop_case cases[] = {
    {"no stop here", {"xyz"}},
    {"one and two", {"and"}},
    {"and at once", {"and"}},
    {"at the end", {"end"}},
    {"half of the en", {"end"}},
    {"aaaab", {"aab"}},        // a false start inside a match
    {"abababc", {"ababc"}},    // the same with a period of two
    {"abx", {"abc", "b"}},     // a stop hidden after the beginning of another one
    {"ab", {"abc", "b"}},      // the same at the end of the text
    {"abab", {"babx", "b"}},   // and twice
    {"abcd", {"bcd", "abcx"}}, // the hidden one begins later but is complete first
    {"xabcy", {"abc", "ab"}},  // both begin at the same place
    {"xabcy", {"bc", "ab"}},   // they overlap
    {"hello", {"l", "ll", "o"}},
    {"a\nb\n\nc", {"\n\n"}},
    {"\xE2\x82\xAC\xE2\x82\xAD", {"\xE2\x82\xAD"}}, // shares its first bytes with the character before
    {"", {"x"}},
    {"text", {NULL}},
};

// Bytes before the leftmost stop text; *found tells whether there is one.
static size_t expected_size(const stop_case *c, bool *found) {
    size_t size = strlen(c->text);
    *found = false;
    for (int i = 0; i < MAX_STOPS && c->stops[i] != NULL; i++) {
        const char *place = strstr(c->text, c->stops[i]);
        if (place == NULL) continue;
        *found = true;
        if ((size_t)(place - c->text) < size) size = (size_t)(place - c->text);
    }
    return size;
}

static size_t count_stops(const stop_case *c) {
    size_t n = 0;
    while (n < MAX_STOPS && c->stops[n] != NULL) n++;
    return n;
}

// The text in pieces: bit i of `cuts` is a cut after byte i. Every intermediate output must be right so far.
static void check_pieces(const stop_case *c, uint32_t cuts) {
    qins_error error = {0};
    qins_stop_text stream = {.stops = c->stops, .n_stops = count_stops(c), .held.error = &error};
    const size_t length = strlen(c->text);
    bool found;
    const size_t expected = expected_size(c, &found);
    char shown[MAX_TEXT];
    size_t n_shown = 0, size;
    const char *out;
    for (size_t start = 0, end = 1; end <= length; end++) {
        if (end < length && (cuts >> (end - 1) & 1) == 0) continue;
        qins_stop_text_push(&stream, c->text + start, end - start, &out, &size);
        expect_ok(&error);
        cr_assert_leq(n_shown + size, expected, "\"%s\", cuts %x: shown too much", c->text, cuts);
        if (size > 0) memcpy(shown + n_shown, out, size);
        n_shown += size;
        start = end;
    }
    qins_stop_text_finish(&stream, &out, &size);
    cr_assert_leq(n_shown + size, sizeof shown);
    if (size > 0) memcpy(shown + n_shown, out, size);
    n_shown += size;
    cr_assert_eq(n_shown, expected, "\"%s\", cuts %x: \"%.*s\"", c->text, cuts, (int)n_shown, shown);
    cr_assert_eq(memcmp(shown, c->text, n_shown), 0);
    cr_assert_eq(stream.found != NULL, found, "\"%s\", cuts %x", c->text, cuts);
    if (found) cr_assert_eq(strncmp(c->text + expected, stream.found, strlen(stream.found)), 0);
    qins_stop_text_free(&stream);
}

Test(stop_text, every_way_of_cutting_the_text) {
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const size_t length = strlen(cases[i].text);
        for (uint32_t cuts = 0; cuts < 1u << (length > 1 ? length - 1 : 0); cuts++) check_pieces(&cases[i], cuts);
    }
}

Test(stop_text, random_texts_of_few_letters) {
    test_random random = {1};
    for (int trial = 0; trial < 20000; trial++) {
        char text[20] = "", stops[MAX_STOPS][5] = {"", "", ""};
        stop_case c = {.text = text};
        size_t length = random_below(&random, sizeof text - 1);
        for (size_t i = 0; i < length; i++) text[i] = (char)('a' + random_below(&random, 2));
        const size_t n_stops = 1 + random_below(&random, MAX_STOPS - 1);
        for (size_t s = 0; s < n_stops; s++) {
            const size_t size = 1 + random_below(&random, 4);
            for (size_t i = 0; i < size; i++) stops[s][i] = (char)('a' + random_below(&random, 3));
            c.stops[s] = stops[s];
        }
        check_pieces(&c, (uint32_t)random_bits(&random));
    }
}

Test(stop_text, what_cannot_become_a_stop_is_shown_at_once) {
    const char *const stops[] = {"stop"};
    qins_error error = {0};
    qins_stop_text stream = {.stops = stops, .n_stops = 1, .held.error = &error};
    const char *out;
    size_t size;
    qins_stop_text_push(&stream, "go st", 5, &out, &size);
    cr_expect(size == 3 && memcmp(out, "go ", 3) == 0);
    qins_stop_text_push(&stream, "ay s", 4, &out, &size);
    cr_expect(size == 5 && memcmp(out, "stay ", 5) == 0);
    qins_stop_text_push(&stream, "top it", 6, &out, &size);
    cr_expect(size == 0 && stream.found == stops[0]);
    qins_stop_text_push(&stream, "more", 4, &out, &size);
    cr_expect(size == 0, "nothing comes after a stop text");
    qins_stop_text_finish(&stream, &out, &size);
    cr_expect(size == 0);
    qins_stop_text_free(&stream);
}
