// The text of perplexity and compare, cut into windows: consecutive blocks, each run as a sequence of its own with the
// BOS token (if any) in front. The last block may be shorter; one without anything to predict is left out.
#ifndef QINS_CLI_WINDOWS_H
#define QINS_CLI_WINDOWS_H

#include "engine/cli/cli.h"

typedef struct qins_windows {
    qins_ids ids;    // the whole text
    int32_t *window; // [size], the current one
    size_t size;     // tokens of a window, BOS included
    size_t count;    // windows
    int64_t bos;     // -1: none
} qins_windows;

// Progress over many sequences, in tokens, as a session reports it within each; stops when the user interrupts.
typedef struct qins_windows_meter {
    qins_meter meter;
    uint64_t before; // tokens of the sequences that are done
    uint64_t total;  // tokens of all
} qins_windows_meter;
void qins_windows_watch(qins_windows_meter *meter, const char *label, uint64_t total, bool quiet);
bool qins_windows_progress(void *meter, uint64_t done, uint64_t total); // a qins_progress of one sequence

// Read -f TEXT (encoded as plain text, or with --parse-special) or --ids-file (raw little-endian int32). The window is
// at most the model's maximum. Release with qins_windows_free, also after a failure.
qins_status qins_windows_open(qins_windows *windows, const qins_options *options, const qins_model *model,
                              qins_error *error);
void qins_windows_free(qins_windows *windows);

// Put window `index` into windows->window; returns its tokens, BOS included.
size_t qins_windows_load(qins_windows *windows, size_t index);

#endif
