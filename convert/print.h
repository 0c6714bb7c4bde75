// The texts that qinsconvert prints: a plan, and the cost of a conversion.
#ifndef QINS_CONVERT_PRINT_H
#define QINS_CONVERT_PRINT_H

#include "convert/convert.h"

#include <stdio.h>

// A line per tensor (name, file and dtype it comes from, [rows, cols], type, offset, bytes) and the totals.
void qins_print_plan(FILE *stream, const qins_convert_report *report);

// Size, bits per weight and error of each kind of tensor and of all.
void qins_print_costs(FILE *stream, const qins_convert_report *report, const char *path, double seconds);

#endif
