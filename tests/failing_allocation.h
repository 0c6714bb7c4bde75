// Makes a chosen allocation of the program fail. The test binary is linked with --wrap for malloc, calloc, realloc,
// aligned_alloc, mmap, munmap, pthread_create and XXH3_createState (see the Makefile), so this covers our own code and
// cJSON, through its hooks, and leaves other libraries alone.
#ifndef QINS_TESTS_FAILING_ALLOCATION_H
#define QINS_TESTS_FAILING_ALLOCATION_H

#include <stdbool.h>
#include <stddef.h>

// The n-th of these calls from now on fails, once (1: the next one); 0: none does.
void failing_allocation_set(size_t n);

// Whether the chosen call came up since it was set; then none fails any more.
bool failing_allocation_hit(void);

// Mappings made and not given back so far.
long failing_allocation_mappings(void);

#endif
