// The report of qinsrun compare.
#ifndef QINS_CLI_COMPARE_REPORT_H
#define QINS_CLI_COMPARE_REPORT_H

#include "engine/measure/comparison.h"
#include "engine/measure/greedy.h"

// The figures, or JSON; of greedy texts where there are prompts.
qins_status qins_compare_report(qins_comparison *comparison, const qins_greedy *greedy, bool json, qins_error *error);

#endif
