// Parsing of safetensors headers; see safetensors.h.
#include "convert/safetensors.h"

#include "engine/base/cursor.h"
#include "engine/base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const qins_dtype dtypes[] = {
    {"BF16", 16, true, QINS_BF16}, {"F16", 16, true, QINS_F16},  {"F32", 32, true, QINS_F32},  {"F64", 64, false, 0},
    {"I64", 64, false, 0},         {"U64", 64, false, 0},        {"C64", 64, false, 0},        {"I32", 32, false, 0},
    {"U32", 32, false, 0},         {"I16", 16, false, 0},        {"U16", 16, false, 0},        {"I8", 8, false, 0},
    {"U8", 8, false, 0},           {"BOOL", 8, false, 0},        {"F8_E4M3", 8, false, 0},     {"F8_E5M2", 8, false, 0},
    {"F8_E8M0", 8, false, 0},      {"F8_E4M3FNUZ", 8, false, 0}, {"F8_E5M2FNUZ", 8, false, 0}, {"F6_E2M3", 6, false, 0},
    {"F6_E3M2", 6, false, 0},      {"F4", 4, false, 0},
};

// No real header comes near this many, and it keeps a hostile one from taking gigabytes.
enum { MAX_JSON_VALUES = 2000000 };

static const qins_dtype *find_dtype(const char *name) {
    for (size_t i = 0; i < sizeof dtypes / sizeof dtypes[0]; i++) {
        if (strcmp(dtypes[i].name, name) == 0) return &dtypes[i];
    }
    return NULL;
}

const char *qins_safetensors_type_name(qins_type type) {
    const qins_dtype *dtype = dtypes;
    while (!dtype->readable || dtype->type != type) dtype++;
    return dtype->name;
}

size_t qins_safetensors_header_bytes(const uint8_t prefix[QINS_SAFETENSORS_PREFIX], uint64_t file_bytes,
                                     qins_error *error) {
    qins_cursor cursor = {.data = prefix, .size = QINS_SAFETENSORS_PREFIX, .error = error};
    uint64_t bytes = qins_cursor_u64(&cursor, "header length");
    if (bytes == 0 || bytes > QINS_SAFETENSORS_MAX_HEADER) {
        qins_fail(error, QINS_BAD_MODEL, "this is not a safetensors file (its header would have %" PRIu64 " bytes)",
                  bytes);
        return 0;
    }
    if (file_bytes < QINS_SAFETENSORS_PREFIX || bytes > file_bytes - QINS_SAFETENSORS_PREFIX) {
        qins_fail(error, QINS_BAD_MODEL,
                  "the header of %" PRIu64 " bytes does not fit the file of %" PRIu64
                  "; it was cut off: download it again",
                  bytes, file_bytes);
        return 0;
    }
    return (size_t)bytes;
}

// Sizes along the dimensions, and *bits = the bits of the whole tensor.
static void read_shape(qins_source_tensor *tensor, const qins_json *object, size_t *bits, qins_error *error) {
    const qins_json *shape = qins_json_get(object, "shape");
    if (!qins_json_is_array(shape) || qins_json_count(shape) > QINS_SAFETENSORS_MAX_RANK) {
        qins_fail(error, QINS_BAD_MODEL, "\"shape\" must be an array of at most %d sizes", QINS_SAFETENSORS_MAX_RANK);
        return;
    }
    *bits = tensor->dtype->bits;
    for (const qins_json *item = qins_json_first(shape); item != NULL; item = qins_json_next(item)) {
        int64_t size;
        if (!qins_json_integer(item, &size) || size < 0)
            qins_fail(error, QINS_BAD_MODEL, "\"shape\"[%zu] is not a size", tensor->rank);
        else if (!qins_multiply(*bits, (size_t)size, bits))
            qins_fail(error, QINS_BAD_MODEL, "\"shape\" gives more bytes than this machine can address");
        else
            tensor->shape[tensor->rank++] = (size_t)size;
    }
}

static void read_offsets(qins_source_tensor *tensor, const qins_json *object, uint64_t data_bytes, qins_error *error) {
    const qins_json *offsets = qins_json_get(object, "data_offsets");
    const qins_json *first = qins_json_first(offsets);
    int64_t begin, end;
    if (!qins_json_is_array(offsets) || qins_json_count(offsets) != 2 || !qins_json_integer(first, &begin) ||
        !qins_json_integer(qins_json_next(first), &end) || begin < 0 || end < begin) {
        qins_fail(error, QINS_BAD_MODEL, "\"data_offsets\" must be two byte offsets [begin, end]");
        return;
    }
    if ((uint64_t)end > data_bytes)
        qins_fail(error, QINS_BAD_MODEL,
                  "its bytes %" PRId64 " to %" PRId64 " lie outside the file's %" PRIu64
                  " bytes of data; the file was cut off: download it again",
                  begin, end, data_bytes);
    tensor->offset = (uint64_t)begin;
    tensor->bytes = (uint64_t)(end - begin);
}

