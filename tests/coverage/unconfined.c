// For LD_PRELOAD in tests/coverage/run.sh: a kernel without Landlock and seccomp, so that programs in a sandbox can
// write what gcov counts, and helpers that write it when they end.
#define _GNU_SOURCE // RTLD_NEXT
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/syscall.h>

long syscall(long number, ...) {
    if (number == SYS_landlock_create_ruleset || number == SYS_seccomp) {
        errno = ENOSYS;
        return -1;
    }
    long (*next)(long, ...);
    *(void **)&next = dlsym(RTLD_NEXT, "syscall");
    va_list rest;
    va_start(rest, number);
    long value[6];
    for (int i = 0; i < 6; i++)
        value[i] = va_arg(rest, long); // more than a call has, as the C library itself reads them
    va_end(rest);
    return next(number, value[0], value[1], value[2], value[3], value[4], value[5]);
}

void _exit(int code) { // a helper's, whose streams are empty
    exit(code);
}
