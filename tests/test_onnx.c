// ONNX models of .qins files: every message is whole, every value is made before it is used, the tensors of the data
// file lie where the model says and decode to the weights; and refusals. The graph's results are checked by
// tests/oracle/compare_onnx.py, and their constancy by tests/cli/test_onnx.sh.
#include "convert/convert.h"
#include "convert/onnx_export.h"
#include "convert/onnx_weights.h"
#include "engine/base/file.h"
#include "engine/base/map.h"
#include "tests/failing_allocation.h"
#include "tests/hf_model.h"
#include "tests/onnx_reader.h"
#include "tests/support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Numbers of fields of onnx.proto.
enum { MODEL_IR_VERSION = 1, MODEL_GRAPH = 7, MODEL_OPSET = 8, OPSET_VERSION = 2 };
enum { GRAPH_NODE = 1, GRAPH_INITIALIZER = 5, GRAPH_INPUT = 11, GRAPH_OUTPUT = 12 };
enum { NODE_INPUT = 1, NODE_OUTPUT = 2, NODE_OP = 4, VALUE_NAME = 1 };
enum { TENSOR_DIM = 1, TENSOR_TYPE = 2, TENSOR_NAME = 8, TENSOR_RAW = 9, TENSOR_EXTERNAL = 13, TENSOR_LOCATION = 14 };

typedef struct exported {
    qins_image *image; // of the .qins file
    char *folder;
    char path[300]; // of the model
    onnx_bytes model, data;
    onnx_bytes graph;
} exported;

static onnx_bytes read_whole(const char *path) {
    qins_error error = {0};
    onnx_bytes bytes;
    bytes.data = (const uint8_t *)qins_file_read_all(path, 1 << 26, &bytes.size, QINS_FAILED, &error);
    expect_ok(&error);
    return bytes;
}

static qins_status export(const qins_image *image, const char *path, qins_progress *progress, qins_error *error) {
    char data_path[400];
    qins_output_file files[] = {{.fd = -1}, {.fd = -1}};
    qins_pool *pool = qins_pool_create(2, error);
    if (pool != NULL && qins_output_file_open(&files[1], path, 0666, NULL, error) == QINS_OK &&
        qins_onnx_data_path(data_path, sizeof data_path, &files[1], error) == QINS_OK &&
        qins_output_file_open(&files[0], data_path, 0666, NULL, error) == QINS_OK &&
        qins_export_onnx(image, &files[1], &files[0], pool, progress, NULL, error) == QINS_OK)
        qins_output_files_commit(files, 2, error);
    for (int i = 0; i < 2; i++) qins_output_file_close(&files[i]);
    qins_pool_free(pool);
    return error->status;
}

static exported export_new(const char *source, qins_type type) {
    exported e = {.image = hf_image_open(source, type), .folder = temporary_folder()};
    char data[320];
    qins_error error = {0};
    snprintf(e.path, sizeof e.path, "%s/m.onnx", e.folder);
    snprintf(data, sizeof data, "%s.data", e.path);
    export(e.image, e.path, NULL, &error);
    expect_ok(&error);
    e.model = read_whole(e.path);
    e.data = read_whole(data);
    e.graph = onnx_get(e.model, MODEL_GRAPH, 0).bytes;
    return e;
}

static void release(exported *e) {
    free((void *)e->model.data);
    free((void *)e->data.data);
    qins_image_close(e->image);
    remove_folder(e->folder);
}

// --- values ---

typedef struct names {
    char (*names)[QINS_ONNX_NAME];
    size_t n;
    bool *used;
} names;

static size_t find(const names *known, const char *name) {
    for (size_t i = 0; i < known->n; i++)
        if (strcmp(known->names[i], name) == 0) return i;
    return SIZE_MAX;
}

static void define(names *known, const char *name) {
    cr_assert(name[0] != '\0' && find(known, name) == SIZE_MAX, "\"%s\" is made twice", name);
    known->names = realloc(known->names, (known->n + 1) * sizeof *known->names);
    known->used = realloc(known->used, (known->n + 1) * sizeof *known->used);
    cr_assert(known->names != NULL && known->used != NULL);
    snprintf(known->names[known->n], sizeof known->names[0], "%s", name);
    known->used[known->n++] = false;
}

static void use(names *known, const char *name) {
    const size_t i = find(known, name);
    cr_assert_neq(i, SIZE_MAX, "\"%s\" is used before it is made", name);
    known->used[i] = true;
}

static bool is_standard(const char *op) {
    static const char *const ops[] = {"Add",   "And",       "Cast",       "Concat",      "Cos",    "Div",
                                      "Floor", "Gather",    "Greater",    "LessOrEqual", "MatMul", "Mul",
                                      "Pow",   "Range",     "ReduceMean", "Reshape",     "Shape",  "Sigmoid",
                                      "Sin",   "Slice",     "Softmax",    "Split",       "Sqrt",   "Squeeze",
                                      "Sub",   "Transpose", "Unsqueeze",  "Where"};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (strcmp(ops[i], op) == 0) return true;
    return false;
}

