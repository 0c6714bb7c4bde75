// Command lines; see option_table.h.
#include "engine/base/option_table.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

// --- values ---

uint64_t qins_given_count(const qins_given_option *given, qins_error *error) {
    const qins_option *row = given->option;
    char *end;
    errno = 0;
    const unsigned long long value = strtoull(given->value, &end, 10);
    const bool is_number = given->value[0] >= '0' && given->value[0] <= '9' && *end == '\0';
    if (is_number && errno == 0 && value >= row->min && value <= row->max) return value;
    qins_fail(error, QINS_USAGE, "%s takes a whole number from %llu to %llu, not \"%s\"", given->name,
              (unsigned long long)row->min, (unsigned long long)row->max, given->value);
    return 0;
}

size_t qins_given_choice(const qins_given_option *given, qins_error *error) {
    const size_t length = strlen(given->value);
    size_t index = 0;
    for (const char *choice = given->option->value; choice != NULL; index++) {
        const char *end = strchr(choice, '|');
        const size_t size = end != NULL ? (size_t)(end - choice) : strlen(choice);
        if (size == length && memcmp(choice, given->value, size) == 0) return index;
        choice = end != NULL ? end + 1 : NULL;
    }
    qins_fail(error, QINS_USAGE, "%s takes %s, not \"%s\"", given->name, given->option->value, given->value);
    return 0;
}

static void *field(void *values, const qins_given_option *given) {
    return (char *)values + given->option->offset;
}

void qins_set_switch(void *values, const qins_given_option *given, qins_error *error) {
    (void)error;
    *(bool *)field(values, given) = true;
}

void qins_set_text(void *values, const qins_given_option *given, qins_error *error) {
    (void)error;
    *(const char **)field(values, given) = given->value;
}

void qins_set_choice(void *values, const qins_given_option *given, qins_error *error) {
    qins_given_choice(given, error);
    qins_set_text(values, given, error);
}

void qins_set_count(void *values, const qins_given_option *given, qins_error *error) {
    *(size_t *)field(values, given) = (size_t)qins_given_count(given, error);
}

void qins_set_number(void *values, const qins_given_option *given, qins_error *error) {
    char *end;
    const float value = strtof(given->value, &end);
    if (end == given->value || *end != '\0' || !isfinite(value))
        qins_fail(error, QINS_USAGE, "%s takes a number, not \"%s\"", given->name, given->value);
    *(float *)field(values, given) = value;
}

// --- names ---

enum { MAX_NAME = 31 };

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

