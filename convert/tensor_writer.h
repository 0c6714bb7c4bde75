// The tensors of a conversion on their way into the file, in the order of the schema: each is encoded, written, and
// counted in the report, and progress is reported. Does not know where the costs of errors come from.
#ifndef QINS_CONVERT_TENSOR_WRITER_H
#define QINS_CONVERT_TENSOR_WRITER_H

#include "convert/convert.h"
#include "convert/encode_tensor.h"
#include "engine/format/writer.h"

typedef struct qins_tensor_writer {
    // The caller's members; they must outlive the writer.
    const qins_convert_options *options;
    qins_convert_report *report; // hashes, errors and costs of the tensors are filled in
    const qins_rows *rows;       // [n_tensors]: the header's tensors in the checkpoint
    const char *folder;          // the checkpoint's, for messages
    qins_pool *pool;
    qins_writer *writer;
    qins_progress *progress; // NULL: not reported
    void *context;           // of progress
    // The writer's own members.
    size_t next;             // tensor
    uint8_t *payload;        // owned, of the last tensor that was requested as a matrix
    uint8_t *copy;           // the rest of a payload goes there, too; NULL: only into the file
    uint64_t done, total;    // bytes
    double work, total_work; // in units of bytes that are only copied or encoded: calibrated ones take longer
    double work_per_byte;    // of the tensor that is being written
} qins_tensor_writer;

// Begin, with the caller's members set and all others zero. Release with qins_tensor_writer_free, also after a failure.
qins_status qins_tensor_writer_begin(qins_tensor_writer *tensors, qins_error *error);
void qins_tensor_writer_free(qins_tensor_writer *tensors);

// Write every tensor before `end` that is not yet written, with all errors costing the same.
qins_status qins_tensor_writer_write(qins_tensor_writer *tensors, size_t end, qins_error *error);

// Write every tensor before `index`, and then that one, whose errors cost as `costs` says (NULL: all the same).
// *encoded, valid until the next call: the stored matrix.
qins_status qins_tensor_writer_encode(qins_tensor_writer *tensors, size_t index, const qins_input_costs *costs,
                                      qins_matrix *encoded, qins_error *error);

// Report progress; QINS_INTERRUPTED if the answer is to stop.
qins_status qins_tensor_writer_report(const qins_tensor_writer *tensors, qins_error *error);

// Put a tensor's errors, measured or expected, into the header and the report.
void qins_count_encoded(qins_convert_report *report, qins_tensor *tensor, const qins_encoded *encoded);

#endif
