// Sensitivities where they are known, and how bits are spent by them.
#include "convert/budget.h"
#include "convert/estimate.h"
#include "convert/sensitivity.h"
#include "engine/base/map.h"
#include "tests/support.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// A checkpoint of the tiny configuration in one file of F32 values.
struct checkpoint {
    qins_header header;
    qins_rows *rows; // owned, [n_tensors]
    int fd;
};

// Random weights; the tensor `zeros` is all zero.
static struct checkpoint make(size_t zeros) {
    struct checkpoint checkpoint;
    const qins_config config = tiny_config();
    test_random random = {5};
    qins_error error = {0};
    model_header(&checkpoint.header, &config, QINS_QINS4, &error);
    checkpoint.fd = qins_memory_file("test-checkpoint", &error);
    expect_ok(&error);
    checkpoint.rows = calloc(checkpoint.header.n_tensors, sizeof *checkpoint.rows);
    cr_assert_not_null(checkpoint.rows);
    uint64_t offset = 0;
    for (size_t i = 0; i < checkpoint.header.n_tensors; i++) {
        const qins_tensor_spec *spec = &checkpoint.header.tensors[i].spec;
        const size_t n = spec->rows * spec->cols;
        float *values = calloc(n, sizeof *values);
        cr_assert_not_null(values);
        if (i != zeros) random_fill(&random, values, n);
        for (size_t j = 0; j < n && spec->role == QINS_ROLE_NORM; j++) values[j] = 1.0f;
        cr_assert_eq(pwrite(checkpoint.fd, values, n * sizeof *values, (off_t)offset), (ssize_t)(n * sizeof *values));
        const qins_stored stored = {
            .fd = checkpoint.fd, .path = "test", .name = spec->name, .offset = offset, .type = QINS_F32};
        checkpoint.rows[i] = qins_rows_of(&stored, spec->rows, spec->cols);
        offset += n * sizeof *values;
        free(values);
    }
    return checkpoint;
}

static void destroy(struct checkpoint *checkpoint) {
    qins_header_free(&checkpoint->header);
    free(checkpoint->rows);
    close(checkpoint->fd);
}

static double *measure(const struct checkpoint *checkpoint, size_t n_threads) {
    int32_t ids[64];
    for (int i = 0; i < 64; i++) ids[i] = i * 7 % 50;
    const qins_calibration_text text = {.ids = ids, .n_sequences = 2, .length = 32};
    qins_error error = {0};
    double *sensitivities = calloc(checkpoint->header.n_tensors, sizeof *sensitivities);
    cr_assert_not_null(sensitivities);
    qins_pool *pool = qins_pool_create(n_threads, &error);
    cr_assert_not_null(pool);
    qins_sensitivity_measure(&checkpoint->header, checkpoint->rows, &text, pool, NULL, NULL, sensitivities, &error);
    expect_ok(&error);
    qins_pool_free(pool);
    return sensitivities;
}

static size_t tensor_of(size_t layer, size_t tensor) {
    return QINS_LAYER_INDEX + layer * QINS_TENSORS_PER_LAYER + tensor;
}

// Nothing reaches the residual stream but through output and down.
Test(sensitivity, is_zero_where_nothing_depends_on_a_matrix) {
    static const size_t through[2] = {QINS_OUTPUT, QINS_DOWN}, before[2] = {QINS_QKV, QINS_GATE_UP};
    for (size_t layer = 0; layer < 2; layer++) {
        for (int i = 0; i < 2; i++) {
            struct checkpoint checkpoint = make(tensor_of(layer, through[i]));
            double *sensitivities = measure(&checkpoint, 2);
            for (size_t k = 0; k < checkpoint.header.n_tensors; k++) {
                const bool is_matrix = qins_role_is_of_layers(checkpoint.header.tensors[k].spec.role);
                const bool is_cut = k == tensor_of(layer, through[i]) || k == tensor_of(layer, before[i]);
                cr_expect_eq(sensitivities[k] > 0, is_matrix && !is_cut, "%s: %g",
                             checkpoint.header.tensors[k].spec.name, sensitivities[k]);
            }
            free(sensitivities);
            destroy(&checkpoint);
        }
    }
}

Test(sensitivity, does_not_depend_on_threads) {
    struct checkpoint checkpoint = make(SIZE_MAX);
    double *first = measure(&checkpoint, 1);
    for (size_t n_threads = 2; n_threads <= 4; n_threads++) {
        double *again = measure(&checkpoint, n_threads);
        cr_expect(memcmp(first, again, checkpoint.header.n_tensors * sizeof *first) == 0, "%zu threads", n_threads);
        free(again);
    }
    free(first);
    destroy(&checkpoint);
}

// Bytes of the layers' matrices, and the damage that is expected of their types.
struct cost {
    double bits, damage; // bits a weight
};

