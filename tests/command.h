// Commands of qinsrun inside the test process.
#ifndef QINS_TESTS_COMMAND_H
#define QINS_TESTS_COMMAND_H

#include "engine/base/json.h"

// Run a command by its line ("compare -m MODEL --json", cut at spaces) and read the JSON that it prints. Every failure
// fails the test. Released with qins_json_free.
qins_json *command_json(const char *line);

// Run it; it must fail with this status and message.
void expect_command_fails(const char *line, qins_status status, const char *message);

// FOLDER/NAME.qins, tests/data/tiny/NAME converted with FP32 weights; the path is valid until the next call.
const char *command_model(const char *folder, const char *name);

// Run it once for each allocation, mapping and thread start of its own, with that one failing: an error with a message
// each time, and nothing lost.
void expect_command_survives_failures(const char *line);

// The number at a path of keys and array indices with dots between them, such as "kld.max_at.window".
double json_number_at(const qins_json *json, const char *path);

#endif
