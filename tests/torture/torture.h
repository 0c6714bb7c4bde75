// `make torture`: damaged files, failing calls, killed programs and files that change meanwhile, as a table of outcomes
// whose right side should be zeros.
#ifndef QINS_TESTS_TORTURE_H
#define QINS_TESTS_TORTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct torture {
    const char *build; // folder of the programs and of faults.so
    const char *tmp;   // folder of our own
    const char *hf;    // checkpoint
    char convert[512], run[512], faults[512];
    char model[512]; // converted, undisturbed
    bool is_short;
    size_t n_failures; // of all rows
};

// A row: how much was tried, and how often it ended as it must not.
typedef struct tally {
    const char *name;
    size_t tried;
    size_t crashed; // by a signal
    size_t hung;    // longer than TIMEOUT_SECONDS
    size_t wrong;   // exit code 0 with another result, or what is damaged was accepted
    size_t silent;  // failed without a message
    size_t left;    // an unfinished file, or an older one lost
} tally;

void tally_head(void);
void tally_print(struct torture *torture, const tally *row);

enum { TIMEOUT_SECONDS = 30 };

// A program to run. stdin is `input` (NULL: empty); stdout and stderr are tmp/out and tmp/err.
struct program {
    const char *const *arguments;   // NULL at the end
    const char *const *environment; // NAME=VALUE, NULL at the end, on top of ours; NULL: nothing
    const char *input;              // path
    const char *until;              // SIGTERM ends it once this is in stderr; NULL: it ends by itself
    unsigned kill_us;               // SIGKILL after so many microseconds, 0: never
};
struct outcome {
    int code;   // of exit, -1: none
    int signal; // that ended it, 0: none
    bool hung;
    bool is_told; // there is something on stderr
};
struct outcome run_program(const struct torture *torture, const struct program *program);

// Is this in stderr by now?
bool has_said(const struct torture *torture, const char *text);

// Count an outcome, but for what only the caller knows: wrong and left.
void tally_outcome(tally *row, const struct outcome *outcome);

bool same_files(const char *a, const char *b);
bool copy_file(const char *from, const char *to);
char *read_file(const char *path, size_t *size); // and a NUL after it; released with free()
void write_bytes(const char *path, const void *data, size_t size);
size_t count_unfinished(const char *folder);

void torture_damage(struct torture *torture);    // truncated files, flipped bits, files made by hand
void torture_faults(struct torture *torture);    // one call fails
void torture_kills(struct torture *torture);     // kills, two writers, files that change while they are opened
void torture_injection(struct torture *torture); // control tokens spelt in text
void torture_fuzzers(struct torture *torture);   // libFuzzer's targets, where they are built

#endif
