// The JSON door: whole documents only, getters that always give a usable value, numbers that come back.
#include "engine/base/json.h"
#include "tests/support.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static qins_json *parse(const char *text) {
    qins_error error = {0};
    qins_json *json = qins_json_parse(text, strlen(text), QINS_BAD_MODEL, &error);
    expect_ok(&error);
    return json;
}

Test(json, every_truncation_is_refused_with_an_offset) {
    const char text[] = "{\"a\": [1, 2.5e3, \"x\\u00e9\", true, null], \"b\": {\"c\": false}}";
    test_guards guards = {0};
    for (size_t size = 0; size < sizeof text - 1; size++) {
        qins_error error = {0};
        cr_assert_null(qins_json_parse(guarded_copy(&guards, text, size), size, QINS_BAD_MODEL, &error), "%zu bytes",
                       size);
        expect_error(&error, QINS_BAD_MODEL, "at byte");
        guards_free(&guards);
    }
    qins_json_free(parse(text));
}

Test(json, nothing_but_white_space_may_follow) {
    qins_error error = {0};
    qins_json_free(parse(" \t\r\n{}\r\n\t "));
    cr_expect_null(qins_json_parse("{} x", 4, QINS_BAD_MODEL, &error));
    expect_error(&error, QINS_BAD_MODEL, "JSON ends at byte 3, but 1 more bytes follow");
    cr_expect_null(qins_json_parse("{}\0", 3, QINS_BAD_MODEL, &error));
    expect_error(&error, QINS_BAD_MODEL, "1 more bytes follow");
    cr_expect_null(qins_json_parse("1 2", 3, QINS_BAD_MODEL, &error));
    expect_error(&error, QINS_BAD_MODEL, "more bytes follow");
    cr_expect_null(qins_json_parse("", 0, QINS_BAD_MODEL, &error));
    expect_error(&error, QINS_BAD_MODEL, "not valid JSON");
}

static void expect_no_json(const char *text, const char *message) {
    qins_error error = {0};
    cr_expect_null(qins_json_parse(text, strlen(text), QINS_BAD_MODEL, &error));
    cr_expect_str_eq(error.message, message);
}

Test(json, numbers_of_python_are_named) {
    expect_no_json("{\"a\": [0.5, Infinity]}", "not valid JSON at byte 12 of 22, which has no number Infinity");
    expect_no_json("{\"a\": -Infinity}", "not valid JSON at byte 6 of 16, which has no number -Infinity");
    expect_no_json("[NaN]", "not valid JSON at byte 1 of 5, which has no number NaN");
    expect_no_json("[Na", "not valid JSON at byte 1 of 3");
}

// As json.loads of Python, although cJSON takes them.
Test(json, lax_json_is_refused) {
    static const char *const refused[] = {"[01]", "[-01]", "[1.]", "[1.e5]", "[1, 00]", "{\"a\": 1.}"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        qins_error error = {0};
        cr_expect_null(qins_json_parse(refused[i], strlen(refused[i]), QINS_BAD_MODEL, &error), "%s", refused[i]);
        expect_error(&error, QINS_BAD_MODEL, "not valid JSON at byte");
    }
    expect_no_json("[\"a\nb\"]", "not valid JSON at byte 3 of 7: a string has a control character");
    static const char *const accepted[] = {"[0, -0, 0.5, -0.05, 10, 100.001, 1e05, 1e-05, 1E+00, 1.0e0]",
                                           "[\"01 1. \\n\", \n\t2]"};
    for (size_t i = 0; i < sizeof accepted / sizeof *accepted; i++) {
        qins_error error = {0};
        qins_json *json = qins_json_parse(accepted[i], strlen(accepted[i]), QINS_BAD_MODEL, &error);
        expect_ok(&error);
        qins_json_free(json);
    }
}

