// From the checkpoint's rows to the file's tensors; see tensor_writer.h.
#include "convert/tensor_writer.h"

#include "engine/base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// The work of making a tensor, in bytes that are only copied or encoded: calibrated tensors take far longer.
static double work_of(const qins_tensor_writer *tensors, const qins_tensor *tensor) {
    const double operations_per_byte = 120; // that take as long as copying it; only affects shares of the whole
    const double n = (double)tensors->report->header.calibration_tokens, bytes = (double)tensor->bytes;
    const double rows = (double)tensor->spec.rows, cols = (double)tensor->spec.cols;
    if (n == 0 || !qins_type_is_coded(tensor->type)) return bytes;
    const double product = 2 * n * rows * cols;
    if (tensors->options->calibrate_search) return bytes + product / operations_per_byte;
    const double hessian = (2 * n + cols) * cols * cols, feedback = rows * cols * cols;
    return bytes + (hessian + feedback + 2 * product) / operations_per_byte;
}

// In bytes in proportion to the work.
qins_status qins_tensor_writer_report(const qins_tensor_writer *tensors, qins_error *error) {
    const double share = tensors->work / tensors->total_work;
    const uint64_t total = tensors->total, done = tensors->done == total ? total : (uint64_t)(share * (double)total);
    if (tensors->progress == NULL || tensors->progress(tensors->context, done, total)) return QINS_OK;
    return qins_fail(error, QINS_INTERRUPTED, "interrupted");
}

qins_status qins_tensor_writer_begin(qins_tensor_writer *tensors, qins_error *error) {
    const qins_header *header = &tensors->report->header;
    for (size_t i = 0; i < header->n_tensors; i++) {
        tensors->total += header->tensors[i].bytes;
        tensors->total_work += work_of(tensors, &header->tensors[i]);
    }
    return qins_tensor_writer_report(tensors, error); // it may ask to stop before the first byte
}

void qins_tensor_writer_free(qins_tensor_writer *tensors) {
    free(tensors->payload);
    tensors->payload = NULL;
}

void qins_count_encoded(qins_convert_report *report, qins_tensor *tensor, const qins_encoded *encoded) {
    qins_convert_cost *cost = &report->costs[tensor->spec.role][tensor->type];
    tensor->error = encoded->error == 0 ? 0 : sqrt(encoded->error / encoded->squares);
    cost->squares += encoded->squares;
    cost->error += encoded->error;
}

// The sink of qins_encode_tensor.
static qins_status write_payload(void *context, const void *bytes, size_t size, qins_error *error) {
    qins_tensor_writer *tensors = context;
    if (qins_writer_append(tensors->writer, bytes, size, error) != QINS_OK) return error->status;
    if (tensors->copy != NULL) {
        memcpy(tensors->copy, bytes, size);
        tensors->copy += size;
    }
    tensors->done += size;
    tensors->work += (double)size * tensors->work_per_byte;
    return qins_tensor_writer_report(tensors, error);
}

static void encode_next(qins_tensor_writer *tensors, const qins_input_costs *costs, qins_error *error) {
    qins_header *header = &tensors->report->header;
    const size_t index = tensors->next++;
    qins_tensor *tensor = &header->tensors[index];
    const qins_layout layout = qins_schema_layout(&header->config, tensor->spec.role, tensor->type);
    qins_encoded encoded;
    tensors->work_per_byte = work_of(tensors, tensor) / (double)tensor->bytes;
    if (qins_encode_tensor(tensors->pool, &tensors->rows[index], tensor->type, layout, costs, write_payload, tensors,
                           &encoded, error) != QINS_OK)
        return;
    tensor->source_hash = encoded.source_hash;
    qins_count_encoded(tensors->report, tensor, &encoded);
    if (!isfinite(tensor->error))
        qins_fail(error, QINS_BAD_MODEL, "%s: tensor %s: its codes have an error that is not finite", tensors->folder,
                  tensor->spec.name);
}

qins_status qins_tensor_writer_write(qins_tensor_writer *tensors, size_t end, qins_error *error) {
    while (tensors->next < end && error->status == QINS_OK) encode_next(tensors, NULL, error);
    return error->status;
}

qins_status qins_tensor_writer_encode(qins_tensor_writer *tensors, size_t index, const qins_input_costs *costs,
                                      qins_matrix *encoded, qins_error *error) {
    const qins_tensor *tensor = &tensors->report->header.tensors[index];
    qins_tensor_writer_write(tensors, index, error);
    free(tensors->payload);
    tensors->payload = qins_alloc(1, (size_t)tensor->bytes, "an encoded tensor", error);
    if (error->status != QINS_OK) return error->status;
    tensors->copy = tensors->payload;
    encode_next(tensors, costs, error);
    tensors->copy = NULL;
    *encoded = (qins_matrix){.type = tensor->type,
                             .layout = QINS_PANELS,
                             .rows = tensor->spec.rows,
                             .cols = tensor->spec.cols,
                             .data = tensors->payload};
    return error->status;
}
