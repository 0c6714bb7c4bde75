// Writing of a Hugging Face folder; see export.h. Tensors go into one safetensors file in the order of the schema, a
// piece of rows at a time: its rows are decoded on all threads.
#include "convert/export.h"

#include "engine/base/file.h"
#include "engine/base/memory.h"
#include "engine/base/output_file.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE_BYTES = 8 << 20, PREFIX = 8, MAX_FILES = 5 };

struct export {
    const qins_image *image;
    const char *folder;
    qins_type type;
    size_t n_files;
    char paths[MAX_FILES][PATH_MAX];   // of the files
    qins_output_file files[MAX_FILES]; // which appear together, when all are complete
    qins_pool *pool;
    qins_progress *progress;
    void *context;
    uint64_t done, total; // bytes of weights
    // The piece at work.
    qins_matrix matrix;
    size_t first_row, n_rows;
    float *values;    // owned, [n_rows, cols]
    uint16_t *halves; // owned, the same in BF16
};

// --- the folder ---

// Begin the next file.
static const qins_output_file *open_file(struct export *export, const char *name, qins_error *error) {
    if (error->status != QINS_OK) return NULL;
    char *path = export->paths[export->n_files];
    qins_output_file *file = &export->files[export->n_files];
    if (snprintf(path, PATH_MAX, "%s/%s", export->folder, name) >= PATH_MAX) {
        qins_fail(error, QINS_USAGE, "the path %s is too long", export->folder);
        return NULL;
    }
    export->n_files++;
    return qins_output_file_open(file, path, 0666, NULL, error) == QINS_OK ? file : NULL;
}

qins_status qins_export_make_folder(const char *folder, bool force, bool *is_new, qins_error *error) {
    *is_new = mkdir(folder, 0777) == 0;
    if (*is_new) return QINS_OK;
    if (errno != EEXIST) return qins_fail_errno(error, QINS_FAILED, "cannot make the folder %s", folder);
    DIR *entries = opendir(folder);
    if (entries == NULL)
        return qins_fail_errno(error, errno == ENOTDIR ? QINS_USAGE : QINS_FAILED,
                               "the output %s exists, and cannot be read as a folder", folder);
    const struct dirent *entry;
    for (errno = 0; !force && (entry = readdir(entries)) != NULL && error->status == QINS_OK; errno = 0)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            qins_fail(error, QINS_USAGE, "the folder %s is not empty; give the name of a new one, or --force", folder);
    if (errno != 0) qins_fail_errno(error, QINS_FAILED, "cannot read the folder %s", folder);
    closedir(entries);
    return error->status;
}

// Takes `text` over, NULL with an error.
static void write_text(struct export *export, const char *name, char *text, qins_error *error) {
    const qins_output_file *file = open_file(export, name, error);
    if (file != NULL) qins_file_write_at(file->fd, file->path, text, strlen(text), 0, error);
    free(text);
}

// --- the tokenizer ---

static void write_tokenizer(struct export *export, qins_error *error) {
    size_t size = 0;
    const uint8_t *section = qins_image_tokenizer(export->image, &size);
    if (section == NULL || error->status != QINS_OK) return;
    char *json = NULL;
    qins_tokenizer *tokenizer = qins_tokenizer_unpack(section, size, error);
    if (tokenizer != NULL) qins_tokenizer_to_hf(tokenizer, &json, error);
    write_text(export, "tokenizer.json", json, error);
    if (error->status == QINS_OK)
        write_text(export, "tokenizer_config.json",
                   qins_export_tokenizer_config(qins_image_header(export->image), tokenizer, error), error);
    qins_tokenizer_free(tokenizer);
}

// --- weights ---

static uint64_t tensor_bytes(const struct export *export, const qins_tensor *tensor) {
    return (uint64_t)tensor->spec.rows * qins_row_bytes(export->type, tensor->spec.cols);
}

static void add_tensor(qins_json *json, const struct export *export, const qins_tensor *tensor, uint64_t start,
                       qins_error *error) {
    qins_json *object = qins_json_add_object(json, tensor->spec.name, error);
    qins_json_add_string(object, "dtype", export->type == QINS_BF16 ? "BF16" : "F32", error);
    qins_json *shape = qins_json_add_array(object, "shape", error);
    if (tensor->spec.role != QINS_ROLE_NORM) qins_json_append_number(shape, (double)tensor->spec.rows, error);
    qins_json_append_number(shape, (double)tensor->spec.cols, error);
    qins_json *offsets = qins_json_add_array(object, "data_offsets", error);
    qins_json_append_number(offsets, (double)start, error);
    qins_json_append_number(offsets, (double)(start + tensor_bytes(export, tensor)), error);
}

