// Atomic creation of a file; see output_file.h.
#define _GNU_SOURCE // O_TMPFILE
#include "engine/base/output_file.h"

#include "engine/base/file.h"
#include "engine/base/leftovers.h"
#include "engine/base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_LINKS = 40 }; // of a chain, as in Linux; the look at the path, which comes first, refuses longer ones

static char *join(const char *folder, const char *name, qins_error *error) {
    size_t size = strlen(folder) + strlen(name) + 2;
    char *path = qins_alloc(size, 1, "path", error);
    if (path != NULL) snprintf(path, size, "%s/%s", folder, name);
    return path;
}

// The part of a path before its last '/', "." if there is none; released with free().
static char *folder_of(const char *path, qins_error *error) {
    const char *slash = strrchr(path, '/');
    size_t length = slash == NULL ? 1 : slash == path ? 1 : (size_t)(slash - path);
    char *folder = qins_alloc(length + 1, 1, "path", error);
    if (folder != NULL) memcpy(folder, slash == NULL ? "." : path, length);
    return folder;
}

// The target of a symbolic link at `path`, NULL if there is none.
static char *read_link(const char *path, qins_error *error) {
    char link[PATH_MAX];
    const ssize_t length = readlink(path, link, sizeof link);
    if (length < 0 && (errno == EINVAL || qins_is_absence(errno))) return NULL; // not a link, or nothing yet
    if (length == sizeof link) errno = ENAMETOOLONG;
    if (length < 0 || length == sizeof link) {
        qins_fail_errno(error, QINS_FAILED, "cannot examine %s", path);
        return NULL;
    }
    link[length] = '\0';
    char *folder = link[0] != '/' ? folder_of(path, error) : NULL;
    char *next = error->status != QINS_OK ? NULL
                 : folder != NULL         ? join(folder, link, error)
                                          : qins_copy_text(link, strlen(link), "path", error);
    free(folder);
    return next;
}

// The path at the end of a chain of symbolic links, which need not exist; released with free().
static char *follow_links(const char *path, qins_error *error) {
    char *end = qins_copy_text(path, strlen(path), "path", error), *next;
    for (int i = 0; i < MAX_LINKS && end != NULL && (next = read_link(end, error)) != NULL; i++) {
        free(end);
        end = next;
    }
    if (error->status == QINS_OK) return end;
    free(end);
    return NULL;
}

// Give an unnamed file this name, if it is free.
static bool give_name(int fd, const char *name) {
    char open_file[32];
    snprintf(open_file, sizeof open_file, "/proc/self/fd/%d", fd);
    return linkat(AT_FDCWD, open_file, AT_FDCWD, name, AT_SYMLINK_FOLLOW) == 0;
}

// An unnamed file; -1 where these are not supported, or could not be given a name at the end, which is tested by naming
// one for a moment.
static int open_unnamed(const qins_output_file *file, unsigned mode, qins_error *error) {
    char *name = qins_unfinished_name(file->folder, file->target, error);
    int fd = name != NULL ? open(file->folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, mode) : -1;
    if (fd >= 0) {
        qins_unfinished_lock(fd);
        const bool takes_name = give_name(fd, name);
        if (takes_name) unlink(name);
        close(fd);
        fd = takes_name ? open(file->folder, O_TMPFILE | O_RDWR | O_CLOEXEC, mode) : -1;
    }
    free(name);
    return fd;
}

// A file with a name of its own.
static int open_named(qins_output_file *file, unsigned mode, qins_error *error) {
    int fd;
    do {
        free(file->temporary);
        file->temporary = qins_unfinished_name(file->folder, file->target, error);
        if (file->temporary == NULL) return -1;
        fd = open(file->temporary, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, mode);
        if (fd >= 0 && !qins_unfinished_lock(fd)) { // removed before it was locked
            close(fd);
            fd = -1;
            errno = EEXIST;
        }
    } while (fd < 0 && errno == EEXIST);
    if (fd >= 0) return fd;
    qins_fail_errno(error, QINS_FAILED, "cannot create a file in the folder %s", file->folder);
    free(file->temporary);
    file->temporary = NULL;
    return -1;
}

// The mask is for new files: one that is replaced had its permissions from the user.
static void open_like_replaced(qins_output_file *file, unsigned mode, qins_error *error) {
    qins_look old;
    if (qins_look_at(file->target, &old, QINS_FAILED, error) != QINS_OK) return;
    const bool is_replaced = old.kind == QINS_REGULAR;
    const mode_t mask = is_replaced ? umask(0) : 0;
    if (is_replaced) mode &= old.permissions;
    file->fd = open_unnamed(file, mode, error);
    if (file->fd < 0 && error->status == QINS_OK) file->fd = open_named(file, mode, error);
    if (is_replaced) umask(mask);
}

qins_status qins_output_file_open(qins_output_file *file, const char *path, unsigned mode, const qins_guard *guard,
                                  qins_error *error) {
    *file = (qins_output_file){.fd = -1, .path = path, .guard = guard};
    if (guard != NULL && qins_guard_check(guard, path, error) != QINS_OK) return error->status;
    file->target = follow_links(path, error);
    file->folder = file->target != NULL ? folder_of(file->target, error) : NULL;
    if (file->folder == NULL) return error->status;
    qins_leftovers_remove(file->folder);
    open_like_replaced(file, mode, error);
    return error->status;
}

