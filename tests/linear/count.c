// Counting; see count.h. Compiled without the instrumentation that calls into it.
#include "tests/linear/count.h"

#include <cjson/cJSON.h>
#include <malloc.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static uint64_t operations;
static int64_t held, peak;

static void *allocate(size_t size) {
    return malloc(size); // the wrapper below; likewise free
}

static void release(void *memory) {
    free(memory);
}

void count_start(void) {
    cJSON_InitHooks(&(cJSON_Hooks){.malloc_fn = allocate, .free_fn = release});
    operations = 0;
    held = peak = 0;
}

counts count_stop(void) {
    return (counts){operations, (uint64_t)peak};
}

void __sanitizer_cov_trace_pc(void);
void __sanitizer_cov_trace_pc(void) {
    operations++;
}

// --- memory ---

static void *taken(void *memory) {
    if (memory != NULL) held += (int64_t)malloc_usable_size(memory);
    if (held > peak) peak = held;
    return memory;
}

// The linker's names: a call of malloc arrives at __wrap_malloc, and __real_malloc is the C library's.
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void __real_free(void *memory);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void __wrap_free(void *memory);

void *__wrap_malloc(size_t size) {
    return taken(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size) {
    operations += count * size;
    return taken(__real_calloc(count, size));
}

void *__wrap_realloc(void *memory, size_t size) {
    const size_t before = memory == NULL ? 0 : malloc_usable_size(memory);
    void *moved = __real_realloc(memory, size);
    if (moved == NULL) return NULL;
    operations += before; // it may have been copied
    held -= (int64_t)before;
    return taken(moved);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size) {
    return taken(__real_aligned_alloc(alignment, size));
}

void __wrap_free(void *memory) {
    if (memory != NULL) held -= (int64_t)malloc_usable_size(memory);
    __real_free(memory);
}

// --- text ---

void *__real_memcpy(void *to, const void *from, size_t size);
void *__real_memmove(void *to, const void *from, size_t size);
void *__real_memset(void *to, int byte, size_t size);
void *__real_memchr(const void *bytes, int byte, size_t size);
size_t __real_strlen(const char *text);
char *__real_strchr(const char *text, int byte);
char *__real_strstr(const char *text, const char *part);
void *__wrap_memcpy(void *to, const void *from, size_t size);
void *__wrap_memmove(void *to, const void *from, size_t size);
void *__wrap_memset(void *to, int byte, size_t size);
int __wrap_memcmp(const void *a, const void *b, size_t size);
void *__wrap_memchr(const void *bytes, int byte, size_t size);
size_t __wrap_strlen(const char *text);
int __wrap_strcmp(const char *a, const char *b);
int __wrap_strncmp(const char *a, const char *b, size_t size);
char *__wrap_strchr(const char *text, int byte);
char *__wrap_strstr(const char *text, const char *part);

void *__wrap_memcpy(void *to, const void *from, size_t size) {
    operations += size;
    return __real_memcpy(to, from, size);
}

void *__wrap_memmove(void *to, const void *from, size_t size) {
    operations += size;
    return __real_memmove(to, from, size);
}

void *__wrap_memset(void *to, int byte, size_t size) {
    operations += size;
    return __real_memset(to, byte, size);
}

int __wrap_memcmp(const void *a, const void *b, size_t size) {
    const unsigned char *left = a, *right = b;
    for (size_t i = 0; i < size; i++) {
        operations++;
        if (left[i] != right[i]) return left[i] < right[i] ? -1 : 1;
    }
    return 0;
}

void *__wrap_memchr(const void *bytes, int byte, size_t size) {
    void *found = __real_memchr(bytes, byte, size);
    operations += found == NULL ? size : (size_t)((char *)found - (const char *)bytes) + 1;
    return found;
}

size_t __wrap_strlen(const char *text) {
    const size_t length = __real_strlen(text);
    operations += length + 1;
    return length;
}

int __wrap_strncmp(const char *a, const char *b, size_t size) {
    for (size_t i = 0; i < size; i++) {
        operations++;
        if (a[i] != b[i] || a[i] == '\0') return (unsigned char)a[i] - (unsigned char)b[i];
    }
    return 0;
}

int __wrap_strcmp(const char *a, const char *b) {
    return __wrap_strncmp(a, b, SIZE_MAX);
}

char *__wrap_strchr(const char *text, int byte) {
    char *found = __real_strchr(text, byte);
    operations += found == NULL ? __real_strlen(text) + 1 : (size_t)(found - text) + 1;
    return found;
}

char *__wrap_strstr(const char *text, const char *part) {
    char *found = __real_strstr(text, part);
    operations += (found == NULL ? __real_strlen(text) + 1 : (size_t)(found - text) + 1) + __real_strlen(part);
    return found;
}

// --- libraries: both look at each byte once ---

uint64_t __real_XXH3_64bits(const void *data, size_t size);
uint64_t __wrap_XXH3_64bits(const void *data, size_t size);
cJSON *__real_cJSON_ParseWithLengthOpts(const char *text, size_t size, const char **end, cJSON_bool terminated);
cJSON *__wrap_cJSON_ParseWithLengthOpts(const char *text, size_t size, const char **end, cJSON_bool terminated);

uint64_t __wrap_XXH3_64bits(const void *data, size_t size) {
    operations += size;
    return __real_XXH3_64bits(data, size);
}

cJSON *__wrap_cJSON_ParseWithLengthOpts(const char *text, size_t size, const char **end, cJSON_bool terminated) {
    operations += size;
    return __real_cJSON_ParseWithLengthOpts(text, size, end, terminated);
}