Test(json, reads_what_python_reads) {
    qins_error error = {0};
    static const char text[] =
        "{\"a\": [NaN, -Infinity,Infinity], \"b\": 1, \"s\": \"NaN \\\" Infinity\", \"n\": 0.5, \"b\": 2,"
        "\"o\": {\"b\": 3, \"b\": {\"c\": 4, \"c\": null}}, \"b\": 5, \"n\": NaN}";
    qins_json *json = qins_json_parse_python(text, sizeof text - 1, 1000, QINS_BAD_MODEL, &error);
    expect_ok(&error);
    cr_expect_eq(qins_json_count(json), 5u);
    cr_expect_eq(qins_json_count(qins_json_get(json, "a")), 3u);
    cr_expect_eq(qins_json_get_integer(json, "b", 0, 9, QINS_BAD_MODEL, &error), 5);
    cr_expect_str_eq(qins_json_get_string(json, "s", QINS_BAD_MODEL, &error), "NaN \" Infinity");
    const qins_json *inner = qins_json_get(qins_json_get(json, "o"), "b");
    cr_expect_eq(qins_json_count(inner), 1u);
    cr_expect_null(qins_json_get(inner, "c"));
    expect_ok(&error);
    qins_json_get_number(json, "n", 0, 1, QINS_BAD_MODEL, &error);
    expect_error(&error, QINS_BAD_MODEL, "\"n\" must be a number from 0 to 1");
    qins_json_free(json);
    static const char *const refused[] = {"[1NaN]",  "[NaNs]", "[Na",          "[-NaN]",
                                          "{NaN: 1", "\"NaN",  "[Infinity\\]", "{\"a\": 1,"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        error = (qins_error){0};
        cr_expect_null(qins_json_parse_python(refused[i], strlen(refused[i]), 1000, QINS_BAD_MODEL, &error), "%s",
                       refused[i]);
        expect_error(&error, QINS_BAD_MODEL, "not valid JSON at byte");
    }
}

Test(json, deep_nesting_is_refused) {
    static char text[100000];
    memset(text, '[', sizeof text);
    qins_error error = {0};
    cr_expect_null(qins_json_parse(text, sizeof text, QINS_BAD_MODEL, &error));
    expect_error(&error, QINS_BAD_MODEL, "not valid JSON");
}

Test(json, walks_objects_and_arrays) {
    qins_json *root = parse("{\"a\": [10, 20, 30], \"none\": null, \"s\": \"text\", \"t\": true}");
    cr_expect_eq(qins_json_count(root), 4);
    cr_expect_null(qins_json_get(root, "none"));
    cr_expect_null(qins_json_get(root, "A"), "keys are case sensitive");
    cr_expect_null(qins_json_get(NULL, "a"));
    const qins_json *array = qins_json_get(root, "a");
    cr_expect(qins_json_is_array(array) && !qins_json_is_object(array) && qins_json_is_object(root));
    cr_expect_null(qins_json_get(array, "a"));
    int64_t sum = 0, value;
    for (const qins_json *item = qins_json_first(array); item != NULL; item = qins_json_next(item)) {
        cr_assert(qins_json_integer(item, &value));
        cr_expect_str_empty(qins_json_key(item));
        sum += value;
    }
    cr_expect_eq(sum, 60);
    cr_expect_str_eq(qins_json_key(qins_json_first(root)), "a");
    cr_expect_str_eq(qins_json_text(qins_json_get(root, "s")), "text");
    cr_expect_null(qins_json_text(array));
    cr_expect_null(qins_json_first(qins_json_get(root, "s")));
    cr_expect_eq(qins_json_count(NULL), 0);
    qins_json_free(root);
}