static struct cost cost_of(const struct checkpoint *checkpoint, const double *sensitivities, qins_pool *pool) {
    const qins_header *header = &checkpoint->header;
    struct cost cost = {0};
    double weights = 0;
    for (size_t i = 0; i < header->n_tensors; i++) {
        const qins_tensor *tensor = &header->tensors[i];
        if (!qins_role_is_of_layers(tensor->spec.role)) continue;
        size_t bytes = 0;
        qins_encoded encoded;
        qins_error error = {0};
        cr_assert(qins_header_tensor_bytes(header, tensor, &bytes));
        cr_assert_eq(qins_estimate(pool, &checkpoint->rows[i], &tensor->type, 1, &encoded, &error), QINS_OK);
        cost.bits += 8 * (double)bytes;
        cost.damage += encoded.error / encoded.squares * sensitivities[i];
        weights += (double)tensor->spec.rows * (double)tensor->spec.cols;
    }
    cost.bits /= weights;
    return cost;
}

static void set_types(struct checkpoint *checkpoint, qins_type type) {
    for (size_t i = 0; i < checkpoint->header.n_tensors; i++)
        if (qins_role_is_of_layers(checkpoint->header.tensors[i].spec.role)) checkpoint->header.tensors[i].type = type;
}

Test(budget, is_kept_and_lowers_the_damage) {
    static const qins_type types[] = {QINS_QINS4, QINS_QINS5, QINS_QINS6, QINS_QINS8};
    struct checkpoint checkpoint = make(SIZE_MAX);
    qins_error error = {0};
    qins_pool *pool = qins_pool_create(2, &error);
    double *sensitivities = measure(&checkpoint, 2);
    struct cost uniform[4];
    for (int i = 0; i < 4; i++) {
        set_types(&checkpoint, types[i]);
        uniform[i] = cost_of(&checkpoint, sensitivities, pool);
    }
    double last = INFINITY;
    for (double bits = uniform[0].bits; bits <= uniform[3].bits; bits += 0.1) {
        const qins_convert_options options = {.plan_bits = bits};
        qins_budget_spend(&checkpoint.header, &options, checkpoint.rows, sensitivities, pool, &error);
        expect_ok(&error);
        const struct cost cost = cost_of(&checkpoint, sensitivities, pool);
        cr_expect_leq(cost.bits, bits + 1e-9);
        cr_expect_leq(cost.damage, last * 1.25, "%g bits", bits); // near a full budget the last step may not fit
        for (int i = 0; i < 3; i++)
            if (bits >= uniform[i].bits + 0.2) cr_expect_lt(cost.damage, uniform[i].damage, "%g bits", bits);
        last = cost.damage < last ? cost.damage : last;
    }
    qins_pool_free(pool);
    free(sensitivities);
    destroy(&checkpoint);
}

Test(budget, goes_to_the_most_sensitive_and_leaves_fixed_types) {
    struct checkpoint checkpoint = make(SIZE_MAX);
    const qins_header *header = &checkpoint.header;
    qins_error error = {0};
    qins_pool *pool = qins_pool_create(1, &error);
    double *sensitivities = calloc(header->n_tensors, sizeof *sensitivities);
    cr_assert_not_null(sensitivities);
    for (size_t i = 0; i < header->n_tensors; i++)
        sensitivities[i] = qins_role_is_of_layers(header->tensors[i].spec.role) ? 1 : 0;
    const size_t sensitive = tensor_of(1, QINS_OUTPUT), fixed = tensor_of(0, QINS_OUTPUT);
    sensitivities[sensitive] = 1e6;
    sensitivities[fixed] = 1e9;
    const double least = cost_of(&checkpoint, sensitivities, pool).bits;
    checkpoint.header.tensors[fixed].type = QINS_QINS5;
    qins_convert_options options = {.plan_bits = least + 1, .n_rules = 1};
    options.rules[0] = (qins_type_rule){.pattern = "model.layers.0.self_attn.o_proj.weight", .type = QINS_QINS5};
    qins_budget_spend(&checkpoint.header, &options, checkpoint.rows, sensitivities, pool, &error);
    expect_ok(&error);
    cr_expect_eq(header->tensors[fixed].type, QINS_QINS5);
    cr_expect_eq(header->tensors[sensitive].type, QINS_QINS8);

    options.plan_bits = least - 0.1;
    qins_budget_spend(&checkpoint.header, &options, checkpoint.rows, sensitivities, pool, &error);
    expect_error(&error, QINS_USAGE, "take at least");
    options.plan_bits = 16;
    qins_budget_spend(&checkpoint.header, &options, checkpoint.rows, sensitivities, pool, &error);
    expect_error(&error, QINS_USAGE, "convert with --type qins8 instead");
    qins_pool_free(pool);
    free(sensitivities);
    destroy(&checkpoint);
}
