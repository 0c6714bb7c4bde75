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
    const char *input, *until; // as in struct program
    char output[600];          // "": what it prints
    char expected[600];        // "": `until`, or what it prints from `part` on
    const char *part;          // a text of its printed reply; NULL: all of it counts
    char expected_part[256];
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

// The output before a run: none, or an older one.
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

// The text from job->part to the end of that object of JSON, in the program's output; "": there is none. True: it is a
// reply that reports a failure instead.
static bool printed_part(const struct torture *torture, const struct job *job, char *part, size_t room) {
    char path[600];
    size_t size;
    snprintf(path, sizeof path, "%s/out", torture->tmp);
    char *text = read_file(path, &size);
    const char *start = text != NULL && job->part != NULL ? strstr(text, job->part) : NULL;
    const char *end = start != NULL ? strstr(start, "\"}") : NULL;
    snprintf(part, room, "%.*s", end != NULL ? (int)(end - start) : 0, end != NULL ? start : "");
    const bool is_refused = text != NULL && strncmp(text, "{\"error\":", 9) == 0;
    free(text);
    return is_refused;
}

static bool is_right(const struct torture *torture, const struct job *job) {
    char path[600], part[sizeof job->expected_part];
    if (job->output[0] != '\0') return same_files(job->output, job->expected);
    if (job->until != NULL) return has_said(torture, job->until);
    snprintf(path, sizeof path, "%s/out", torture->tmp);
    if (job->part == NULL) return same_files(path, job->expected);
    if (printed_part(torture, job, part, sizeof part)) return true;
    return strcmp(part, job->expected_part) == 0;
}

// Without memory or threads the program exits with 1, or gives the right result without them.
static bool is_resource(const struct fault *fault) {
    return strcmp(fault->how, "12") == 0 || strcmp(fault->how, "11") == 0;
}

static size_t n_bad(const tally *row) {
    return row->crashed + row->hung + row->wrong + row->silent + row->left;
}

static bool is_set(const char *path) {
    size_t size = 0;
    char *data = read_file(path, &size);
    const bool is_one = data != NULL && size == 1 && data[0] == 1;
    free(data);
    return is_one;
}

// One run; false: there are fewer such calls.
static bool run_one(const struct torture *torture, const struct job *job, const struct fault *fault, size_t n,
                    bool is_old_there, tally *row) {
    char spec[64], hit[640], hit_path[600];
    snprintf(spec, sizeof spec, "QINS_FAULT=%s %zu %s", fault->call, n, fault->how);
    snprintf(hit_path, sizeof hit_path, "%s/hit", torture->tmp);
    snprintf(hit, sizeof hit, "QINS_FAULT_HIT=%s", hit_path);
    write_bytes(hit_path, "", 1);
    const bool has_output = job->output[0] != '\0';
    set_stage(job, is_old_there);
    const char *const environment[] = {torture->faults, spec, hit, NULL};
    const struct outcome outcome =
        run_program(torture, &(struct program){job->arguments, environment, job->input, job->until, 0});
    if (!is_set(hit_path)) return false;
    const size_t before = n_bad(row);
    tally_outcome(row, &outcome);
    const bool is_good = is_right(torture, job);
    row->wrong += (outcome.code == 0 && !is_good) || (outcome.code > 1 && is_resource(fault));
    const bool is_untouched = !has_output || is_good || (is_old_there ? is_old(job) : access(job->output, F_OK) != 0);
    row->left += outcome.code != 0 && !is_untouched;
    row->left += strcmp(fault->call, "unlink") != 0 && count_unfinished(torture->tmp) > 0; // else the next run's task
    if (before != n_bad(row) && getenv("TORTURE_VERBOSE") != NULL)
        fprintf(stderr, "%s: %s %zu: code %d, signal %d\n", job->name, fault->what, n, outcome.code, outcome.signal);
    return true;
}

static void torture_job(struct torture *torture, const struct job *job) {
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        char name[128];
        const struct fault *fault = &faults[i];
        const size_t step = !torture->is_short ? 1 : strcmp(fault->call, "alloc") == 0 ? 197 : 7;
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

// The job's result when no call fails. False: it fails anyway.
static bool expect_of(const struct torture *torture, struct job *job, size_t number) {
    char printed[600];
    snprintf(printed, sizeof printed, "%s/out", torture->tmp);
    const struct outcome outcome =
        run_program(torture, &(struct program){job->arguments, NULL, job->input, job->until, 0});
    if (outcome.code != 0) return false;
    if (job->output[0] == '\0') {
        snprintf(job->expected, sizeof job->expected, "%s/expected%zu", torture->tmp, number);
        copy_file(printed, job->expected);
        printed_part(torture, job, job->expected_part, sizeof job->expected_part);
    }
    return is_right(torture, job) && (job->part == NULL || job->expected_part[0] != '\0');
}

void torture_faults(struct torture *torture) {
    static const char request[] = "{\"messages\": [{\"role\": \"user\", \"content\": \"hi\"}], \"max_tokens\": 2, "
                                  "\"temperature\": 0}\n";
    char requests[600];
    const char *const run = torture->run, *const model = torture->model;
    struct job jobs[] = {
        {.name = "convert", .arguments = {torture->convert, torture->hf, "--quiet", "-t", "2", "-o", jobs[0].output}},
        {.name = "run", .arguments = {run, "-m", model, "-p", "hi", "-n", "2", "-q", "-t", "2"}},
        {.name = "run a folder", .arguments = {run, "-m", torture->hf, "-p", "hi", "-n", "2", "-q", "-t", "2"}},
        {.name = "batch",
         .arguments = {run, "batch", "-m", model, "-q", "-t", "2"},
         .input = requests,
         .part = "\"content\":"},
        {.name = "serve, start and end",
         .arguments = {run, "serve", "-m", model, "--port", "0", "-t", "2"},
         .until = "listening at"},
    };
    snprintf(requests, sizeof requests, "%s/requests", torture->tmp);
    write_bytes(requests, request, sizeof request - 1);
    snprintf(jobs[0].output, sizeof jobs[0].output, "%s/o.qins", torture->tmp);
    snprintf(jobs[0].expected, sizeof jobs[0].expected, "%s", model);
    for (size_t i = 0; i < sizeof jobs / sizeof *jobs; i++) {
        if (!expect_of(torture, &jobs[i], i)) {
            fprintf(stderr, "torture: %s fails undisturbed\n", jobs[i].name);
            torture->n_failures++;
        } else {
            torture_job(torture, &jobs[i]);
        }
    }
}
