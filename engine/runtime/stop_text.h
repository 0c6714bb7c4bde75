// Ends a stream of text before the first stop text: text that could still become one is held back.
#ifndef QINS_RUNTIME_STOP_TEXT_H
#define QINS_RUNTIME_STOP_TEXT_H

#include "engine/base/buffer.h"

typedef struct qins_stop_text {
    const char *const *stops; // [n_stops], not owned, none empty
    size_t n_stops;
    qins_buffer held;  // text not shown yet
    size_t shown;      // bytes of `held` that the last call handed out
    const char *found; // the stop text that ended the stream, NULL while it goes on
} qins_stop_text;

// Add text; *out[*out_size] is the text that can be shown now (valid until the next call). Nothing more is returned
// once `found` is set.
qins_status qins_stop_text_push(qins_stop_text *stream, const char *text, size_t size, const char **out,
                                size_t *out_size);
// At the end of the text: the text that was held back, up to the first stop text in it.
void qins_stop_text_finish(qins_stop_text *stream, const char **out, size_t *out_size);
void qins_stop_text_free(qins_stop_text *stream);

#endif
