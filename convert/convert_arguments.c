// Options of a conversion; see convert_arguments.h.
#include "convert/convert_arguments.h"

#include "convert/convert.h"

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
