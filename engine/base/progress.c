// The progress line on stderr; see progress.h.
#include "engine/base/progress.h"

#include "engine/base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const double QUIET_SECONDS = 1.0, TERMINAL_SECONDS = 0.2, LOG_SECONDS = 10.0;

static const double TELLING_SHARE = 0.02; // of the whole: before that, the time left would be a guess

bool qins_can_redraw(int fd) {
    const char *kind = getenv("TERM");
    return kind != NULL && strcmp(kind, "dumb") != 0 && isatty(fd);
}

qins_meter qins_meter_start(const char *label, const char *unit, double unit_size, const volatile sig_atomic_t *stop) {
    double now = qins_clock();
    return (qins_meter){.label = label,
                        .unit = unit,
                        .unit_size = unit_size,
                        .stop = stop,
                        .start = now,
                        .shown = now,
                        .terminal = qins_can_redraw(STDERR_FILENO)};
}

bool qins_meter_update(void *context, uint64_t done, uint64_t total) {
    qins_meter *meter = context;
    double now = qins_clock(), elapsed = now - meter->start;
    double interval = meter->terminal ? TERMINAL_SECONDS : LOG_SECONDS;
    if (meter->label != NULL && elapsed >= QUIET_SECONDS && now - meter->shown >= interval && done > 0 && total > 0) {
        double rate = (double)done / elapsed;
        char left[48] = "";
        if ((double)done >= TELLING_SHARE * (double)total)
            snprintf(left, sizeof left, "  %.0f s left", (double)(total - done) / rate);
        fprintf(stderr, "%s%s  %d %%  %.*f %s/s%s%s", meter->terminal ? "\r\033[K" : "", meter->label,
                (int)(100.0 * (double)done / (double)total), rate / meter->unit_size < 10 ? 1 : 0,
                rate / meter->unit_size, meter->unit, left, meter->terminal ? "" : "\n");
        fflush(stderr);
        meter->shown = now;
        meter->visible = true;
    }
    return meter->stop == NULL || *meter->stop == 0;
}

void qins_meter_end(qins_meter *meter) {
    if (meter->visible && meter->terminal) fputs("\r\033[K", stderr);
    meter->visible = false;
}