size_t qins_name_distance(const char *a, const char *b) {
    const size_t n = strlen(a), m = strlen(b);
    if (n == 0 || m == 0 || n > MAX_NAME || m > MAX_NAME) return SIZE_MAX;
    if (strncmp(a, b, smaller(n, m)) == 0) return n == m ? 0 : 1;
    size_t steps[MAX_NAME + 1][MAX_NAME + 1]; // [i][j]: from the first i letters of a to the first j of b
    for (size_t i = 0; i <= n; i++) {
        for (size_t j = 0; j <= m; j++) {
            if (i == 0 || j == 0) {
                steps[i][j] = i + j;
                continue;
            }
            steps[i][j] = smaller(steps[i - 1][j] + 1, steps[i][j - 1] + 1);
            steps[i][j] = smaller(steps[i][j], steps[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                steps[i][j] = smaller(steps[i][j], steps[i - 2][j - 2] + 1);
        }
    }
    return steps[n][m] <= 1 + n / 3 ? steps[n][m] : SIZE_MAX;
}

static const qins_option *find_closest(const qins_option_table *table, const char *name) {
    const qins_option *closest = NULL;
    size_t least = SIZE_MAX;
    for (size_t i = 0; i < table->count; i++) {
        const qins_option *row = &table->rows[i];
        const size_t distance = row->name == NULL ? SIZE_MAX : qins_name_distance(name, row->name);
        if (distance >= least) continue;
        least = distance;
        closest = row;
    }
    return closest;
}

// The row that this letter or name (the other is 0 or NULL) means in these sets; failing that, in others.
static const qins_option *find_row(const qins_option_table *table, unsigned sets, char letter, const char *name) {
    const qins_option *elsewhere = NULL;
    for (const qins_option_alias *alias = table->aliases; alias != NULL && alias->name != NULL && name != NULL; alias++)
        if (strcmp(alias->alias, name) == 0) name = alias->name;
    for (size_t i = 0; i < table->count; i++) {
        const qins_option *row = &table->rows[i];
        const bool same = name != NULL ? row->name != NULL && strcmp(row->name, name) == 0
                                       : row->letter != 0 && row->letter == letter;
        if (same && (row->sets & sets) != 0) return row;
        if (same) elsewhere = row;
    }
    return elsewhere;
}

// --- parsing ---

struct parser {
    const qins_option_table *table;
    unsigned sets;
    int argc, next; // argv[next] is to be read
    char **argv;
    void *values;
    bool *given;
    qins_error *error;
};

static void refuse(struct parser *parser, const char *what, const char *why) {
    qins_fail(parser->error, QINS_USAGE, "%s %s (see %s --help)", what, why, parser->table->program);
}

static void set(struct parser *parser, const qins_given_option *given) {
    parser->given[given->option - parser->table->rows] = true;
    given->option->set(parser->values, given, parser->error);
}

static bool take_next_as_value(struct parser *parser, qins_given_option *given) {
    if (parser->next == parser->argc) {
        refuse(parser, given->name, "needs a value");
        return false;
    }
    given->value = parser->argv[parser->next++];
    return true;
}

static void parse_name(struct parser *parser, const char *text) { // "--name" or "--name=value"
    qins_given_option given = {0};
    const char *value = strchr(text, '=');
    const size_t length = value != NULL ? (size_t)(value - text) : strlen(text);
    if (length < sizeof given.name) {
        memcpy(given.name, text, length);
        given.option = find_row(parser->table, parser->sets, 0, given.name + 2);
    }
    if (given.option == NULL) {
        const qins_option *closest = find_closest(parser->table, given.name + 2);
        char why[80] = "is not an option";
        if (closest != NULL) snprintf(why, sizeof why, "is not an option; did you mean --%s?", closest->name);
        refuse(parser, text, why);
    } else if (given.option->value == NULL) {
        if (value != NULL) refuse(parser, given.name, "takes no value");
        set(parser, &given);
    } else {
        given.value = value != NULL ? value + 1 : NULL;
        if (value != NULL || take_next_as_value(parser, &given)) set(parser, &given);
    }
}

static void parse_letters(struct parser *parser, const char *text) { // "-x", "-xy" for switches, "-x value", "-xvalue"
    for (size_t at = 1; text[at] != '\0' && parser->error->status == QINS_OK; at++) {
        qins_given_option given = {.name = {'-', text[at]}};
        given.option = find_row(parser->table, parser->sets, text[at], NULL);
        if (given.option == NULL) {
            refuse(parser, given.name, "is not an option");
        } else if (given.option->value == NULL) {
            set(parser, &given);
        } else {
            given.value = text + at + 1;
            if (*given.value != '\0' || take_next_as_value(parser, &given)) set(parser, &given);
            return;
        }
    }
}

static void parse_operand(struct parser *parser, const char *text) {
    for (size_t i = 0; i < parser->table->count; i++) {
        qins_given_option given = {.option = &parser->table->rows[i], .value = text};
        if (given.option->name != NULL || given.option->letter != 0) continue;
        set(parser, &given);
        return;
    }
    qins_fail(parser->error, QINS_USAGE, "\"%s\" is not an option (see %s --help)", text, parser->table->program);
}

qins_status qins_option_table_parse(const qins_option_table *table, unsigned sets, int argc, char **argv, void *values,
                                    bool given[QINS_MAX_OPTIONS], qins_error *error) {
    struct parser parser = {table, sets, argc, 1, argv, values, given, error};
    memset(given, 0, QINS_MAX_OPTIONS * sizeof *given);
    bool ends_options = false;
    while (parser.next < argc && error->status == QINS_OK) {
        const char *text = argv[parser.next++];
        if (ends_options || text[0] != '-' || text[1] == '\0')
            parse_operand(&parser, text);
        else if (strcmp(text, "--") == 0)
            ends_options = true;
        else if (text[1] == '-')
            parse_name(&parser, text);
        else
            parse_letters(&parser, text);
    }
    return error->status;
}

qins_status qins_option_table_set(const qins_option_table *table, unsigned sets, const char *name, const char *value,
                                  void *values, qins_error *error) {
    qins_given_option given = {.option = find_row(table, sets, 0, name), .value = value};
    if (given.option == NULL || given.option->value == NULL || strlen(name) >= sizeof given.name)
        return qins_fail(error, QINS_USAGE, "%s is not an option with a value", name);
    strcpy(given.name, name);
    given.option->set(values, &given, error);
    return error->status;
}

// --- help ---

void qins_option_table_print(const qins_option_table *table, unsigned sets, bool common_only, FILE *file) {
    const char *group = "";
    for (size_t i = 0; i < table->count; i++) {
        const qins_option *row = &table->rows[i];
        if (row->name == NULL || (row->sets & sets) == 0 || (common_only && !row->common)) continue;
        if (strcmp(group, row->group) != 0) fprintf(file, "%s\n", row->group);
        group = row->group;
        char spelling[64], letter[] = {'-', row->letter, ',', '\0'};
        snprintf(spelling, sizeof spelling, "%3s --%s %s", row->letter != 0 ? letter : "", row->name,
                 row->value != NULL ? row->value : "");
        fprintf(file, "  %-27s  %s\n", spelling, row->help);
    }
}

void qins_option_table_list(const qins_option_table *table, unsigned sets, FILE *file) {
    for (size_t i = 0; i < table->count; i++) {
        const qins_option *row = &table->rows[i];
        if (row->name == NULL || (row->sets & sets) == 0) continue;
        const char *value = row->value != NULL ? row->value : "";
        if (row->letter != 0) fprintf(file, "-%c\t%s\t%s\n", row->letter, value, row->help);
        fprintf(file, "--%s\t%s\t%s\n", row->name, value, row->help);
    }
}
