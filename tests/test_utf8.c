// utf8.c: against the definition of UTF-8 and Unicode's list of White_Space, over all code points.
#include "engine/base/utf8.h"

#include <criterion/criterion.h>
#include <string.h>

static size_t put(uint32_t c, char *out) {
    if (c < 0x80) return out[0] = (char)c, 1;
    if (c < 0x800) return out[0] = (char)(0xC0 | c >> 6), out[1] = (char)(0x80 | (c & 63)), 2;
    if (c < 0x10000)
        return out[0] = (char)(0xE0 | c >> 12), out[1] = (char)(0x80 | (c >> 6 & 63)), out[2] = (char)(0x80 | (c & 63)),
               3;
    out[0] = (char)(0xF0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 63));
    out[2] = (char)(0x80 | (c >> 6 & 63));
    out[3] = (char)(0x80 | (c & 63));
    return 4;
}

Test(utf8, decodes_every_code_point_and_refuses_its_truncations) {
    for (uint32_t c = 0; c < 0x120000; c++) {
        char text[4];
        uint32_t got = 0xFFFFFFFF;
        size_t size = put(c, text);
        bool valid = c <= 0x10FFFF && !(c >= 0xD800 && c <= 0xDFFF);
        cr_assert_eq(utf8_decode(text, size, &got), valid ? size : 0, "U+%04X", c);
        if (valid) cr_assert_eq(got, c);
        for (size_t shorter = 0; shorter < size; shorter++) cr_assert_eq(utf8_decode(text, shorter, &got), 0);
    }
}

Test(utf8, refuses_what_is_not_utf8) {
    static const char *const bad[] = {"\x80",
                                      "\xBF",
                                      "\xC0\x80",
                                      "\xC1\xBF",
                                      "\xE0\x80\x80",
                                      "\xE0\x9F\xBF",
                                      "\xED\xA0\x80",
                                      "\xF0\x80\x80\x80",
                                      "\xF0\x8F\xBF\xBF",
                                      "\xF4\x90\x80\x80",
                                      "\xF5\x80\x80\x80",
                                      "\xFF",
                                      "\xC3(",
                                      "\xE2\x82(",
                                      "a\x80"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_not(utf8_is_valid(bad[i], strlen(bad[i])), "%zu", i);
    cr_assert(utf8_is_valid("", 0));
    cr_assert(utf8_is_valid("a\0\xC3\xA9", 4));
}

Test(utf8, knows_white_space) {
    static const uint32_t white[] = {0x09,   0x0A,   0x0B,   0x0C,   0x0D,   0x20,   0x85,   0xA0,   0x1680,
                                     0x2000, 0x2001, 0x2002, 0x2003, 0x2004, 0x2005, 0x2006, 0x2007, 0x2008,
                                     0x2009, 0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000};
    size_t next = 0, count = sizeof white / sizeof *white;
    for (uint32_t c = 0; c < 0x110000; c++) {
        char text[4];
        size_t size = put(c, text);
        bool expected = next < count && white[next] == c;
        next += expected;
        cr_assert_eq(utf8_white_space(text, size), expected ? size : 0, "U+%04X", c);
    }
    cr_assert_eq(utf8_white_space(" \n\xE3\x80\x80"
                                  "a ",
                                  7),
                 5);
    cr_assert_eq(utf8_white_space(" \xE3\x80", 3), 1);
    cr_assert_eq(utf8_white_space(NULL, 0), 0);
}
