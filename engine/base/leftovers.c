// Unfinished files; see leftovers.h.
#include "engine/base/leftovers.h"

#include "engine/base/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

static const char SUFFIX[] = ".unfinished", LETTERS[] = "abcdefghijklmnopqrstuvwxyz012345";
enum { N_LETTERS = 6, MAX_NAME = 200 }; // of the file's own name, as much as fits into a name

char *qins_unfinished_name(const char *folder, const char *path, qins_error *error) {
    const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
    const size_t size = strlen(folder) + strnlen(name, MAX_NAME) + N_LETTERS + sizeof SUFFIX + sizeof "/..";
    unsigned char random[N_LETTERS];
    char letters[N_LETTERS + 1] = "";
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) {
        qins_fail_errno(error, QINS_FAILED, "cannot choose a name for a file in the folder %s", folder);
        return NULL;
    }
    for (int i = 0; i < N_LETTERS; i++) letters[i] = LETTERS[random[i] % (sizeof LETTERS - 1)];
    char *unfinished = qins_alloc(size, 1, "path", error);
    if (unfinished != NULL) snprintf(unfinished, size, "%s/.%.*s.%s%s", folder, MAX_NAME, name, letters, SUFFIX);
    return unfinished;
}

bool qins_unfinished_lock(int fd) {
    struct stat info;
    while (flock(fd, LOCK_EX) != 0 && errno == EINTR) {
    }
    return fstat(fd, &info) != 0 || info.st_nlink > 0; // without locks nothing is removed
}

static bool is_unfinished_name(const char *name) {
    const size_t length = strlen(name), end = N_LETTERS + sizeof SUFFIX - 1;
    if (name[0] != '.' || length < end + 3) return false; // ".N." at least
    const char *letters = name + length - end;
    return letters[-1] == '.' && strspn(letters, LETTERS) == N_LETTERS && strcmp(letters + N_LETTERS, SUFFIX) == 0;
}

// Is the name still that of this file, a regular one of this user's?
static bool is_own(int folder, const char *name, int fd) {
    struct stat open, named;
    return fstat(fd, &open) == 0 && fstatat(folder, name, &named, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(open.st_mode) &&
           open.st_uid == geteuid() && open.st_dev == named.st_dev && open.st_ino == named.st_ino;
}

static void remove_unless_held(int folder, const char *name) {
    const int fd = openat(folder, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) return;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0 && is_own(folder, name, fd)) unlinkat(folder, name, 0);
    close(fd);
}

void qins_leftovers_remove(const char *folder) {
    DIR *entries = opendir(folder);
    for (const struct dirent *entry; entries != NULL && (entry = readdir(entries)) != NULL;)
        if (is_unfinished_name(entry->d_name)) remove_unless_held(dirfd(entries), entry->d_name);
    if (entries != NULL) closedir(entries);
}
