// Printing of plans and costs; see print.h.
#include "convert/print.h"

#include "engine/base/escape.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static void add_role(qins_role_report *total, const qins_role_report *role) {
    total->n_tensors += role->n_tensors;
    total->values += role->values;
    total->bytes += role->bytes;
    total->squares += role->squares;
    total->error += role->error;
}

static double bits_per_weight(const qins_role_report *role) {
    return role->values == 0 ? 0 : 8.0 * (double)role->bytes / (double)role->values;
}

void qins_print_plan(FILE *stream, const qins_convert_report *report) {
    const qins_header *header = &report->header;
    qins_role_report total = {0};
    for (size_t i = 0; i < header->n_tensors; i++) {
        const qins_tensor *tensor = &header->tensors[i];
        const char *source = header->sources[report->tensor_source[i]].name;
        fprintf(stream, "%-48s  %s %-4s  [%zu, %zu]  %s  offset %" PRIu64 "  %" PRIu64 " bytes\n", tensor->spec.name,
                QINS_ESCAPED(source), tensor->source_type, tensor->spec.rows, tensor->spec.cols,
                qins_types[tensor->type].name, tensor->offset, tensor->bytes);
    }
    for (int i = 0; i < QINS_ROLE_COUNT; i++) add_role(&total, &report->roles[i]);
    fprintf(stream,
            "total: %zu tensors, %" PRIu64 " weights, %" PRIu64 " bytes in the checkpoint, %" PRIu64
            " bytes in the file, %.3f bits per weight (of tensors only, with their scales and padding)\n",
            total.n_tensors, total.values, report->source_bytes, report->file_bytes, bits_per_weight(&total));
    fprintf(stream, "tokenizer: %" PRIu64 " bytes; chat template: %s\n", header->tokenizer_bytes,
            header->chat_template);
}

static void print_role(FILE *stream, const char *name, const qins_role_report *role) {
    if (role->n_tensors == 0) return;
    fprintf(stream, "  %-10s %7zu %12.3f %12.2f %12.3f", name, role->n_tensors, (double)role->values / 1e6,
            (double)role->bytes / 1e6, bits_per_weight(role));
    if (role->error > 0)
        fprintf(stream, " %12.3e %8.2f\n", sqrt(role->error / role->squares), 10 * log10(role->squares / role->error));
    else
        fprintf(stream, " %12s %8s\n", "0", "exact");
}

void qins_print_costs(FILE *stream, const qins_convert_report *report, const char *path, double seconds) {
    qins_role_report total = {0};
    fprintf(stream, "  %-10s %7s %12s %12s %12s %12s %8s\n", "kind", "tensors", "M weights", "MB", "bits/weight",
            "rel. error", "SNR, dB");
    for (int i = 0; i < QINS_ROLE_COUNT; i++) {
        print_role(stream, qins_role_name((qins_role)i), &report->roles[i]);
        add_role(&total, &report->roles[i]);
    }
    print_role(stream, "total", &total);
    fprintf(stream, "  bits/weight counts all bytes of the tensors, scales and padding included, over their weights\n");
    if (report->header.calibration_tokens > 0)
        fprintf(stream,
                "  calibrated: codes are chosen for small errors of the layers' outputs on the text, which makes the "
                "errors of the weights themselves larger\n");
    fprintf(stream, "%s: %.1f MB from %.1f MB of weights, %.1f s\n", path, (double)report->file_bytes / 1e6,
            (double)report->source_bytes / 1e6, seconds);
}
