// Windows over a text; see windows.h.
#include "engine/cli/windows.h"

#include "engine/cli/input.h"

#include "engine/base/file.h"
#include "engine/base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { DEFAULT_WINDOW = 512 };

static qins_status read_id_file(const char *path, qins_ids *ids, qins_error *error) {
    size_t size;
    char *bytes = qins_file_read_all(path, (size_t)1 << 32, &size, QINS_USAGE, error);
    if (bytes == NULL) return error->status;
    if (size % sizeof(int32_t) != 0)
        qins_fail(error, QINS_USAGE, "%s has %zu bytes; raw int32 ids need a multiple of 4", path, size);
    for (size_t at = 0; at < size && error->status == QINS_OK; at += sizeof(int32_t)) {
        int32_t id;
        memcpy(&id, bytes + at, sizeof id);
        qins_ids_append(ids, id, error);
    }
    free(bytes);
    return error->status;
}

static qins_status read_text(const qins_options *options, const qins_model *model, qins_ids *ids, qins_error *error) {
    const qins_tokenizer *tokenizer = qins_need_tokenizer(model, error);
    if (tokenizer == NULL) return error->status;
    char *text;
    size_t size;
    if (qins_read_prompt(options, &text, &size, error) == QINS_OK)
        qins_tokenizer_encode(tokenizer, text, size, options->parse_special ? QINS_PARSE_SPECIAL : 0, ids, error);
    free(text);
    return error->status;
}

qins_status qins_windows_open(qins_windows *windows, const qins_options *options, const qins_model *model,
                              qins_error *error) {
    *windows = (qins_windows){.bos = options->bos};
    if (options->ids_file != NULL)
        read_id_file(options->ids_file, &windows->ids, error);
    else
        read_text(options, model, &windows->ids, error);
    if (error->status != QINS_OK) return error->status;
    const size_t max_positions = qins_model_max_tokens(model);
    windows->size = options->session.n_ctx > 0 ? options->session.n_ctx : DEFAULT_WINDOW;
    if (options->session.n_ctx == 0 && windows->size > max_positions) windows->size = max_positions;
    const size_t n_bos = windows->bos >= 0, block = windows->size - n_bos;
    if (windows->size < 2)
        return qins_fail(error, QINS_USAGE, "a window of %zu tokens has nothing to predict", windows->size);
    windows->window = qins_alloc(windows->size, sizeof *windows->window, "window", error);
    windows->count = windows->ids.count / block + (windows->ids.count % block + n_bos >= 2);
    if (windows->count == 0)
        qins_fail(error, QINS_USAGE, "the text has %zu tokens; there is nothing to predict", windows->ids.count);
    if (windows->count > options->max_windows) windows->count = options->max_windows;
    return error->status;
}

bool qins_windows_progress(void *context, uint64_t done, uint64_t total) {
    (void)total; // of one window
    qins_windows_meter *meter = context;
    return qins_meter_update(&meter->meter, meter->before + done, meter->total);
}

void qins_windows_watch(qins_windows_meter *meter, const char *label, uint64_t total, bool quiet) {
    *meter = (qins_windows_meter){.meter = qins_meter_start(quiet ? NULL : label, "tok", 1, &qins_interrupted),
                                  .total = total};
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
