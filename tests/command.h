// Commands of qinsrun inside the test process.
#ifndef QINS_TESTS_COMMAND_H
#define QINS_TESTS_COMMAND_H

#include "engine/base/json.h"

// Run a command by its line ("compare -m MODEL --json", cut at spaces) and read the JSON that it prints. Every failure
// fails the test. Released with qins_json_free.
qins_json *command_json(const char *line);

// Run it; what it must fail with.
void expect_command_fails(const char *line, qins_status status, const char *message);

// The number at a path of keys and array indices with dots between them, such as "kld.max_at.window".
double json_number_at(const qins_json *json, const char *path);

#endif
