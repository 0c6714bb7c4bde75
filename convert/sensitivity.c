// Measuring sensitivities; see sensitivity.h.
#include "convert/sensitivity.h"

#include "convert/reference.h"
#include "engine/base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SEQUENCES = 8, SEQUENCE_TOKENS = 32 }; // at most

// Relative error of the weights: about that of qins4. Responses are in proportion to its square.
static const float NOISE = 0.0625f;

struct measurement {
    qins_reference model;
    int32_t *ids;          // owned, of the sequences
    float *before, *after; // owned, [n, hidden_dim]: the residual stream before and after the layer
    float *noisy;          // owned, in panels: a matrix with noise
    const qins_matrix *source;
    qins_progress *progress;
    void *context;
};

// 64 random bits, always the same (Steele et al., SplitMix64).
static uint64_t random_bits(uint64_t i) {
    uint64_t x = (i + 1) * UINT64_C(0x9E3779B97F4A7C15);
    x = (x ^ x >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ x >> 27) * UINT64_C(0x94D049BB133111EB);
    return x ^ x >> 31;
}

// One panel: every weight becomes larger or smaller by NOISE of itself.
static void add_noise(void *context, size_t panel, size_t worker) {
    (void)worker;
    const struct measurement *measurement = context;
    const qins_matrix *source = measurement->source;
    const qins_type_info *type = &qins_types[source->type];
    const size_t n = source->cols * QINS_PANEL, size = type->bits / 8;
    const uint8_t *values = (const uint8_t *)source->data + panel * n * size;
    float *noisy = measurement->noisy + panel * n;
    for (size_t i = 0; i < n; i++) {
        const bool is_larger = random_bits((panel * n + i) / 64) >> i % 64 & 1;
        noisy[i] = type->number(values + i * size) * (is_larger ? 1.0f + NOISE : 1.0f - NOISE);
    }
}

// Mean of |x - after|^2 / |after|^2 over the tokens.
static double change(const struct measurement *measurement) {
    const size_t dim = measurement->model.header->config.hidden_dim, n = measurement->model.n;
    double mean = 0.0;
    for (size_t t = 0; t < n; t++) {
        const float *x = measurement->model.pass.x + t * dim, *after = measurement->after + t * dim;
        double squares = 0.0, differences = 0.0;
        for (size_t i = 0; i < dim; i++) {
            const double difference = (double)x[i] - (double)after[i];
            squares += (double)after[i] * (double)after[i];
            differences += difference * difference;
        }
        mean += squares > 0.0 ? differences / squares / (double)n : 0.0;
    }
    return mean;
}

static bool run_layer(struct measurement *measurement, qins_error *error) {
    qins_reference *model = &measurement->model;
    if (measurement->progress != NULL && !measurement->progress(measurement->context, 0, 1)) {
        qins_fail(error, QINS_INTERRUPTED, "interrupted");
        return false;
    }
    qins_reference_run(model);
    return true;
}

// The layer with noise in one of its matrices; its sensitivity.
static double measure_matrix(struct measurement *measurement, size_t product, qins_error *error) {
    qins_reference *model = &measurement->model;
    qins_matrix *matrix = qins_reference_matrix(model, product);
    const qins_matrix source = *matrix;
    measurement->source = &source;
    measurement->noisy =
        qins_alloc(qins_panels(source.rows), qins_panel_bytes(QINS_F32, source.cols), "a matrix with noise", error);
    if (measurement->noisy != NULL) {
        qins_pool_run(model->compute.pool, qins_panels(source.rows), add_noise, measurement);
        matrix->type = QINS_F32;
        matrix->data = measurement->noisy;
        memcpy(model->pass.x, measurement->before, model->n * model->header->config.hidden_dim * sizeof(float));
        run_layer(measurement, error);
    }
    free(measurement->noisy);
    *matrix = source;
    return change(measurement) / (double)(NOISE * NOISE);
}

static void measure_layer(struct measurement *measurement, size_t layer, double *sensitivities, qins_error *error) {
    qins_reference *model = &measurement->model;
    const size_t bytes = model->n * model->header->config.hidden_dim * sizeof(float);
    memcpy(measurement->before, model->pass.x, bytes);
    if (qins_reference_read(model, layer, error) != QINS_OK || !run_layer(measurement, error)) return;
    memcpy(measurement->after, model->pass.x, bytes);
    for (size_t i = 0; i < QINS_PRODUCTS && error->status == QINS_OK; i++) {
        const double sensitivity = measure_matrix(measurement, i, error);
        if (!isfinite(sensitivity)) qins_fail(error, QINS_BAD_MODEL, "the planning text causes non-finite activations");
        sensitivities[qins_reference_tensor(layer, i)] = sensitivity;
    }
    memcpy(model->pass.x, measurement->after, bytes);
}

// The beginnings of the first sequences.
static qins_sequences shorten(struct measurement *measurement, const qins_calibration_text *text, qins_error *error) {
    const size_t n = text->n_sequences < SEQUENCES ? text->n_sequences : SEQUENCES;
    const size_t length = text->length < SEQUENCE_TOKENS ? text->length : SEQUENCE_TOKENS;
    measurement->ids = qins_alloc(n * length, sizeof *measurement->ids, "planning text", error);
    for (size_t i = 0; i < n && measurement->ids != NULL; i++)
        memcpy(measurement->ids + i * length, text->ids + i * text->length, length * sizeof *text->ids);
    return (qins_sequences){measurement->ids, n, length};
}

qins_status qins_sensitivity_measure(const qins_header *header, const qins_rows *rows,
                                     const qins_calibration_text *text, qins_pool *pool, qins_progress *progress,
                                     void *context, double *sensitivities, qins_error *error) {
    struct measurement measurement = {.progress = progress, .context = context};
    const size_t dim = header->config.hidden_dim;
    memset(sensitivities, 0, header->n_tensors * sizeof *sensitivities);
    const qins_sequences sequences = shorten(&measurement, text, error);
    const size_t n = sequences.n_sequences * sequences.length;
    measurement.before = qins_alloc(n, dim * sizeof(float), "residual stream", error);
    measurement.after = qins_alloc(n, dim * sizeof(float), "residual stream", error);
    if (error->status == QINS_OK &&
        qins_reference_init(&measurement.model, header, rows, &sequences, pool, error) == QINS_OK) {
        qins_reference_begin(&measurement.model);
        for (size_t layer = 0; layer < header->config.n_layers && error->status == QINS_OK; layer++)
            measure_layer(&measurement, layer, sensitivities, error);
    }
    qins_reference_free(&measurement.model);
    free(measurement.after);
    free(measurement.before);
    free(measurement.ids);
    return error->status;
}
