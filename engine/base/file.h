// Files by descriptor: whole reads and writes, checked. Messages name the path that the caller passes in.
#ifndef QINS_BASE_FILE_H
#define QINS_BASE_FILE_H

#include "engine/base/error.h"

#include <stddef.h>
#include <stdint.h>

// Open a regular file for reading; -1 and an error of kind `status` that names the path otherwise. *size: its bytes.
int qins_file_open(const char *path, size_t *size, qins_status status, qins_error *error);

// Read or write exactly `size` bytes at `offset`; `path` is for the message.
qins_status qins_file_read_at(int fd, const char *path, void *data, size_t size, uint64_t offset, qins_error *error);
qins_status qins_file_write_at(int fd, const char *path, const void *data, size_t size, uint64_t offset,
                               qins_error *error);

// Everything that `path` ("-": standard input) holds, NUL-terminated for convenience, released with free(). More than
// `limit` bytes is an error. *size: bytes without the NUL. Works on pipes.
char *qins_file_read_all(const char *path, size_t limit, size_t *size, qins_status status, qins_error *error);

typedef enum qins_file_kind { QINS_NOTHING, QINS_REGULAR, QINS_FOLDER, QINS_SPECIAL } qins_file_kind;

// The kind of file at a path, following links.
typedef struct qins_look {
    qins_file_kind kind;
    uint64_t size;           // bytes
    uint64_t device, number; // together the identity of the file, whichever path leads to it
    unsigned permissions;    // at most 0777
} qins_look;

// Only a path that the system says does not exist is QINS_NOTHING; a look that fails (permissions, a disk, links in a
// circle) is an error of this status.
qins_status qins_look_at(const char *path, qins_look *look, qins_status status, qins_error *error);

// Does this errno of a look mean that nothing exists there? Any other errno leaves that open.
bool qins_is_absence(int number);

// Does the path's name end in this suffix, after at least one other character?
bool qins_path_ends_in(const char *path, const char *suffix);

// If a standard stream is closed, the next file opened would get its number, and text would end up in that file: put a
// descriptor in its place on which reads and writes fail. Call it at the start of main.
void qins_guard_standard_streams(void);

#endif
