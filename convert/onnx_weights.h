// The tensors of a .qins file as tensors of an ONNX model's data file. A coded matrix becomes three tensors, which
// standard operators decode exactly (code.h):
//
//     codes [rows, S, B, 32]  one byte per weight: its index in a table of T / 2^shift, [n_forms][2^bits]
//     k     [rows, S, B, 1]   of 32 weights, a byte
//     d     [rows, S, 1, 1]   FP32; of 32 B columns
//
// where columns are padded to whole units of 64, and B is 16 where that is whole stretches of 512, else 1. An uncoded
// matrix stays one tensor [rows, cols] of its type, and a norm becomes FP32 [cols].
#ifndef QINS_CONVERT_ONNX_WEIGHTS_H
#define QINS_CONVERT_ONNX_WEIGHTS_H

#include "convert/onnx_writer.h"
#include "engine/base/pool.h"
#include "engine/base/progress.h"
#include "engine/format/image.h"

enum { QINS_ONNX_CODES, QINS_ONNX_K, QINS_ONNX_D, QINS_ONNX_PARTS, QINS_ONNX_VALUES = 0 }; // the order of parts
typedef struct qins_onnx_weight {
    qins_tensor_spec spec;
    qins_type type;
    size_t n_parts;
    qins_onnx_tensor parts[QINS_ONNX_PARTS];
} qins_onnx_weight;

typedef struct qins_onnx_weights {
    size_t n;
    qins_onnx_weight *weights; // owned, in the order of the schema
    uint64_t bytes;            // of the data file
} qins_onnx_weights;

// Determine names, shapes and offsets. Release with qins_onnx_weights_free, also after a failure.
qins_status qins_onnx_weights_plan(qins_onnx_weights *weights, const qins_header *header, qins_error *error);
void qins_onnx_weights_free(qins_onnx_weights *weights);

// The table of a coded type; returns its size, at most 256.
enum { QINS_ONNX_TABLE = 256 };
size_t qins_onnx_table(qins_type type, float table[QINS_ONNX_TABLE]);

// Write the data file, a piece of rows at a time. Progress is counted in bytes.
qins_status qins_onnx_weights_write(const qins_onnx_weights *weights, const qins_image *image, int fd, const char *path,
                                    qins_pool *pool, qins_progress *progress, void *context, qins_error *error);

#endif
