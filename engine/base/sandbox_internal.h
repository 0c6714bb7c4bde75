// The two mechanisms of the sandbox; see sandbox.h.
#ifndef QINS_BASE_SANDBOX_INTERNAL_H
#define QINS_BASE_SANDBOX_INTERNAL_H

#include "engine/base/sandbox.h"

// Landlock: sandbox_files.c.
int qins_landlock_begin(uint64_t *rights);                    // rules that allow nothing yet; -1 and errno
bool qins_landlock_allow(int rules, uint64_t rights, int fd); // errno
bool qins_landlock_enter(int rules);                          // errno
uint64_t qins_landlock_reading(void);
uint64_t qins_landlock_writing(void);

// seccomp: sandbox_calls.c. Both filters hold for all threads.
bool qins_seccomp_enter(qins_sandbox_job job); // errno
bool qins_seccomp_tighten(void);
const char *qins_seccomp_name(int call); // name of a call that ends the process; NULL: it has none here

// From here on, the process cannot gain privileges by executing files: both mechanisms require that.
bool qins_give_up_privileges(void);

#endif