static void check_nodes(const exported *e, names *known) {
    onnx_bytes rest = e->graph;
    for (onnx_field field; onnx_next(&rest, &field);) {
        if (field.number != GRAPH_NODE) continue;
        const onnx_bytes node = field.bytes;
        cr_expect(is_standard(onnx_text(node, NODE_OP, 0)), "%s", onnx_text(node, NODE_OP, 0));
        for (size_t i = 0; i < onnx_count(node, NODE_INPUT); i++) use(known, onnx_text(node, NODE_INPUT, i));
        for (size_t i = 0; i < onnx_count(node, NODE_OUTPUT); i++) define(known, onnx_text(node, NODE_OUTPUT, i));
    }
}

// Inputs, tensors and nodes make every value once, before it is used; and no value is unused.
static void check_values(const exported *e) {
    const size_t n_layers = qins_image_header(e->image)->config.n_layers;
    names known = {0};
    char name[QINS_ONNX_NAME];
    cr_assert_eq(onnx_count(e->graph, GRAPH_INPUT), 1 + 2 * n_layers);
    cr_assert_eq(onnx_count(e->graph, GRAPH_OUTPUT), 1 + 2 * n_layers);
    for (size_t i = 0; i <= 2 * n_layers; i++)
        define(&known, onnx_text(onnx_get(e->graph, GRAPH_INPUT, i).bytes, VALUE_NAME, 0));
    for (size_t i = 0; i < onnx_count(e->graph, GRAPH_INITIALIZER); i++)
        define(&known, onnx_text(onnx_get(e->graph, GRAPH_INITIALIZER, i).bytes, TENSOR_NAME, 0));
    check_nodes(e, &known);
    for (size_t i = 0; i <= 2 * n_layers; i++)
        use(&known, onnx_text(onnx_get(e->graph, GRAPH_OUTPUT, i).bytes, VALUE_NAME, 0));
    for (size_t i = 0; i < known.n; i++) cr_expect(known.used[i], "\"%s\" is used by nothing", known.names[i]);
    cr_expect_eq(find(&known, "input_ids"), 0u);
    cr_expect_neq(find(&known, "logits"), SIZE_MAX);
    for (size_t layer = 0; layer < n_layers; layer++) {
        snprintf(name, sizeof name, "past_key_values.%zu.key", layer);
        cr_expect_eq(find(&known, name), 1 + 2 * layer);
        snprintf(name, sizeof name, "present.%zu.value", layer);
        cr_expect_neq(find(&known, name), SIZE_MAX);
    }
    free(known.names);
    free(known.used);
}

// --- tensors ---

static size_t tensor_bytes(onnx_bytes tensor) {
    size_t bytes = qins_onnx_type_bytes((qins_onnx_type)onnx_get(tensor, TENSOR_TYPE, 0).value);
    for (size_t i = 0; i < onnx_count(tensor, TENSOR_DIM); i++) bytes *= (size_t)onnx_get(tensor, TENSOR_DIM, i).value;
    return bytes;
}

// Tensors follow one another in the data file, aligned, up to its end; constants have their bytes in the model.
static void check_tensors(const exported *e) {
    size_t end = 0;
    for (size_t i = 0; i < onnx_count(e->graph, GRAPH_INITIALIZER); i++) {
        const onnx_bytes tensor = onnx_get(e->graph, GRAPH_INITIALIZER, i).bytes;
        const size_t bytes = tensor_bytes(tensor);
        if (onnx_get(tensor, TENSOR_LOCATION, 0).value == 0) {
            cr_expect_eq(onnx_get(tensor, TENSOR_RAW, 0).bytes.size, bytes);
            continue;
        }
        const size_t offset = strtoull(onnx_entry(tensor, TENSOR_EXTERNAL, "offset"), NULL, 10);
        cr_expect_str_eq(onnx_entry(tensor, TENSOR_EXTERNAL, "location"), "m.onnx.data");
        cr_expect_eq(strtoull(onnx_entry(tensor, TENSOR_EXTERNAL, "length"), NULL, 10), bytes);
        cr_expect(offset % 64 == 0 && offset >= end && offset < end + 64, "%s", onnx_text(tensor, TENSOR_NAME, 0));
        end = offset + bytes;
    }
    cr_expect_eq(e->data.size, end);
}

static onnx_bytes find_tensor(const exported *e, const char *name, const char *suffix) {
    char whole[2 * QINS_ONNX_NAME];
    snprintf(whole, sizeof whole, "%s%s", name, suffix);
    for (size_t i = 0; i < onnx_count(e->graph, GRAPH_INITIALIZER); i++) {
        const onnx_bytes tensor = onnx_get(e->graph, GRAPH_INITIALIZER, i).bytes;
        if (strcmp(onnx_text(tensor, TENSOR_NAME, 0), whole) == 0) return tensor;
    }
    cr_assert_fail("there is no %s", whole);
    return (onnx_bytes){0};
}

