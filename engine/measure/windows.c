// Windows over a text; see windows.h.
#include "engine/measure/windows.h"

#include "engine/base/memory.h"

#include <stdlib.h>
#include <string.h>

qins_status qins_windows_cut(qins_windows *windows, qins_ids ids, size_t size, int64_t bos, size_t max_count,
                             qins_error *error) {
    const size_t n_bos = bos >= 0, block = size - n_bos;
    *windows = (qins_windows){.ids = ids, .size = size, .bos = bos};
    if (size < 2) return qins_fail(error, QINS_USAGE, "a window of %zu tokens has nothing to predict", size);
    windows->window = qins_alloc(size, sizeof *windows->window, "window", error);
    windows->count = ids.count / block + (ids.count % block + n_bos >= 2);
    if (windows->count == 0)
        qins_fail(error, QINS_USAGE, "the text has %zu tokens; there is nothing to predict", ids.count);
    if (windows->count > max_count) windows->count = max_count;
    return error->status;
}

void qins_windows_free(qins_windows *windows) {
    qins_ids_free(&windows->ids);
    free(windows->window);
    *windows = (qins_windows){0};
}

size_t qins_windows_load(qins_windows *windows, size_t index) {
    const size_t n_bos = windows->bos >= 0, block = windows->size - n_bos, start = index * block;
    const size_t n = windows->ids.count - start < block ? windows->ids.count - start : block;
    if (n_bos > 0) windows->window[0] = (int32_t)windows->bos;
    memcpy(windows->window + n_bos, windows->ids.data + start, n * sizeof *windows->window);
    return n + n_bos;
}

bool qins_windows_progress(void *context, uint64_t done, uint64_t total) {
    (void)total; // of one sequence
    const qins_windows_watch *watch = context;
    return watch->progress == NULL || watch->progress(watch->context, watch->before + done, watch->total);
}

void qins_windows_observe(qins_windows_watch *watch, qins_session *session) {
    qins_session_observe(session, &(qins_observer){qins_windows_progress, NULL, watch});
}
