// An ONNX model as the bytes of its protobuf message (onnx.proto of IR version 8, operators of opset 17). Knows the
// messages; onnx_graph.c knows the computation. Nodes, constants and tensor descriptions appear in the order in which
// they were added. Errors are sticky in the buffer's qins_error.
#ifndef QINS_CONVERT_ONNX_WRITER_H
#define QINS_CONVERT_ONNX_WRITER_H

#include "engine/base/buffer.h"

typedef enum qins_onnx_type { // TensorProto.DataType
    QINS_ONNX_FLOAT = 1,
    QINS_ONNX_UINT8 = 2,
    QINS_ONNX_INT8 = 3,
    QINS_ONNX_INT32 = 6,
    QINS_ONNX_INT64 = 7,
    QINS_ONNX_FLOAT16 = 10,
    QINS_ONNX_BFLOAT16 = 16
} qins_onnx_type;

// Bytes of a number of that type.
size_t qins_onnx_type_bytes(qins_onnx_type type);

// A value of the graph, by its name; the empty name: none.
enum { QINS_ONNX_NAME = 80, QINS_ONNX_RANK = 4, QINS_ONNX_INPUTS = 4, QINS_ONNX_ATTRIBUTES = 2 };
typedef struct qins_onnx_value {
    char name[QINS_ONNX_NAME];
} qins_onnx_value;

typedef struct qins_onnx_attribute {
    const char *name; // NULL: none
    size_t n;         // of a list; 0: values[0] as a single integer
    int64_t values[QINS_ONNX_RANK];
} qins_onnx_attribute;

typedef struct qins_onnx_node {
    const char *op;
    qins_onnx_value inputs[QINS_ONNX_INPUTS];
    qins_onnx_attribute attributes[QINS_ONNX_ATTRIBUTES];
    const char *output; // name of the first output; NULL: a generated one
} qins_onnx_node;

// A size of an input or output: a number, or the name of one that differs from call to call.
typedef struct qins_onnx_dim {
    const char *name; // NULL: the number counts
    size_t size;
} qins_onnx_dim;

// A tensor whose bytes lie in the data file.
typedef struct qins_onnx_tensor {
    char name[QINS_ONNX_NAME];
    qins_onnx_type type;
    size_t rank, dims[QINS_ONNX_RANK];
    uint64_t offset, bytes; // in the data file
} qins_onnx_tensor;

typedef struct qins_onnx_writer {
    qins_buffer bytes; // of the model; release with qins_buffer_free
    size_t graph;      // where the graph's bytes begin
    size_t n_made_up;  // names
} qins_onnx_writer;

// Begin, and end, the model and its graph.
qins_onnx_writer qins_onnx_begin(const char *producer, qins_error *error);
void qins_onnx_end(qins_onnx_writer *writer);

// Inputs and outputs of the graph, and tensors in the data file, which is called `location`.
qins_onnx_value qins_onnx_input(qins_onnx_writer *writer, const char *name, qins_onnx_type type,
                                const qins_onnx_dim *dims, size_t rank);
void qins_onnx_output(qins_onnx_writer *writer, const char *name, qins_onnx_type type, const qins_onnx_dim *dims,
                      size_t rank);
void qins_onnx_external(qins_onnx_writer *writer, const qins_onnx_tensor *tensor, const char *location);

// Constants: lists, and single numbers without a dimension.
qins_onnx_value qins_onnx_floats(qins_onnx_writer *writer, const float *values, size_t n);
qins_onnx_value qins_onnx_ints(qins_onnx_writer *writer, const int64_t *values, size_t n);
qins_onnx_value qins_onnx_float(qins_onnx_writer *writer, float value);
qins_onnx_value qins_onnx_int(qins_onnx_writer *writer, int64_t value);

// Add a node; its first output, or outputs[n].
qins_onnx_value qins_onnx_call(qins_onnx_writer *writer, qins_onnx_node node);
void qins_onnx_call_many(qins_onnx_writer *writer, qins_onnx_node node, qins_onnx_value *outputs, size_t n);

#endif
