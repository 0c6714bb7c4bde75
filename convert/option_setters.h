// Setters (qins_option.set) for the options of a conversion, which both programs have.
#ifndef QINS_CONVERT_OPTION_SETTERS_H
#define QINS_CONVERT_OPTION_SETTERS_H

#include "engine/base/option_table.h"

// A choice of type names into the qins_type at the offset.
void qins_set_type(void *values, const qins_given_option *given, qins_error *error);
// Further rules of the qins_convert_options at the offset: a choice of type names for the head or the embedding, and
// "PATTERN=TYPE".
void qins_set_head_type(void *values, const qins_given_option *given, qins_error *error);
void qins_set_embedding_type(void *values, const qins_given_option *given, qins_error *error);
void qins_add_type_rule(void *values, const qins_given_option *given, qins_error *error);

#endif
