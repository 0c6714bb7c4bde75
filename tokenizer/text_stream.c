// Ids to text: executes the steps of a decoder. With byte fallback a maximal run of byte pieces becomes its text if the
// *whole* run is valid UTF-8, else one U+FFFD per byte; so a run's text is certain only when the run ends, and is held
// back until then. A decoder on bytes replaces each start of a character that is not completed by one U+FFFD, as Rust's
// from_utf8_lossy does, and holds back only a start that may yet be completed.
#include "engine/base/buffer.h"
#include "engine/base/memory.h"
#include "engine/base/utf8.h"
#include "tokenizer/tokenizer_internal.h"

#include <stdlib.h>
#include <string.h>

#define REPLACEMENT "\xEF\xBF\xBD" // U+FFFD

struct qins_text_stream {
    const qins_tokenizer *tokenizer;
    bool skip_special;
    bool started;        // a token was decoded, or comes before
    size_t strip;        // spaces that the decoder may still remove from the start of the whole
    qins_buffer run;     // bytes whose text is not certain yet
    qins_buffer text[2]; // [0]: the current piece's text; [1]: scratch
    qins_buffer out;     // the current call's output
};

static bool has_step(const pipeline *decoder, step_kind kind) {
    for (size_t i = 0; i < decoder->n_steps; i++)
        if (decoder->steps[i].kind == kind) return true;
    return false;
}

static void start(qins_text_stream *stream) {
    const pipeline *decoder = &stream->tokenizer->decoder;
    const pipeline_step *last = decoder->n_steps == 0 ? NULL : &decoder->steps[decoder->n_steps - 1];
    stream->started = false;
    stream->strip = last != NULL && last->kind == STEP_STRIP ? last->option : 0u;
}

qins_text_stream *qins_text_stream_create(const qins_tokenizer *tokenizer, bool skip_special, qins_error *error) {
    qins_text_stream *stream = qins_alloc(1, sizeof *stream, "text stream", error);
    if (stream == NULL) return NULL;
    stream->tokenizer = tokenizer;
    stream->skip_special = skip_special;
    start(stream);
    return stream;
}

void qins_text_stream_free(qins_text_stream *stream) {
    if (stream == NULL) return;
    qins_buffer_free(&stream->run);
    qins_buffer_free(&stream->out);
    for (int i = 0; i < 2; i++) qins_buffer_free(&stream->text[i]);
    free(stream);
}

// --- pieces ---

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

// The bytes that a piece's characters stand for; a piece with a character that stands for none is used as it is.
static void spell_bytes(const char *piece, size_t size, qins_buffer *bytes) {
    const size_t before = bytes->size;
    for (size_t at = 0; at < size && bytes->error->status == QINS_OK;) {
        uint32_t code_point = UINT32_MAX;
        const size_t length = utf8_decode(piece + at, size - at, &code_point);
        const int byte = pipeline_byte_of(code_point);
        if (byte < 0) {
            bytes->size = before;
            qins_buffer_append(bytes, piece, size);
            return;
        }
        qins_buffer_u8(bytes, (uint8_t)byte);
        at += length;
    }
}

// A piece through the steps that work on its text. text[0]: the result.
static void spell(const pipeline *decoder, const char *piece, size_t size, bool is_first, qins_buffer text[2]) {
    text[0].size = 0;
    qins_buffer_append(&text[0], piece, size);
    for (size_t i = 0; i < decoder->n_steps; i++) {
        const pipeline_step *step = &decoder->steps[i];
        if (step->kind != STEP_REPLACE && step->kind != STEP_BYTES && !(step->kind == STEP_DROP && is_first)) continue;
        text[1].size = 0;
        if (step->kind == STEP_BYTES)
            spell_bytes((const char *)text[0].data, text[0].size, &text[1]);
        else
            pipeline_replace(step, (const char *)text[0].data, text[0].size, &text[1]);
        const qins_buffer done = text[1];
        text[1] = text[0];
        text[0] = done;
    }
}

// The byte that a spelt piece is, -1: none.
static int fallback_byte(const pipeline *decoder, const qins_buffer *text) {
    return has_step(decoder, STEP_BYTE_FALLBACK) ? text_piece_byte((const char *)text->data, text->size) : -1;
}

