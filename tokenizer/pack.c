// The compact form of a tokenizer that a .qins file carries: engine/format/FORMAT.md is its specification.
// Reading it happens at every start of a program, so lists are read as blocks, not value by value.
#include "engine/base/buffer.h"
#include "engine/base/cursor.h"
#include "engine/base/memory.h"
#include "tokenizer/tokenizer_internal.h"

#include <stdlib.h>
#include <string.h>

#define MAGIC "QTOK"
#define VERSION 2u
#define NO_UNK UINT32_MAX
#define ADDED_FLAGS (TOKEN_ADDED - 1u) // those that the file has

enum { PACK_BYTE_FALLBACK = 1, PACK_FUSE_UNK = 2, PACK_IGNORE_MERGES = 4, PACK_FLAGS = 7 };

typedef struct pack_header {
    uint32_t n_ids, n_added, n_merges, n_prefix, n_suffix, piece_bytes, unk_id, flags;
    uint32_t n_steps[3]; // normalizer, pre-tokenizer, decoder
} pack_header;

static uint32_t read_u32(const uint8_t *bytes) {
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static uint32_t read_u16(const uint8_t *bytes) {
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8;
}

// --- writing ---

static void write_ids(qins_buffer *buffer, const qins_ids *ids) {
    for (size_t i = 0; i < ids->count; i++) qins_buffer_u32(buffer, (uint32_t)ids->data[i]);
}

static void write_pieces(qins_buffer *buffer, const qins_tokenizer *tokenizer) {
    for (size_t id = 0; id < tokenizer->n_ids; id++) {
        if (!(tokenizer->token_flags[id] & TOKEN_ADDED)) continue;
        qins_buffer_u32(buffer, (uint32_t)id);
        qins_buffer_u32(buffer, tokenizer->token_flags[id] & ADDED_FLAGS);
    }
    for (size_t id = 0; id < tokenizer->n_ids; id++)
        qins_buffer_u16(buffer, (uint16_t)(tokenizer->piece_starts[id + 1] - tokenizer->piece_starts[id]));
    qins_buffer_append(buffer, tokenizer->piece_bytes, tokenizer->piece_starts[tokenizer->n_ids]);
}

static void write_steps(qins_buffer *buffer, const pipeline *steps) {
    for (size_t i = 0; i < steps->n_steps; i++) {
        const pipeline_step *step = &steps->steps[i];
        qins_buffer_u8(buffer, step->kind);
        qins_buffer_u8(buffer, step->option);
        qins_buffer_u8(buffer, step->from_size);
        qins_buffer_u8(buffer, step->to_size);
        qins_buffer_append(buffer, step->from, step->from_size);
        qins_buffer_append(buffer, step->to, step->to_size);
    }
}

static void write_header(qins_buffer *buffer, const qins_tokenizer *tokenizer) {
    qins_buffer_append(buffer, MAGIC, 4);
    qins_buffer_u32(buffer, VERSION);
    qins_buffer_u32(buffer, (uint32_t)tokenizer->n_ids);
    qins_buffer_u32(buffer, (uint32_t)(tokenizer->added[0].n_tokens + tokenizer->added[1].n_tokens));
    qins_buffer_u32(buffer, (uint32_t)tokenizer->n_merges);
    qins_buffer_u32(buffer, (uint32_t)tokenizer->prefix.count);
    qins_buffer_u32(buffer, (uint32_t)tokenizer->suffix.count);
    qins_buffer_u32(buffer, tokenizer->piece_starts[tokenizer->n_ids]);
    qins_buffer_u32(buffer, tokenizer->unk_id < 0 ? NO_UNK : (uint32_t)tokenizer->unk_id);
    qins_buffer_u32(buffer, (tokenizer->byte_fallback ? (uint32_t)PACK_BYTE_FALLBACK : 0u) |
                                (tokenizer->fuse_unk ? (uint32_t)PACK_FUSE_UNK : 0u) |
                                (tokenizer->ignore_merges ? (uint32_t)PACK_IGNORE_MERGES : 0u));
    qins_buffer_u32(buffer, (uint32_t)tokenizer->normalizer.n_steps);
    qins_buffer_u32(buffer, (uint32_t)tokenizer->pre_tokenizer.n_steps);
    qins_buffer_u32(buffer, (uint32_t)tokenizer->decoder.n_steps);
}

qins_status qins_tokenizer_pack(const qins_tokenizer *tokenizer, uint8_t **data, size_t *size, qins_error *error) {
    if (error->status != QINS_OK) return error->status;
    qins_buffer buffer = {.error = error};
    write_header(&buffer, tokenizer);
    write_steps(&buffer, &tokenizer->normalizer);
    write_steps(&buffer, &tokenizer->pre_tokenizer);
    write_steps(&buffer, &tokenizer->decoder);
    write_ids(&buffer, &tokenizer->prefix);
    write_ids(&buffer, &tokenizer->suffix);
    write_pieces(&buffer, tokenizer);
    for (size_t rank = 0; rank < tokenizer->n_merges; rank++) {
        qins_buffer_u32(&buffer, tokenizer->merges[rank].left);
        qins_buffer_u32(&buffer, tokenizer->merges[rank].right);
        qins_buffer_u32(&buffer, tokenizer->merges[rank].result);
    }
    if (error->status != QINS_OK) {
        qins_buffer_free(&buffer);
        return error->status;
    }
    *data = buffer.data;
    *size = buffer.size;
    return QINS_OK;
}

// --- reading ---

// A list of `count` entries of `entry_size` bytes; NULL and an error if the section is too short for it.
static const uint8_t *read_block(qins_cursor *cursor, uint32_t count, size_t entry_size, const char *what) {
    size_t size;
    if (!qins_multiply(count, entry_size, &size)) size = SIZE_MAX;
    return qins_cursor_bytes(cursor, size, what);
}

static qins_status read_header(qins_cursor *cursor, pack_header *header) {
    qins_error *error = cursor->error;
    const uint8_t *magic = qins_cursor_bytes(cursor, 4, "magic");
    if (magic != NULL && memcmp(magic, MAGIC, 4) != 0)
        return qins_fail(error, QINS_BAD_MODEL, "it does not start with \"" MAGIC "\"");
    uint32_t version = qins_cursor_u32(cursor, "version");
    if (error->status == QINS_OK && version != VERSION)
        return qins_fail(error, QINS_BAD_MODEL, "version %u is not supported (only %u is); convert the model again",
                         version, VERSION);
    header->n_ids = qins_cursor_u32(cursor, "number of ids");
    header->n_added = qins_cursor_u32(cursor, "number of added tokens");
    header->n_merges = qins_cursor_u32(cursor, "number of merges");
    header->n_prefix = qins_cursor_u32(cursor, "number of ids before a text");
    header->n_suffix = qins_cursor_u32(cursor, "number of ids after a text");
    header->piece_bytes = qins_cursor_u32(cursor, "bytes of token text");
    header->unk_id = qins_cursor_u32(cursor, "unknown token");
    header->flags = qins_cursor_u32(cursor, "flags");
    for (int role = 0; role < 3; role++) {
        header->n_steps[role] = qins_cursor_u32(cursor, "number of steps");
        if (header->n_steps[role] > PIPELINE_MAX_STEPS)
            return qins_fail(error, QINS_BAD_MODEL, "a list of %u steps; at most %d are supported",
                             header->n_steps[role], (int)PIPELINE_MAX_STEPS);
    }
    if (header->n_ids > TOKENIZER_MAX_IDS)
        return qins_fail(error, QINS_BAD_MODEL, "%u ids; at most %zu are supported", header->n_ids, TOKENIZER_MAX_IDS);
    if (header->flags & ~(unsigned)PACK_FLAGS)
        return qins_fail(error, QINS_BAD_MODEL, "flags 0x%x are unknown", header->flags);
    if (header->unk_id != NO_UNK && header->unk_id >= header->n_ids)
        return qins_fail(error, QINS_BAD_MODEL, "the id %u of the unknown token is out of range", header->unk_id);
    return error->status;
}

static qins_status read_steps(qins_cursor *cursor, uint32_t count, pipeline *steps) {
    qins_error *error = cursor->error;
    for (uint32_t i = 0; i < count && error->status == QINS_OK; i++) {
        pipeline_step *step = &steps->steps[steps->n_steps++];
        step->kind = qins_cursor_u8(cursor, "kind of step");
        step->option = qins_cursor_u8(cursor, "option of step");
        step->from_size = qins_cursor_u8(cursor, "size of a step's text");
        step->to_size = qins_cursor_u8(cursor, "size of a step's text");
        if (step->from_size > PIPELINE_MAX_TEXT || step->to_size > PIPELINE_MAX_TEXT)
            return qins_fail(error, QINS_BAD_MODEL,
                             "the texts of a step have %u and %u bytes; at most %d are supported", step->from_size,
                             step->to_size, (int)PIPELINE_MAX_TEXT);
        const uint8_t *from = qins_cursor_bytes(cursor, step->from_size, "text of step");
        const uint8_t *to = qins_cursor_bytes(cursor, step->to_size, "text of step");
        if (from != NULL) memcpy(step->from, from, step->from_size);
        if (to != NULL) memcpy(step->to, to, step->to_size);
    }
    return error->status;
}

static qins_status read_ids(qins_cursor *cursor, uint32_t count, qins_ids *ids, const char *what) {
    const uint8_t *block = read_block(cursor, count, 4, what);
    for (uint32_t i = 0; i < count && cursor->error->status == QINS_OK; i++) {
        uint32_t id = read_u32(block + 4 * (size_t)i);
        if (id >= TOKENIZER_MAX_IDS) return qins_fail(cursor->error, QINS_BAD_MODEL, "%s: id %u", what, id);
        qins_ids_append(ids, (int32_t)id, cursor->error);
    }
    return cursor->error->status;
}

// Sizes and text of all tokens; those that are not added get their flags here.
static qins_status read_pieces(qins_cursor *cursor, const pack_header *header, qins_tokenizer *tokenizer) {
    qins_error *error = cursor->error;
    const uint8_t *block = read_block(cursor, header->n_ids, 2, "sizes of tokens");
    const uint8_t *bytes = qins_cursor_bytes(cursor, header->piece_bytes, "text of tokens");
    if (error->status != QINS_OK) return error->status;
    uint32_t *sizes = qins_alloc(header->n_ids, sizeof *sizes, "sizes of tokens", error);
    if (sizes == NULL) return error->status;
    for (uint32_t id = 0; id < header->n_ids; id++) sizes[id] = read_u16(block + 2 * (size_t)id);
    tokenizer_allocate_pieces(tokenizer, sizes, header->n_ids, error);
    for (uint32_t id = 0; id < header->n_ids && error->status == QINS_OK; id++)
        tokenizer->token_flags[id] = sizes[id] == 0 ? 0 : TOKEN_IN_MODEL;
    free(sizes);
    if (error->status != QINS_OK) return error->status;
    uint32_t total = tokenizer->piece_starts[header->n_ids];
    if (total != header->piece_bytes)
        return qins_fail(error, QINS_BAD_MODEL, "tokens have %u bytes of text, the header says %u", total,
                         header->piece_bytes);
    if (header->n_ids > 0 && tokenizer->token_flags[header->n_ids - 1] == 0)
        return qins_fail(error, QINS_BAD_MODEL, "the last id %u has no token", header->n_ids - 1);
    if (total > 0) memcpy(tokenizer->piece_bytes, bytes, total);
    return QINS_OK;
}

static qins_status set_added(qins_tokenizer *tokenizer, const uint8_t *block, uint32_t count, qins_error *error) {
    for (uint32_t i = 0; i < count; i++) {
        uint32_t id = read_u32(block + 8 * (size_t)i), flags = read_u32(block + 8 * (size_t)i + 4);
        if (!tokenizer_has_piece(tokenizer, id) || (i > 0 && id <= read_u32(block + 8 * (size_t)i - 8)) ||
            (flags & ~(unsigned)ADDED_FLAGS) != 0)
            return qins_fail(error, QINS_BAD_MODEL,
                             "added token %u (id %u, flags 0x%x) names no token, is out of order or has unknown flags",
                             i, id, flags);
        tokenizer->token_flags[id] = (uint8_t)(flags | TOKEN_ADDED);
    }
    return QINS_OK;
}

static qins_status read_merges(qins_cursor *cursor, uint32_t count, qins_tokenizer *tokenizer) {
    const uint8_t *block = read_block(cursor, count, 12, "merges");
    if (block == NULL) return cursor->error->status;
    tokenizer->merges = qins_alloc(count, sizeof *tokenizer->merges, "merges", cursor->error);
    if (tokenizer->merges == NULL) return cursor->error->status;
    tokenizer->n_merges = count;
    for (size_t rank = 0; rank < count; rank++, block += 12)
        tokenizer->merges[rank] = (bpe_merge){read_u32(block), read_u32(block + 4), read_u32(block + 8)};
    return QINS_OK;
}

static qins_status read_section(qins_cursor *cursor, qins_tokenizer *tokenizer) {
    qins_error *error = cursor->error;
    pack_header header = {0};
    if (read_header(cursor, &header) != QINS_OK) return error->status;
    tokenizer->unk_id = header.unk_id == NO_UNK ? -1 : (int32_t)header.unk_id;
    tokenizer->byte_fallback = (header.flags & PACK_BYTE_FALLBACK) != 0;
    tokenizer->fuse_unk = (header.flags & PACK_FUSE_UNK) != 0;
    tokenizer->ignore_merges = (header.flags & PACK_IGNORE_MERGES) != 0;
    read_steps(cursor, header.n_steps[0], &tokenizer->normalizer);
    read_steps(cursor, header.n_steps[1], &tokenizer->pre_tokenizer);
    read_steps(cursor, header.n_steps[2], &tokenizer->decoder);
    if (read_ids(cursor, header.n_prefix, &tokenizer->prefix, "ids before a text") != QINS_OK) return error->status;
    if (read_ids(cursor, header.n_suffix, &tokenizer->suffix, "ids after a text") != QINS_OK) return error->status;
    const uint8_t *added = read_block(cursor, header.n_added, 8, "added tokens");
    if (added == NULL || read_pieces(cursor, &header, tokenizer) != QINS_OK) return error->status;
    if (set_added(tokenizer, added, header.n_added, error) != QINS_OK) return error->status;
    if (read_merges(cursor, header.n_merges, tokenizer) != QINS_OK) return error->status;
    if (qins_cursor_left(cursor) != 0)
        return qins_fail(error, QINS_BAD_MODEL, "%zu bytes follow the last merge", qins_cursor_left(cursor));
    if (tokenizer_index_pieces(tokenizer, error) != QINS_OK) return error->status;
    return tokenizer_index(tokenizer, error);
}

qins_tokenizer *qins_tokenizer_unpack(const uint8_t *data, size_t size, qins_error *error) {
    qins_tokenizer *tokenizer = tokenizer_create(error);
    if (tokenizer == NULL) return NULL;
    qins_cursor cursor = {.data = data, .size = size, .error = error};
    if (read_section(&cursor, tokenizer) != QINS_OK) {
        qins_error_context(error, "tokenizer section");
        qins_tokenizer_free(tokenizer);
        return NULL;
    }
    return tokenizer;
}
