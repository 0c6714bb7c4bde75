// Checked allocation and checked integer arithmetic on sizes. Everything here is released with free().
#ifndef QINS_BASE_MEMORY_H
#define QINS_BASE_MEMORY_H

#include "engine/base/error.h"

#include <stddef.h>
#include <stdint.h>

// *product = a * b, *sum = a + b; false (and nothing written) when the result does not fit.
bool qins_multiply(size_t a, size_t b, size_t *product);
bool qins_add(size_t a, size_t b, size_t *sum);

// `size` rounded up to a multiple of `alignment` (a power of two); the caller guarantees that it fits.
static inline size_t qins_align_up(size_t size, size_t alignment) {
    return (size + alignment - 1) & ~(alignment - 1);
}

// count * size zeroed bytes at a 64-byte boundary, never NULL on success (also for 0 bytes). `what` names the buffer in
// the error message. NULL and an error otherwise.
void *qins_alloc(size_t count, size_t size, const char *what, qins_error *error);

// A copy of `size` bytes and a NUL, released with free(). NULL and an error otherwise.
char *qins_copy_text(const char *text, size_t size, const char *what, qins_error *error);

// Make *items (an array of `size`-byte elements of capacity *capacity, from malloc or NULL) hold at least `needed`
// elements, doubling. On failure the array is left as it was.
qins_status qins_grow(void **items, size_t *capacity, size_t needed, size_t size, qins_error *error);

// Peak memory of this process in bytes, mapped files included; 0 where the system does not report it.
size_t qins_memory_peak(void);
size_t qins_memory_resident(void); // memory held now, likewise; without /proc, the peak

// Bytes of memory that can be used without swapping (MemAvailable, and the limits of control groups);
// SIZE_MAX where the system does not report it.
size_t qins_memory_available(void);

// Bytes that this process can still map, touched or not: the limits of ulimit -v and -d, and of a system that does not
// overcommit memory (overcommit_memory 2). SIZE_MAX where there is no such limit.
size_t qins_memory_mappable(void);
size_t qins_memory_stack(void); // bytes that a new thread maps for its stack

#endif