bool qins_tokenizer_token_bytes(const qins_tokenizer *tokenizer, int32_t id, qins_buffer *bytes) {
    size_t size;
    const char *piece = added_spelling(tokenizer, id, &size);
    if (piece == NULL) return false;
    qins_buffer text[2] = {{.error = bytes->error}, {.error = bytes->error}};
    spell(&tokenizer->decoder, piece, size, false, text);
    const int byte = fallback_byte(&tokenizer->decoder, &text[0]);
    if (byte >= 0)
        qins_buffer_u8(bytes, (uint8_t)byte);
    else
        qins_buffer_append(bytes, text[0].data, text[0].size);
    for (int i = 0; i < 2; i++) qins_buffer_free(&text[i]);
    return true;
}

// --- held-back bytes ---

static void end_run(qins_text_stream *stream) {
    if (utf8_is_valid((const char *)stream->run.data, stream->run.size)) {
        qins_buffer_append(&stream->out, stream->run.data, stream->run.size);
    } else {
        for (size_t i = 0; i < stream->run.size; i++) qins_buffer_append(&stream->out, REPLACEMENT, 3);
    }
    stream->run.size = 0;
}

// Output the run, except for the start of a character that the next bytes may complete.
static void give_characters(qins_text_stream *stream, bool at_end) {
    const char *text = (const char *)stream->run.data;
    const size_t size = stream->run.size;
    size_t at = 0;
    while (at < size && stream->out.error->status == QINS_OK) {
        uint32_t code_point;
        bool may_go_on = false;
        const size_t length = utf8_decode(text + at, size - at, &code_point);
        const size_t broken = length > 0 ? 0 : utf8_broken(text + at, size - at, &may_go_on);
        if (may_go_on && !at_end) break;
        if (length > 0)
            qins_buffer_append(&stream->out, text + at, length);
        else
            qins_buffer_append(&stream->out, REPLACEMENT, 3);
        at += length + broken;
    }
    if (at > 0) memmove(stream->run.data, stream->run.data + at, size - at);
    stream->run.size = size - at;
}

static void take_piece(qins_text_stream *stream, const char *piece, size_t size) {
    const pipeline *decoder = &stream->tokenizer->decoder;
    spell(decoder, piece, size, !stream->started, stream->text);
    stream->started = true;
    const qins_buffer *text = &stream->text[0];
    const int byte = fallback_byte(decoder, text);
    if (has_step(decoder, STEP_BYTES)) {
        qins_buffer_append(&stream->run, text->data, text->size);
        give_characters(stream, false);
    } else if (byte >= 0) {
        qins_buffer_u8(&stream->run, (uint8_t)byte);
    } else {
        end_run(stream);
        qins_buffer_append(&stream->out, text->data, text->size);
    }
}

// --- the stream ---

static void begin(qins_text_stream *stream, qins_error *error) {
    stream->run.error = stream->out.error = stream->text[0].error = stream->text[1].error = error;
    stream->out.size = 0;
}

static qins_status give_out(qins_text_stream *stream, const char **text, size_t *size, qins_error *error) {
    size_t skip = 0;
    while (skip < stream->out.size && skip < stream->strip && stream->out.data[skip] == ' ') skip++;
    stream->strip = skip < stream->out.size ? 0 : stream->strip - skip;
    *size = stream->out.size - skip;
    *text = *size == 0 ? "" : (const char *)stream->out.data + skip;
    return error->status;
}

// A token's piece; NULL if it adds nothing to the text.
static const char *piece_of(const qins_text_stream *stream, int32_t id, size_t *size) {
    const char *piece = added_spelling(stream->tokenizer, id, size);
    const bool is_skipped = stream->skip_special && qins_tokenizer_is_special(stream->tokenizer, id);
    return is_skipped ? NULL : piece;
}

void qins_text_stream_follow(qins_text_stream *stream, int32_t id) {
    size_t size;
    if (piece_of(stream, id, &size) == NULL) return;
    stream->started = true;
    stream->strip = 0;
}

qins_status qins_text_stream_push(qins_text_stream *stream, int32_t id, const char **text, size_t *size,
                                  qins_error *error) {
    begin(stream, error);
    size_t piece_size;
    const char *piece = piece_of(stream, id, &piece_size);
    if (piece != NULL) take_piece(stream, piece, piece_size);
    return give_out(stream, text, size, error);
}

qins_status qins_text_stream_finish(qins_text_stream *stream, const char **text, size_t *size, qins_error *error) {
    begin(stream, error);
    if (has_step(&stream->tokenizer->decoder, STEP_BYTES))
        give_characters(stream, true);
    else
        end_run(stream);
    give_out(stream, text, size, error);
    start(stream); // ready for another text
    return error->status;
}

size_t qins_text_stream_held(const qins_text_stream *stream, const char **bytes) {
    *bytes = (const char *)stream->run.data;
    return stream->run.size;
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
