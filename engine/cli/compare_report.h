// The report of qinsrun compare.
#ifndef QINS_CLI_COMPARE_REPORT_H
#define QINS_CLI_COMPARE_REPORT_H

#include "engine/measure/comparison.h"
#include "engine/measure/greedy.h"

// Print the figures, or JSON; those of greedy texts only if there are prompts.
qins_status qins_compare_report(qins_comparison *comparison, const qins_greedy *greedy, bool json, qins_error *error);

#endif