static void read_tensor(qins_source_tensor *tensor, const qins_json *object, uint64_t data_bytes, qins_error *error) {
    const char *dtype = qins_json_get_string(object, "dtype", QINS_BAD_MODEL, error);
    tensor->dtype = find_dtype(dtype);
    if (tensor->dtype == NULL) {
        qins_fail(error, QINS_BAD_MODEL, "dtype \"%s\" is unknown", dtype);
        return;
    }
    size_t bits = 0;
    read_shape(tensor, object, &bits, error);
    read_offsets(tensor, object, data_bytes, error);
    if (error->status == QINS_OK && (bits % 8 != 0 || bits / 8 != tensor->bytes))
        qins_fail(error, QINS_BAD_MODEL, "%" PRIu64 " bytes of data for a shape and dtype of %zu bytes", tensor->bytes,
                  bits / 8);
}

static int by_offset(const void *left, const void *right) {
    const qins_source_tensor *a = left, *b = right;
    if (a->offset != b->offset) return a->offset < b->offset ? -1 : 1;
    return (a->bytes > b->bytes) - (a->bytes < b->bytes); // an empty one comes before the one with its bytes there
}

// The format requires the tensors to lie end to end from the first byte of the data to the last.
static qins_status check_cover(const qins_safetensors *header, uint64_t data_bytes, qins_error *error) {
    uint64_t end = 0;
    for (size_t i = 0; i < header->n_tensors; i++) {
        const qins_source_tensor *tensor = &header->tensors[i];
        if (tensor->offset != end)
            return qins_fail(error, QINS_BAD_MODEL,
                             "tensor %s begins at byte %" PRIu64
                             " of the data, %s the end of the one before at %" PRIu64,
                             tensor->name, tensor->offset, tensor->offset < end ? "before" : "after", end);
        end += tensor->bytes;
    }
    if (end != data_bytes)
        return qins_fail(error, QINS_BAD_MODEL, "the tensors end at byte %" PRIu64 " of %" PRIu64 " bytes of data", end,
                         data_bytes);
    return QINS_OK;
}

static void read_tensors(qins_safetensors *header, uint64_t data_bytes, qins_error *error) {
    header->tensors = qins_alloc(qins_json_count(header->json), sizeof *header->tensors, "list of tensors", error);
    if (header->tensors == NULL) return;
    for (const qins_json *item = qins_json_first(header->json); item != NULL; item = qins_json_next(item)) {
        if (strcmp(qins_json_key(item), "__metadata__") == 0) continue;
        qins_source_tensor *tensor = &header->tensors[header->n_tensors++];
        tensor->name = tensor->stored = qins_json_key(item);
        read_tensor(tensor, item, data_bytes, error);
        if (qins_error_context(error, "tensor %s", tensor->name) != QINS_OK) return;
    }
    qsort(header->tensors, header->n_tensors, sizeof *header->tensors, by_offset);
    check_cover(header, data_bytes, error);
}

qins_status qins_safetensors_parse(qins_safetensors *header, const char *json, size_t size, uint64_t data_bytes,
                                   qins_error *error) {
    *header = (qins_safetensors){0};
    if (size == 0 || json[0] != '{')
        return qins_fail(error, QINS_BAD_MODEL, "this is not a safetensors file (its header does not begin with {)");
    header->json = qins_json_parse_limited(json, size, MAX_JSON_VALUES, QINS_BAD_MODEL, error);
    if (header->json == NULL) return qins_error_context(error, "header");
    read_tensors(header, data_bytes, error);
    return error->status;
}

void qins_safetensors_free(qins_safetensors *header) {
    qins_json_free(header->json);
    free(header->tensors);
    *header = (qins_safetensors){0};
}

void qins_shape_print(char *text, size_t capacity, const size_t *shape, size_t rank) {
    size_t used = (size_t)snprintf(text, capacity, "[");
    for (size_t i = 0; i < rank && used < capacity; i++)
        used += (size_t)snprintf(text + used, capacity - used, "%s%zu", i == 0 ? "" : ", ", shape[i]);
    if (used < capacity) snprintf(text + used, capacity - used, "]");
}
