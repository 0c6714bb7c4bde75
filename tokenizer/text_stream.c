// Ids to text. Hugging Face's decoder for this kind of tokenizer: U+2581 becomes a space; a maximal run of byte pieces
// becomes its text if the *whole* run is valid UTF-8, else one U+FFFD per byte; one leading space of the whole is
// removed. So a run's text is certain only when the run ends, and is held back until then.
#include "engine/base/buffer.h"
#include "engine/base/memory.h"
#include "engine/base/utf8.h"
#include "tokenizer/tokenizer_internal.h"

#include <stdlib.h>
#include <string.h>

struct qins_text_stream {
    const qins_tokenizer *tokenizer;
    bool skip_special;
    bool started;    // some text was given out: no leading space to remove any more
    qins_buffer run; // bytes of the byte pieces since the last other piece
    qins_buffer out; // what the current call gives out
};

qins_text_stream *qins_text_stream_create(const qins_tokenizer *tokenizer, bool skip_special, qins_error *error) {
    qins_text_stream *stream = qins_alloc(1, sizeof *stream, "text stream", error);
    if (stream == NULL) return NULL;
    stream->tokenizer = tokenizer;
    stream->skip_special = skip_special;
    return stream;
}

void qins_text_stream_free(qins_text_stream *stream) {
    if (stream == NULL) return;
    qins_buffer_free(&stream->run);
    qins_buffer_free(&stream->out);
    free(stream);
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int text_piece_byte(const char *piece, size_t size) {
    if (size != 6 || memcmp(piece, "<0x", 3) != 0 || piece[5] != '>') return -1;
    int high = piece[3] == '+' ? 0 : hex_digit(piece[3]); // Rust's from_str_radix takes a sign
    int low = hex_digit(piece[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

static void end_run(qins_text_stream *stream) {
    if (utf8_is_valid((const char *)stream->run.data, stream->run.size)) {
        qins_buffer_append(&stream->out, stream->run.data, stream->run.size);
    } else {
        for (size_t i = 0; i < stream->run.size; i++) qins_buffer_append(&stream->out, "\xEF\xBF\xBD", 3);
    }
    stream->run.size = 0;
}

static void append_piece(qins_buffer *out, const char *piece, size_t size) {
    size_t done = 0;
    for (size_t at = 0; at + TOKENIZER_WORD_SPACE_SIZE <= size;) {
        if (memcmp(piece + at, TOKENIZER_WORD_SPACE, TOKENIZER_WORD_SPACE_SIZE) != 0) {
            at++;
            continue;
        }
        qins_buffer_append(out, piece + done, at - done);
        qins_buffer_append(out, " ", 1);
        done = at += TOKENIZER_WORD_SPACE_SIZE;
    }
    qins_buffer_append(out, piece + done, size - done);
}

bool qins_tokenizer_token_bytes(const qins_tokenizer *tokenizer, int32_t id, qins_buffer *bytes) {
    size_t size;
    const char *piece = qins_tokenizer_piece(tokenizer, id, &size);
    if (piece == NULL) return false;
    const int byte = text_piece_byte(piece, size);
    if (byte >= 0)
        qins_buffer_u8(bytes, (uint8_t)byte);
    else
        append_piece(bytes, piece, size);
    return true;
}

static void begin(qins_text_stream *stream, qins_error *error) {
    stream->run.error = stream->out.error = error;
    stream->out.size = 0;
}

static qins_status give_out(qins_text_stream *stream, const char **text, size_t *size, qins_error *error) {
    size_t skip = !stream->started && stream->out.size > 0 && stream->out.data[0] == ' ';
    if (stream->out.size > 0) stream->started = true;
    *text = stream->out.size == 0 ? "" : (const char *)stream->out.data + skip;
    *size = stream->out.size - skip;
    return error->status;
}

qins_status qins_text_stream_push(qins_text_stream *stream, int32_t id, const char **text, size_t *size,
                                  qins_error *error) {
    begin(stream, error);
    size_t piece_size;
    const char *piece = qins_tokenizer_piece(stream->tokenizer, id, &piece_size);
    bool skipped = piece == NULL || (stream->skip_special && qins_tokenizer_is_special(stream->tokenizer, id));
    if (!skipped) {
        int byte = text_piece_byte(piece, piece_size);
        if (byte >= 0) {
            qins_buffer_u8(&stream->run, (uint8_t)byte);
        } else {
            end_run(stream);
            append_piece(&stream->out, piece, piece_size);
        }
    }
    return give_out(stream, text, size, error);
}

qins_status qins_text_stream_finish(qins_text_stream *stream, const char **text, size_t *size, qins_error *error) {
    begin(stream, error);
    end_run(stream);
    give_out(stream, text, size, error);
    stream->started = false; // ready for another text
    return error->status;
}

static void decode_all(qins_text_stream *stream, const int32_t *ids, size_t n_ids, qins_buffer *out,
                       qins_error *error) {
    const char *text;
    size_t size;
    for (size_t i = 0; i < n_ids && error->status == QINS_OK; i++) {
        if (qins_text_stream_push(stream, ids[i], &text, &size, error) == QINS_OK) qins_buffer_append(out, text, size);
    }
    if (qins_text_stream_finish(stream, &text, &size, error) == QINS_OK) qins_buffer_append(out, text, size);
    qins_buffer_u8(out, 0);
}

qins_status qins_tokenizer_decode(const qins_tokenizer *tokenizer, const int32_t *ids, size_t n_ids, bool skip_special,
                                  char **text, size_t *size, qins_error *error) {
    qins_text_stream *stream = qins_text_stream_create(tokenizer, skip_special, error);
    if (stream == NULL) return error->status;
    qins_buffer out = {.error = error};
    decode_all(stream, ids, n_ids, &out, error);
    qins_text_stream_free(stream);
    if (error->status != QINS_OK) {
        qins_buffer_free(&out);
        return error->status;
    }
    *text = (char *)out.data;
    *size = out.size - 1;
    return QINS_OK;
}
