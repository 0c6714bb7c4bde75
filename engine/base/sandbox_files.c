// Landlock: which files may be opened; see sandbox.h and Linux's Documentation/userspace-api/landlock.rst. The numbers
// are written out here, as the C library's headers may be older than the kernel.
#define _GNU_SOURCE // syscall, EBADFD
#include "engine/base/sandbox_internal.h"

#include <errno.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CREATE_RULESET = 444, ADD_RULE = 445, RESTRICT_SELF = 446 }; // the same on all architectures
enum { WANTS_VERSION = 1, PATH_BENEATH = 1 };

// Rights to files, by the bits of the interface.
#define EXECUTE (UINT64_C(1) << 0)
#define WRITE_FILE (UINT64_C(1) << 1)
#define READ_FILE (UINT64_C(1) << 2)
#define READ_DIR (UINT64_C(1) << 3)
#define REMOVE_FILE (UINT64_C(1) << 5)
#define MAKE_REG (UINT64_C(1) << 8)
#define TRUNCATE (UINT64_C(1) << 14)
#define IOCTL_DEV (UINT64_C(1) << 15)
#define RIGHTS_TO_FILES (EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV) // the others are for folders

struct ruleset {
    uint64_t files;  // rights that are refused where no rule gives them
    uint64_t net;    // from version 4 on: to bind and to connect TCP sockets
    uint64_t scopes; // from version 6 on: abstract sockets, and signals, to processes outside
};

struct path_beneath {
    uint64_t rights;
    int32_t fd;
} __attribute__((packed));

// The features of each version. A version's new rights are higher bits than those before.
static size_t describe(long version, struct ruleset *all) {
    static const int n_rights[] = {13, 14, 15, 15, 16};
    const size_t known = sizeof n_rights / sizeof *n_rights;
    const int n = n_rights[(size_t)version < known ? (size_t)version - 1 : known - 1];
    *all = (struct ruleset){.files = (UINT64_C(1) << n) - 1};
    if (version < 4) return offsetof(struct ruleset, net);
    all->net = 3;
    if (version < 6) return offsetof(struct ruleset, scopes);
    all->scopes = 3;
    return sizeof *all;
}

int qins_landlock_begin(uint64_t *rights) {
    struct ruleset all;
    const long version = syscall(CREATE_RULESET, NULL, (size_t)0, WANTS_VERSION);
    if (version < 1) return -1;
    const size_t size = describe(version, &all);
    *rights = all.files;
    return (int)syscall(CREATE_RULESET, &all, size, 0);
}

uint64_t qins_landlock_reading(void) {
    return READ_FILE | READ_DIR;
}

uint64_t qins_landlock_writing(void) {
    return READ_FILE | READ_DIR | WRITE_FILE | REMOVE_FILE | MAKE_REG | TRUNCATE;
}

// Files without a place in the tree, such as pipes, take no rule (EBADFD), and need none.
bool qins_landlock_allow(int rules, uint64_t rights, int fd) {
    struct stat info;
    if (fstat(fd, &info) != 0) return false;
    if (!S_ISDIR(info.st_mode)) rights &= RIGHTS_TO_FILES;
    return syscall(ADD_RULE, rules, PATH_BENEATH, &(struct path_beneath){rights, fd}, 0) == 0 || errno == EBADFD;
}

bool qins_landlock_enter(int rules) {
    return syscall(RESTRICT_SELF, rules, 0) == 0;
}

bool qins_give_up_privileges(void) {
    return prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L) == 0;
}
