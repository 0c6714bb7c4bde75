// Each call of a kind fails once, in each program; see torture.h and faults.c.
#include "tests/torture/torture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// A program at work, and how its success is judged.
struct job {
    const char *name;
    const char *arguments[16];
    char output[600]; // "": what it prints
    char expected[600];
};

static const struct fault {
    const char *call, *how; // as in QINS_FAULT
    const char *what;
} faults[] = {
    {"alloc", "12", "allocation"},
    {"mmap", "12", "mapping"},
    {"thread", "11", "thread start"},
    {"open", "5", "open"},
    {"open", "24", "open, too many"},
    {"stat", "5", "stat"},
    {"stat", "40", "stat, links"},
    {"readdir", "5", "readdir"},
    {"readlink", "5", "readlink"},
    {"read", "5", "read"},
    {"read", "short", "read, short"},
    {"pread", "5", "pread"},
    {"pread", "short", "pread, short"},
    {"write", "5", "write"},
    {"pwrite", "28", "pwrite, disk full"},
    {"pwrite", "short", "pwrite, short"},
    {"fsync", "5", "fsync"},
    {"close", "5", "close"},
    {"rename", "5", "rename"},
    {"link", "1", "link"},
    {"unlink", "5", "unlink"},
    {"random", "5", "getrandom"},
    {"memfd", "12", "memory file"},
};

// What is there before a run: nothing, or an older output.
static void set_stage(const struct job *job, bool is_old_there) {
    if (job->output[0] == '\0') return;
    unlink(job->output);
    if (is_old_there) write_bytes(job->output, "QINS\r\n\x1a\nolder", 13);
}

static bool is_old(const struct job *job) {
    size_t size = 0;
    char *data = read_file(job->output, &size);
    const bool is_same = data != NULL && size == 13 && memcmp(data + 8, "older", 5) == 0;
    free(data);
    return is_same;
}

// One run; false: there are fewer such calls.
static bool run_one(const struct torture *torture, const struct job *job, const struct fault *fault, size_t n,
                    bool is_old_there, tally *row) {
    char spec[64], hit[640], printed[640], hit_path[600];
    snprintf(spec, sizeof spec, "QINS_FAULT=%s %zu %s", fault->call, n, fault->how);
    snprintf(hit_path, sizeof hit_path, "%s/hit", torture->tmp);
    snprintf(hit, sizeof hit, "QINS_FAULT_HIT=%s", hit_path);
    snprintf(printed, sizeof printed, "%s/out", torture->tmp);
    unlink(hit_path);
    const bool has_output = job->output[0] != '\0';
    set_stage(job, is_old_there);
    const char *const environment[] = {torture->faults, spec, hit, NULL};
    const struct outcome outcome = run_program(torture, job->arguments, environment, 0);
    if (access(hit_path, F_OK) != 0) return false;
    const size_t before = row->wrong + row->left + row->crashed + row->silent + row->hung;
    tally_outcome(row, &outcome);
    const bool is_right = same_files(has_output ? job->output : printed, job->expected);
    row->wrong += outcome.code == 0 && !is_right;
    const bool is_untouched = !has_output || is_right || (is_old_there ? is_old(job) : access(job->output, F_OK) != 0);
    row->left += outcome.code != 0 && !is_untouched;
    row->left += strcmp(fault->call, "unlink") != 0 && count_unfinished(torture->tmp) > 0; // else the next run's task
    if (before != row->wrong + row->left + row->crashed + row->silent + row->hung && getenv("TORTURE_VERBOSE") != NULL)
        fprintf(stderr, "%s: %s %zu: code %d, signal %d\n", job->name, fault->what, n, outcome.code, outcome.signal);
    return true;
}

static void torture_job(struct torture *torture, const struct job *job) {
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        char name[128];
        const struct fault *fault = &faults[i];
        const size_t step = torture->is_short && strcmp(fault->call, "alloc") == 0 ? 97 : 1;
        tally row = {.name = name};
        snprintf(name, sizeof name, "%s: each %s fails", job->name, fault->what);
        const bool has_stages = job->output[0] != '\0' && strcmp(fault->call, "alloc") != 0;
        bool goes_on = true;
        for (size_t n = 1; goes_on && row.hung < 3; n += step) {
            goes_on = run_one(torture, job, fault, n, false, &row);
            if (has_stages) goes_on = run_one(torture, job, fault, n, true, &row) || goes_on;
        }
        if (row.tried > 0) tally_print(torture, &row); // not every job does everything
    }
}

void torture_faults(struct torture *torture) {
    struct job jobs[3] = {
        {.name = "convert", .arguments = {torture->convert, torture->hf, "--quiet", "-t", "2", "-o", jobs[0].output}},
        {.name = "run", .arguments = {torture->run, "-m", torture->model, "-p", "hi", "-n", "2", "-q", "-t", "2"}},
        {.name = "run a folder",
         .arguments = {torture->run, "-m", torture->hf, "-p", "hi", "-n", "2", "-q", "-t", "2"}},
    };
    snprintf(jobs[0].output, sizeof jobs[0].output, "%s/o.qins", torture->tmp);
    snprintf(jobs[0].expected, sizeof jobs[0].expected, "%s", torture->model);
    for (size_t i = 0; i < sizeof jobs / sizeof *jobs; i++) {
        char printed[600];
        snprintf(printed, sizeof printed, "%s/out", torture->tmp);
        run_program(torture, jobs[i].arguments, NULL, 0);
        if (i > 0) {
            snprintf(jobs[i].expected, sizeof jobs[i].expected, "%s/expected%zu", torture->tmp, i);
            copy_file(printed, jobs[i].expected);
        }
        torture_job(torture, &jobs[i]);
    }
}