// The header's JSON, filled up with spaces so that the weights begin at a multiple of 64 bytes.
static char *safetensors_header(struct export *export, size_t *size, qins_error *error) {
    const qins_header *header = qins_image_header(export->image);
    qins_json *json = qins_json_new_object(error);
    qins_json_add_string(qins_json_add_object(json, "__metadata__", error), "format", "pt", error);
    for (size_t i = 0; i < header->n_tensors; i++) {
        add_tensor(json, export, &header->tensors[i], export->total, error);
        export->total += tensor_bytes(export, &header->tensors[i]);
    }
    char *text = qins_json_print(json, error);
    qins_json_free(json);
    if (text == NULL) return NULL;
    const size_t length = strlen(text);
    *size = (PREFIX + length + 63) / 64 * 64 - PREFIX;
    char *padded = qins_alloc(*size, 1, "header", error);
    if (padded != NULL) {
        memset(padded, ' ', *size);
        memcpy(padded, text, length);
    }
    free(text);
    return padded;
}

static void decode_row(void *context, size_t item, size_t worker) {
    (void)worker;
    const struct export *export = context;
    const size_t cols = export->matrix.cols;
    float *row = export->values + item * cols;
    qins_decode_rows(row, &export->matrix, export->first_row + item, 1);
    if (export->type != QINS_BF16) return;
    for (size_t i = 0; i < cols; i++) export->halves[item * cols + i] = qins_bf16_from_f32(row[i]);
}

static bool goes_on(const struct export *export, qins_error *error) {
    if (export->progress != NULL && !export->progress(export->context, export->done, export->total))
        qins_fail(error, QINS_INTERRUPTED, "interrupted");
    return error->status == QINS_OK;
}

static void write_tensor(struct export *export, const qins_output_file *file, size_t index, uint64_t start,
                         qins_error *error) {
    export->matrix = qins_image_matrix(export->image, index);
    const size_t rows = export->matrix.rows, cols = export->matrix.cols;
    const size_t piece = PIECE_BYTES / (cols * sizeof(float)) + 1, row_bytes = qins_row_bytes(export->type, cols);
    export->values = qins_alloc(piece, cols * sizeof(float), "rows of a tensor", error);
    export->halves = qins_alloc(piece, cols * sizeof(uint16_t), "rows of a tensor", error);
    for (size_t row = 0; row < rows && goes_on(export, error); row += export->n_rows) {
        export->first_row = row;
        export->n_rows = rows - row < piece ? rows - row : piece;
        qins_pool_run(export->pool, export->n_rows, decode_row, export);
        const void *bytes = export->type == QINS_BF16 ? (const void *)export->halves : export->values;
        qins_file_write_at(file->fd, file->path, bytes, export->n_rows * row_bytes, start + export->done, error);
        export->done += export->n_rows * row_bytes;
    }
    free(export->values);
    free(export->halves);
}

static void write_weights(struct export *export, qins_error *error) {
    size_t size = 0;
    const qins_output_file *file = open_file(export, "model.safetensors", error);
    char *text = file != NULL ? safetensors_header(export, &size, error) : NULL;
    if (text == NULL) return;
    const uint64_t length = size; // stored in this machine's order, which is the format's
    qins_file_write_at(file->fd, file->path, &length, PREFIX, 0, error);
    if (error->status == QINS_OK) qins_file_write_at(file->fd, file->path, text, size, PREFIX, error);
    for (size_t i = 0; i < qins_image_header(export->image)->n_tensors && error->status == QINS_OK; i++)
        write_tensor(export, file, i, PREFIX + size, error);
    qins_image_check(export->image, error);
    free(text);
}

qins_status qins_export_folder(const qins_image *image, const qins_export_options *options, qins_pool *pool,
                               qins_progress *progress, void *context, qins_error *error) {
    struct export export = {.image = image,
                            .folder = options->folder,
                            .type = options->type,
                            .pool = pool,
                            .progress = progress,
                            .context = context};
    const qins_config *config = &qins_image_header(image)->config;
    bool is_new;
    if (qins_export_make_folder(options->folder, options->force, &is_new, error) != QINS_OK) return error->status;
    write_text(&export, "config.json", qins_export_config(config, options->type, error), error);
    write_text(&export, "generation_config.json", qins_export_generation_config(config, error), error);
    write_tokenizer(&export, error);
    write_weights(&export, error);
    if (error->status == QINS_OK) qins_output_files_commit(export.files, export.n_files, error);
    for (size_t i = 0; i < export.n_files; i++) qins_output_file_close(&export.files[i]);
    if (error->status != QINS_OK && is_new) rmdir(options->folder);
    return error->status;
}
