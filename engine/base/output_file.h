// A file that appears under its name only when it is complete, synchronized, and through a symbolic link in the place
// that it leads to. Until then it has no name at all (O_TMPFILE), so nothing is left of it however the program ends.
// Where a file system has no such files, or another file is to be replaced, it has a name of its own for a while,
// .NAME.XXXXXX.unfinished, and is locked; the next output in that folder removes those that nobody holds any more.
// Permissions and synchronizing are done without where the file system has none.
#ifndef QINS_BASE_OUTPUT_FILE_H
#define QINS_BASE_OUTPUT_FILE_H

#include "engine/base/guard.h"

typedef struct qins_output_file {
    int fd; // open for writing until the end
    const char *path;
    const qins_guard *guard; // NULL: any regular file may be replaced
    char *target;            // owned, path at the end of symbolic links
    char *folder;            // owned, of the target
    char *temporary;         // owned, path of the unfinished file; NULL while it has none
} qins_output_file;

// Begin a file of these permissions, less the process's mask. Release with qins_output_file_close, also after a
// failure.
qins_status qins_output_file_open(qins_output_file *file, const char *path, unsigned mode, const qins_guard *guard,
                                  qins_error *error);

// Everything is written: make it durable, then visible. The guard is asked again.
qins_status qins_output_file_commit(qins_output_file *file, qins_error *error);

// The same for n files that belong together: all of them appear, or none. The last one, which names the others, is the
// first to go where there was one before, so that it never lies beside others than its own. Where that fails
// half-way, the message says which file is gone, or stays.
qins_status qins_output_files_commit(qins_output_file *files, size_t n, qins_error *error);

// Deletes the file unless it was committed.
void qins_output_file_close(qins_output_file *file);

// Make `path` hold data[size], so that whatever fails, the old file or the new one is there whole.
qins_status qins_file_replace(const char *path, const void *data, size_t size, unsigned mode, qins_error *error);

#endif