// Flush the bytes to the disk, where the file system supports it.
static bool synchronize(int fd) {
    return fsync(fd) == 0 || errno == EINVAL || errno == ENOTSUP || errno == ENOSYS;
}

// Make the new name durable. A folder that may be written to, but not read, cannot be synchronized.
static void sync_folder(const char *folder, qins_error *error) {
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == EACCES) return;
    if (fd < 0 || !synchronize(fd)) qins_fail_errno(error, QINS_FAILED, "cannot write the folder %s", folder);
    if (fd >= 0) close(fd);
}

// Give the file its name: directly if the name is free, otherwise by way of a temporary name, because only a rename
// replaces another file.
static void publish(qins_output_file *file, qins_error *error) {
    if (file->temporary == NULL) {
        if (give_name(file->fd, file->target)) return;
        file->temporary = errno == EEXIST ? qins_unfinished_name(file->folder, file->target, error) : NULL;
        if (error->status != QINS_OK) return;
        if (file->temporary != NULL) qins_unfinished_lock(file->fd);
        if (file->temporary == NULL || !give_name(file->fd, file->temporary)) {
            qins_fail_errno(error, QINS_FAILED, "cannot create a file in the folder %s", file->folder);
            return;
        }
    }
    if (rename(file->temporary, file->target) != 0) {
        qins_fail_errno(error, QINS_FAILED, "cannot rename %s to %s", file->temporary, file->target);
        return;
    }
    free(file->temporary);
    file->temporary = NULL;
}

static void settle(qins_output_file *file, qins_error *error) {
    if (error->status == QINS_OK && !synchronize(file->fd))
        qins_fail_errno(error, QINS_FAILED, "cannot write %s", file->path);
    if (error->status == QINS_OK && file->guard != NULL) qins_guard_check(file->guard, file->path, error);
}

// Remove the old version of the last file, so that it is never next to files that are not its own. False: there was
// none.
static bool remove_last(const char *last, qins_error *error) {
    const bool is_removed = error->status == QINS_OK && unlink(last) == 0;
    if (error->status == QINS_OK && !is_removed && errno != ENOENT)
        qins_fail_errno(error, QINS_FAILED, "cannot replace %s", last);
    return is_removed;
}

// Remove the files that have their names, because others that belong to them could not get theirs.
static void withdraw(const qins_output_file *files, size_t n, qins_error *error) {
    for (size_t i = 0; i < n; i++)
        if (unlink(files[i].target) != 0) qins_error_line(error, "%s remains, but is unusable", files[i].target);
}

// The files have their names. A failure from now on leaves them there: they may have replaced another file.
static qins_status make_durable(qins_output_file *files, size_t n, qins_error *error) {
    for (size_t i = 0; i < n; i++) {
        if (close(files[i].fd) != 0) qins_fail_errno(error, QINS_FAILED, "cannot write %s", files[i].path);
        files[i].fd = -1;
        if (i == 0 || strcmp(files[i].folder, files[i - 1].folder) != 0) sync_folder(files[i].folder, error);
    }
    qins_error_line(error, "%s is complete, but may be lost if the machine stops now", files[n - 1].path);
    return error->status;
}

qins_status qins_output_files_commit(qins_output_file *files, size_t n, qins_error *error) {
    const char *last = files[n - 1].target;
    size_t done = 0;
    for (size_t i = 0; i < n; i++) settle(&files[i], error);
    const bool had_last = n > 1 && remove_last(last, error);
    while (error->status == QINS_OK && done < n) {
        publish(&files[done], error);
        done += error->status == QINS_OK;
    }
    if (error->status == QINS_OK) return make_durable(files, n, error);
    withdraw(files, done, error);
    if (had_last) qins_error_line(error, "the older output is incomplete: %s is gone", last);
    return error->status;
}

qins_status qins_output_file_commit(qins_output_file *file, qins_error *error) {
    return qins_output_files_commit(file, 1, error);
}

void qins_output_file_close(qins_output_file *file) {
    if (file->fd >= 0) close(file->fd);
    if (file->temporary != NULL) unlink(file->temporary);
    free(file->temporary);
    free(file->target);
    free(file->folder);
    *file = (qins_output_file){.fd = -1};
}

qins_status qins_file_replace(const char *path, const void *data, size_t size, unsigned mode, qins_error *error) {
    qins_look look;
    qins_output_file file;
    if (qins_look_at(path, &look, QINS_FAILED, error) != QINS_OK) return error->status;
    if (look.kind == QINS_FOLDER || look.kind == QINS_SPECIAL)
        return qins_fail(error, QINS_USAGE, "%s is not a regular file", path);
    if (qins_output_file_open(&file, path, mode, NULL, error) == QINS_OK &&
        qins_file_write_at(file.fd, path, data, size, 0, error) == QINS_OK)
        qins_output_file_commit(&file, error);
    qins_output_file_close(&file);
    return error->status;
}
