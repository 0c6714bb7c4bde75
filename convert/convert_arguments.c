// Options of a conversion; see convert_arguments.h.
#include "convert/convert_arguments.h"

#include "convert/convert.h"

#include <string.h>

static void *field(void *values, const qins_given *given) {
    return (char *)values + given->argument->offset;
}

void qins_set_type(void *values, const qins_given *given, qins_error *error) {
    qins_given_choice(given, error);
    if (error->status == QINS_OK) qins_type_from_name(given->value, field(values, given));
}

void qins_set_head_type(void *values, const qins_given *given, qins_error *error) {
    qins_convert_options *options = field(values, given);
    qins_given_choice(given, error);
    if (error->status == QINS_OK) qins_type_from_name(given->value, &options->head_type);
    options->head_given = true;
}

void qins_add_type_rule(void *values, const qins_given *given, qins_error *error) {
    qins_convert_options *options = field(values, given);
    qins_type_rule *rule = &options->rules[options->n_rules];
    const char *type = strrchr(given->value, '=');
    const size_t length = type == NULL ? 0 : (size_t)(type - given->value);
    if (options->n_rules == QINS_MAX_TYPE_RULES)
        qins_fail(error, QINS_USAGE, "%s may be given at most %d times", given->name, QINS_MAX_TYPE_RULES);
    else if (length == 0 || length >= sizeof rule->pattern)
        qins_fail(error, QINS_USAGE, "%s takes PATTERN=TYPE, such as 'model.layers.0.*=qins8', not \"%s\"", given->name,
                  given->value);
    else if (!qins_type_from_name(type + 1, &rule->type) || rule->type == QINS_F16)
        qins_fail(error, QINS_USAGE, "%s %s: the type must be qins8, qins6, qins5, qins4, bf16 or f32", given->name,
                  given->value);
    if (error->status != QINS_OK) return;
    memcpy(rule->pattern, given->value, length);
    rule->pattern[length] = '\0';
    options->n_rules++;
}
