// Files of a Hugging Face folder; see hf_folder.h.
#include "convert/hf_folder.h"

#include "engine/base/file.h"
#include "engine/base/memory.h"
#include "engine/base/recognize.h"
#include "engine/base/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

// Of JSON. An index of weights, the largest of these files, has one for each tensor.
enum { MAX_VALUES = 1 << 18 };

// A file where a folder is expected.
static qins_status refuse_file(const char *path, const char *wanted, qins_error *error) {
    char start[64];
    size_t size = 0;
    const int fd = qins_file_open(path, &size, QINS_BAD_MODEL, error);
    if (fd >= 0 && size > sizeof start) size = sizeof start;
    if (fd >= 0 && qins_file_read_at(fd, path, start, size, 0, error) == QINS_OK)
        qins_recognize_file(path, start, size, error);
    if (fd >= 0) close(fd);
    return qins_fail(error, QINS_BAD_MODEL, "%s is not a folder; give the Hugging Face folder that holds %s", path,
                     wanted);
}

qins_status qins_hf_folder_open(qins_hf_folder *folder, const char *path, const char *wanted, qins_error *error) {
    *folder = (qins_hf_folder){.path = path, .fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (folder->fd < 0 && errno == ENOTDIR) return refuse_file(path, wanted, error);
    if (folder->fd < 0) {
        const int number = errno;
        if (qins_recognize_hub_name(path, error) != QINS_OK) return error->status;
        errno = number;
        return qins_fail_errno(error, QINS_BAD_MODEL, "cannot open the folder %s", path);
    }
    return QINS_OK;
}

void qins_hf_folder_close(qins_hf_folder *folder) {
    if (folder->fd >= 0) close(folder->fd);
    folder->fd = -1;
    free(folder->sources);
    folder->sources = NULL;
    folder->n_sources = folder->capacity = 0;
}

char *qins_hf_path(const qins_hf_folder *folder, const char *name, qins_error *error) {
    size_t size = strlen(folder->path) + strlen(name) + 2;
    char *path = qins_alloc(size, 1, "path", error);
    if (path != NULL) snprintf(path, size, "%s/%s", folder->path, name);
    return path;
}

bool qins_hf_has(const qins_hf_folder *folder, const char *name, qins_error *error) {
    struct stat info;
    if (fstatat(folder->fd, name, &info, AT_SYMLINK_NOFOLLOW) == 0) return true;
    if (!qins_is_absence(errno)) qins_fail_errno(error, QINS_BAD_MODEL, "cannot examine %s/%s", folder->path, name);
    return false;
}

bool qins_hf_is_empty(const qins_hf_folder *folder, const char *name) {
    struct stat info;
    return fstatat(folder->fd, name, &info, 0) == 0 && S_ISREG(info.st_mode) && info.st_size == 0;
}

qins_status qins_hf_record(qins_hf_folder *folder, const char *name, uint64_t bytes, uint64_t hash, qins_error *error) {
    if (folder->n_sources == QINS_MAX_SOURCES)
        return qins_fail(error, QINS_BAD_MODEL, "%s: more than %d files", folder->path, QINS_MAX_SOURCES);
    void *sources = folder->sources;
    if (qins_grow(&sources, &folder->capacity, folder->n_sources + 1, sizeof *folder->sources, error) != QINS_OK)
        return error->status;
    folder->sources = sources;
    qins_source *source = &folder->sources[folder->n_sources];
    *source = (qins_source){.bytes = bytes, .hash = hash};
    if (strlen(name) >= sizeof source->name)
        return qins_fail(error, QINS_BAD_MODEL, "%s: the file name %s is longer than %zu bytes", folder->path, name,
                         sizeof source->name - 1);
    memcpy(source->name, name, strlen(name) + 1);
    folder->n_sources++;
    return QINS_OK;
}

char *qins_hf_read(qins_hf_folder *folder, const char *name, size_t limit, size_t *size, qins_error *error) {
    char *path = qins_hf_path(folder, name, error);
    char *text = NULL;
    qins_look look = {.kind = QINS_NOTHING};
    if (path != NULL) qins_look_at(path, &look, QINS_BAD_MODEL, error);
    if (look.kind == QINS_FOLDER || look.kind == QINS_SPECIAL)
        qins_fail(error, QINS_BAD_MODEL, "%s is not a regular file", path);
    if (error->status == QINS_OK) text = qins_file_read_all(path, limit, size, QINS_BAD_MODEL, error);
    if (text != NULL && qins_recognize_file(path, text, *size, error) == QINS_OK && !utf8_is_valid(text, *size))
        qins_fail(error, QINS_BAD_MODEL, "%s is not text in UTF-8", path);
    if (text != NULL && error->status == QINS_OK) qins_hf_record(folder, name, *size, XXH3_64bits(text, *size), error);
    free(path);
    if (error->status == QINS_OK) return text;
    free(text);
    return NULL;
}

qins_json *qins_hf_read_json(qins_hf_folder *folder, const char *name, size_t limit, qins_error *error) {
    size_t size;
    char *text = qins_hf_read(folder, name, limit, &size, error);
    if (text == NULL) return NULL;
    qins_json *json = qins_json_parse_python(text, size, MAX_VALUES, QINS_BAD_MODEL, error);
    free(text);
    if (json != NULL && !qins_json_is_object(json)) qins_fail(error, QINS_BAD_MODEL, "not a JSON object");
    if (qins_error_context(error, "%s/%s", folder->path, name) == QINS_OK) return json;
    qins_json_free(json);
    return NULL;
}
