// split.c, unicode_class.c and pipeline.c: words and classes, without a vocabulary. That the words are Hugging Face's
// is tested by ids (test_tokenizer_encode.c, oracle/compare_tokenizers.py).
#include "engine/base/utf8.h"
#include "tokenizer/pipeline.h"
#include "tokenizer/split.h"
#include "tokenizer/unicode_class.h"

#include <criterion/criterion.h>
#include <string.h>

// The words, with a "|" after each.
static void expect_words(split_rule rule, const char *text, const char *expected) {
    char words[256] = {0};
    size_t size = strlen(text);
    for (size_t at = 0, end; at < size; at = end) {
        end = split_word_end(rule, text, size, at);
        cr_assert(end > at && end <= size, "%s at %zu: %zu", text, at, end);
        strncat(words, text + at, end - at);
        strcat(words, "|");
    }
    cr_assert_str_eq(words, expected, "%s", text);
}

Test(tokenizer_split, ends_words_as_the_expressions_do) {
    expect_words(SPLIT_GPT2, "I'll pay  $12.50\n\n now", "I|'ll| pay| | $|12|.|50|\n\n| now|");
    expect_words(SPLIT_GPT2, "I'LL", "I|'|LL|");
    expect_words(SPLIT_CL100K, "I'LL pay $12345!\r\n  \n x", "I|'LL| pay| $|123|45|!\r\n|  \n| x|");
    expect_words(SPLIT_CL100K, "(abc)\t\tdef", "(abc|)|\t|\tdef|");
    expect_words(SPLIT_O200K, "camelCase XMLHttp don'T a/b//\n", "camel|Case| XMLHttp| don'T| a|/b|//\n|");
    expect_words(SPLIT_O200K,
                 "\xCC\x81"
                 "A",
                 "\xCC\x81|A|");
    expect_words(SPLIT_DIGITS, "a12b\xC2\xBD", "a|1|2|b|\xC2\xBD|");
    expect_words(SPLIT_DIGIT_RUNS, "a12b\xC2\xBD", "a|12|b|\xC2\xBD|");
    expect_words(SPLIT_CL100K,
                 "\xFF\xFE"
                 "ab \xC3",
                 "\xFF\xFE|ab| \xC3|"); // bytes that are not characters are signs
}

Test(tokenizer_unicode_class, knows_white_space_as_utf8_does) {
    for (uint32_t c = 0; c < 0x110000; c++) {
        char text[4] = {(char)(0xF0 | c >> 18), (char)(0x80 | (c >> 12 & 63)), (char)(0x80 | (c >> 6 & 63)),
                        (char)(0x80 | (c & 63))};
        if (c < 0x10000) text[0] = (char)(0xE0 | c >> 12), text[1] = text[2], text[2] = text[3];
        if (c < 0x800) text[0] = (char)(0xC0 | c >> 6), text[1] = (char)(0x80 | (c & 63));
        if (c < 0x80) text[0] = (char)c;
        size_t size = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4, length, before;
        bool valid = !(c >= 0xD800 && c < 0xE000);
        unicode_class class = unicode_class_at(text, size, &length);
        cr_assert_eq(length, valid ? size : 1, "%x", (unsigned)c);
        cr_assert_eq(class == UNICODE_SPACE, utf8_white_space(text, size) > 0, "%x", (unsigned)c);
        cr_assert_eq(unicode_class_before(text, size, &before), valid ? class : UNICODE_OTHER);
        cr_assert_eq(before, valid ? size : 1);
    }
}

Test(tokenizer_unicode_class, is_of_unicode_16) {
    static const struct {
        uint32_t code_point;
        unicode_class class;
    } cases[] = {{'A', UNICODE_UPPER},     {'z', UNICODE_LOWER},     {'5', UNICODE_DIGIT},     {'_', UNICODE_WORD},
                 {'~', UNICODE_OTHER},     {0x1C5, UNICODE_UPPER},   {0x2B0, UNICODE_LETTER},  {0x4E2D, UNICODE_LETTER},
                 {0x301, UNICODE_MARK},    {0xBD, UNICODE_NUMBER},   {0x2167, UNICODE_DIGIT},  {0x24B6, UNICODE_WORD},
                 {0x200D, UNICODE_WORD},   {0x1C89, UNICODE_UPPER},  {0x10D40, UNICODE_DIGIT}, // new in 16.0
                 {0x11DE0, UNICODE_OTHER}, {0x10FFFF, UNICODE_OTHER}};                         // new in 17.0; none
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_assert_eq(unicode_class_of(cases[i].code_point), cases[i].class, "%x", (unsigned)cases[i].code_point);
}

