// Reading of .qins files; see image.h and FORMAT.md.
#include "engine/format/image.h"

#include "engine/base/cursor.h"
#include "engine/base/file.h"
#include "engine/base/map.h"
#include "engine/base/memory.h"
#include "engine/base/plural.h"
#include "engine/base/recognize.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

struct qins_image {
    const uint8_t *data; // [size]
    size_t size;
    bool mapped; // data is a mapping of ours
    qins_header header;
    uint8_t *tokenizer; // owned, [header.tokenizer_bytes]; NULL: none
    char *name;         // owned, for messages
};

// Other programs can write to a mapped file at any time. So bytes that determine a size, an offset or a branch are read
// once, into memory of our own, and the hash is that of the bytes that are parsed. Only weights are read from the
// mapping, and any bytes will do for them: every code and scale byte has a value.
static uint8_t *copy_section(const qins_image *image, uint64_t offset, uint64_t bytes, uint64_t hash, const char *what,
                             qins_error *error) {
    uint8_t *copy = qins_alloc((size_t)bytes, 1, what, error);
    if (copy == NULL) return NULL;
    memcpy(copy, image->data + offset, (size_t)bytes);
    if (XXH3_64bits(copy, (size_t)bytes) == hash) return copy;
    qins_fail(error, QINS_BAD_MODEL, "the %s is damaged (its hash differs); copy or convert the file again", what);
    free(copy);
    return NULL;
}

// The fields of the preamble, all checked.
typedef struct preamble {
    uint64_t header_bytes, header_hash;
} preamble;

static void check_version(uint32_t version, qins_error *error) {
    if (version == QINS_FORMAT_VERSION) return;
    qins_fail(error, QINS_BAD_MODEL, "format version %u; this program reads version %d: %s", version,
              QINS_FORMAT_VERSION,
              version < QINS_FORMAT_VERSION ? "convert the checkpoint again (qinsconvert HF_DIR -o model.qins)"
                                            : "a newer qinsrun may read it");
}

static void check_file_bytes(size_t size, uint64_t file_bytes, qins_error *error) {
    if (file_bytes != size)
        qins_fail(error, QINS_BAD_MODEL, "the file has %zu bytes but was written with %" PRIu64 "; %s", size,
                  file_bytes, size < file_bytes ? "it was cut off: copy it again" : "something was appended");
}

static void check_header_bytes(size_t size, uint64_t header_bytes, qins_error *error) {
    if (header_bytes == 0 || header_bytes > size - QINS_PREAMBLE_BYTES)
        qins_fail(error, QINS_BAD_MODEL, "the header's length of %" PRIu64 " bytes does not fit the file",
                  header_bytes);
    if (header_bytes > QINS_MAX_FILE_HEADER)
        qins_fail(error, QINS_BAD_MODEL, "the header has %" PRIu64 " bytes; at most %d are supported", header_bytes,
                  QINS_MAX_FILE_HEADER);
    if (header_bytes % QINS_ALIGNMENT != 0) // else the bytes up to the first section would belong to nothing
        qins_fail(error, QINS_BAD_MODEL, "the header's length of %" PRIu64 " bytes is not a multiple of %d",
                  header_bytes, QINS_ALIGNMENT);
}

static qins_status read_preamble(const qins_image *image, preamble *result, qins_error *error) {
    uint8_t copy[QINS_PREAMBLE_BYTES] = {0};
    const size_t n = image->size < sizeof copy ? image->size : sizeof copy;
    if (n > 0) memcpy(copy, image->data, n);
    qins_cursor cursor = {.data = copy, .size = n, .error = error};
    const uint8_t *magic = qins_cursor_bytes(&cursor, sizeof QINS_MAGIC - 1, "magic");
    if (magic == NULL || memcmp(magic, QINS_MAGIC, sizeof QINS_MAGIC - 1) != 0) {
        *error = (qins_error){0}; // a file that is too short is not a .qins file, either: report that
        return qins_fail(error, QINS_BAD_MODEL, "this is not a .qins file%s",
                         n > 8 && copy[8] == '{' ? ", but safetensors weights; give the folder that contains them"
                                                 : " (make one with: qinsconvert HF_DIR -o model.qins)");
    }
    const uint32_t version = qins_cursor_u32(&cursor, "version");
    uint32_t reserved = qins_cursor_u32(&cursor, "preamble");
    const uint64_t file_bytes = qins_cursor_u64(&cursor, "file length");
    result->header_bytes = qins_cursor_u64(&cursor, "header length");
    result->header_hash = qins_cursor_u64(&cursor, "header hash");
    if (error->status == QINS_OK) check_version(version, error);
    check_file_bytes(image->size, file_bytes, error);
    for (int i = 0; i < 3; i++) reserved |= qins_cursor_u64(&cursor, "preamble") != 0;
    if (reserved != 0) qins_fail(error, QINS_BAD_MODEL, "the preamble's reserved bytes are not zero");
    if (error->status == QINS_OK) check_header_bytes(image->size, result->header_bytes, error);
    return error->status;
}

