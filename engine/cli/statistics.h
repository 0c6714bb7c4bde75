// Statistics of a reply: a line on stderr, as text or JSON (--stats), and a part of the record of --json.
#ifndef QINS_CLI_STATISTICS_H
#define QINS_CLI_STATISTICS_H

#include "engine/base/json.h"
#include "engine/cli/generate.h"

void qins_statistics_print(const qins_generator *generator, const qins_reply *reply, qins_error *error);
// A short one, dim, for a person at a terminal.
void qins_statistics_print_short(const qins_generator *generator, const qins_reply *reply);
void qins_statistics_add(qins_json *record, const qins_generator *generator, const qins_reply *reply,
                         qins_error *error);

#endif