static void expect_run(const pipeline *steps, const char *text, bool at_start, const char *expected) {
    qins_error error = {0};
    pipeline_words words = {0}, spare = {0};
    char found[256] = {0};
    pipeline_words_set(&words, text, strlen(text), &error);
    pipeline_run(steps, &words, &spare, at_start, &error);
    cr_assert_eq(error.status, QINS_OK);
    for (size_t i = 0, start = 0; i < words.n_words; start = words.ends[i++]) {
        strncat(found, (const char *)words.text.data + start, words.ends[i] - start);
        strcat(found, "|");
    }
    cr_assert_str_eq(found, expected, "%s", text);
    pipeline_words_free(&words);
    pipeline_words_free(&spare);
}

Test(tokenizer_pipeline, runs_steps_in_order) {
    pipeline steps = {.n_steps = 3,
                      .steps = {{STEP_REPLACE, 0, 1, 1, " ", "_"},
                                {STEP_PREPEND, PREPEND_START, 0, 1, "", "_"},
                                {STEP_CUT, 0, 1, 0, "_", ""}}};
    expect_run(&steps, "a b  c", true, "_a|_b|_|_c|");
    expect_run(&steps, "a b  c", false, "a|_b|_|_c|");
    expect_run(&steps, " a", true, "_a|");
    expect_run(&steps, "", true, "");
    steps.steps[1].option = PREPEND_MISSING;
    expect_run(&steps, "a", false, "_a|");
    steps.steps[1].option = PREPEND_ALWAYS;
    expect_run(&steps, " a", false, "_|_a|");
    const pipeline bytes = {.n_steps = 1, .steps = {{STEP_BYTES, 0, 0, 0, "", ""}}};
    expect_run(&bytes, "a \n\xAD\xFF", false, "a\xC4\xA0\xC4\x8A\xC5\x83\xC3\xBF|");
    const pipeline gone = {.n_steps = 1, .steps = {{STEP_REPLACE, 0, 1, 0, "a", ""}}};
    expect_run(&gone, "aa", false, "");
}

Test(tokenizer_pipeline, knows_every_byte_character) {
    for (uint32_t c = 0, next = 0; c < 0x200; c++) {
        const int byte = pipeline_byte_of(c);
        const char text[1] = {(char)byte};
        qins_error error = {0};
        pipeline_words words = {0}, spare = {0};
        const pipeline bytes = {.n_steps = 1, .steps = {{STEP_BYTES, 0, 0, 0, "", ""}}};
        if (byte < 0) continue;
        pipeline_words_set(&words, text, 1, &error);
        pipeline_run(&bytes, &words, &spare, false, &error);
        uint32_t back;
        cr_assert_eq(utf8_decode((const char *)words.text.data, words.text.size, &back), words.text.size);
        cr_assert_eq(back, c);
        cr_assert_lt(next++, 256u);
        pipeline_words_free(&words);
        pipeline_words_free(&spare);
    }
}

Test(utf8, tells_how_much_is_broken) {
    static const struct {
        const char *text;
        size_t size, broken;
        bool may_go_on;
    } cases[] = {{"\xFF", 1, 1, false},          {"\x80", 1, 1, false},     {"\xC3", 1, 1, true},
                 {"\xC3(", 2, 1, false},         {"\xE2\x96", 2, 2, true},  {"\xE2\x96(", 3, 2, false},
                 {"\xE0\x80\x80", 3, 1, false},  {"\xED\xA0", 2, 1, false}, {"\xF0\x9F\x98", 3, 3, true},
                 {"\xF0\x9F\x98x", 4, 3, false}, {"\xF4\x90", 2, 1, false}, {"\xC0\x80", 2, 1, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool may_go_on;
        cr_assert_eq(utf8_broken(cases[i].text, cases[i].size, &may_go_on), cases[i].broken, "case %zu", i);
        cr_assert_eq(may_go_on, cases[i].may_go_on, "case %zu", i);
    }
}