// The stored offsets and sizes must be those of the layout rule, and the last tensor must end with the file.
static void check_layout(qins_image *image, size_t header_bytes, qins_error *error) {
    qins_header *header = &image->header, expected = *header;
    expected.tensors = qins_alloc(header->n_tensors, sizeof *header->tensors, "tensor list", error);
    if (expected.tensors == NULL) return;
    memcpy(expected.tensors, header->tensors, header->n_tensors * sizeof *header->tensors);
    uint64_t end;
    qins_header_layout(&expected, header_bytes, &end, error);
    if (error->status == QINS_OK && header->tokenizer_bytes > 0 &&
        header->tokenizer_offset != expected.tokenizer_offset)
        qins_fail(error, QINS_BAD_MODEL, "tokenizer section at %" PRIu64 ", expected at %" PRIu64,
                  header->tokenizer_offset, expected.tokenizer_offset);
    for (size_t i = 0; i < header->n_tensors && error->status == QINS_OK; i++) {
        const qins_tensor *found = &header->tensors[i], *wanted = &expected.tensors[i];
        if (found->offset != wanted->offset || found->bytes != wanted->bytes)
            qins_fail(error, QINS_BAD_MODEL,
                      "tensor %s: %" PRIu64 " bytes at %" PRIu64 " found, %" PRIu64 " bytes at %" PRIu64 " expected",
                      found->spec.name, found->bytes, found->offset, wanted->bytes, wanted->offset);
    }
    if (error->status == QINS_OK && end != image->size)
        qins_fail(error, QINS_BAD_MODEL, "the tensors end at byte %" PRIu64 " of a file of %zu", end, image->size);
    free(expected.tensors);
}

static void read_header(qins_image *image, qins_error *error) {
    preamble start = {0};
    if (read_preamble(image, &start, error) != QINS_OK) return;
    uint8_t *json = copy_section(image, QINS_PREAMBLE_BYTES, start.header_bytes, start.header_hash, "header", error);
    if (json == NULL) return;
    qins_header_parse(&image->header, (const char *)json, (size_t)start.header_bytes, error);
    free(json);
    if (error->status == QINS_OK) check_layout(image, (size_t)start.header_bytes, error);
}

static void read_tokenizer(qins_image *image, qins_error *error) {
    const qins_header *header = &image->header;
    if (error->status != QINS_OK || header->tokenizer_bytes == 0) return;
    image->tokenizer = copy_section(image, header->tokenizer_offset, header->tokenizer_bytes, header->tokenizer_hash,
                                    "tokenizer", error);
}

// Validate image->data; on failure the image is closed and NULL returned.
static qins_image *validated(qins_image *image, const char *name, qins_error *error) {
    image->name = qins_copy_text(name, strlen(name), "name of the model", error);
    if (error->status == QINS_OK) read_header(image, error);
    read_tokenizer(image, error);
    qins_error_context(error, "%s", name);
    if (qins_image_check(image, error) == QINS_OK) return image;
    qins_image_close(image);
    return NULL;
}

qins_image *qins_image_from_memory(const uint8_t *data, size_t size, const char *name, qins_error *error) {
    qins_image *image = qins_alloc(1, sizeof *image, "model image", error);
    if (image == NULL) return NULL;
    image->data = data;
    image->size = size;
    return validated(image, name, error);
}

