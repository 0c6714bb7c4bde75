// Memory, threads and instructions of a run; see setup.h.
#include "engine/cli/setup.h"

#include "engine/base/processors.h"
#include "engine/base/sandbox.h"
#include "engine/kernels/tiers.h"
#include "engine/measure/machine.h"

#include <math.h>

static double mib(size_t bytes) {
    return (double)bytes / (1 << 20);
}

static size_t total(const qins_memory_plan *plan) {
    return plan->weights + plan->kv + plan->scratch + plan->program;
}

// Memory for the whole plan: available memory, and memory that the program already holds. SIZE_MAX: unknown.
static size_t room(const qins_memory_plan *plan) {
    return plan->available > SIZE_MAX - plan->program ? SIZE_MAX : plan->available + plan->program;
}

// The longest context that leaves all of the weights in memory.
static size_t tokens_beside_weights(const qins_config *config, const qins_memory_plan *plan) {
    const size_t rest = total(plan) - plan->kv, left = room(plan) > rest ? room(plan) - rest : 0;
    const size_t n = left / plan->token_bytes;
    return n < config->max_positions ? n : config->max_positions;
}

static void print_total(const qins_config *config, const qins_memory_plan *plan, FILE *file) {
    const size_t n_tokens = tokens_beside_weights(config, plan);
    fprintf(file, "at most   %9.1f MiB", mib(total(plan)));
    if (room(plan) == SIZE_MAX)
        fprintf(file, "; the system does not report the available memory\n");
    else if (total(plan) <= room(plan))
        fprintf(file, "  of %.1f MiB available%s; up to %zu tokens fit\n", mib(room(plan)),
                plan->is_limited ? " (ulimit -v)" : "", n_tokens);
    else if (plan->is_converted || plan->n_ctx > plan->max_ctx)
        fprintf(file, ", too much for the %.1f MiB available\n", mib(room(plan)));
    else
        fprintf(file, ", more than the %.1f MiB available: slow, because weights are read from the file again\n",
                mib(room(plan)));
    if (total(plan) > room(plan) && n_tokens > 0)
        fprintf(file, "          -c %zu would leave all weights in memory\n", n_tokens);
}

static size_t thread_count(const qins_process_options *options) {
    return options->n_threads > 0 ? options->n_threads : qins_default_threads();
}

static void print_contexts(const qins_config *config, const qins_memory_plan *plan, FILE *file) {
    fprintf(file, "KV by context");
    for (size_t n = 1024; n < config->max_positions; n *= 4)
        fprintf(file, "  %zu: %.1f", n, mib(n * plan->token_bytes));
    fprintf(file, "  %zu: %.1f MiB\n", config->max_positions, mib(config->max_positions * plan->token_bytes));
}

void qins_print_setup(const qins_options *options, const qins_config *config, const qins_memory_plan *plan,
                      FILE *file) {
    const qins_processors processors = qins_processors_find();
    fprintf(file, "weights   %9.1f MiB  %s\n", mib(plan->weights),
            plan->is_converted ? "converted in memory" : "mapped");
    fprintf(file, "KV cache  %9.1f MiB  for %zu tokens, K %s, V %s; taken as needed\n", mib(plan->kv), plan->n_ctx,
            qins_types[options->session.k_type].name, qins_types[options->session.v_type].name);
    fprintf(file, "buffers   %9.1f MiB\n", mib(plan->scratch));
    fprintf(file, "program   %9.1f MiB  libraries, tokenizer\n", mib(plan->program));
    print_total(config, plan, file);
    print_contexts(config, plan, file);
    fprintf(file, "threads   %zu of %zu cores, %zu processors", thread_count(&options->process), processors.cores,
            processors.logical);
    if (processors.quota != SIZE_MAX) fprintf(file, ", control group's share %zu", processors.quota);
    fprintf(file, "\nCPU       %s\n", qins_tier_get()->name);
    if (options->session.matmul == QINS_MATMUL_SGEMM) fprintf(file, "BLAS      %s\n", qins_blas_name());
    fprintf(file, "sandbox   %s\n", qins_sandbox_state());
}

qins_status qins_print_setup_json(const qins_options *options, const qins_memory_plan *plan, qins_error *error) {
    const struct {
        const char *key;
        size_t value;
    } numbers[] = {{"weights_bytes", plan->weights},      {"kv_bytes", plan->kv},
                   {"kv_token_bytes", plan->token_bytes}, {"scratch_bytes", plan->scratch},
                   {"program_bytes", plan->program},      {"total_bytes", total(plan)},
                   {"available_bytes", room(plan)},       {"context_tokens", plan->n_ctx},
                   {"max_context_tokens", plan->max_ctx}, {"threads", thread_count(&options->process)}};
    qins_json *root = qins_json_new_object(error);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        qins_json_add_number(root, numbers[i].key, numbers[i].value == SIZE_MAX ? NAN : (double)numbers[i].value,
                             error);
    qins_json_add_bool(root, "converted", plan->is_converted, error);
    qins_json_add_string(root, "cpu", qins_tier_get()->name, error);
    return qins_print_json(root, error);
}
