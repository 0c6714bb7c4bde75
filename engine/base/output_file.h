// A file that appears under its name (or that of a symbolic link's target) only when it is complete and synchronized.
// Until then it has no name at all (O_TMPFILE), so nothing is left of it however the program ends. If the file system
// does not support that, or another file is to be replaced, it temporarily has a name of its own,
// .NAME.XXXXXX.unfinished, and is locked; the next output in that folder removes those that no program holds any more.
// Permissions and synchronization are skipped where the file system does not support them.
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

// Begin a file of these permissions, less the process's mask; of a file that it replaces, it keeps those that are among
// them, so a private file stays private. Release with qins_output_file_close, also after a failure.
qins_status qins_output_file_open(qins_output_file *file, const char *path, unsigned mode, const qins_guard *guard,
                                  qins_error *error);

// Everything is written: make the file durable, then visible. The guard is consulted again.
qins_status qins_output_file_commit(qins_output_file *file, qins_error *error);

// The same for n files that belong together: all of them appear, or none. The last one, which names the others, is
// removed first if it existed before, so it is never next to files that are not its own. If this fails halfway, the
// message says which file is gone or remains.
qins_status qins_output_files_commit(qins_output_file *files, size_t n, qins_error *error);

// Deletes the file unless it was committed.
void qins_output_file_close(qins_output_file *file);

// Write data[size] to `path`; whatever fails, either the old file or the new one is there, complete.
qins_status qins_file_replace(const char *path, const void *data, size_t size, unsigned mode, qins_error *error);

#endif
