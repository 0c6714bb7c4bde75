// The sandbox of a program: what its process may still do once it reads files that others made. Landlock limits which
// files can be opened, seccomp which system calls can be made; both are Linux's, and nobody else here knows them.
// Where the kernel lacks one, or refuses it, the program goes on without: qins_sandbox_state tells. Any other failure
// (no descriptors left, no memory) is an error: it would refuse the job's own files later, or leave the sandbox out.
//
//     qins_sandbox sandbox = qins_sandbox_plan(QINS_SANDBOX_RUNS, error);
//     qins_sandbox_reads(&sandbox, path);    // for each file or folder that the job is about
//     qins_sandbox_enter(&sandbox, name);    // before any of them is parsed, and before threads start
//     ...                                    // open models, start threads
//     qins_sandbox_tighten();                // no more threads
//
// Only programs call this: a library has no business limiting its host, so it is not part of libqins.
#ifndef QINS_BASE_SANDBOX_H
#define QINS_BASE_SANDBOX_H

#include "engine/base/error.h"

#include <stdint.h>

// What a job does besides reading files and computing; everything else is refused.
typedef enum qins_sandbox_job {
    QINS_SANDBOX_RUNS = 0,
    QINS_SANDBOX_WRITES = 1, // makes files in folders that qins_sandbox_writes names
    QINS_SANDBOX_SERVES = 2, // accepts connections at a socket that listens before
} qins_sandbox_job;

typedef struct qins_sandbox {
    int rules; // of Landlock, a descriptor; -1: there is no Landlock
    uint64_t rights;
    qins_sandbox_job job;
    qins_error *error; // of the plan
} qins_sandbox;

// Begin a list of what is allowed. Ends with qins_sandbox_enter, which returns the first error.
qins_sandbox qins_sandbox_plan(qins_sandbox_job job, qins_error *error);

// Allow to read a file, or a folder with everything in it and what links in it lead to. A path that leads nowhere is no
// mistake: whoever opens it will say so.
void qins_sandbox_reads(qins_sandbox *sandbox, const char *path);

// Allow to make, write and remove files in a folder that exists.
void qins_sandbox_writes(qins_sandbox *sandbox, const char *path);

// Limit this process, and whatever it starts, from now on, once and for good. `program` stands before the message with
// which a process ends that makes a system call for which a sound one has no reason (exit code QINS_FAILED).
qins_status qins_sandbox_enter(qins_sandbox *sandbox, const char *program);

// After the threads have started: no further ones, no files in memory, no other filters. Nothing outside of a sandbox.
void qins_sandbox_tighten(void);

// What is in force, in words.
const char *qins_sandbox_state(void);

#endif
