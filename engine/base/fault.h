// SIGBUS, by which the system tells that a mapped file was cut off or cannot be read any more: for programs, as a
// library does not handle signals.
#ifndef QINS_BASE_FAULT_H
#define QINS_BASE_FAULT_H

#include "engine/base/error.h"

// From now on such a file reads as zeros (qins_file_fault), and whoever computes with it asks afterwards whether it has
// failed (qins_map_is_lost). Other faults go to the handler that was there before. Call it once.
qins_status qins_catch_faults(qins_error *error);

#endif
