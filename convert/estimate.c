// Estimation by samples; see estimate.h. A tensor is an item of work.
#include "convert/estimate.h"

#include "engine/base/memory.h"
#include "engine/kernels/encoder.h"
#include "engine/kernels/tiers.h"

#include <math.h>
#include <stdlib.h>

// The buffers of one thread, for rows of any of the tensors.
struct bench {
    uint8_t *source; // owned, a row as it is in the file
    float *values;   // owned
    int8_t *codes;   // owned
    uint8_t *scales; // owned
    uint16_t *d;     // owned
    qins_error error;
    size_t failed; // the tensor that `error` is about
};

struct estimation {
    const qins_rows *tensors;
    const qins_type *types;
    qins_encoded *results;
    qins_encoder *coders[QINS_TYPE_COUNT]; // owned; NULL: not needed
    struct bench *benches;                 // owned, [n_threads]
};

static double narrowing_error(const float *values, size_t cols) {
    double sum = 0.0;
    for (size_t i = 0; i < cols; i++) {
        const double error = (double)values[i] - (double)qins_f32_from_bf16(qins_bf16_from_f32(values[i]));
        sum += error * error;
    }
    return sum;
}

static double row_error(const struct estimation *estimation, struct bench *bench, qins_type source, qins_type type,
                        size_t cols) {
    if (type == source || type == QINS_F32) return 0.0;
    if (type == QINS_BF16) return narrowing_error(bench->values, cols);
    const qins_coded_row row = {bench->codes, bench->scales, bench->d};
    return qins_encode_row(estimation->coders[type], bench->values, NULL, cols, &row);
}

// values[cols] = a row of the tensor
static qins_status read_row(struct bench *bench, const qins_rows *tensor, size_t row) {
    const qins_matrix matrix = {tensor->type, QINS_ROWS, 1, tensor->cols, bench->source};
    if (qins_rows_read(tensor, row, 1, bench->source, &bench->error) != QINS_OK) return bench->error.status;
    qins_decode_rows(bench->values, &matrix, 0, 1);
    if (isfinite(qins_largest_magnitude(bench->values, tensor->cols))) return QINS_OK;
    const qins_stored *stored = &qins_rows_locate(tensor, &row)->weights;
    return qins_fail(&bench->error, QINS_BAD_MODEL,
                     "%s: tensor %s: row %zu has a value that is NaN or infinite; the checkpoint is damaged",
                     stored->path, stored->name, row);
}

static void estimate_item(void *context, size_t item, size_t worker) {
    struct estimation *estimation = context;
    struct bench *bench = &estimation->benches[worker];
    const qins_rows *tensor = &estimation->tensors[item];
    const size_t n = tensor->rows < QINS_SAMPLE_ROWS ? tensor->rows : QINS_SAMPLE_ROWS;
    double squares = 0.0, error = 0.0;
    if (bench->error.status != QINS_OK) return;
    for (size_t i = 0; i < n; i++) {
        if (read_row(bench, tensor, i * tensor->rows / n) != QINS_OK) {
            bench->failed = item;
            return;
        }
        for (size_t j = 0; j < tensor->cols; j++) squares += (double)bench->values[j] * (double)bench->values[j];
        error += row_error(estimation, bench, tensor->type, estimation->types[item], tensor->cols);
    }
    const double share = (double)n / (double)tensor->rows;
    estimation->results[item] = (qins_encoded){.squares = squares / share, .error = error / share};
}

static void allocate_bench(struct bench *bench, size_t cols, qins_error *error) {
    const size_t padded = qins_round_up(cols, QINS_UNIT);
    bench->source = qins_alloc(cols, sizeof(float), "a row of a tensor", error);
    bench->values = qins_alloc(cols, sizeof(float), "a row of a tensor", error);
    bench->codes = qins_alloc(padded, 1, "a coded row", error);
    bench->scales = qins_alloc(padded / QINS_BLOCK, 1, "a coded row", error);
    bench->d = qins_alloc((cols + QINS_STRETCH - 1) / QINS_STRETCH, sizeof *bench->d, "a coded row", error);
}

static void allocate(struct estimation *estimation, size_t n_tensors, size_t n_threads, qins_error *error) {
    size_t cols = 1;
    for (size_t i = 0; i < n_tensors; i++) {
        const qins_type type = estimation->types[i];
        if (estimation->tensors[i].cols > cols) cols = estimation->tensors[i].cols;
        if (!qins_type_is_coded(type) || estimation->coders[type] != NULL || error->status != QINS_OK) continue;
        estimation->coders[type] = qins_alloc(1, sizeof *estimation->coders[type], "an encoder", error);
        if (estimation->coders[type] != NULL) qins_encoder_init(estimation->coders[type], qins_kernels_get(), type);
    }
    estimation->benches = qins_alloc(n_threads, sizeof *estimation->benches, "rows of tensors", error);
    for (size_t i = 0; i < n_threads && error->status == QINS_OK; i++)
        allocate_bench(&estimation->benches[i], cols, error);
}

static void release(struct estimation *estimation, size_t n_threads) {
    for (int i = 0; i < QINS_TYPE_COUNT; i++) free(estimation->coders[i]);
    for (size_t i = 0; i < n_threads && estimation->benches != NULL; i++) {
        const struct bench *bench = &estimation->benches[i];
        free(bench->source);
        free(bench->values);
        free(bench->codes);
        free(bench->scales);
        free(bench->d);
    }
    free(estimation->benches);
}

// The first tensor's failure, whichever thread found it.
static void collect(const struct estimation *estimation, size_t n_threads, qins_error *error) {
    const struct bench *first = NULL;
    for (size_t i = 0; i < n_threads; i++) {
        const struct bench *bench = &estimation->benches[i];
        if (bench->error.status != QINS_OK && (first == NULL || bench->failed < first->failed)) first = bench;
    }
    if (first != NULL) *error = first->error;
}

qins_status qins_estimate(qins_pool *pool, const qins_rows *tensors, const qins_type *types, size_t n,
                          qins_encoded *results, qins_error *error) {
    struct estimation estimation = {.tensors = tensors, .types = types, .results = results};
    const size_t n_threads = qins_pool_threads(pool);
    allocate(&estimation, n, n_threads, error);
    if (error->status == QINS_OK) {
        qins_pool_run(pool, n, estimate_item, &estimation);
        collect(&estimation, n_threads, error);
    }
    release(&estimation, n_threads);
    return error->status;
}
