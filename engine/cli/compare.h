// What qinsrun compare measures (cmd_compare.c) and reports (compare_report.c).
#ifndef QINS_CLI_COMPARE_H
#define QINS_CLI_COMPARE_H

#include "engine/cli/comparison.h"
#include "engine/cli/greedy.h"

typedef struct qins_greedy_report {
    size_t n_steps, n_prompts;  // no prompts: nothing to report
    qins_greedy_match *matches; // owned, [n_prompts]
} qins_greedy_report;

// Print the figures, or JSON.
qins_status qins_compare_report(qins_comparison *comparison, const qins_greedy_report *greedy, bool json,
                                qins_error *error);

#endif
