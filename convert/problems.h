// Collects what is wrong with a checkpoint, so that all of it can be shown and not only the first thing.
#ifndef QINS_CONVERT_PROBLEMS_H
#define QINS_CONVERT_PROBLEMS_H

#include "convert/convert.h"

typedef struct qins_problems {
    qins_notice *notice; // told of every problem at once; NULL: the error message carries as many as fit
    void *context;       // of notice
    size_t count;
    size_t n_kept;   // problems in `text`
    size_t used;     // bytes of `text`
    char text[1400]; // the first problems, one after another, each with its NUL
} qins_problems;

void qins_problems_add(qins_problems *problems, const char *format, ...) QINS_PRINTF(2, 3);

// One error for all of them, QINS_BAD_MODEL, that names the folder; QINS_OK when there is none.
qins_status qins_problems_end(const qins_problems *problems, const char *folder, qins_error *error);

#endif
