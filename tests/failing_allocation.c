// The wrappers around the functions that provide memory and threads; see failing_allocation.h.
#include "tests/failing_allocation.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <xxhash.h>

static atomic_size_t countdown;
static atomic_bool hit;
static atomic_long n_mappings;

static void *allocate(size_t size) {
    return malloc(size); // the wrapper below
}

void failing_allocation_set(size_t n) {
    cJSON_InitHooks(&(cJSON_Hooks){.malloc_fn = allocate, .free_fn = free});
    countdown = n;
    hit = false;
}

bool failing_allocation_hit(void) {
    return hit;
}

long failing_allocation_mappings(void) {
    return n_mappings;
}

static bool fails_now(void) {
    size_t before = countdown;
    while (before > 0 && !atomic_compare_exchange_weak(&countdown, &before, before - 1)) {
    }
    if (before != 1) return false;
    hit = true;
    errno = ENOMEM;
    return true;
}

// The linker's names: a call of malloc arrives at __wrap_malloc, and __real_malloc is the C library's.
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__real_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset);
int __real_munmap(void *address, size_t size);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*function)(void *),
                          void *context);
XXH3_state_t *__real_XXH3_createState(void);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void *__wrap_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset);
int __wrap_munmap(void *address, size_t size);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*function)(void *),
                          void *context);
XXH3_state_t *__wrap_XXH3_createState(void);

void *__wrap_malloc(size_t size) {
    return fails_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size) {
    return fails_now() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size) {
    return fails_now() ? NULL : __real_realloc(memory, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size) {
    return fails_now() ? NULL : __real_aligned_alloc(alignment, size);
}

void *__wrap_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset) {
    void *memory = fails_now() ? MAP_FAILED : __real_mmap(address, size, protection, flags, fd, offset);
    n_mappings += memory != MAP_FAILED;
    return memory;
}

int __wrap_munmap(void *address, size_t size) {
    int result = __real_munmap(address, size);
    n_mappings -= result == 0;
    return result;
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*function)(void *),
                          void *context) {
    return fails_now() ? EAGAIN : __real_pthread_create(thread, attributes, function, context);
}

XXH3_state_t *__wrap_XXH3_createState(void) {
    return fails_now() ? NULL : __real_XXH3_createState();
}
