// The messages of onnx.proto; see onnx_writer.h. The numbers in enums are those of the message's fields.
#include "convert/onnx_writer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { IR_VERSION = 8, OPSET = 17 };

size_t qins_onnx_type_bytes(qins_onnx_type type) {
    switch (type) {
    case QINS_ONNX_UINT8:
    case QINS_ONNX_INT8:
        return 1;
    case QINS_ONNX_FLOAT16:
    case QINS_ONNX_BFLOAT16:
        return 2;
    case QINS_ONNX_INT64:
        return 8;
    default:
        return 4;
    }
}

// --- protobuf ---

enum { VARINT = 0, BYTES = 2, MAX_VARINT = 10 };

static size_t encode_varint(uint8_t bytes[MAX_VARINT], uint64_t value) {
    size_t n = 0;
    for (; value >= 128; value >>= 7) bytes[n++] = (uint8_t)(value | 128);
    bytes[n++] = (uint8_t)value;
    return n;
}

static void put_varint(qins_buffer *buffer, uint64_t value) {
    uint8_t bytes[MAX_VARINT];
    qins_buffer_append(buffer, bytes, encode_varint(bytes, value));
}

static void put_int(qins_buffer *buffer, unsigned field, int64_t value) {
    put_varint(buffer, field << 3 | VARINT);
    put_varint(buffer, (uint64_t)value);
}

static void put_bytes(qins_buffer *buffer, unsigned field, const void *bytes, size_t size) {
    put_varint(buffer, field << 3 | BYTES);
    put_varint(buffer, size);
    qins_buffer_append(buffer, bytes, size);
}

static void put_text(qins_buffer *buffer, unsigned field, const char *text) {
    put_bytes(buffer, field, text, strlen(text));
}

// Begin a message within a message; returns where its bytes start.
static size_t open_message(qins_buffer *buffer, unsigned field) {
    put_varint(buffer, field << 3 | BYTES);
    return buffer->size;
}

// End it: its length goes before its bytes.
static void close_message(qins_buffer *buffer, size_t start) {
    uint8_t length[MAX_VARINT];
    const size_t size = buffer->size - start, n = encode_varint(length, size);
    qins_buffer_append(buffer, length, n);
    if (buffer->error->status != QINS_OK) return;
    memmove(buffer->data + start + n, buffer->data + start, size);
    memcpy(buffer->data + start, length, n);
}

// --- the model ---

enum { MODEL_IR_VERSION = 1, MODEL_PRODUCER = 2, MODEL_GRAPH = 7, MODEL_OPSET = 8, OPSET_VERSION = 2 };
enum { GRAPH_NODE = 1, GRAPH_NAME = 2, GRAPH_INITIALIZER = 5, GRAPH_INPUT = 11, GRAPH_OUTPUT = 12 };

qins_onnx_writer qins_onnx_begin(const char *producer, qins_error *error) {
    qins_onnx_writer writer = {.bytes.error = error};
    qins_buffer *bytes = &writer.bytes;
    put_int(bytes, MODEL_IR_VERSION, IR_VERSION);
    put_text(bytes, MODEL_PRODUCER, producer);
    const size_t opset = open_message(bytes, MODEL_OPSET);
    put_int(bytes, OPSET_VERSION, OPSET);
    close_message(bytes, opset);
    writer.graph = open_message(bytes, MODEL_GRAPH);
    put_text(bytes, GRAPH_NAME, "model");
    return writer;
}

void qins_onnx_end(qins_onnx_writer *writer) {
    close_message(&writer->bytes, writer->graph);
}

// --- inputs and outputs ---

enum { VALUE_NAME = 1, VALUE_TYPE = 2, TYPE_TENSOR = 1, TENSOR_ELEMENT = 1, TENSOR_SHAPE = 2 };
enum { SHAPE_DIM = 1, DIM_VALUE = 1, DIM_NAME = 2 };

static void describe(qins_buffer *bytes, unsigned field, const char *name, qins_onnx_type element,
                     const qins_onnx_dim *dims, size_t rank) {
    const size_t value = open_message(bytes, field);
    put_text(bytes, VALUE_NAME, name);
    const size_t type = open_message(bytes, VALUE_TYPE), tensor = open_message(bytes, TYPE_TENSOR);
    put_int(bytes, TENSOR_ELEMENT, element);
    const size_t shape = open_message(bytes, TENSOR_SHAPE);
    for (size_t i = 0; i < rank; i++) {
        const size_t dim = open_message(bytes, SHAPE_DIM);
        if (dims[i].name != NULL)
            put_text(bytes, DIM_NAME, dims[i].name);
        else
            put_int(bytes, DIM_VALUE, (int64_t)dims[i].size);
        close_message(bytes, dim);
    }
    close_message(bytes, shape);
    close_message(bytes, tensor);
    close_message(bytes, type);
    close_message(bytes, value);
}

static qins_onnx_value named(const char *name) {
    qins_onnx_value value;
    snprintf(value.name, sizeof value.name, "%s", name);
    return value;
}

qins_onnx_value qins_onnx_input(qins_onnx_writer *writer, const char *name, qins_onnx_type type,
                                const qins_onnx_dim *dims, size_t rank) {
    describe(&writer->bytes, GRAPH_INPUT, name, type, dims, rank);
    return named(name);
}

void qins_onnx_output(qins_onnx_writer *writer, const char *name, qins_onnx_type type, const qins_onnx_dim *dims,
                      size_t rank) {
    describe(&writer->bytes, GRAPH_OUTPUT, name, type, dims, rank);
}

