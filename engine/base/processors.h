// The default number of threads.
#ifndef QINS_BASE_PROCESSORS_H
#define QINS_BASE_PROCESSORS_H

#include <stddef.h>

typedef struct qins_processors {
    size_t logical; // that this process may run on
    size_t cores;   // physical ones among them: a core's second thread has no arithmetic units of its own
    size_t quota;   // processors' worth of CPU time that the control group allows; SIZE_MAX: no limit
} qins_processors;

qins_processors qins_processors_find(void);

// The lower of cores and quota, at least 1: the default thread count.
size_t qins_default_threads(void);

#endif
