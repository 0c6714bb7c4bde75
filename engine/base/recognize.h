// Files that people pass instead of a model: an error that says what such a file is, and the next step.
#ifndef QINS_BASE_RECOGNIZE_H
#define QINS_BASE_RECOGNIZE_H

#include "engine/base/error.h"

#include <stddef.h>

// Does the beginning of a file (`size` bytes of it) show that it is not one of ours: empty, a git-lfs pointer, a web
// page, the file of another engine? An error of kind QINS_BAD_MODEL that names the path if so.
qins_status qins_recognize_file(const char *path, const char *start, size_t size, qins_error *error);

// Is there nothing at this path, and does it look like the name of a model on Hugging Face, such as
// microsoft/Phi-3.5-mini-instruct? An error with the command that downloads it if so.
qins_status qins_recognize_hub_name(const char *path, qins_error *error);

#endif
