// Header of a .qins file: JSON both ways and the layout rule; see header.h and FORMAT.md.
#include "engine/format/header.h"

#include "engine/base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

qins_status qins_header_init(qins_header *header, const qins_config *config, qins_error *error) {
    *header = (qins_header){.config = *config, .n_tensors = qins_schema_count(config)};
    header->tensors = qins_alloc(header->n_tensors, sizeof *header->tensors, "tensor list", error);
    if (header->tensors == NULL) return error->status;
    for (size_t i = 0; i < header->n_tensors; i++) header->tensors[i].spec = qins_schema_entry(config, i);
    return QINS_OK;
}

void qins_header_free(qins_header *header) {
    free(header->sources);
    free(header->tensors);
    free(header->chat_system);
    free(header->chat_system_prefix);
    *header = (qins_header){0};
}

// *end = *end aligned, + bytes; the aligned start goes to *offset.
static bool place(uint64_t *end, uint64_t bytes, uint64_t *offset) {
    if (*end > UINT64_MAX / 2 || bytes > UINT64_MAX / 4) return false;
    *offset = (*end + QINS_ALIGNMENT - 1) / QINS_ALIGNMENT * QINS_ALIGNMENT;
    *end = *offset + bytes;
    return true;
}

bool qins_header_tensor_bytes(const qins_header *header, const qins_tensor *tensor, size_t *bytes) {
    return qins_matrix_bytes(tensor->type, qins_schema_layout(&header->config, tensor->spec.role, tensor->type),
                             tensor->spec.rows, tensor->spec.cols, bytes);
}

qins_status qins_header_layout(qins_header *header, uint64_t header_bytes, uint64_t *file_bytes, qins_error *error) {
    uint64_t end = QINS_PREAMBLE_BYTES + header_bytes;
    bool fits = place(&end, header->tokenizer_bytes, &header->tokenizer_offset);
    for (size_t i = 0; i < header->n_tensors && fits; i++) {
        qins_tensor *tensor = &header->tensors[i];
        size_t bytes;
        fits = qins_header_tensor_bytes(header, tensor, &bytes) && place(&end, tensor->bytes = bytes, &tensor->offset);
    }
    if (!fits) return qins_fail(error, QINS_BAD_MODEL, "the tensors are larger than this machine can address");
    *file_bytes = end;
    return QINS_OK;
}

static void add_hash(qins_json *object, const char *key, uint64_t hash, qins_error *error) {
    char text[17];
    snprintf(text, sizeof text, "%016" PRIx64, hash);
    qins_json_add_string(object, key, text, error);
}

static void add_tensor(qins_json *array, const qins_tensor *tensor, qins_error *error) {
    qins_json *object = qins_json_append_object(array, error);
    qins_json_add_string(object, "name", tensor->spec.name, error);
    qins_json_add_string(object, "type", qins_types[tensor->type].name, error);
    qins_json_add_number(object, "rows", (double)tensor->spec.rows, error);
    qins_json_add_number(object, "cols", (double)tensor->spec.cols, error);
    qins_json_add_number(object, "offset", (double)tensor->offset, error);
    qins_json_add_number(object, "bytes", (double)tensor->bytes, error);
    add_hash(object, "hash", tensor->hash, error);
    qins_json_add_string(object, "source_type", tensor->source_type, error);
    add_hash(object, "source_hash", tensor->source_hash, error);
    qins_json_add_number(object, "error", tensor->error, error);
}

static void add_source(qins_json *object, const qins_source *source, qins_error *error) {
    qins_json_add_string(object, "name", source->name, error);
    qins_json_add_number(object, "bytes", (double)source->bytes, error);
    add_hash(object, "hash", source->hash, error);
}

static void add_chat(qins_json *root, const qins_header *header, qins_error *error) {
    qins_json_add_string(root, "chat_template", header->chat_template, error);
    if (header->chat_start[0] != '\0') qins_json_add_string(root, "chat_start", header->chat_start, error);
    if (header->chat_system != NULL) qins_json_add_string(root, "chat_system", header->chat_system, error);
    if (header->chat_system_prefix != NULL)
        qins_json_add_string(root, "chat_system_prefix", header->chat_system_prefix, error);
    if (header->chat_no_system) qins_json_add_bool(root, "chat_no_system", true, error);
}

