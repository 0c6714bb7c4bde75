// Monotonic time.
#ifndef QINS_BASE_CLOCK_H
#define QINS_BASE_CLOCK_H

double qins_clock(void); // seconds since an arbitrary start

#endif
