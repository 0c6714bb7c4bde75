// A file that appears under its name only when it is complete: written under a temporary name in the same folder, then
// synchronized and renamed. Through a symbolic link the file that it leads to is written. Permissions and synchronizing
// are done without where the file system has none.
#ifndef QINS_CONVERT_OUTPUT_FILE_H
#define QINS_CONVERT_OUTPUT_FILE_H

#include "engine/base/error.h"

typedef struct qins_output_file {
    int fd; // open for writing until the end
    const char *path;
    char *target;    // owned, path at the end of symbolic links
    char *folder;    // owned, of the target
    char *temporary; // owned, path of the unfinished file; NULL once it is renamed
} qins_output_file;

// Begin; `source_folder` holds the files that must not be replaced. Release with qins_output_file_close, also after a
// failure.
qins_status qins_output_file_open(qins_output_file *file, const char *path, const char *source_folder,
                                  qins_error *error);

// Everything is written: make it durable, then visible.
qins_status qins_output_file_commit(qins_output_file *file, qins_error *error);

// Deletes the file unless it was committed.
void qins_output_file_close(qins_output_file *file);

#endif
