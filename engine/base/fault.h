// Handling of SIGBUS, with which the system reports that a mapped file was truncated or can no longer be read. For
// programs: a library does not handle signals.
#ifndef QINS_BASE_FAULT_H
#define QINS_BASE_FAULT_H

#include "engine/base/error.h"

// From now on such a file reads as zeros (qins_file_fault), and code that computes with it checks afterwards whether it
// has failed (qins_map_is_lost). Other faults go to the previous handler. Call it once.
qins_status qins_catch_faults(qins_error *error);

#endif
