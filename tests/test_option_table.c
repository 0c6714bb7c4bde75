// The parser of command lines: every spelling of an option, closest names, and that help and list show the whole table.
#define _GNU_SOURCE // open_memstream
#include "engine/base/option_table.h"
#include "tests/support.h"

#include <stdlib.h>
#include <string.h>

typedef struct values {
    bool loud, wide;
    size_t count;
    const char *text, *operand;
    size_t choice;
} values;

static void set_choice(void *target, const qins_given_option *given, qins_error *error) {
    ((values *)target)->choice = qins_given_choice(given, error);
}

enum { FIRST = 1, SECOND = 2, BOTH = 3 };

static const qins_option rows[] = {
    {"Switches", 'l', "loud", NULL, BOTH, true, qins_set_switch, offsetof(values, loud), 0, 0, "be loud"},
    {"Switches", 'w', "wide", NULL, BOTH, false, qins_set_switch, offsetof(values, wide), 0, 0, "be wide"},
    {"Values", 'n', "number", "N", FIRST, true, qins_set_count, offsetof(values, count), 1, 9, "first's number"},
    {"Values", 'n', "number", "N", SECOND, true, qins_set_count, offsetof(values, count), 1, 99, "second's number"},
    {"Values", 0, "text", "TEXT", FIRST, false, qins_set_text, offsetof(values, text), 0, 0, "a text"},
    {"Values", 0, "shape", "round|square", BOTH, false, set_choice, 0, 0, 0, "a shape"},
    {NULL, 0, NULL, "FILE", BOTH, false, qins_set_text, offsetof(values, operand), 0, 0, NULL},
};
static const qins_option_alias aliases[] = {{"amount", "number"}, {NULL, NULL}};
static const qins_option_table table = {"program", rows, sizeof rows / sizeof rows[0], aliases};

static uint64_t parse(values *target, unsigned commands, char **words, qins_error *error) {
    int count = 0;
    bool given[QINS_MAX_OPTIONS];
    uint64_t bits = 0;
    while (words[count] != NULL) count++;
    *target = (values){0};
    qins_option_table_parse(&table, commands, count, words, target, given, error);
    for (size_t i = 0; i < table.count; i++) bits |= (uint64_t)given[i] << i;
    return bits;
}
#define PARSE(target, commands, ...) parse(target, commands, (char *[]){"program", __VA_ARGS__, NULL}, &error)

Test(table, spellings) {
    values got;
    qins_error error = {0};
    cr_expect_eq(PARSE(&got, FIRST, "-lw", "-n", "3", "--text=a=b", "file"), 1 | 2 | 4 | 16 | 64);
    cr_expect(got.loud && got.wide && got.count == 3);
    cr_expect_str_eq(got.text, "a=b");
    cr_expect_str_eq(got.operand, "file");
    PARSE(&got, FIRST, "-wn7", "--text", "--loud");
    cr_expect(!got.loud && got.wide && got.count == 7);
    cr_expect_str_eq(got.text, "--loud");
    PARSE(&got, FIRST, "--shape", "square", "--", "--loud");
    cr_expect(got.choice == 1 && !got.loud);
    cr_expect_str_eq(got.operand, "--loud");
    PARSE(&got, FIRST, "--amount=5");
    cr_expect_eq(got.count, 5, "another program's name");
    PARSE(&got, FIRST, "-", "--text", "");
    cr_expect_str_eq(got.operand, "-");
    cr_expect_str_eq(got.text, "");
    expect_ok(&error);
}

Test(table, a_name_means_what_the_command_makes_of_it) {
    values got;
    qins_error error = {0};
    cr_expect_eq(PARSE(&got, SECOND, "-n", "50"), 8);
    cr_expect_eq(got.count, 50);
    cr_expect_eq(PARSE(&got, SECOND, "--text", "x"), 16); // not its own: for the caller to refuse
    expect_ok(&error);
    PARSE(&got, FIRST, "-n", "50");
    expect_error(&error, QINS_USAGE, "-n takes a whole number from 1 to 9, not \"50\"");
}

Test(table, mistakes) {
    values got;
    qins_error error = {0};
    PARSE(&got, FIRST, "--lodu");
    expect_error(&error, QINS_USAGE, "--lodu is not an option; did you mean --loud? (see program --help)");
    PARSE(&got, FIRST, "--num", "3"); // no abbreviations
    expect_error(&error, QINS_USAGE, "--num is not an option; did you mean --number?");
    PARSE(&got, FIRST, "--xyzzy");
    expect_error(&error, QINS_USAGE, "--xyzzy is not an option (see");
    PARSE(&got, FIRST, "--a-name-that-is-longer-than-any-that-there-is=x");
    expect_error(&error, QINS_USAGE, "is not an option");
    PARSE(&got, FIRST, "-lx");
    expect_error(&error, QINS_USAGE, "-x is not an option");
    PARSE(&got, FIRST, "--loud=yes");
    expect_error(&error, QINS_USAGE, "--loud takes no value");
    PARSE(&got, FIRST, "-n");
    expect_error(&error, QINS_USAGE, "-n needs a value");
    PARSE(&got, FIRST, "--shape", "oval");
    expect_error(&error, QINS_USAGE, "--shape takes round|square, not \"oval\"");
    PARSE(&got, FIRST, "--shape", "square|");
    expect_error(&error, QINS_USAGE, "--shape takes");
}

Test(table, distance_of_names) {
    cr_expect_eq(qins_name_distance("same", "same"), 0);
    cr_expect_eq(qins_name_distance("theads", "threads"), 1);   // put in
    cr_expect_eq(qins_name_distance("threadds", "threads"), 1); // taken out
    cr_expect_eq(qins_name_distance("threats", "threads"), 1);  // replaced
    cr_expect_eq(qins_name_distance("thraeds", "threads"), 1);  // swapped
    cr_expect_eq(qins_name_distance("temperature", "temp"), 1);
    cr_expect_eq(qins_name_distance("stories", "threads"), SIZE_MAX);
    cr_expect_eq(qins_name_distance("", "threads"), SIZE_MAX);
}

Test(table, help_and_list) {
    char *text;
    size_t size;
    FILE *file = open_memstream(&text, &size);
    qins_option_table_print(&table, FIRST, true, file);
    fclose(file);
    cr_expect_str_eq(text, "Switches\n"
                           "  -l, --loud                   be loud\n"
                           "Values\n"
                           "  -n, --number N               first's number\n");
    free(text);
    file = open_memstream(&text, &size);
    qins_option_table_list(&table, SECOND, file);
    fclose(file);
    cr_expect_str_eq(text, "-l\t\tbe loud\n--loud\t\tbe loud\n-w\t\tbe wide\n--wide\t\tbe wide\n"
                           "-n\tN\tsecond's number\n--number\tN\tsecond's number\n"
                           "--shape\tround|square\ta shape\n");
    free(text);
}
