// Export for onnxruntime and other readers of ONNX: the model of a .qins file as an .onnx file and, next to it, a data
// file with the weights as codes and scales.
#ifndef QINS_CONVERT_ONNX_EXPORT_H
#define QINS_CONVERT_ONNX_EXPORT_H

#include "engine/base/output_file.h"
#include "engine/base/pool.h"
#include "engine/base/progress.h"
#include "engine/format/image.h"

// The path of the weights of a model that is being written: next to the model or, if that is a symbolic link, next to
// its target, with ".data" appended to the name. QINS_USAGE if that is too long.
qins_status qins_onnx_data_path(char *data_path, size_t capacity, const qins_output_file *model, qins_error *error);

// Write an image's model and its weights into two files, which are complete afterwards but not committed. Progress is
// counted in bytes of weights.
qins_status qins_export_onnx(const qins_image *image, const qins_output_file *model, const qins_output_file *data,
                             qins_pool *pool, qins_progress *progress, void *context, qins_error *error);

#endif
