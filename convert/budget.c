// Spending bits; see budget.h. The damage that a matrix does to the model's predictions is about the relative squared
// error of its weights times its sensitivity, and damages of different matrices add up. So, from the smallest type on,
// the step that lowers the sum most for its bytes is taken, again and again.
#include "convert/budget.h"

#include "convert/estimate.h"
#include "convert/type_plan.h"
#include "engine/base/memory.h"

#include <stdlib.h>

enum { N_STEPS = 4 };
static const qins_type ladder[N_STEPS] = {QINS_QINS4, QINS_QINS5, QINS_QINS6, QINS_QINS8};

// A matrix whose type is to be chosen, with its damage and size at each step of the ladder.
struct candidate {
    size_t tensor;
    double damage[N_STEPS];
    size_t bytes[N_STEPS];
    size_t step;
};

struct budget {
    qins_header *header;
    struct candidate *candidates; // owned, [n]
    size_t n;
    double weights; // of all matrices of layers
    double bytes;   // of the same, at the chosen types
};

static size_t bytes_as(const qins_header *header, const qins_tensor *tensor, qins_type type) {
    qins_tensor as = *tensor;
    size_t bytes = 0; // the layout, which comes later, checks for overflow
    as.type = type;
    qins_header_tensor_bytes(header, &as, &bytes);
    return bytes;
}

static void collect(struct budget *budget, const qins_convert_options *options) {
    const qins_header *header = budget->header;
    for (size_t i = 0; i < header->n_tensors; i++) {
        const qins_tensor *tensor = &header->tensors[i];
        if (!qins_role_is_of_layers(tensor->spec.role)) continue;
        budget->weights += (double)tensor->spec.rows * (double)tensor->spec.cols;
        if (qins_plan_is_fixed(options, &header->config, &tensor->spec)) {
            budget->bytes += (double)bytes_as(header, tensor, tensor->type);
            continue;
        }
        struct candidate *candidate = &budget->candidates[budget->n++];
        candidate->tensor = i;
        for (int step = 0; step < N_STEPS; step++) candidate->bytes[step] = bytes_as(header, tensor, ladder[step]);
        budget->bytes += (double)candidate->bytes[0];
    }
}

// The damage of every candidate at every step.
static void estimate(struct budget *budget, const qins_rows *rows, const double *sensitivities, qins_pool *pool,
                     qins_error *error) {
    qins_rows *tensors = qins_alloc(budget->n, sizeof *tensors, "list of tensors", error);
    qins_type *types = qins_alloc(budget->n, sizeof *types, "list of types", error);
    qins_encoded *costs = qins_alloc(budget->n, sizeof *costs, "list of errors", error);
    for (int step = 0; step < N_STEPS && error->status == QINS_OK; step++) {
        for (size_t i = 0; i < budget->n; i++) {
            tensors[i] = rows[budget->candidates[i].tensor];
            types[i] = ladder[step];
        }
        if (qins_estimate(pool, tensors, types, budget->n, costs, error) != QINS_OK) break;
        for (size_t i = 0; i < budget->n; i++) {
            struct candidate *candidate = &budget->candidates[i];
            const double share = costs[i].squares > 0 ? costs[i].error / costs[i].squares : 0;
            candidate->damage[step] = share * sensitivities[candidate->tensor];
        }
    }
    free(costs);
    free(types);
    free(tensors);
}

// Take the best step that `left` bytes are enough for; false if there is none.
static bool take_step(struct budget *budget, double limit) {
    struct candidate *best = NULL;
    double best_gain = 0;
    size_t best_step = 0;
    for (size_t i = 0; i < budget->n; i++) {
        struct candidate *candidate = &budget->candidates[i];
        for (size_t step = candidate->step + 1; step < N_STEPS; step++) {
            const double bytes = (double)candidate->bytes[step] - (double)candidate->bytes[candidate->step];
            const double gain = (candidate->damage[candidate->step] - candidate->damage[step]) / bytes;
            if (budget->bytes + bytes > limit || gain <= best_gain) continue;
            best = candidate;
            best_gain = gain;
            best_step = step;
        }
    }
    if (best == NULL) return false;
    budget->bytes += (double)best->bytes[best_step] - (double)best->bytes[best->step];
    best->step = best_step;
    return true;
}

static void check_range(const struct budget *budget, double bits, qins_error *error) {
    double most = budget->bytes;
    for (size_t i = 0; i < budget->n; i++)
        most += (double)budget->candidates[i].bytes[N_STEPS - 1] - (double)budget->candidates[i].bytes[0];
    const double lowest = 8 * budget->bytes / budget->weights, highest = 8 * most / budget->weights;
    if (bits < lowest)
        qins_fail(
            error, QINS_USAGE,
            "--plan-bits %.6g: the matrices of this model's layers take at least %.3f bits per weight, scales and "
            "padding included",
            bits, lowest);
    else if (bits > highest)
        qins_fail(error, QINS_USAGE,
                  "--plan-bits %.6g: at most %.3f bits per weight can be used; convert with --type qins8 instead", bits,
                  highest);
}

qins_status qins_budget_spend(qins_header *header, const qins_convert_options *options, const qins_rows *rows,
                              const double *sensitivities, qins_pool *pool, qins_error *error) {
    struct budget budget = {.header = header};
    budget.candidates = qins_alloc(header->n_tensors, sizeof *budget.candidates, "list of matrices", error);
    if (budget.candidates == NULL) return error->status;
    collect(&budget, options);
    check_range(&budget, options->plan_bits, error);
    if (error->status == QINS_OK) estimate(&budget, rows, sensitivities, pool, error);
    while (error->status == QINS_OK && take_step(&budget, options->plan_bits * budget.weights / 8)) {
    }
    for (size_t i = 0; i < budget.n && error->status == QINS_OK; i++)
        header->tensors[budget.candidates[i].tensor].type = ladder[budget.candidates[i].step];
    free(budget.candidates);
    return error->status;
}
