// Recognizes folders that are not Hugging Face folders with weights in safetensors, and says what to do.
#ifndef QINS_CONVERT_HINTS_H
#define QINS_CONVERT_HINTS_H

#include "engine/base/error.h"

// Fail with QINS_BAD_MODEL because the folder `path` has no config.json, or neither model.safetensors nor its index.
qins_status qins_hint_no_config(const char *path, qins_error *error);
qins_status qins_hint_no_weights(const char *path, qins_error *error);

// Fail in the same way because it lacks one of an adapter's two files.
qins_status qins_hint_no_adapter(const char *path, qins_error *error);

#endif
