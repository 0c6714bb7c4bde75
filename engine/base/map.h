// Memory from the operating system: files mapped for reading, anonymous files, address space that is reserved but not
// touched. The only user of mmap.
#ifndef QINS_BASE_MAP_H
#define QINS_BASE_MAP_H

#include "engine/base/error.h"

#include <stddef.h>
#include <stdint.h>

// Map the first `size` (> 0) bytes of a descriptor for reading; NULL and an error naming `path` otherwise. On file
// systems without shared mappings it is private; on those without any mappings the bytes are read into memory. The
// descriptor may be closed afterwards. Released with qins_unmap.
const uint8_t *qins_map_file(int fd, const char *path, size_t size, qins_error *error);

// A new file that lives only in memory and vanishes with its last mapping; -1 and an error otherwise.
int qins_memory_file(const char *name, qins_error *error);

// `size` zero bytes that take memory only page by page as they are first touched. Released with qins_unmap.
void *qins_reserve(size_t size, const char *what, qins_error *error);

// Has the mapped file that contains `address` failed, and did a SIGBUS handler make it read as zeros (qins_file_fault)?
// Then anything computed from its bytes is worthless.
bool qins_map_is_lost(const void *address);

void qins_unmap(const void *memory, size_t size); // NULL is fine

size_t qins_page_bytes(void); // size of such a page

#endif
