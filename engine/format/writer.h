// Writes .qins files front to back with bounded memory: the converter's side of FORMAT.md.
#ifndef QINS_FORMAT_WRITER_H
#define QINS_FORMAT_WRITER_H

#include "engine/format/header.h"

typedef struct qins_writer qins_writer;

// The layout of the file for a header that is filled in as for qins_writer_create: offsets and sizes in the header,
// *header_bytes of room for its text, *file_bytes in all. Writes nothing.
qins_status qins_writer_layout(qins_header *header, size_t tokenizer_bytes, size_t *header_bytes, uint64_t *file_bytes,
                               qins_error *error);

// Begin a file in `fd` (empty, seekable; not closed here). The header must hold configuration, tensor types, sources,
// and template; the writer fills in the offsets, sizes and hashes and keeps a pointer to it. The tokenizer section
// (NULL, 0: none) is written at once. `path` is for messages. NULL and an error otherwise; release with
// qins_writer_free.
qins_writer *qins_writer_create(int fd, const char *path, qins_header *header, const uint8_t *tokenizer,
                                size_t tokenizer_bytes, qins_error *error);

// The next `size` bytes of the current tensor's payload. Tensors come in schema order; a tensor is complete with its
// last byte, and then its fields source_type, source_hash and error must be set before qins_writer_finish.
qins_status qins_writer_append(qins_writer *writer, const void *bytes, size_t size, qins_error *error);

// After the last tensor: write preamble and header.
qins_status qins_writer_finish(qins_writer *writer, qins_error *error);

uint64_t qins_writer_file_bytes(const qins_writer *writer); // of the finished file
void qins_writer_free(qins_writer *writer);

#endif
