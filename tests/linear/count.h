// Counts the work of a stretch of the program, for tests that must not depend on a clock. The build config=counted
// calls into here at every basic block of the sources, and the linker hands over what they ask of the C library by
// length.
#ifndef QINS_TESTS_LINEAR_COUNT_H
#define QINS_TESTS_LINEAR_COUNT_H

#include <stdint.h>

typedef struct counts {
    uint64_t operations; // basic blocks, and bytes that the C library or cJSON looked at
    uint64_t peak_bytes; // most memory held at a time beyond what was held at the start
} counts;

void count_start(void);
counts count_stop(void);

#endif
