// Writing of .qins files; see writer.h. The header comes first in the file but is known last: its room is set aside
// from a print with every number at its widest, and the final text is padded with spaces.
#include "engine/format/writer.h"

#include "engine/base/buffer.h"
#include "engine/base/file.h"
#include "engine/base/memory.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

struct qins_writer {
    int fd;
    const char *path;
    qins_header *header;
    size_t header_bytes; // room for the JSON text
    uint64_t file_bytes;
    size_t index;     // tensor being written
    uint64_t written; // bytes of it
    XXH3_state_t *hash;
};

// Length of the header's text when every number that is not known yet takes its widest form.
static size_t header_room(const qins_header *header, qins_error *error) {
    const double widest = 1.2345678901234567e-100;
    const uint64_t widest_size = UINT64_C(1) << 53;
    qins_header wide = *header;
    wide.tokenizer_offset = widest_size;
    wide.tensors = qins_alloc(header->n_tensors, sizeof *header->tensors, "tensor list", error);
    if (wide.tensors == NULL) return 0;
    memcpy(wide.tensors, header->tensors, header->n_tensors * sizeof *header->tensors);
    for (size_t i = 0; i < wide.n_tensors; i++) {
        qins_tensor *tensor = &wide.tensors[i];
        tensor->offset = tensor->bytes = widest_size;
        tensor->error = widest;
        memset(tensor->source_type, 'X', sizeof tensor->source_type - 1);
    }
    size_t size = 0;
    free(qins_header_print(&wide, &size, error));
    free(wide.tensors);
    return qins_align_up(size, QINS_ALIGNMENT);
}

qins_status qins_writer_layout(qins_header *header, size_t tokenizer_bytes, size_t *header_bytes, uint64_t *file_bytes,
                               qins_error *error) {
    header->tokenizer_bytes = tokenizer_bytes;
    if (tokenizer_bytes > QINS_MAX_FILE_TOKENIZER)
        qins_fail(error, QINS_BAD_MODEL, "the tokenizer takes %zu bytes; at most %d are supported", tokenizer_bytes,
                  QINS_MAX_FILE_TOKENIZER);
    *header_bytes = header_room(header, error);
    if (*header_bytes > QINS_MAX_FILE_HEADER)
        qins_fail(error, QINS_BAD_MODEL, "the header takes %zu bytes; at most %d are supported", *header_bytes,
                  QINS_MAX_FILE_HEADER);
    if (error->status != QINS_OK) return error->status;
    return qins_header_layout(header, *header_bytes, file_bytes, error);
}

qins_writer *qins_writer_create(int fd, const char *path, qins_header *header, const uint8_t *tokenizer,
                                size_t tokenizer_bytes, qins_error *error) {
    qins_writer *writer = qins_alloc(1, sizeof *writer, "file writer", error);
    if (writer == NULL) return NULL;
    writer->fd = fd;
    writer->path = path;
    writer->header = header;
    header->tokenizer_hash = XXH3_64bits(tokenizer, tokenizer_bytes);
    writer->hash = XXH3_createState();
    if (writer->hash == NULL || XXH3_64bits_reset(writer->hash) != XXH_OK)
        qins_fail(error, QINS_FAILED, "out of memory for the hash of %s", path);
    if (qins_writer_layout(header, tokenizer_bytes, &writer->header_bytes, &writer->file_bytes, error) != QINS_OK)
        qins_error_context(error, "%s", path);
    if (error->status == QINS_OK)
        qins_file_write_at(fd, path, tokenizer, tokenizer_bytes, header->tokenizer_offset, error);
    if (error->status == QINS_OK) return writer;
    qins_writer_free(writer);
    return NULL;
}

qins_status qins_writer_append(qins_writer *writer, const void *bytes, size_t size, qins_error *error) {
    qins_tensor *tensor = &writer->header->tensors[writer->index];
    if (writer->index == writer->header->n_tensors || size > tensor->bytes - writer->written)
        return qins_fail(error, QINS_FAILED, "%s: more bytes than the tensors hold", writer->path);
    uint64_t offset = tensor->offset + writer->written;
    if (qins_file_write_at(writer->fd, writer->path, bytes, size, offset, error) != QINS_OK) return error->status;
    XXH3_64bits_update(writer->hash, bytes, size);
    writer->written += size;
    if (writer->written == tensor->bytes) {
        tensor->hash = XXH3_64bits_digest(writer->hash);
        XXH3_64bits_reset(writer->hash);
        writer->written = 0;
        writer->index++;
    }
    return QINS_OK;
}

qins_status qins_writer_finish(qins_writer *writer, qins_error *error) {
    if (writer->index != writer->header->n_tensors)
        return qins_fail(error, QINS_FAILED, "%s: tensor %s is not complete", writer->path,
                         writer->header->tensors[writer->index].spec.name);
    size_t size = 0;
    char *text = qins_header_print(writer->header, &size, error);
    if (text == NULL) return error->status;
    qins_buffer front = {.error = error};
    qins_buffer_append(&front, QINS_MAGIC, sizeof QINS_MAGIC - 1);
    qins_buffer_u32(&front, QINS_FORMAT_VERSION);
    qins_buffer_u32(&front, 0);
    qins_buffer_u64(&front, writer->file_bytes);
    qins_buffer_u64(&front, writer->header_bytes);
    size_t hash_offset = front.size;
    for (int i = 0; i < 4; i++) qins_buffer_u64(&front, 0); // the hash, filled in below, and the reserved bytes
    qins_buffer_append(&front, text, size);
    while (error->status == QINS_OK && front.size < QINS_PREAMBLE_BYTES + writer->header_bytes)
        qins_buffer_u8(&front, ' ');
    free(text);
    if (error->status == QINS_OK && size > writer->header_bytes)
        qins_fail(error, QINS_FAILED, "%s: the header outgrew its room", writer->path);
    if (error->status == QINS_OK) {
        uint64_t hash = XXH3_64bits(front.data + QINS_PREAMBLE_BYTES, writer->header_bytes);
        for (int i = 0; i < 8; i++) front.data[hash_offset + (size_t)i] = (uint8_t)(hash >> (8 * i));
        qins_file_write_at(writer->fd, writer->path, front.data, front.size, 0, error);
    }
    qins_buffer_free(&front);
    return error->status;
}

uint64_t qins_writer_file_bytes(const qins_writer *writer) {
    return writer->file_bytes;
}

void qins_writer_free(qins_writer *writer) {
    if (writer == NULL) return;
    XXH3_freeState(writer->hash);
    free(writer);
}
