// The two files of an ONNX model; see onnx_export.h.
#include "convert/onnx_export.h"

#include "convert/convert.h"
#include "convert/onnx_graph.h"
#include "engine/base/file.h"
#include "engine/base/memory.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

static void write_model(const qins_output_file *file, const qins_config *config, const qins_onnx_weights *weights,
                        const char *location, qins_error *error) {
    qins_onnx_writer writer = qins_onnx_begin(QINS_CONVERTER, error);
    qins_onnx_graph(&writer, config, weights, location);
    qins_onnx_end(&writer);
    if (error->status == QINS_OK)
        qins_file_write_at(file->fd, file->path, writer.bytes.data, writer.bytes.size, 0, error);
    qins_buffer_free(&writer.bytes);
}

qins_status qins_onnx_data_path(char *data_path, size_t capacity, const qins_output_file *model, qins_error *error) {
    const int length = snprintf(data_path, capacity, "%s.data", model->target);
    if (length > 0 && (size_t)length < capacity) return QINS_OK;
    return qins_fail(error, QINS_USAGE, "the path %s is too long", model->target);
}

qins_status qins_export_onnx(const qins_image *image, const qins_output_file *model, const qins_output_file *data,
                             qins_pool *pool, qins_progress *progress, void *context, qins_error *error) {
    const char *slash = strrchr(data->path, '/'), *location = slash == NULL ? data->path : slash + 1;
    const qins_header *header = qins_image_header(image);
    qins_onnx_weights weights;
    if (qins_onnx_weights_plan(&weights, header, error) == QINS_OK)
        write_model(model, &header->config, &weights, location, error);
    if (error->status == QINS_OK)
        qins_onnx_weights_write(&weights, image, data->fd, data->path, pool, progress, context, error);
    qins_onnx_weights_free(&weights);
    return error->status;
}
