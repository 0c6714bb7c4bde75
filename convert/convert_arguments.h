// Setters (qins_argument.set) for the options of a conversion, which both programs have.
#ifndef QINS_CONVERT_ARGUMENTS_H
#define QINS_CONVERT_ARGUMENTS_H

#include "engine/base/arguments.h"

// A choice of type names into the qins_type at the offset.
void qins_set_type(void *values, const qins_given *given, qins_error *error);
// A choice of type names into head_type of the qins_convert_options at the offset; notes that it was given.
void qins_set_head_type(void *values, const qins_given *given, qins_error *error);
// "PATTERN=TYPE" as a further rule of the qins_convert_options at the offset.
void qins_add_type_rule(void *values, const qins_given *given, qins_error *error);

#endif
