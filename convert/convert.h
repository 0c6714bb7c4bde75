// Conversion of a Hugging Face Phi3ForCausalLM folder to a .qins file: the converter as a library. qinsconvert and
// qinsrun -m HF_DIR are its callers.
#ifndef QINS_CONVERT_H
#define QINS_CONVERT_H

#include "engine/base/progress.h"
#include "engine/kernels/code.h"
#include "engine/model/header.h"

#define QINS_CONVERTER "qinsconvert 0.1.0" // recorded in the file

// Told one line (no newline) of a warning, or of a problem with the checkpoint while there may be more of them.
typedef void qins_notice(void *context, const char *line);

typedef struct qins_convert_options {
    qins_type weight_type; // of the layers' matrices: a coded type, QINS_BF16 or QINS_F32
    bool head_given;       // head_type was asked for; otherwise lm_head follows the rule of qins_plan_type
    qins_type head_type;   // default: qins_plan_type
    const char *calibrate; // text file to calibrate the codes of coded tensors with; NULL: none
    size_t calibrate_tokens;
    bool calibrate_search; // weigh errors by the inputs' squares only; otherwise error feedback
    size_t n_threads;
    qins_notice *notice; // NULL: warnings are dropped, and the error message carries the problems that fit
    void *notice_context;
} qins_convert_options;

// What the tensors of one role hold and lost.
typedef struct qins_role_report {
    size_t n_tensors;
    uint64_t values; // numbers, without padding
    uint64_t bytes;  // in the file
    double squares;  // sum source^2
    double error;    // sum (source - stored)^2
} qins_role_report;

// What the conversion will do, and, when done, what it cost. Nothing needs to be released but what
// qins_convert_report_free releases; after qins_convert that is only the header.
typedef struct qins_convert_report {
    qins_header header; // complete once qins_convert returns
    uint64_t source_bytes, file_bytes;
    qins_role_report roles[QINS_ROLE_COUNT]; // squares and error: qins_convert only
    size_t
        *tensor_source; // owned, [n_tensors]: each tensor's file as an index of header.sources; qins_convert_plan only
} qins_convert_report;

// The plan alone: reads every header and checks every name and shape, but no weights. The report's header has types,
// sizes and offsets. Release it also after a failure.
qins_status qins_convert_plan(const char *hf_dir, const qins_convert_options *options, qins_convert_report *report,
                              qins_error *error);

// Convert into an open, empty, seekable descriptor; `name` stands for it in messages. Memory stays bounded (tensors are
// streamed in pieces of rows). The same folder and options give the same bytes for any number of threads; calibrated,
// on the same kind of processor and with the same BLAS library only. Progress is counted in bytes written, or, where
// tensors are calibrated, in bytes in proportion to the work; it is reported from any of the threads, one call at a
// time.
qins_status qins_convert(const char *hf_dir, int fd, const char *name, const qins_convert_options *options,
                         qins_progress *progress, void *context, qins_convert_report *report, qins_error *error);

void qins_convert_report_free(qins_convert_report *report);

#endif
