// Conversion of a Hugging Face Phi3ForCausalLM folder to a .qins file: the converter as a library. qinsconvert and
// qinsrun -m HF_DIR are its callers.
#ifndef QINS_CONVERT_H
#define QINS_CONVERT_H

#include "engine/base/pool.h"
#include "engine/base/progress.h"
#include "engine/format/header.h"
#include "engine/kernels/code.h"

#define QINS_CONVERTER "qinsconvert " QINS_VERSION // recorded in the file

// Called with one line (no newline): a warning, or a problem with the checkpoint when more may follow.
typedef void qins_notice(void *context, const char *line);

// The type of the tensors whose name, or role, matches a pattern.
typedef struct qins_type_rule {
    char pattern[128]; // with the shell's wildcards
    qins_type type;
} qins_type_rule;

enum { QINS_MAX_TYPE_RULES = 64 };

typedef struct qins_convert_options {
    qins_type weight_type; // of the layers' matrices: a coded type, QINS_BF16 or QINS_F32
    // Exceptions to the rule of qins_plan_type; the last one that matches a tensor counts.
    qins_type_rule rules[QINS_MAX_TYPE_RULES];
    size_t n_rules;
    const char *lora;      // folder of a LoRA adapter to merge; NULL: none
    double plan_bits;      // instead of weight_type: types that take this many bits per weight on average; 0: none
    const char *calibrate; // text file to calibrate the codes of coded tensors with; NULL: none
    size_t calibrate_tokens;
    bool expect_errors;        // qins_convert_plan: estimate the tensors' errors from a sample of rows
    bool calibrate_search;     // weight errors only by the squares of the inputs; otherwise error feedback
    const char *chat_template; // name of the chat format to use; NULL: the checkpoint's template is recognized
    size_t n_threads;
    qins_pool *pool;     // works on it; NULL: n_threads of its own, which end with it
    qins_notice *notice; // NULL: warnings are dropped, and the error message carries the problems that fit
    void *notice_context;
} qins_convert_options;

// Size and error of some of the tensors.
typedef struct qins_convert_cost {
    size_t n_tensors;
    uint64_t values; // numbers, without padding
    uint64_t bytes;  // in the file
    double squares;  // sum source^2
    double error;    // sum (source - stored)^2
} qins_convert_cost;

// The plan of a conversion and, when done, its cost. Only qins_convert_report_free needs to be called to release it;
// after qins_convert, the header is all that it owns.
typedef struct qins_convert_report {
    qins_header header; // complete once qins_convert returns
    uint64_t source_bytes, file_bytes;
    qins_convert_cost costs[QINS_ROLE_COUNT][QINS_TYPE_COUNT]; // squares and error: qins_convert_plan's are expected
    // Owned, [n_tensors]: each tensor's file as an index of header.sources; qins_convert_plan only.
    size_t *tensor_source;
} qins_convert_report;

// Only the plan: reads every header and checks every name and shape; of the weights it reads only what plan_bits and
// expect_errors need. The report's header has types, sizes, offsets and, on request, expected errors (without
// calibration). Release it also after a failure.
qins_status qins_convert_plan(const char *hf_dir, const qins_convert_options *options, qins_progress *progress,
                              void *context, qins_convert_report *report, qins_error *error);

// Convert into an open, empty, seekable descriptor; `name` stands for it in messages. Memory stays bounded (tensors are
// streamed in pieces of rows). The same folder and options give the same bytes on every machine, for any thread count;
// if calibrated, only on the same kind of processor and with the same BLAS library. Progress is counted in bytes
// written, or, where tensors are calibrated, in bytes in proportion to the work; it is reported from any of the
// threads, one call at a time.
qins_status qins_convert(const char *hf_dir, int fd, const char *name, const qins_convert_options *options,
                         qins_progress *progress, void *context, qins_convert_report *report, qins_error *error);

void qins_convert_report_free(qins_convert_report *report);

#endif
