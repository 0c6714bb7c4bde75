// Options of a conversion; see option_setters.h.
#include "convert/option_setters.h"

#include "convert/convert.h"

#include <string.h>

static void *field(void *values, const qins_given_option *given) {
    return (char *)values + given->option->offset;
}

void qins_set_type(void *values, const qins_given_option *given, qins_error *error) {
    qins_given_choice(given, error);
    if (error->status == QINS_OK) qins_type_from_name(given->value, field(values, given));
}

// A rule for the names that pattern[length] fits.
static void add_rule(qins_convert_options *options, const qins_given_option *given, const char *pattern, size_t length,
                     qins_type type, qins_error *error) {
    qins_type_rule *rule = &options->rules[options->n_rules];
    if (options->n_rules == QINS_MAX_TYPE_RULES)
        qins_fail(error, QINS_USAGE, "%s: more than %d types of single tensors", given->name, QINS_MAX_TYPE_RULES);
    if (error->status != QINS_OK) return;
    rule->type = type;
    memcpy(rule->pattern, pattern, length);
    rule->pattern[length] = '\0';
    options->n_rules++;
}

static void add_rule_of_kind(qins_convert_options *options, const qins_given_option *given, const char *kind,
                             qins_error *error) {
    qins_type type = QINS_F32;
    qins_given_choice(given, error);
    if (error->status == QINS_OK) qins_type_from_name(given->value, &type);
    add_rule(options, given, kind, strlen(kind), type, error);
}

void qins_set_head_type(void *values, const qins_given_option *given, qins_error *error) {
    add_rule_of_kind(field(values, given), given, "head", error);
}

void qins_set_embedding_type(void *values, const qins_given_option *given, qins_error *error) {
    add_rule_of_kind(field(values, given), given, "embedding", error);
}

void qins_add_type_rule(void *values, const qins_given_option *given, qins_error *error) {
    const char *name = strrchr(given->value, '=');
    const size_t length = name == NULL ? 0 : (size_t)(name - given->value);
    qins_type type = QINS_F32;
    if (length == 0 || length >= sizeof((qins_type_rule){0}.pattern))
        qins_fail(error, QINS_USAGE, "%s takes PATTERN=TYPE, such as 'model.layers.0.*=qins8', not \"%s\"", given->name,
                  given->value);
    else if (!qins_type_from_name(name + 1, &type) || type == QINS_F16)
        qins_fail(error, QINS_USAGE, "%s %s: the type must be qins8, qins6, qins5, qins4, bf16 or f32", given->name,
                  given->value);
    add_rule(field(values, given), given, given->value, length, type, error);
}
