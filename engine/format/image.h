// A .qins file, mapped and validated. Opening checks the preamble, the header's hash, the header and that the sections
// cover the file exactly; qins_image_verify checks the payload as well.
#ifndef QINS_FORMAT_IMAGE_H
#define QINS_FORMAT_IMAGE_H

#include "engine/base/pool.h"
#include "engine/format/header.h"

typedef struct qins_image qins_image;

// Open a file. NULL and an error (QINS_BAD_MODEL) that names the path otherwise. Release with qins_image_close.
qins_image *qins_image_open(const char *path, qins_error *error);

// As above for an open descriptor (a file in memory, say), which is not closed; `name` stands for the path.
qins_image *qins_image_from_fd(int fd, const char *name, qins_error *error);

// Validate `size` bytes in memory, which must outlive the image and are not released with it.
qins_image *qins_image_from_memory(const uint8_t *data, size_t size, const char *name, qins_error *error);

void qins_image_close(qins_image *image);

// Has the mapped file failed (map.h)? Then that becomes the error, replacing any error recorded before, which was a
// consequence. To be called by all code that has read the mapping.
qins_status qins_image_check(const qins_image *image, qins_error *error);

const qins_header *qins_image_header(const qins_image *image);
size_t qins_image_bytes(const qins_image *image);
const char *qins_image_name(const qins_image *image); // the name it was opened under

// Tensor `index` of the schema, pointing into the mapping.
qins_matrix qins_image_matrix(const qins_image *image, size_t index);

// The packed tokenizer; NULL when the file has none.
const uint8_t *qins_image_tokenizer(const qins_image *image, size_t *size);

// Check every payload hash, that codes and scales are ones that a writer produces, and that all padding is zero. An
// error names the file and the damaged sections, all of them up to the message's length.
qins_status qins_image_verify(const qins_image *image, qins_pool *pool, qins_error *error);

#endif
