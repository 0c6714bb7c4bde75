// The wrappers around malloc, realloc and aligned_alloc; see failing_allocation.h.
#include "tests/failing_allocation.h"

#include <errno.h>

static size_t countdown;
static bool hit;

void failing_allocation_set(size_t n) {
    countdown = n;
    hit = false;
}

bool failing_allocation_hit(void) {
    return hit;
}

static bool fails_now(void) {
    if (countdown == 0 || --countdown > 0) return false;
    hit = true;
    errno = ENOMEM;
    return true;
}

// The linker's names: a call of malloc arrives at __wrap_malloc, and __real_malloc is the C library's.
void *__real_malloc(size_t size);
void *__real_realloc(void *memory, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

void *__wrap_malloc(size_t size) {
    return fails_now() ? NULL : __real_malloc(size);
}

void *__wrap_realloc(void *memory, size_t size) {
    return fails_now() ? NULL : __real_realloc(memory, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size) {
    return fails_now() ? NULL : __real_aligned_alloc(alignment, size);
}
