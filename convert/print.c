// Printing of plans and costs; see print.h.
#include "convert/print.h"

#include "convert/estimate.h"
#include "engine/base/escape.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static void add_cost(qins_convert_cost *total, const qins_convert_cost *cost) {
    total->n_tensors += cost->n_tensors;
    total->values += cost->values;
    total->bytes += cost->bytes;
    total->squares += cost->squares;
    total->error += cost->error;
}

static qins_convert_cost total_cost(const qins_convert_report *report) {
    qins_convert_cost total = {0};
    for (int role = 0; role < QINS_ROLE_COUNT; role++)
        for (int type = 0; type < QINS_TYPE_COUNT; type++) add_cost(&total, &report->costs[role][type]);
    return total;
}

static double bits_per_weight(const qins_convert_cost *cost) {
    return cost->values == 0 ? 0 : 8.0 * (double)cost->bytes / (double)cost->values;
}

static void print_cost(FILE *stream, const char *name, const char *type, const qins_convert_cost *cost) {
    if (cost->n_tensors == 0) return;
    fprintf(stream, "  %-10s %-5s %7zu %12.3f %12.2f %12.3f", name, type, cost->n_tensors, (double)cost->values / 1e6,
            (double)cost->bytes / 1e6, bits_per_weight(cost));
    if (cost->error > 0)
        fprintf(stream, " %12.3e %8.2f\n", sqrt(cost->error / cost->squares), 10 * log10(cost->squares / cost->error));
    else
        fprintf(stream, " %12s %8s\n", "0", "exact");
}

static size_t count_types(const qins_convert_cost costs[QINS_TYPE_COUNT]) {
    size_t n = 0;
    for (int type = 0; type < QINS_TYPE_COUNT; type++) n += costs[type].n_tensors > 0;
    return n;
}

// " 0-3, 7": the layers whose tensor of the role has the type.
static void print_layers(FILE *stream, const qins_header *header, qins_role role, qins_type type) {
    const char *separator = " ";
    size_t first = 0, n = 0; // the run of layers at work
    for (size_t i = QINS_LAYER_INDEX; i < header->n_tensors; i++) {
        const qins_tensor *tensor = &header->tensors[i];
        const size_t layer = (i - QINS_LAYER_INDEX) / QINS_TENSORS_PER_LAYER;
        if (tensor->spec.role == role && tensor->type == type && n++ == 0) first = layer;
        const bool ends = n > 0 && ((tensor->spec.role == role && tensor->type != type) || i + 1 == header->n_tensors);
        if (!ends) continue;
        fprintf(stream, n > 1 ? "%s%zu-%zu" : "%s%zu", separator, first, first + n - 1);
        separator = ", ";
        n = 0;
    }
}

// A line for each type of a kind that has several.
static void print_mixture(FILE *stream, const qins_convert_report *report) {
    for (int role = 0; role < QINS_ROLE_COUNT; role++) {
        if (!qins_role_is_of_layers((qins_role)role) || count_types(report->costs[role]) < 2) continue;
        for (int type = 0; type < QINS_TYPE_COUNT; type++) {
            if (report->costs[role][type].n_tensors == 0) continue;
            fprintf(stream, "  %s: %s in layers", qins_role_name((qins_role)role), qins_types[type].name);
            print_layers(stream, &report->header, (qins_role)role, (qins_type)type);
            fprintf(stream, "\n");
        }
    }
}

// A row for each kind of tensor and type, and the sums over the layers' matrices and over everything.
static void print_table(FILE *stream, const qins_convert_report *report) {
    qins_convert_cost layers = {0}, total = total_cost(report);
    fprintf(stream, "  %-10s %-5s %7s %12s %12s %12s %12s %8s\n", "kind", "type", "tensors", "M weights", "MB",
            "bits/weight", "rel. error", "SNR, dB");
    for (int role = 0; role < QINS_ROLE_COUNT; role++) {
        for (int type = 0; type < QINS_TYPE_COUNT; type++) {
            const qins_convert_cost *cost = &report->costs[role][type];
            print_cost(stream, qins_role_name((qins_role)role), qins_types[type].name, cost);
            if (qins_role_is_of_layers((qins_role)role)) add_cost(&layers, cost);
        }
    }
    print_cost(stream, "layers", "", &layers);
    print_cost(stream, "total", "", &total);
    fprintf(stream, "  bits/weight counts all bytes of the tensors, scales and padding included, over their weights; "
                    "layers: their matrices\n");
    print_mixture(stream, report);
}

void qins_print_plan(FILE *stream, const qins_convert_report *report) {
    const qins_header *header = &report->header;
    const qins_convert_cost total = total_cost(report);
    for (size_t i = 0; i < header->n_tensors; i++) {
        const qins_tensor *tensor = &header->tensors[i];
        const char *source = header->sources[report->tensor_source[i]].name;
        fprintf(stream, "%-48s  %s %-4s  [%zu, %zu]  %s  offset %" PRIu64 "  %" PRIu64 " bytes  error %.2e\n",
                tensor->spec.name, QINS_ESCAPED(source), tensor->source_type, tensor->spec.rows, tensor->spec.cols,
                qins_types[tensor->type].name, tensor->offset, tensor->bytes, tensor->error);
    }
    print_table(stream, report);
    fprintf(stream, "  errors are estimated from %d rows of each tensor, without calibration\n", QINS_SAMPLE_ROWS);
    fprintf(stream,
            "total: %zu tensors, %" PRIu64 " weights, %" PRIu64 " bytes in the checkpoint, %" PRIu64
            " bytes in the file, %.3f bits per weight (of tensors only, with their scales and padding)\n",
            total.n_tensors, total.values, report->source_bytes, report->file_bytes, bits_per_weight(&total));
    fprintf(stream, "tokenizer: %" PRIu64 " bytes; chat template: %s\n", header->tokenizer_bytes,
            header->chat_template);
}

void qins_print_costs(FILE *stream, const qins_convert_report *report, const char *path, double seconds) {
    print_table(stream, report);
    if (report->header.calibration_tokens > 0)
        fprintf(stream,
                "  calibrated: codes are chosen for small errors of the layers' outputs on the text, which makes the "
                "errors of the weights themselves larger\n");
    fprintf(stream, "%s: %.1f MB from %.1f MB of weights, %.1f s\n", path, (double)report->file_bytes / 1e6,
            (double)report->source_bytes / 1e6, seconds);
}