// --- tensors ---

enum { TENSOR_DIM = 1, TENSOR_TYPE = 2, TENSOR_NAME = 8, TENSOR_RAW = 9, TENSOR_EXTERNAL = 13, TENSOR_LOCATION = 14 };
enum { ENTRY_KEY = 1, ENTRY_VALUE = 2, LOCATION_EXTERNAL = 1 };

static void put_entry(qins_buffer *bytes, const char *key, const char *value) {
    const size_t entry = open_message(bytes, TENSOR_EXTERNAL);
    put_text(bytes, ENTRY_KEY, key);
    put_text(bytes, ENTRY_VALUE, value);
    close_message(bytes, entry);
}

static void put_number_entry(qins_buffer *bytes, const char *key, uint64_t value) {
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, value);
    put_entry(bytes, key, text);
}

void qins_onnx_external(qins_onnx_writer *writer, const qins_onnx_tensor *tensor, const char *location) {
    qins_buffer *bytes = &writer->bytes;
    const size_t start = open_message(bytes, GRAPH_INITIALIZER);
    for (size_t i = 0; i < tensor->rank; i++) put_int(bytes, TENSOR_DIM, (int64_t)tensor->dims[i]);
    put_int(bytes, TENSOR_TYPE, tensor->type);
    put_text(bytes, TENSOR_NAME, tensor->name);
    put_entry(bytes, "location", location);
    put_number_entry(bytes, "offset", tensor->offset);
    put_number_entry(bytes, "length", tensor->bytes);
    put_int(bytes, TENSOR_LOCATION, LOCATION_EXTERNAL);
    close_message(bytes, start);
}

static qins_onnx_value made_up(qins_onnx_writer *writer, const char *kind) {
    qins_onnx_value value;
    snprintf(value.name, sizeof value.name, "%s_%zu", kind, ++writer->n_made_up);
    return value;
}

// Numbers in this machine's order, which is the format's.
static qins_onnx_value constant(qins_onnx_writer *writer, qins_onnx_type type, const void *values, size_t rank,
                                size_t n) {
    const qins_onnx_value value = made_up(writer, "constant");
    qins_buffer *bytes = &writer->bytes;
    const size_t start = open_message(bytes, GRAPH_INITIALIZER);
    if (rank == 1) put_int(bytes, TENSOR_DIM, (int64_t)n);
    put_int(bytes, TENSOR_TYPE, type);
    put_text(bytes, TENSOR_NAME, value.name);
    put_bytes(bytes, TENSOR_RAW, values, n * qins_onnx_type_bytes(type));
    close_message(bytes, start);
    return value;
}

qins_onnx_value qins_onnx_floats(qins_onnx_writer *writer, const float *values, size_t n) {
    return constant(writer, QINS_ONNX_FLOAT, values, 1, n);
}

qins_onnx_value qins_onnx_ints(qins_onnx_writer *writer, const int64_t *values, size_t n) {
    return constant(writer, QINS_ONNX_INT64, values, 1, n);
}

qins_onnx_value qins_onnx_float(qins_onnx_writer *writer, float value) {
    return constant(writer, QINS_ONNX_FLOAT, &value, 0, 1);
}

qins_onnx_value qins_onnx_int(qins_onnx_writer *writer, int64_t value) {
    return constant(writer, QINS_ONNX_INT64, &value, 0, 1);
}

// --- nodes ---

enum { NODE_INPUT = 1, NODE_OUTPUT = 2, NODE_OP = 4, NODE_ATTRIBUTE = 5 };
enum { ATTRIBUTE_NAME = 1, ATTRIBUTE_INT = 3, ATTRIBUTE_INTS = 8, ATTRIBUTE_TYPE = 20, TYPE_INT = 2, TYPE_INTS = 7 };

static void put_attribute(qins_buffer *bytes, const qins_onnx_attribute *attribute) {
    const size_t start = open_message(bytes, NODE_ATTRIBUTE);
    put_text(bytes, ATTRIBUTE_NAME, attribute->name);
    if (attribute->n == 0) put_int(bytes, ATTRIBUTE_INT, attribute->values[0]);
    for (size_t i = 0; i < attribute->n; i++) put_int(bytes, ATTRIBUTE_INTS, attribute->values[i]);
    put_int(bytes, ATTRIBUTE_TYPE, attribute->n == 0 ? TYPE_INT : TYPE_INTS);
    close_message(bytes, start);
}

void qins_onnx_call_many(qins_onnx_writer *writer, qins_onnx_node node, qins_onnx_value *outputs, size_t n) {
    qins_buffer *bytes = &writer->bytes;
    const size_t start = open_message(bytes, GRAPH_NODE);
    for (size_t i = 0; i < QINS_ONNX_INPUTS && node.inputs[i].name[0] != '\0'; i++)
        put_text(bytes, NODE_INPUT, node.inputs[i].name);
    for (size_t i = 0; i < n; i++) {
        outputs[i] = i == 0 && node.output != NULL ? named(node.output) : made_up(writer, node.op);
        put_text(bytes, NODE_OUTPUT, outputs[i].name);
    }
    put_text(bytes, NODE_OP, node.op);
    for (size_t i = 0; i < QINS_ONNX_ATTRIBUTES && node.attributes[i].name != NULL; i++)
        put_attribute(bytes, &node.attributes[i]);
    close_message(bytes, start);
}

qins_onnx_value qins_onnx_call(qins_onnx_writer *writer, qins_onnx_node node) {
    qins_onnx_value output;
    qins_onnx_call_many(writer, node, &output, 1);
    return output;
}