Test(json, integers_are_whole_and_exact) {
    static const struct {
        const char *text;
        bool valid;
        int64_t value;
    } cases[] = {{"0", true, 0},
                 {"-17", true, -17},
                 {"2e3", true, 2000},
                 {"9007199254740992", true, INT64_C(9007199254740992)},
                 {"9007199254740994", false, 0},
                 {"1e300", false, 0},
                 {"1.5", false, 0},
                 {"\"1\"", false, 0},
                 {"true", false, 0},
                 {"[1]", false, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        qins_json *json = parse(cases[i].text);
        int64_t value = 0;
        cr_expect_eq(qins_json_integer(json, &value), cases[i].valid, "%s", cases[i].text);
        cr_expect_eq(value, cases[i].value, "%s", cases[i].text);
        qins_json_free(json);
    }
}

Test(json, getters_check_presence_kind_and_range) {
    qins_json *root = parse("{\"n\": 5, \"x\": 1.5, \"s\": \"text\", \"b\": false, \"none\": null}");
    qins_error error = {0};
    cr_expect_eq(qins_json_get_integer(root, "n", 5, 5, QINS_BAD_MODEL, &error), 5);
    cr_expect_eq(qins_json_get_integer_or(root, "none", 0, 9, 4, QINS_BAD_MODEL, &error), 4);
    cr_expect_eq(qins_json_get_number_or(root, "x", 0, 2, 7, QINS_BAD_MODEL, &error), 1.5);
    cr_expect_eq(qins_json_get_number_or(root, "missing", 0, 2, 7, QINS_BAD_MODEL, &error), 7);
    cr_expect_eq(qins_json_get_bool_or(root, "b", true, QINS_BAD_MODEL, &error), false);
    cr_expect_eq(qins_json_get_bool_or(root, "missing", true, QINS_BAD_MODEL, &error), true);
    cr_expect_str_eq(qins_json_get_string(root, "s", QINS_BAD_MODEL, &error), "text");
    expect_ok(&error);
    cr_expect_eq(qins_json_get_integer(root, "n", 6, 9, QINS_BAD_MODEL, &error), 6,
                 "a refused value is still in range");
    expect_error(&error, QINS_BAD_MODEL, "\"n\" must be an integer from 6 to 9");
    qins_json_get_integer(root, "missing", 0, 9, QINS_BAD_MODEL, &error);
    expect_error(&error, QINS_BAD_MODEL, "\"missing\" is missing");
    qins_json_get_integer(root, "none", 0, 9, QINS_BAD_MODEL, &error);
    expect_error(&error, QINS_BAD_MODEL, "\"none\" is missing");
    qins_json_get_integer_or(root, "x", 0, 9, 1, QINS_BAD_MODEL, &error);
    expect_error(&error, QINS_BAD_MODEL, "\"x\" must be an integer");
    qins_json_get_number_or(root, "s", 0, 9, 1, QINS_BAD_MODEL, &error);
    expect_error(&error, QINS_BAD_MODEL, "\"s\" must be a number");
    cr_expect_eq(qins_json_get_number_or(root, "x", 2, 9, 3, QINS_BAD_MODEL, &error), 3);
    expect_error(&error, QINS_BAD_MODEL, "\"x\" must be a number from 2 to 9");
    qins_json_get_bool_or(root, "n", false, QINS_BAD_MODEL, &error);
    expect_error(&error, QINS_BAD_MODEL, "\"n\" must be true or false");
    cr_expect_str_empty(qins_json_get_string(root, "n", QINS_BAD_MODEL, &error));
    expect_error(&error, QINS_BAD_MODEL, "\"n\" must be a string");
    qins_json_free(root);
}

Test(json, prints_what_was_built) {
    qins_error error = {0};
    qins_json *root = qins_json_new_object(&error);
    qins_json_add_string(root, "s", "a\"b\n", &error);
    qins_json_add_bool(root, "b", true, &error);
    qins_json *array = qins_json_add_array(root, "a", &error);
    qins_json_append_number(array, 1, &error);
    qins_json_append_string(array, "x", &error);
    qins_json_add_number(qins_json_append_object(array, &error), "k", 0.5, &error);
    qins_json_add_number(qins_json_add_object(root, "o", &error), "n", 7642159104.0, &error);
    char *text = qins_json_print(root, &error);
    expect_ok(&error);
    cr_expect_str_eq(text, "{\"s\":\"a\\\"b\\n\",\"b\":true,\"a\":[1,\"x\",{\"k\":0.5}],\"o\":{\"n\":7642159104}}");
    free(text);
    qins_json_free(root);
}

static double printed_and_read(double value) {
    qins_error error = {0};
    qins_json *object = qins_json_new_object(&error);
    qins_json_add_number(object, "n", value, &error);
    char *text = qins_json_print(object, &error);
    expect_ok(&error);
    qins_json *again = parse(text);
    double read = NAN;
    cr_expect(qins_json_number(qins_json_get(again, "n"), &read), "%s", text);
    free(text);
    qins_json_free(object);
    qins_json_free(again);
    return read;
}

Test(json, numbers_come_back_exactly) {
    const double cases[] = {0,
                            1,
                            -1,
                            0.1,
                            1.0 / 3,
                            1e-5,
                            9007199254740992.0,
                            9007199254740991.0,
                            DBL_MAX,
                            DBL_MIN,
                            5e-324,
                            1e22,
                            1e23,
                            4096,
                            2147483647.0,
                            2147483648.0,
                            1e15,
                            -1e15 - 1,
                            8.397261096476889};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        cr_expect_eq(printed_and_read(cases[i]), cases[i], "%.17g", cases[i]);
    test_random random = {1};
    for (int i = 0; i < 20000; i++) {
        double value = ldexp((double)(random_bits(&random) >> 11), (int)random_below(&random, 200) - 150);
        cr_assert_eq(printed_and_read(value), value, "%.17g", value);
    }
}

Test(json, building_tolerates_failure_further_up) {
    qins_error error = {0};
    qins_json_add_string(NULL, "s", "text", &error);
    qins_json_append_number(qins_json_add_array(NULL, "a", &error), 1, &error);
    cr_expect_null(qins_json_print(NULL, &error));
    expect_error(&error, QINS_FAILED, "out of memory");
}

Test(json, writes_to_a_buffer_until_an_error) {
    qins_error error = {0};
    qins_buffer out = {.error = &error};
    qins_json *object = qins_json_new_object(&error);
    qins_json_add_number(object, "n", 1.5, &error);
    qins_json_write(object, &out);
    qins_json_write(object, &out);
    qins_buffer_u8(&out, '\0');
    cr_expect_str_eq((char *)out.data, "{\"n\":1.5}{\"n\":1.5}");
    qins_fail(&error, QINS_USAGE, "an earlier error");
    cr_expect_null(qins_json_print(object, &error));
    qins_json_write(object, &out);
    cr_expect_eq(out.size, sizeof "{\"n\":1.5}{\"n\":1.5}");
    expect_error(&error, QINS_USAGE, "earlier");
    qins_json_free(object);
    qins_buffer_free(&out);
}

Test(json, a_nul_is_refused) {
    static const char *const refused[] = {"{\"a\\u0000b\": 1}", "{\"a\": \"\\u0000\"}", "[\"\\\\\\u0000\"]"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        qins_error error = {0};
        cr_expect_null(qins_json_parse(refused[i], strlen(refused[i]), QINS_BAD_MODEL, &error), "%s", refused[i]);
        expect_error(&error, QINS_BAD_MODEL, "there is a U+0000 at byte");
    }
    qins_error error = {0};
    cr_expect_null(qins_json_parse("[\"a\0b\"]", 7, QINS_BAD_MODEL, &error));
    expect_error(&error, QINS_BAD_MODEL, "there is a U+0000 at byte 3");
    qins_json *json = parse("[\"\\\\u0000 is none\"]");
    cr_expect_str_eq(qins_json_text(qins_json_first(json)), "\\u0000 is none");
    qins_json_free(json);
}

Test(json, values_are_counted) {
    static const char text[] = "{\"a,[{\": [1, 2, \"\\\",,,\"], \"b\": {}}";
    qins_error error = {0};
    qins_json *json = qins_json_parse_limited(text, sizeof text - 1, 7, QINS_BAD_MODEL, &error);
    expect_ok(&error);
    qins_json_free(json);
    cr_expect_null(qins_json_parse_limited(text, sizeof text - 1, 6, QINS_BAD_MODEL, &error));
    expect_error(&error, QINS_BAD_MODEL, "JSON with more than 6 values");
}
