// Atomic creation of a file; see output_file.h.
#include "convert/output_file.h"

#include "engine/base/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_LINKS = 40 }; // of a chain, as in Linux; stat, which comes first, refuses longer ones

static char *join(const char *folder, const char *name, const char *suffix, qins_error *error) {
    size_t size = strlen(folder) + strlen(name) + strlen(suffix) + 2;
    char *path = qins_alloc(size, 1, "path", error);
    if (path != NULL) snprintf(path, size, "%s/%s%s", folder, name, suffix);
    return path;
}

static char *copy_path(const char *path, qins_error *error) {
    char *copy = qins_alloc(strlen(path) + 1, 1, "path", error);
    return copy != NULL ? strcpy(copy, path) : NULL;
}

// The part of a path in front of its last '/', "." if there is none; released with free().
static char *folder_of(const char *path, qins_error *error) {
    const char *slash = strrchr(path, '/');
    size_t length = slash == NULL ? 1 : slash == path ? 1 : (size_t)(slash - path);
    char *folder = qins_alloc(length + 1, 1, "path", error);
    if (folder != NULL) memcpy(folder, slash == NULL ? "." : path, length);
    return folder;
}

// The path at the end of a chain of symbolic links, which need not exist; released with free().
static char *follow_links(const char *path, qins_error *error) {
    char link[PATH_MAX];
    ssize_t length;
    char *end = copy_path(path, error);
    for (int i = 0; i < MAX_LINKS && end != NULL && (length = readlink(end, link, sizeof link - 1)) >= 0; i++) {
        link[length] = '\0';
        char *folder = link[0] != '/' ? folder_of(end, error) : NULL;
        char *next = error->status != QINS_OK ? NULL
                     : folder != NULL         ? join(folder, link, "", error)
                                              : copy_path(link, error);
        free(folder);
        free(end);
        end = next;
    }
    return end;
}

static bool is_qins_name(const char *name) {
    size_t length = strlen(name);
    return length > 5 && strcmp(name + length - 5, ".qins") == 0;
}

// Would the output replace a file of the checkpoint? Compared by identity: paths have many spellings.
static void refuse_source(const struct stat *output, const char *path, const char *source_folder, qins_error *error) {
    DIR *folder = opendir(source_folder);
    if (folder == NULL) return; // the conversion will say why
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char *name = join(source_folder, entry->d_name, "", error);
        struct stat info;
        if (name != NULL && stat(name, &info) == 0 && info.st_dev == output->st_dev && info.st_ino == output->st_ino &&
            !is_qins_name(entry->d_name))
            qins_fail(error, QINS_USAGE, "the output %s is a file of the checkpoint (%s); give another name", path,
                      name);
        free(name);
    }
    closedir(folder);
}

static qins_status check_target(const char *path, const char *source_folder, qins_error *error) {
    struct stat info;
    size_t length = strlen(path);
    if (length == 0 || path[length - 1] == '/')
        return qins_fail(error, QINS_USAGE, "the output \"%s\" is a folder; give the name of a file", path);
    if (stat(path, &info) != 0) {
        if (errno == ENOENT) return QINS_OK;
        return qins_fail_errno(error, QINS_FAILED, "cannot examine %s", path);
    }
    if (S_ISDIR(info.st_mode))
        return qins_fail(error, QINS_USAGE, "the output %s is a folder; give the name of a file", path);
    if (!S_ISREG(info.st_mode))
        return qins_fail(error, QINS_USAGE, "the output %s exists and is no regular file; give another name", path);
    refuse_source(&info, path, source_folder, error);
    return error->status;
}

// A new file beside the target, with a name of its own.
static void create_temporary(qins_output_file *file, qins_error *error) {
    const char *slash = strrchr(file->target, '/');
    char *temporary = join(file->folder, slash == NULL ? file->target : slash + 1, ".XXXXXX", error);
    if (temporary == NULL) return;
    file->fd = mkstemp(temporary);
    if (file->fd < 0) {
        qins_fail_errno(error, QINS_FAILED, "cannot create a file in the folder %s", file->folder);
        free(temporary);
        return;
    }
    file->temporary = temporary;
    const mode_t mask = umask(0); // mkstemp makes the file private; give it the permissions of any new file
    umask(mask);
    (void)fchmod(file->fd, 0666 & ~mask); // file systems without permissions refuse this (drvfs, CIFS)
}

qins_status qins_output_file_open(qins_output_file *file, const char *path, const char *source_folder,
                                  qins_error *error) {
    *file = (qins_output_file){.fd = -1, .path = path};
    if (check_target(path, source_folder, error) != QINS_OK) return error->status;
    file->target = follow_links(path, error);
    file->folder = file->target != NULL ? folder_of(file->target, error) : NULL;
    if (file->folder != NULL) create_temporary(file, error);
    return error->status;
}

// Have the bytes on the disk, where the file system can be asked for that.
static bool synchronize(int fd) {
    return fsync(fd) == 0 || errno == EINVAL || errno == ENOTSUP || errno == ENOSYS;
}

// Make the new name durable. A folder that may be written to, but not read, cannot be asked.
static void sync_folder(const char *folder, qins_error *error) {
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == EACCES) return;
    if (fd < 0 || !synchronize(fd)) qins_fail_errno(error, QINS_FAILED, "cannot write the folder %s", folder);
    if (fd >= 0) close(fd);
}

qins_status qins_output_file_commit(qins_output_file *file, qins_error *error) {
    if (!synchronize(file->fd)) qins_fail_errno(error, QINS_FAILED, "cannot write %s", file->path);
    if (close(file->fd) != 0) qins_fail_errno(error, QINS_FAILED, "cannot write %s", file->path);
    file->fd = -1;
    if (error->status != QINS_OK) return error->status;
    if (rename(file->temporary, file->target) != 0)
        return qins_fail_errno(error, QINS_FAILED, "cannot rename %s to %s", file->temporary, file->target);
    free(file->temporary);
    file->temporary = NULL;
    sync_folder(file->folder, error);
    return error->status;
}

void qins_output_file_close(qins_output_file *file) {
    if (file->fd >= 0) close(file->fd);
    if (file->temporary != NULL) unlink(file->temporary);
    free(file->temporary);
    free(file->target);
    free(file->folder);
    *file = (qins_output_file){.fd = -1};
}
