// Long work reports how far it is through a qins_progress function; qins_meter is the one that shows it on stderr.
#ifndef QINS_BASE_PROGRESS_H
#define QINS_BASE_PROGRESS_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

// Called now and then with done <= total in some unit of work; false asks the work to stop (QINS_INTERRUPTED). A NULL
// function is allowed wherever one is taken and means no reporting.
typedef bool qins_progress(void *context, uint64_t done, uint64_t total);

// Is it a terminal that can rewrite a line? One whose TERM is unset or dumb does not.
bool qins_can_redraw(int fd);

// Shows "LABEL  42 %  310 MB/s  12 s left" (the time once 2 % are done) on stderr: one line rewritten in place if the
// terminal allows it, otherwise a line every ten seconds of work; nothing for work that takes less than a second.
typedef struct qins_meter {
    const char *label;                 // NULL: nothing is shown
    const char *unit;                  // shown as UNIT/s
    double unit_size;                  // steps of `done` in one unit, e.g. 1e6 for MB
    const volatile sig_atomic_t *stop; // becomes nonzero when the user interrupts; NULL: never
    double start, shown;               // seconds
    bool terminal, visible;
} qins_meter;

qins_meter qins_meter_start(const char *label, const char *unit, double unit_size, const volatile sig_atomic_t *stop);
bool qins_meter_update(void *meter, uint64_t done, uint64_t total); // a qins_progress
void qins_meter_end(qins_meter *meter);                             // clear the line if it can be rewritten

#endif