qins_image *qins_image_from_fd(int fd, const char *name, qins_error *error) {
    struct stat info;
    if (fstat(fd, &info) != 0) {
        qins_fail_errno(error, QINS_BAD_MODEL, "cannot examine %s", name);
        return NULL;
    }
    if (info.st_size < QINS_PREAMBLE_BYTES) {
        qins_fail(error, QINS_BAD_MODEL, "%s: %lld bytes are too few for a .qins file", name, (long long)info.st_size);
        return NULL;
    }
    qins_image *image = qins_alloc(1, sizeof *image, "model image", error);
    if (image == NULL) return NULL;
    image->size = (size_t)info.st_size;
    image->data = qins_map_file(fd, name, image->size, error);
    image->mapped = true;
    char start[QINS_PREAMBLE_BYTES];
    if (image->data != NULL) {
        memcpy(start, image->data, sizeof start);
        if (qins_recognize_file(name, start, sizeof start, error) == QINS_OK) return validated(image, name, error);
    }
    qins_image_close(image);
    return NULL;
}

qins_image *qins_image_open(const char *path, qins_error *error) {
    size_t size;
    if (qins_recognize_hub_name(path, error) != QINS_OK) return NULL;
    int fd = qins_file_open(path, &size, QINS_BAD_MODEL, error);
    if (fd < 0) return NULL;
    qins_image *image = qins_image_from_fd(fd, path, error);
    close(fd);
    return image;
}

void qins_image_close(qins_image *image) {
    if (image == NULL) return;
    if (image->mapped) qins_unmap(image->data, image->size);
    free(image->tokenizer);
    free(image->name);
    qins_header_free(&image->header);
    free(image);
}

qins_status qins_image_check(const qins_image *image, qins_error *error) {
    if (!image->mapped || !qins_map_is_lost(image->data)) return error->status;
    *error = (qins_error){0};
    return qins_fail(error, QINS_BAD_MODEL, "%s was changed or cut off while in use, or can no longer be read",
                     image->name);
}

const qins_header *qins_image_header(const qins_image *image) {
    return &image->header;
}

const char *qins_image_name(const qins_image *image) {
    return image->name;
}

size_t qins_image_bytes(const qins_image *image) {
    return image->size;
}

qins_matrix qins_image_matrix(const qins_image *image, size_t index) {
    const qins_tensor *tensor = &image->header.tensors[index];
    return (qins_matrix){.type = tensor->type,
                         .layout = qins_schema_layout(&image->header.config, tensor->spec.role, tensor->type),
                         .rows = tensor->spec.rows,
                         .cols = tensor->spec.cols,
                         .data = image->data + tensor->offset};
}

const uint8_t *qins_image_tokenizer(const qins_image *image, size_t *size) {
    *size = (size_t)image->header.tokenizer_bytes;
    return image->tokenizer;
}

static bool all_zero(const uint8_t *bytes, size_t n) {
    uint8_t any = 0;
    for (size_t i = 0; i < n; i++) any |= bytes[i];
    return any == 0;
}

// A stretch of a coded panel with weights in n_rows x n_cols: every d 0 or a normal number above 0, every code and
// scale byte one that a writer uses, and nothing but zeros where there are no weights.
static bool stretch_is_sound(const qins_type_info *info, size_t unit_bytes, const qins_stretch *stretch, size_t n_rows,
                             size_t n_cols) {
    const uint8_t *end_of_scales = stretch->scales + stretch->n_cols / QINS_BLOCK * QINS_PANEL;
    bool sound = all_zero(end_of_scales, (size_t)(stretch->codes - end_of_scales));
    for (size_t row = 0; row < QINS_PANEL; row++) {
        const size_t n_used = row < n_rows ? n_cols : 0;
        const uint16_t d = stretch->d[row];
        sound &= d == 0 || (row < n_rows && d >= QINS_BF16_MIN && d <= QINS_BF16_MAX);
        for (size_t i = 0; i < stretch->n_cols; i += QINS_BLOCK) {
            const int scale = stretch->scales[i / QINS_BLOCK * QINS_PANEL + row];
            sound &= i < n_used ? abs(info->k(scale)) <= info->max_k : scale == 0;
        }
        for (size_t i = 0; i < stretch->n_cols; i++) {
            const int code = info->get(stretch->codes + i / QINS_UNIT * unit_bytes, row, i % QINS_UNIT);
            sound &= i < n_used ? code >= info->min_code && code <= info->max_code : code == info->padding_code;
        }
    }
    return sound;
}

