// Conversion of a Hugging Face Phi3ForCausalLM folder to a .qins file: the converter as a library. qinsconvert and
// qinsrun -m HF_DIR are its callers.
#ifndef QINS_CONVERT_H
#define QINS_CONVERT_H

#include "engine/base/progress.h"
#include "engine/kernels/codec.h"
#include "engine/model/header.h"

#define QINS_CONVERTER "qinsconvert 0.1.0" // recorded in the file

typedef struct qins_convert_options {
    qins_type weight_type; // of the layers' matrices: QINS_QINS8, QINS_BF16 or QINS_F32
    bool head_given;       // head_type was asked for; otherwise lm_head follows the default rule
    qins_type head_type;   // default rule: F32 with weight_type F32; else 16-bit sources as they are, F32 becomes BF16
    qins_curve curve;      // of coded tensors
    size_t n_threads;
} qins_convert_options;

// What the conversion will do with one tensor, and, when done, what it cost.
typedef struct qins_convert_report {
    qins_header header; // complete once qins_convert returns
    uint64_t source_bytes, file_bytes;
} qins_convert_report;

// The plan alone: reads every header and checks every name and shape, but no weights. The report's header has types,
// sizes and offsets. Release it with qins_header_free, also after a failure.
qins_status qins_convert_plan(const char *hf_dir, const qins_convert_options *options, qins_convert_report *report,
                              qins_error *error);

// Convert into an open, empty, seekable descriptor; `name` stands for it in messages. Memory stays bounded (tensors are
// streamed in pieces of rows). The same folder and options give the same bytes for any number of threads.
qins_status qins_convert(const char *hf_dir, int fd, const char *name, const qins_convert_options *options,
                         qins_progress *progress, void *context, qins_convert_report *report, qins_error *error);

#endif
