// Stop texts; see stop_text.h.
#include "engine/runtime/stop_text.h"

#include <string.h>

// Does data[size] begin with `stop`, as far as both go?
static bool agrees(const char *stop, const uint8_t *data, size_t size) {
    size_t length = strlen(stop);
    return memcmp(stop, data, length < size ? length : size) == 0;
}

// Bytes before the first place where a stop text is, or could be once more text comes.
static size_t clear_prefix(qins_stop_text *stream) {
    const qins_buffer *held = &stream->held;
    for (size_t at = 0; at < held->size; at++) {
        bool possible = false;
        for (size_t i = 0; i < stream->n_stops; i++) {
            if (!agrees(stream->stops[i], held->data + at, held->size - at)) continue;
            possible = true;
            if (strlen(stream->stops[i]) <= held->size - at && stream->found == NULL) stream->found = stream->stops[i];
        }
        if (possible) return at;
    }
    return held->size;
}

qins_status qins_stop_text_push(qins_stop_text *stream, const char *text, size_t size, const char **out,
                                size_t *out_size) {
    qins_buffer *held = &stream->held;
    if (stream->shown > 0) memmove(held->data, held->data + stream->shown, held->size - stream->shown);
    held->size -= stream->shown;
    stream->shown = 0;
    if (stream->found == NULL) qins_buffer_append(held, text, size);
    stream->shown = clear_prefix(stream);
    if (stream->found != NULL) held->size = stream->shown;
    *out = (const char *)held->data;
    *out_size = stream->shown;
    return held->error->status;
}

// A longer stop text that did not come after all may have hidden a shorter one after its beginning.
void qins_stop_text_finish(qins_stop_text *stream, const char **out, size_t *out_size) {
    const qins_buffer *held = &stream->held;
    size_t end = stream->shown;
    for (; end < held->size && stream->found == NULL; end++) {
        for (size_t i = 0; i < stream->n_stops && stream->found == NULL; i++) {
            if (strlen(stream->stops[i]) <= held->size - end && agrees(stream->stops[i], held->data + end, SIZE_MAX))
                stream->found = stream->stops[i];
        }
        if (stream->found != NULL) break;
    }
    *out = held->data == NULL ? NULL : (const char *)held->data + stream->shown;
    *out_size = end - stream->shown;
    stream->shown = held->size;
}

void qins_stop_text_free(qins_stop_text *stream) {
    qins_buffer_free(&stream->held);
}
