// The sandbox of qinsconvert; see engine/base/sandbox.h.
#ifndef QINS_CONVERT_CONFINE_H
#define QINS_CONVERT_CONFINE_H

#include "convert/program_options.h"

// From now on the process opens no files but those that the options name, and makes no system calls but those that a
// conversion needs; not with --no-sandbox. Files can be written in `folder` (NULL: nowhere). Loads what the work will
// load, which cannot be loaded afterwards.
qins_status qins_convert_confine(const qins_program_options *options, const char *folder, qins_error *error);

#endif
