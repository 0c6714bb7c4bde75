// qinsrun info and verify: the contents of a .qins file, and whether they are intact.
#include "engine/cli/cli.h"
#include "engine/cli/confine.h"

#include "engine/base/escape.h"
#include "engine/base/processors.h"
#include "engine/base/sandbox.h"
#include "engine/model/rope.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double mib(double bytes) {
    return bytes / (1 << 20);
}

static void print_config(const qins_config *config, qins_error *error) {
    qins_printf(error, "model      %zu layers, hidden %zu, ffn %zu, vocabulary %zu%s\n", config->n_layers,
                config->hidden_dim, config->ffn_dim, config->vocab_size, config->tied_head ? " (tied head)" : "");
    qins_printf(error, "attention  %zu heads, %zu KV heads of %zu; %zu dimensions rotate, base %g\n", config->n_heads,
                config->n_kv_heads, config->head_dim, config->rope_dim, config->rope_base);
    qins_rope rope;
    qins_rope_init(&rope, config);
    if (config->rope == QINS_ROPE_LONG)
        qins_printf(error, "positions  %zu, LongRoPE: short factors up to %zu tokens, attention factor %.7g\n",
                    config->max_positions, config->original_positions, (double)rope.attention_factor);
    else
        qins_printf(error, "positions  %zu\n", config->max_positions);
    if (config->window > 0)
        qins_printf(error, "window     each token sees the last %zu, itself included\n", config->window);
    qins_printf(error, "stop ids  ");
    for (size_t i = 0; i < config->n_stop_ids; i++) qins_printf(error, " %d", config->stop_ids[i]);
    qins_printf(error, "\n");
}

static void print_text(const qins_model *model, qins_error *error) {
    const qins_chat_template *chat = &model->chat_template;
    if (model->tokenizer == NULL)
        qins_printf(error, "tokenizer  none\n");
    else
        qins_printf(error, "tokenizer  %zu ids\n", qins_tokenizer_vocab_size(model->tokenizer));
    if (chat->format == NULL) {
        qins_printf(error, "template   none known: prompts must be raw (--raw); qinsconvert --chat-template "
                           "chooses one\n");
        return;
    }
    qins_printf(error, "template   %s", chat->format->name);
    if (chat->start != NULL) qins_printf(error, ", after %s", QINS_ESCAPED(chat->start));
    qins_printf(error, "%s\n", chat->no_system ? ", without system messages" : "");
    if (chat->default_system != NULL) qins_printf(error, "system     %s\n", QINS_ESCAPED(chat->default_system));
    if (chat->system_prefix != NULL)
        qins_printf(error, "           before every system message: %s\n", QINS_ESCAPED(chat->system_prefix));
}

// A line for the tensors of a role that have one type: their share of the file and the error of their encoding.
static void print_tensors(const qins_header *header, qins_role role, qins_type type, qins_error *error) {
    size_t n = 0;
    double bytes = 0, values = 0, worst = 0;
    for (size_t i = 0; i < header->n_tensors; i++) {
        const qins_tensor *tensor = &header->tensors[i];
        if (tensor->spec.role != role || tensor->type != type) continue;
        n++;
        bytes += (double)tensor->bytes;
        values += (double)tensor->spec.rows * (double)tensor->spec.cols;
        worst = tensor->error > worst ? tensor->error : worst;
    }
    if (n > 0)
        qins_printf(error, "%-10s %8zu %-6s %12.1f %12.3f %10.2e\n", qins_role_name(role), n, qins_types[type].name,
                    mib(bytes), 8 * bytes / values, worst);
}

static void print_roles(const qins_header *header, qins_error *error) {
    qins_printf(error, "%-10s %8s %-6s %12s %12s %10s\n", "tensors", "number", "type", "MiB", "bits/weight", "error");
    for (int role = 0; role < QINS_ROLE_COUNT; role++)
        for (int type = 0; type < QINS_TYPE_COUNT; type++)
            print_tensors(header, (qins_role)role, (qins_type)type, error);
}

// The files that the model was made from.
static void print_sources(const qins_header *header, qins_error *error) {
    for (size_t i = 0; i < header->n_sources; i++)
        qins_printf(error, "source     %s, %" PRIu64 " bytes, XXH3 %016" PRIx64 "\n",
                    QINS_ESCAPED(header->sources[i].name), header->sources[i].bytes, header->sources[i].hash);
}

static qins_status print_info(const qins_model *model, const qins_options *options, qins_error *error) {
    const qins_header *header = qins_image_header(model->image);
    if (options->output.json) {
        size_t size;
        char *text = qins_header_print(header, &size, error);
        if (text != NULL) {
            qins_print(text, size, error);
            qins_print("\n", 1, error);
        }
        free(text);
        return error->status;
    }
    qins_printf(error, "file       %s, %.1f MiB, written by %s\n", QINS_ESCAPED(options->model.path),
                mib((double)qins_image_bytes(model->image)), QINS_ESCAPED(header->converter));
    if (header->calibration_tokens > 0)
        qins_printf(error, "calibrated with %" PRIu64 " tokens of %s by %s\n", header->calibration_tokens,
                    QINS_ESCAPED(header->calibration.name), QINS_ESCAPED(header->calibration_method));
    print_config(&header->config, error);
    print_text(model, error);
    print_roles(header, error);
    print_sources(header, error);
    return error->status;
}

qins_status qins_cmd_info(const qins_options *options, qins_error *error) {
    qins_model *model = NULL;
    if (qins_confine(options, 0, error) == QINS_OK) model = qins_open_model(options->model.path, options, error);
    if (model != NULL) print_info(model, options, error);
    qins_model_close(model);
    return error->status == QINS_OK ? qins_flush(error) : error->status;
}

qins_status qins_cmd_verify(const qins_options *options, qins_error *error) {
    qins_pool *pool = NULL;
    size_t n_threads = options->process.n_threads > 0 ? options->process.n_threads : qins_default_threads();
    qins_model *model = NULL;
    if (qins_confine(options, 0, error) == QINS_OK) model = qins_open_model(options->model.path, options, error);
    qins_release_interrupts(); // nothing is lost
    if (model != NULL) pool = qins_pool_create(n_threads, error);
    qins_sandbox_tighten();
    if (pool != NULL && qins_image_verify(model->image, pool, error) == QINS_OK) {
        const qins_header *header = qins_image_header(model->image);
        if (options->output.json)
            qins_printf(error, "{\"ok\":true,\"tensors\":%zu,\"bytes\":%zu}\n", header->n_tensors,
                        qins_image_bytes(model->image));
        else
            qins_printf(error, "%s is intact: %zu tensors, %zu bytes\n", options->model.path, header->n_tensors,
                        qins_image_bytes(model->image));
    }
    qins_pool_free(pool);
    qins_model_close(model);
    return error->status == QINS_OK ? qins_flush(error) : error->status;
}