char *qins_header_print(const qins_header *header, size_t *size, qins_error *error) {
    qins_json *root = qins_json_new_object(error);
    qins_config_to_json(&header->config, qins_json_add_object(root, "config", error), error);
    add_chat(root, header, error);
    if (header->tokenizer_bytes > 0) {
        qins_json *tokenizer = qins_json_add_object(root, "tokenizer", error);
        qins_json_add_number(tokenizer, "offset", (double)header->tokenizer_offset, error);
        qins_json_add_number(tokenizer, "bytes", (double)header->tokenizer_bytes, error);
        add_hash(tokenizer, "hash", header->tokenizer_hash, error);
    }
    qins_json *provenance = qins_json_add_object(root, "provenance", error);
    qins_json_add_string(provenance, "converter", header->converter, error);
    qins_json *sources = qins_json_add_array(provenance, "sources", error);
    for (size_t i = 0; i < header->n_sources; i++)
        add_source(qins_json_append_object(sources, error), &header->sources[i], error);
    if (header->calibration_tokens > 0) {
        qins_json *calibration = qins_json_add_object(provenance, "calibration", error);
        add_source(calibration, &header->calibration, error);
        qins_json_add_number(calibration, "tokens", (double)header->calibration_tokens, error);
        qins_json_add_string(calibration, "method", header->calibration_method, error);
    }
    qins_json *tensors = qins_json_add_array(root, "tensors", error);
    for (size_t i = 0; i < header->n_tensors; i++) add_tensor(tensors, &header->tensors[i], error);
    char *text = qins_json_print(root, error);
    qins_json_free(root);
    if (text != NULL) *size = strlen(text);
    return text;
}

// Copy a string member into a fixed array; too long is an error.
static void get_text(char *text, size_t capacity, const qins_json *object, const char *key, qins_error *error) {
    const char *value = qins_json_get_string(object, key, QINS_BAD_MODEL, error);
    if (strlen(value) >= capacity)
        qins_fail(error, QINS_BAD_MODEL, "\"%s\" is longer than %zu bytes", key, capacity - 1);
    else
        memcpy(text, value, strlen(value) + 1);
}

// `digits` hexadecimal digits, lower case; false when the text is anything else.
static bool parse_hex(const char *text, int digits, uint64_t *value) {
    *value = 0;
    for (int i = 0; i < digits; i++) {
        const char *alphabet = "0123456789abcdef";
        const char *digit = text[i] == '\0' ? NULL : strchr(alphabet, text[i]);
        if (digit == NULL) return false;
        *value = *value << 4 | (uint64_t)(digit - alphabet);
    }
    return true;
}

static uint64_t get_hash(const qins_json *object, const char *key, qins_error *error) {
    const char *text = qins_json_get_string(object, key, QINS_BAD_MODEL, error);
    uint64_t hash;
    if (strlen(text) == 16 && parse_hex(text, 16, &hash)) return hash;
    qins_fail(error, QINS_BAD_MODEL, "\"%s\" must be 16 hexadecimal digits", key);
    return 0;
}

static uint64_t get_size(const qins_json *object, const char *key, qins_error *error) {
    return (uint64_t)qins_json_get_integer(object, key, 0, INT64_C(1) << 53, QINS_BAD_MODEL, error);
}

static void get_tensor(qins_tensor *tensor, const qins_json *object, qins_error *error) {
    const qins_tensor_spec *spec = &tensor->spec;
    const char *name = qins_json_get_string(object, "name", QINS_BAD_MODEL, error);
    if (strcmp(name, spec->name) != 0)
        qins_fail(error, QINS_BAD_MODEL, "found tensor \"%s\" where \"%s\" is expected", name, spec->name);
    uint64_t rows = get_size(object, "rows", error), cols = get_size(object, "cols", error);
    if (rows != spec->rows || cols != spec->cols)
        qins_fail(error, QINS_BAD_MODEL, "shape [%" PRIu64 ", %" PRIu64 "] found, [%zu, %zu] expected", rows, cols,
                  spec->rows, spec->cols);
    const char *type = qins_json_get_string(object, "type", QINS_BAD_MODEL, error);
    if (!qins_type_from_name(type, &tensor->type))
        qins_fail(error, QINS_BAD_MODEL, "type \"%s\" is unknown; a newer version may read it", type);
    else if (!qins_schema_allows(spec->role, tensor->type))
        qins_fail(error, QINS_BAD_MODEL, "type %s is not allowed for the role %s", type, qins_role_name(spec->role));
    tensor->offset = get_size(object, "offset", error);
    tensor->bytes = get_size(object, "bytes", error);
    tensor->hash = get_hash(object, "hash", error);
    get_text(tensor->source_type, sizeof tensor->source_type, object, "source_type", error);
    tensor->source_hash = get_hash(object, "source_hash", error);
    tensor->error = qins_json_get_number(object, "error", 0, 1e300, QINS_BAD_MODEL, error);
    qins_error_context(error, "tensor %s", spec->name);
}

static void get_source(qins_source *source, const qins_json *object, qins_error *error) {
    get_text(source->name, sizeof source->name, object, "name", error);
    source->bytes = get_size(object, "bytes", error);
    source->hash = get_hash(object, "hash", error);
}

