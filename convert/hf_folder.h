// The files of a Hugging Face folder: reads the small ones whole, reports what a file really is when its name is
// misleading, and lists the files that were read (the provenance in the .qins header).
#ifndef QINS_CONVERT_HF_FOLDER_H
#define QINS_CONVERT_HF_FOLDER_H

#include "engine/base/json.h"
#include "engine/format/header.h"

typedef struct qins_hf_folder {
    const char *path;     // not owned
    int fd;               // of the folder, for looking things up
    qins_source *sources; // owned, [n_sources] in the order of reading
    size_t n_sources, capacity;
} qins_hf_folder;

// Open the folder that should hold `wanted`; when `path` is not one, an error says what it is instead. Release with
// qins_hf_folder_close also after a failure.
qins_status qins_hf_folder_open(qins_hf_folder *folder, const char *path, const char *wanted, qins_error *error);
void qins_hf_folder_close(qins_hf_folder *folder);

// "FOLDER/NAME", released with free(); NULL and an error when out of memory.
char *qins_hf_path(const qins_hf_folder *folder, const char *name, qins_error *error);

// Does something with this name exist? (Also a link that leads nowhere: reading it then reports that.) False and an
// error if that cannot be determined.
bool qins_hf_has(const qins_hf_folder *folder, const char *name, qins_error *error);

// Does it exist, with a size of 0?
bool qins_hf_is_empty(const qins_hf_folder *folder, const char *name);

// The whole file, NUL-terminated UTF-8, released with free(), and recorded as a source. NULL and an error that names
// the path for more than `limit` bytes, a git-lfs pointer, a web page, an empty file or other bytes than UTF-8.
char *qins_hf_read(qins_hf_folder *folder, const char *name, size_t limit, size_t *size, qins_error *error);

// As qins_hf_read, parsed, and an object at its top. Release with qins_json_free.
qins_json *qins_hf_read_json(qins_hf_folder *folder, const char *name, size_t limit, qins_error *error);

// Record a file that was read (`hash`: header.h).
qins_status qins_hf_record(qins_hf_folder *folder, const char *name, uint64_t bytes, uint64_t hash, qins_error *error);

#endif
