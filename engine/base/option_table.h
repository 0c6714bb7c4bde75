// Command lines, described by a table with a row for each option. Parsing, help and completion all read the same table,
// so they cannot disagree. Names must be given in full: an abbreviation that is unambiguous today could become
// ambiguous with new options.
#ifndef QINS_BASE_OPTION_TABLE_H
#define QINS_BASE_OPTION_TABLE_H

#include "engine/base/error.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef struct qins_option qins_option;

// An option as it was given.
typedef struct qins_given_option {
    const qins_option *option;
    char name[32];     // as typed, "-n" or "--n-predict", for messages
    const char *value; // NULL for a switch
} qins_given_option;

// Store the value in the structure that is being filled, or record QINS_USAGE.
typedef void qins_option_setter(void *values, const qins_given_option *given, qins_error *error);

struct qins_option {
    const char *group; // heading in the help
    char letter;       // 0: none
    const char *name;  // without its dashes; NULL: the row takes operands
    const char *value; // name of its value, or its choices "f16|f32"; NULL: a switch
    unsigned sets;     // bit mask of the sets it belongs to; a name may occur twice in different sets
    bool common;       // part of the short help
    qins_option_setter *set;
    size_t offset; // of the field, for the setters below
    uint64_t min, max;
    const char *help; // one line
};

// The name of an option in other programs: accepted like its own name, but neither listed nor completed.
typedef struct qins_option_alias {
    const char *alias, *name; // without dashes
} qins_option_alias;

typedef struct qins_option_table {
    const char *program; // for messages
    const qins_option *rows;
    size_t count;                     // at most QINS_MAX_OPTIONS
    const qins_option_alias *aliases; // ends with {NULL, NULL}; NULL: there are none
} qins_option_table;

enum { QINS_MAX_OPTIONS = 96 };

// Parse argv[1..] into *values. `sets`: those that are allowed. given[i] becomes true where row i was given. On failure
// QINS_USAGE, with the closest name when an option is unknown.
qins_status qins_option_table_parse(const qins_option_table *table, unsigned sets, int argc, char **argv, void *values,
                                    bool given[QINS_MAX_OPTIONS], qins_error *error);

// Set one option of `sets` by its name, without dashes; messages call it that.
qins_status qins_option_table_set(const qins_option_table *table, unsigned sets, const char *name, const char *value,
                                  void *values, qins_error *error);

// The options of `sets` under their groups' headings; `common_only`: those of the short help.
void qins_option_table_print(const qins_option_table *table, unsigned sets, bool common_only, FILE *file);

// For completion: a line "SPELLING<tab>VALUE<tab>HELP" for each spelling of the options of `sets`.
void qins_option_table_list(const qins_option_table *table, unsigned sets, FILE *file);

// Setters for a field of the type bool, const char * (any text, one of the row's choices), size_t (within min and max)
// and float.
qins_option_setter qins_set_switch, qins_set_text, qins_set_choice, qins_set_count, qins_set_number;

// The value as a whole number of the row's range, or as the index of one of the row's choices; 0 and an error
// otherwise.
uint64_t qins_given_count(const qins_given_option *given, qins_error *error);
size_t qins_given_choice(const qins_given_option *given, qins_error *error);

// The edit distance of two names: letters to insert, delete, replace or swap with their neighbour; 1 when one is a
// prefix of the other. SIZE_MAX when they have nothing in common.
size_t qins_name_distance(const char *a, const char *b);

#endif
