// A text's ids cut into windows: consecutive blocks, each run as a separate sequence after the BOS token (if any). The
// last block may be shorter; a block with nothing to predict is left out.
#ifndef QINS_MEASURE_WINDOWS_H
#define QINS_MEASURE_WINDOWS_H

#include "engine/base/progress.h"
#include "engine/runtime/session.h"

typedef struct qins_windows {
    qins_ids ids;    // owned, the whole text
    int32_t *window; // owned, [size], the current one
    size_t size;     // tokens of a window, BOS included
    size_t count;    // windows
    int64_t bos;     // -1: none
} qins_windows;

// Cut `ids`, which it takes over, into windows of `size` tokens, at most max_count of them. QINS_USAGE when there is
// nothing to predict. Release with qins_windows_free, also after a failure.
qins_status qins_windows_cut(qins_windows *windows, qins_ids ids, size_t size, int64_t bos, size_t max_count,
                             qins_error *error);
void qins_windows_free(qins_windows *windows);

// Put window `index` into windows->window; returns its tokens, BOS included.
size_t qins_windows_load(qins_windows *windows, size_t index);

// Progress over many sequences, in tokens; each session reports the progress of a single sequence.
typedef struct qins_windows_watch {
    qins_progress *progress; // NULL: not reported
    void *context;
    uint64_t before, total; // tokens of the sequences that are done, and of all
} qins_windows_watch;
bool qins_windows_progress(void *watch, uint64_t done, uint64_t total); // a qins_progress of one sequence
void qins_windows_observe(qins_windows_watch *watch, qins_session *session);

#endif
