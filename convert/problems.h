// Collects the problems of a checkpoint, so all of them can be shown and not only the first; and passes warnings on.
#ifndef QINS_CONVERT_PROBLEMS_H
#define QINS_CONVERT_PROBLEMS_H

#include "convert/convert.h"

typedef struct qins_problems {
    const char *folder;  // that they are about, not owned
    qins_notice *notice; // called at once for every problem; NULL: the error message carries as many as fit
    void *context;       // of notice
    size_t count;
    size_t n_kept;   // problems in `text`
    size_t used;     // bytes of `text`
    char text[1400]; // the first problems, one after another, each with its NUL
} qins_problems;

// Report something that is ignored: one line, separate from the problems.
void qins_problems_warn(const qins_problems *problems, const char *format, ...) QINS_PRINTF(2, 3);

void qins_problems_add(qins_problems *problems, const char *format, ...) QINS_PRINTF(2, 3);

// A kind of tensors, often numerous, with the same fault: one line for all of them.
typedef struct qins_kind {
    const char *mark, *what; // names with the mark in them are of the kind
    const char *first;       // name of it, not owned
    size_t count;
} qins_kind;

// Count the name with the first kind that it matches; false when there is none.
bool qins_kinds_take(qins_kind *kinds, size_t n_kinds, const char *name);
void qins_kinds_report(const qins_kind *kinds, size_t n_kinds, qins_problems *problems);

// One error for all of them, QINS_BAD_MODEL, that names the folder; QINS_OK when there is none.
qins_status qins_problems_end(const qins_problems *problems, qins_error *error);

#endif
