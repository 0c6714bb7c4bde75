// The sandbox of qinsconvert; see engine/base/sandbox.h.
#ifndef QINS_CONVERT_CONFINE_H
#define QINS_CONVERT_CONFINE_H

#include "convert/program_options.h"

// From now on the process opens only the files that the options name, and makes only the system calls that a conversion
// needs; does nothing with --no-sandbox. Files can be written in `folder` (NULL: nowhere). Loads the libraries that the
// work needs, because they cannot be loaded afterwards.
qins_status qins_convert_confine(const qins_program_options *options, const char *folder, qins_error *error);

#endif
