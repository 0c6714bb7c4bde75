// Memory, limits and failures of the interpreter; see jinja_internal.h.
#include "convert/jinja_internal.h"
#include "engine/base/escape.h"
#include "engine/base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_BYTES = 1 << 16, ALIGNMENT = 16 };

struct jinja_block {
    jinja_block *next;
    size_t used, capacity; // bytes of data
    char *data;
};

static jinja_block *add_block(jinja *j, size_t size) {
    const size_t capacity = size > BLOCK_BYTES ? size : BLOCK_BYTES, head = qins_align_up(sizeof(jinja_block), 64);
    if (j->memory + capacity > JINJA_MAX_MEMORY) {
        jinja_refuse(j, "it takes more than %d MiB of memory", JINJA_MAX_MEMORY >> 20);
        return NULL;
    }
    jinja_block *block = qins_alloc(head + capacity, 1, "a chat template", j->error);
    if (block == NULL) return NULL;
    *block = (jinja_block){.next = j->blocks, .capacity = capacity, .data = (char *)block + head};
    j->memory += capacity;
    j->blocks = block;
    return block;
}

void *jinja_allocate(jinja *j, size_t count, size_t size) {
    size_t bytes;
    if (jinja_failed(j)) return NULL;
    if (!qins_multiply(count, size, &bytes) || bytes > JINJA_MAX_MEMORY) bytes = JINJA_MAX_MEMORY + 1; // is refused
    bytes = qins_align_up(bytes, ALIGNMENT);
    jinja_block *block = j->blocks;
    if (block == NULL || block->capacity - block->used < bytes) block = add_block(j, bytes);
    if (block == NULL) return NULL;
    void *memory = block->data + block->used;
    block->used += bytes;
    return memory;
}

char *jinja_copy(jinja *j, const char *text, size_t size) {
    char *copy = jinja_allocate(j, size + 1, 1);
    if (copy != NULL && size > 0) memcpy(copy, text, size);
    return copy;
}

void jinja_free(jinja *j) {
    while (j->blocks != NULL) {
        jinja_block *next = j->blocks->next;
        free(j->blocks);
        j->blocks = next;
    }
}

static void fail(jinja *j, const char *text) {
    size_t line = 1;
    for (size_t i = 0; i < j->at && i < j->size; i++) line += j->text[i] == '\n';
    qins_fail(j->error, QINS_BAD_MODEL, "line %zu: %s", line, text);
}

jinja_value jinja_refuse(jinja *j, const char *format, ...) {
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (!jinja_failed(j)) fail(j, text);
    return (jinja_value){0};
}

jinja_value jinja_raise(jinja *j, const char *format, ...) {
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (jinja_failed(j)) return (jinja_value){0};
    fail(j, text);
    j->raised = true;
    return (jinja_value){0};
}

bool jinja_work(jinja *j, size_t amount) {
    if (jinja_failed(j)) return false;
    if (amount > JINJA_MAX_WORK - j->work) {
        jinja_refuse(j, "it takes too many steps");
        return false;
    }
    j->work += amount;
    return true;
}

bool jinja_enter(jinja *j) {
    if (++j->depth > JINJA_MAX_DEPTH) jinja_refuse(j, "it is nested more than %d deep", JINJA_MAX_DEPTH);
    return !jinja_failed(j);
}

void jinja_leave(jinja *j) {
    j->depth--;
}
