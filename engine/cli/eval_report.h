// The report of qinsrun eval.
#ifndef QINS_CLI_EVAL_REPORT_H
#define QINS_CLI_EVAL_REPORT_H

#include "engine/measure/evaluation.h"

// The figures of all tasks, or JSON.
qins_status qins_eval_report(const qins_evaluation *evaluations, size_t n, bool json, qins_error *error);

#endif
