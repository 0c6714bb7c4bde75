// The sandbox of a program limits what its process may still do once it reads untrusted files. Landlock limits which
// files can be opened, seccomp which system calls can be made; both are specific to Linux and used only here. Where the
// kernel lacks one, or refuses it, the program continues without it: qins_sandbox_state reports that. Any other failure
// (no descriptors left, no memory) is an error: it would refuse the job's own files later, or leave the sandbox out.
//
//     qins_sandbox sandbox = qins_sandbox_plan(QINS_SANDBOX_RUNS, error);
//     qins_sandbox_reads(&sandbox, path);    // for each file or folder that the job reads
//     qins_sandbox_enter(&sandbox, name);    // before any of them is parsed, and before threads start
//     ...                                    // start threads, open models, in this order where possible
//     qins_sandbox_tighten();                // no more threads
//
// Only programs call this: a library must not limit its host, so this is not part of libqins.
#ifndef QINS_BASE_SANDBOX_H
#define QINS_BASE_SANDBOX_H

#include "engine/base/error.h"

#include <stdint.h>

// The actions of a job besides reading files and computing; everything else is refused.
typedef enum qins_sandbox_job {
    QINS_SANDBOX_RUNS = 0,
    QINS_SANDBOX_WRITES = 1, // creates files in folders that qins_sandbox_writes names
    QINS_SANDBOX_SERVES = 2, // accepts connections on a socket that is listening already
} qins_sandbox_job;

typedef struct qins_sandbox {
    int rules; // of Landlock, a descriptor; -1: there is no Landlock
    uint64_t rights;
    qins_sandbox_job job;
    qins_error *error; // of the plan
} qins_sandbox;

// Begin a list of permissions. Ends with qins_sandbox_enter, which returns the first error.
qins_sandbox qins_sandbox_plan(qins_sandbox_job job, qins_error *error);

// Allow reading a file, or a folder with everything in it and the regular files that links in it lead to. A path that
// leads nowhere is not an error here: opening it will report that.
void qins_sandbox_reads(qins_sandbox *sandbox, const char *path);

// Allow creating, writing and removing files in an existing folder.
void qins_sandbox_writes(qins_sandbox *sandbox, const char *path);

// Restrict this process, and any process that it starts, from now on and permanently. A process that makes a system
// call which a legitimate one has no reason to make ends with a message that begins with `program` (exit code
// QINS_FAILED).
qins_status qins_sandbox_enter(qins_sandbox *sandbox, const char *program);

// Call it after the threads have started: it forbids further threads, in-memory files and other filters. Does nothing
// outside a sandbox.
void qins_sandbox_tighten(void);

// A description of the mechanisms in force.
const char *qins_sandbox_state(void);

#endif