static void get_provenance(qins_header *header, const qins_json *provenance, qins_error *error) {
    get_text(header->converter, sizeof header->converter, provenance, "converter", error);
    const qins_json *sources = qins_json_get(provenance, "sources");
    if (!qins_json_is_array(sources)) {
        qins_fail(error, QINS_BAD_MODEL, "\"sources\" must be a list");
        return;
    }
    size_t count = qins_json_count(sources);
    if (count > QINS_MAX_SOURCES) {
        qins_fail(error, QINS_BAD_MODEL, "%zu sources; at most %d are allowed", count, QINS_MAX_SOURCES);
        return;
    }
    header->sources = qins_alloc(count, sizeof *header->sources, "list of sources", error);
    if (header->sources == NULL) return;
    const qins_json *item = qins_json_first(sources);
    for (; item != NULL && error->status == QINS_OK; item = qins_json_next(item))
        get_source(&header->sources[header->n_sources++], item, error);
    const qins_json *calibration = qins_json_get(provenance, "calibration");
    if (calibration == NULL) return;
    get_source(&header->calibration, calibration, error);
    header->calibration_tokens = get_size(calibration, "tokens", error);
    get_text(header->calibration_method, sizeof header->calibration_method, calibration, "method", error);
    if (header->calibration_tokens == 0) qins_fail(error, QINS_BAD_MODEL, "a calibration without tokens");
}

// A copy of an optional text; NULL when it is absent.
static char *get_optional_text(const qins_json *object, const char *key, qins_error *error) {
    if (qins_json_get(object, key) == NULL) return NULL;
    const char *value = qins_json_get_string(object, key, QINS_BAD_MODEL, error);
    return qins_copy_text(value, strlen(value), key, error);
}

static void get_chat(qins_header *header, const qins_json *root, qins_error *error) {
    get_text(header->chat_template, sizeof header->chat_template, root, "chat_template", error);
    if (qins_json_get(root, "chat_start") != NULL)
        get_text(header->chat_start, sizeof header->chat_start, root, "chat_start", error);
    header->chat_system = get_optional_text(root, "chat_system", error);
    header->chat_system_prefix = get_optional_text(root, "chat_system_prefix", error);
    header->chat_no_system = qins_json_get_bool_or(root, "chat_no_system", false, QINS_BAD_MODEL, error);
}

static void get_header(qins_header *header, const qins_json *root, qins_error *error) {
    qins_config config;
    qins_config_from_json(&config, qins_json_get(root, "config"), error);
    if (qins_error_context(error, "config") != QINS_OK) return;
    const qins_json *tensors = qins_json_get(root, "tensors");
    if (!qins_json_is_array(tensors)) {
        qins_fail(error, QINS_BAD_MODEL, "\"tensors\" must be a list");
        return;
    }
    size_t count = qins_json_count(tensors);
    if (count != qins_schema_count(&config)) { // before anything of that size is allocated
        qins_fail(error, QINS_BAD_MODEL, "%zu tensors listed, %zu expected for %zu layers", count,
                  qins_schema_count(&config), config.n_layers);
        return;
    }
    if (qins_header_init(header, &config, error) != QINS_OK) return;
    const qins_json *item = qins_json_first(tensors);
    for (size_t i = 0; item != NULL && error->status == QINS_OK; item = qins_json_next(item))
        get_tensor(&header->tensors[i++], item, error);
    get_chat(header, root, error);
    const qins_json *tokenizer = qins_json_get(root, "tokenizer");
    if (tokenizer != NULL) {
        header->tokenizer_offset = get_size(tokenizer, "offset", error);
        header->tokenizer_bytes = get_size(tokenizer, "bytes", error);
        if (header->tokenizer_bytes == 0) qins_fail(error, QINS_BAD_MODEL, "the tokenizer section is empty");
        if (header->tokenizer_bytes > QINS_MAX_FILE_TOKENIZER)
            qins_fail(error, QINS_BAD_MODEL, "the tokenizer section has %" PRIu64 " bytes; at most %d are supported",
                      header->tokenizer_bytes, QINS_MAX_FILE_TOKENIZER);
        header->tokenizer_hash = get_hash(tokenizer, "hash", error);
    }
    get_provenance(header, qins_json_get(root, "provenance"), error);
}

qins_status qins_header_parse(qins_header *header, const char *json, size_t size, qins_error *error) {
    *header = (qins_header){0};
    qins_json *root = qins_json_parse_limited(json, size, QINS_MAX_HEADER_VALUES, QINS_BAD_MODEL, error);
    if (root == NULL) return error->status;
    if (qins_json_check_unique(root, QINS_BAD_MODEL, error) == QINS_OK) get_header(header, root, error);
    qins_json_free(root);
    return error->status;
}