// The rows of the last panel that are not the matrix's, of uncompressed values.
static bool padded_rows_are_zero(const qins_matrix *matrix) {
    const size_t n_rows = matrix->rows % QINS_PANEL, value_bytes = qins_types[matrix->type].bits / 8;
    if (matrix->layout == QINS_ROWS || n_rows == 0) return true;
    const uint8_t *values = qins_panel_at(matrix, matrix->rows / QINS_PANEL);
    bool zero = true;
    for (size_t col = 0; col < matrix->cols; col++, values += QINS_PANEL * value_bytes)
        zero &= all_zero(values + n_rows * value_bytes, (QINS_PANEL - n_rows) * value_bytes);
    return zero;
}

// Values that are not compressed: no NaN and no infinity among them.
static bool values_are_finite(const qins_matrix *matrix, size_t bytes) {
    const size_t value_bytes = qins_types[matrix->type].bits / 8;
    bool finite = true;
    for (size_t at = 0; at < bytes; at += value_bytes)
        finite &= isfinite(qins_types[matrix->type].number((const uint8_t *)matrix->data + at)) != 0;
    return finite;
}

static bool matrix_is_sound(const qins_matrix *matrix, size_t bytes) {
    if (!qins_type_is_coded(matrix->type)) return values_are_finite(matrix, bytes) && padded_rows_are_zero(matrix);
    const size_t unit_bytes = qins_unit_bytes(matrix->type);
    bool sound = true;
    for (size_t panel = 0; panel < qins_panels(matrix->rows); panel++) {
        for (size_t col = 0; col < matrix->cols; col += QINS_STRETCH) {
            const qins_stretch stretch = qins_stretch_at(qins_panel_at(matrix, panel), unit_bytes, matrix->cols, col);
            sound &= stretch_is_sound(&qins_types[matrix->type], unit_bytes, &stretch,
                                      matrix->rows - panel * QINS_PANEL, matrix->cols - col);
        }
    }
    return sound;
}

struct verification {
    const qins_image *image;
    bool *damaged; // [n_tensors + 1], the last one: the tokenizer
};

// Section `item` (a tensor, or the tokenizer after the last) and the padding after it.
static void verify_section(void *context, size_t item, size_t worker) {
    (void)worker;
    struct verification *verification = context;
    const qins_image *image = verification->image;
    const qins_header *header = &image->header;
    bool is_tokenizer = item == header->n_tensors;
    const qins_tensor *tensor = is_tokenizer ? NULL : &header->tensors[item];
    uint64_t offset = is_tokenizer ? header->tokenizer_offset : tensor->offset;
    uint64_t bytes = is_tokenizer ? header->tokenizer_bytes : tensor->bytes;
    uint64_t hash = is_tokenizer ? header->tokenizer_hash : tensor->hash;
    if (is_tokenizer && bytes == 0) return;
    bool damaged = XXH3_64bits(image->data + offset, (size_t)bytes) != hash;
    for (uint64_t end = offset + bytes; end % QINS_ALIGNMENT != 0 && end < image->size; end++)
        damaged |= image->data[end] != 0;
    if (!is_tokenizer) {
        const qins_matrix matrix = qins_image_matrix(image, item);
        damaged |= !matrix_is_sound(&matrix, (size_t)bytes);
    }
    verification->damaged[item] = damaged;
}

qins_status qins_image_verify(const qins_image *image, qins_pool *pool, qins_error *error) {
    const qins_header *header = &image->header;
    struct verification verification = {image, qins_alloc(header->n_tensors + 1, sizeof(bool), "verification", error)};
    if (verification.damaged == NULL) return error->status;
    qins_pool_run(pool, header->n_tensors + 1, verify_section, &verification);
    size_t n_damaged = 0;
    for (size_t i = 0; i <= header->n_tensors; i++) n_damaged += verification.damaged[i];
    if (n_damaged > 0)
        qins_fail(error, QINS_BAD_MODEL, "%zu damaged section%s; copy or convert the file again:", n_damaged,
                  qins_plural(n_damaged));
    for (size_t i = 0; i <= header->n_tensors; i++) {
        if (verification.damaged[i])
            qins_error_line(error, "%s", i == header->n_tensors ? "tokenizer" : header->tensors[i].spec.name);
    }
    free(verification.damaged);
    qins_error_context(error, "%s", image->name);
    return qins_image_check(image, error);
}