static const uint8_t *data_of(const exported *e, onnx_bytes tensor) {
    return e->data.data + strtoull(onnx_entry(tensor, TENSOR_EXTERNAL, "offset"), NULL, 10);
}

// floor(table[code] k + 1/2) d, as the graph computes it.
static void check_coded(const exported *e, const char *name, const qins_matrix *matrix) {
    const onnx_bytes codes = find_tensor(e, name, ".codes"), k = find_tensor(e, name, ".k");
    const onnx_bytes d = find_tensor(e, name, ".d");
    const size_t n_d = (size_t)onnx_get(codes, TENSOR_DIM, 1).value,
                 blocks = (size_t)onnx_get(codes, TENSOR_DIM, 2).value;
    const size_t of_d = blocks * QINS_BLOCK, padded = n_d * of_d;
    const bool is_signed = onnx_get(k, TENSOR_TYPE, 0).value == QINS_ONNX_INT8;
    const float *all_d = (const float *)(const void *)data_of(e, d);
    float table[QINS_ONNX_TABLE], *row = malloc(matrix->cols * sizeof *row);
    cr_assert_not_null(row);
    qins_onnx_table(matrix->type, table);
    for (size_t r = 0; r < matrix->rows; r++) {
        qins_decode_rows(row, matrix, r, 1);
        for (size_t c = 0; c < matrix->cols; c++) {
            const size_t at = r * padded + c;
            const uint8_t byte = data_of(e, k)[at / QINS_BLOCK];
            const float v = table[data_of(e, codes)[at]] * (float)(is_signed ? (int8_t)byte : byte);
            const float weight = all_d[at / of_d] * floorf(v + 0.5f);
            cr_assert(weight == row[c], "%s, row %zu, column %zu: %g, not %g", name, r, c, (double)weight,
                      (double)row[c]);
        }
    }
    free(row);
}

static void check_weights(const exported *e) {
    const qins_header *header = qins_image_header(e->image);
    for (size_t i = 0; i < header->n_tensors; i++) {
        const qins_matrix matrix = qins_image_matrix(e->image, i);
        const char *name = header->tensors[i].spec.name;
        if (qins_type_is_coded(matrix.type))
            check_coded(e, name, &matrix);
        else if (matrix.type == QINS_F32)
            find_tensor(e, name, "");
    }
}

static void check(const char *source, qins_type type) {
    exported e = export_new(source, type);
    cr_expect_eq(onnx_get(e.model, MODEL_IR_VERSION, 0).value, 8u);
    cr_expect_eq(onnx_get(onnx_get(e.model, MODEL_OPSET, 0).bytes, OPSET_VERSION, 0).value, 17u);
    check_values(&e);
    check_tensors(&e);
    check_weights(&e);
    release(&e);
}

Test(onnx, models_are_whole) {
    check("tests/data/demo", QINS_QINS4);
    check("tests/data/demo", QINS_F32);
    check("tests/data/tiny/tied-bf16", QINS_QINS8);
    check("tests/data/tiny/window-gqa-bf16", QINS_QINS6);
    check("tests/data/tiny/phi4-mini-bf16", QINS_QINS5);
    check("tests/data/tiny/longrope-odd-f16", QINS_QINS4);
    check("tests/data/tiny/longrope-odd-f16", QINS_BF16);
}

// --- refusals ---

static bool stop(void *context, uint64_t done, uint64_t total) {
    (void)context, (void)total;
    return done == 0;
}

Test(onnx, leaves_nothing_behind) {
    char *folder = temporary_folder(), path[300];
    qins_error error = {0};
    qins_image *image = hf_image_open("tests/data/tiny/tied-bf16", QINS_QINS8);
    snprintf(path, sizeof path, "%s/m.onnx", folder);
    export(image, path, stop, &error);
    expect_error(&error, QINS_INTERRUPTED, "interrupted");
    snprintf(path, sizeof path, "%s/no/m.onnx", folder);
    export(image, path, NULL, &error);
    expect_error(&error, QINS_FAILED, "cannot create a file in the folder");
    cr_expect_eq(rmdir(folder), 0, "the folder is not empty");
    qins_image_close(image);
    free(folder);
}

Test(onnx, every_allocation_may_fail) {
    char *folder = temporary_folder(), path[300];
    qins_image *image = hf_image_open("tests/data/tiny/tied-bf16", QINS_QINS8);
    bool failed = true;
    size_t n = 0;
    snprintf(path, sizeof path, "%s/m.onnx", folder);
    while (failed) {
        qins_error error = {0};
        failing_allocation_set(++n);
        const qins_status status = export(image, path, NULL, &error);
        failed = failing_allocation_hit();
        failing_allocation_set(0);
        cr_expect_eq(status, failed ? QINS_FAILED : QINS_OK, "allocation %zu: %s", n, error.message);
        cr_expect_eq(access(path, F_OK) == 0, !failed, "allocation %zu", n);
    }
    cr_expect_gt(n, 20u);
    qins_image_close(image);
    remove_folder(folder);
}
