// Guarding files from outputs; see guard.h.
#include "engine/base/guard.h"

#include "engine/base/file.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MAX_PATH = 4096, MAX_MAGIC = 16 };

static bool is_same(const qins_look *a, const qins_look *b) {
    return a->device == b->device && a->number == b->number;
}

static qins_status refuse(const char *path, const char *what, const char *name, qins_error *error) {
    return qins_fail(error, QINS_USAGE, "the output %s is %s (%s); give another name, or --force to replace it", path,
                     what, name);
}

static qins_status check_input(const qins_guarded *input, const char *path, const qins_look *output,
                               qins_error *error) {
    qins_look look;
    if (input->path == NULL || qins_look_at(input->path, &look, QINS_FAILED, error) != QINS_OK) return error->status;
    if (look.kind == QINS_REGULAR && is_same(&look, output)) return refuse(path, input->what, input->path, error);
    return QINS_OK;
}

// Does the file begin like those that may be replaced?
static bool is_of_kind(const qins_guard *guard, const char *path, qins_error *error) {
    char start[MAX_MAGIC];
    const size_t n = guard->magic != NULL ? strlen(guard->magic) : 0;
    if (n == 0) return false;
    size_t size;
    const int fd = qins_file_open(path, &size, QINS_FAILED, error);
    if (fd < 0) return false;
    const bool is_read = size >= n && qins_file_read_at(fd, path, start, n, 0, error) == QINS_OK;
    close(fd);
    return is_read && memcmp(start, guard->magic, n) == 0;
}

// The file is refused in any case; if it belongs to a folder that is read, say so.
static void name_folder(const qins_guarded *input, const char *path, const qins_look *output, qins_error *error) {
    char name[MAX_PATH];
    DIR *folder = input->path != NULL ? opendir(input->path) : NULL;
    for (const struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
        qins_look look;
        qins_error ignored = {0};
        const int length = snprintf(name, sizeof name, "%s/%s", input->path, entry->d_name);
        if (length < 0 || (size_t)length >= sizeof name) continue;
        if (qins_look_at(name, &look, QINS_FAILED, &ignored) == QINS_OK && is_same(&look, output))
            refuse(path, input->what, name, error);
    }
    if (folder != NULL) closedir(folder);
}

static qins_status check_kind(const qins_guard *guard, const char *path, const qins_look *output, qins_error *error) {
    if (is_of_kind(guard, path, error) || error->status != QINS_OK) return error->status;
    for (int i = 0; i < QINS_MAX_GUARDED; i++) name_folder(&guard->inputs[i], path, output, error);
    if (guard->magic == NULL)
        return qins_fail(error, QINS_USAGE, "the output %s exists; give another name, or --force to replace it", path);
    return qins_fail(error, QINS_USAGE,
                     "the output %s exists and is not a %s; give another name, or --force to replace it", path,
                     guard->kind);
}

qins_status qins_guard_check(const qins_guard *guard, const char *path, qins_error *error) {
    qins_look output;
    const size_t length = strlen(path);
    if (length == 0 || path[length - 1] == '/')
        return qins_fail(error, QINS_USAGE, "the output \"%s\" is a folder; give the name of a file", path);
    if (qins_look_at(path, &output, QINS_FAILED, error) != QINS_OK || output.kind == QINS_NOTHING) return error->status;
    if (output.kind == QINS_FOLDER)
        return qins_fail(error, QINS_USAGE, "the output %s is a folder; give the name of a file", path);
    if (output.kind == QINS_SPECIAL)
        return qins_fail(error, QINS_USAGE, "the output %s exists and is not a regular file; give another name", path);
    if (guard->force) return QINS_OK;
    for (int i = 0; i < QINS_MAX_GUARDED; i++)
        if (check_input(&guard->inputs[i], path, &output, error) != QINS_OK) return error->status;
    return check_kind(guard, path, &output, error);
}
