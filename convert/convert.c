// The conversion from folder to file; see convert.h. Reads and checks everything small, plans, then streams the
// tensors through the encoder into the file.
#include "convert/convert.h"

#include "convert/budget.h"
#include "convert/calibrate.h"
#include "convert/checkpoint.h"
#include "convert/estimate.h"
#include "convert/hf_chat.h"
#include "convert/hf_config.h"
#include "convert/hints.h"
#include "convert/lora.h"
#include "convert/sensitivity.h"
#include "convert/tensor_writer.h"
#include "convert/type_plan.h"
#include "engine/base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_CONFIG_BYTES = 1 << 20, MAX_TOKENIZER_BYTES = 1 << 26, MAX_TOKENIZER_CONFIG_BYTES = 1 << 24 };

struct conversion {
    const qins_convert_options *options;
    qins_progress *progress;
    void *context;               // of progress
    qins_pool *pool;             // owned, unless it is the options'
    qins_convert_report *report; // its header is being filled in
    qins_hf_folder folder;
    qins_checkpoint checkpoint;
    qins_lora lora; // not open: none
    qins_problems problems;
    qins_rows *rows;             // owned, [n_tensors]: the header's tensors in the checkpoint
    qins_json *tokenizer_config; // owned, NULL: none
    uint8_t *tokenizer;          // owned, packed; NULL: none
    size_t tokenizer_bytes;
    qins_calibration_text text;      // without sequences: no calibration
    qins_calibration_text plan_text; // to measure sensitivities with
    qins_recognized recognized;
};

static void read_config(struct conversion *conversion, qins_config *config, qins_error *error) {
    static const char *const generation_name = "generation_config.json";
    qins_json *json = qins_hf_read_json(&conversion->folder, "config.json", MAX_CONFIG_BYTES, error),
              *generation = NULL;
    if (json != NULL && qins_hf_has(&conversion->folder, generation_name, error))
        generation = qins_hf_read_json(&conversion->folder, generation_name, MAX_CONFIG_BYTES, error);
    if (error->status == QINS_OK) qins_hf_config_read(config, json, generation, &conversion->problems, error);
    qins_json_free(generation);
    qins_json_free(json);
}

static void warn_of_no_tokenizer(const struct conversion *conversion, qins_error *error) {
    const bool has_other = qins_hf_has(&conversion->folder, "tokenizer.model", error);
    if (error->status != QINS_OK) return;
    if (has_other)
        qins_problems_warn(&conversion->problems,
                           "there is a tokenizer.model, which is not read, but no tokenizer.json, so the model will "
                           "accept only token ids, not text; transformers makes one: "
                           "AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)");
    else
        qins_problems_warn(&conversion->problems,
                           "there is no tokenizer.json, so the model will accept only token ids, not text");
}

// Does the tokenizer belong to the model?
static void check_vocabulary(const struct conversion *conversion, const qins_tokenizer *tokenizer, const char *name,
                             size_t n_rows, qins_error *error) {
    const size_t n_ids = qins_tokenizer_vocab_size(tokenizer);
    const size_t n_without = qins_tokenizer_ids_without_text(tokenizer, n_rows);
    if (n_ids > n_rows)
        qins_fail(error, QINS_BAD_MODEL, "%s/%s: it has ids up to %zu, but the model's vocabulary has %zu rows",
                  conversion->folder.path, name, n_ids - 1, n_rows);
    else if (n_without > QINS_PADDING_IDS)
        qins_problems_warn(&conversion->problems,
                           "%zu of the model's %zu ids have no text in %s; is it another model's?", n_without, n_rows,
                           name);
}

static void read_texts(struct conversion *conversion, const qins_tokenizer *tokenizer, const qins_config *config,
                       qins_error *error) {
    const qins_convert_options *options = conversion->options;
    const char *plan_text = options->calibrate != NULL ? options->calibrate : QINS_DEFAULT_TEXT;
    if (options->calibrate != NULL)
        qins_calibration_text_read(&conversion->text, options->calibrate, tokenizer, config, options->calibrate_tokens,
                                   error);
    if (options->plan_bits > 0 && error->status == QINS_OK)
        qins_calibration_text_read(&conversion->plan_text, plan_text, tokenizer, config, QINS_SENSITIVITY_TOKENS,
                                   error);
}

static void read_tokenizer_config(struct conversion *conversion, qins_error *error) {
    static const char *const name = "tokenizer_config.json";
    if (error->status == QINS_OK && qins_hf_has(&conversion->folder, name, error))
        conversion->tokenizer_config = qins_hf_read_json(&conversion->folder, name, MAX_TOKENIZER_CONFIG_BYTES, error);
}

static void warn_of_changes(const struct conversion *conversion, const qins_tokenizer_cut *cut, const char *name) {
    const qins_problems *problems = &conversion->problems;
    if (cut->notice[0] != '\0') qins_problems_warn(problems, "%s: %s", name, cut->notice);
    if (cut->config_notice[0] != '\0') qins_problems_warn(problems, "tokenizer_config.json: %s", cut->config_notice);
    if (cut->n_added > 0)
        qins_problems_warn(problems,
                           "%s: the last %zu of the added tokens have ids beyond the model's vocabulary of %zu rows, "
                           "and are left out: texts that contain them are encoded without them",
                           name, cut->n_added, cut->n_rows);
}

// NULL if there is none, which is not a failure.
static qins_tokenizer *read_tokenizer(struct conversion *conversion, const qins_config *config, qins_error *error) {
    static const char *const name = "tokenizer.json";
    if (!qins_hf_has(&conversion->folder, name, error)) {
        if (error->status == QINS_OK) warn_of_no_tokenizer(conversion, error);
        if (conversion->options->calibrate != NULL || conversion->options->plan_bits > 0)
            qins_fail(error, QINS_BAD_MODEL, "%s: %s needs a tokenizer.json", conversion->folder.path,
                      conversion->options->calibrate != NULL ? "calibration" : "--plan-bits");
        read_tokenizer_config(conversion, error);
        return NULL;
    }
    size_t size;
    char *json = qins_hf_read(&conversion->folder, name, MAX_TOKENIZER_BYTES, &size, error);
    read_tokenizer_config(conversion, error);
    qins_tokenizer_cut cut = {.n_rows = config->vocab_size, .config = conversion->tokenizer_config};
    qins_tokenizer *tokenizer = NULL;
    if (json != NULL && error->status == QINS_OK) {
        tokenizer = qins_tokenizer_from_hf(json, size, &cut, error);
        qins_error_context(error, "%s/%s", conversion->folder.path, name);
    }
    free(json);
    if (tokenizer == NULL) return NULL;
    warn_of_changes(conversion, &cut, name);
    check_vocabulary(conversion, tokenizer, name, config->vocab_size, error);
    if (error->status == QINS_OK)
        qins_tokenizer_pack(tokenizer, &conversion->tokenizer, &conversion->tokenizer_bytes, error);
    if (error->status == QINS_OK) read_texts(conversion, tokenizer, config, error);
    return tokenizer;
}

static void warn_of_no_template(const struct conversion *conversion, const char *reason) {
    qins_problems_warn(
        &conversion->problems,
        "%s, so prompts must be raw (qinsrun --raw), unless you choose a known template with --chat-template", reason);
}

// A reply would run on to the end of the context without the template's end of turn among the stop ids.
static void add_end_of_turn(const struct conversion *conversion, const qins_tokenizer *tokenizer,
                            const qins_chat_format *format, qins_config *config) {
    const int32_t id = qins_tokenizer_added_id(tokenizer, format->end);
    for (size_t i = 0; i < config->n_stop_ids; i++)
        if (config->stop_ids[i] == id) return;
    if (id < 0) return;
    qins_problems_warn(&conversion->problems,
                       "%s, the chat template's end of turn, is not a stop id (eos_token_id); it becomes one",
                       format->end);
    if (config->n_stop_ids == QINS_MAX_STOP_IDS) config->n_stop_ids--;
    config->stop_ids[config->n_stop_ids++] = id;
}

static char *copy_text(const char *text, qins_error *error) {
    return text != NULL ? qins_copy_text(text, strlen(text), "a chat template", error) : NULL;
}

static void read_chat_template(struct conversion *conversion, const qins_tokenizer *tokenizer, qins_config *config,
                               qins_error *error) {
    qins_recognized *recognized = &conversion->recognized;
    const char *chosen = conversion->options->chat_template;
    if (qins_hf_chat_read(&conversion->folder, conversion->tokenizer_config, chosen, tokenizer, recognized, error) !=
        QINS_OK)
        return;
    if (tokenizer != NULL && recognized->chat.format == NULL && chosen == NULL)
        warn_of_no_template(conversion, recognized->reason);
    if (tokenizer != NULL && recognized->chat.format != NULL)
        add_end_of_turn(conversion, tokenizer, recognized->chat.format, config);
}

// Everything that concerns text.
static void read_text_files(struct conversion *conversion, qins_config *config, qins_error *error) {
    qins_tokenizer *tokenizer = read_tokenizer(conversion, config, error);
    if (error->status == QINS_OK) read_chat_template(conversion, tokenizer, config, error);
    qins_tokenizer_free(tokenizer);
}

// Make the header and find its tensors, once the weights are open.
static void find_tensors(struct conversion *conversion, const qins_config *config, qins_error *error) {
    qins_header *header = &conversion->report->header;
    if (qins_header_init(header, config, error) != QINS_OK) return;
    conversion->rows = qins_alloc(header->n_tensors, sizeof *conversion->rows, "list of tensors", error);
    if (conversion->rows != NULL)
        qins_match_tensors(header, conversion->rows, &conversion->checkpoint, &conversion->problems, error);
}

// The files of the folder, and of the adapter.
static void fill_sources(struct conversion *conversion, qins_error *error) {
    qins_header *header = &conversion->report->header;
    const qins_hf_folder *folder = &conversion->folder, *lora = &conversion->lora.folder;
    const size_t n = folder->n_sources + lora->n_sources;
    if (n > QINS_MAX_SOURCES)
        qins_fail(error, QINS_BAD_MODEL, "%s: more than %d files", folder->path, QINS_MAX_SOURCES);
    header->sources =
        error->status == QINS_OK ? qins_alloc(n, sizeof *header->sources, "list of sources", error) : NULL;
    if (header->sources == NULL) return;
    header->n_sources = n;
    memcpy(header->sources, folder->sources, folder->n_sources * sizeof *folder->sources);
    if (lora->n_sources > 0)
        memcpy(header->sources + folder->n_sources, lora->sources, lora->n_sources * sizeof *lora->sources);
}

static void fill_chat(qins_header *header, const qins_chat_template *chat, qins_error *error) {
    snprintf(header->chat_template, sizeof header->chat_template, "%s", qins_chat_format_name(chat->format));
    snprintf(header->chat_start, sizeof header->chat_start, "%s", chat->start != NULL ? chat->start : "");
    header->chat_system = copy_text(chat->default_system, error);
    header->chat_system_prefix = copy_text(chat->system_prefix, error);
    header->chat_no_system = chat->no_system;
}

// The header's fields other than the tensors.
static void fill_header(struct conversion *conversion, qins_error *error) {
    qins_header *header = &conversion->report->header;
    fill_chat(header, &conversion->recognized.chat, error);
    memcpy(header->converter, QINS_CONVERTER, sizeof QINS_CONVERTER);
    header->calibration = conversion->text.source;
    header->calibration_tokens = conversion->text.n_sequences * conversion->text.length;
    snprintf(header->calibration_method, sizeof header->calibration_method, "%s",
             conversion->options->calibrate_search ? "search" : "feedback");
    fill_sources(conversion, error);
    for (size_t i = 0; i < header->n_tensors; i++) {
        const qins_tensor *tensor = &header->tensors[i];
        qins_convert_cost *cost = &conversion->report->costs[tensor->spec.role][tensor->type];
        size_t bytes = 0; // the layout, which comes later, checks for overflow
        qins_header_tensor_bytes(header, tensor, &bytes);
        cost->n_tensors++;
        cost->values += (uint64_t)tensor->spec.rows * tensor->spec.cols;
        cost->bytes += bytes;
        conversion->report->source_bytes += qins_rows_stored_bytes(&conversion->rows[i]);
    }
}

static void spend_bits(struct conversion *conversion, qins_error *error) {
    qins_header *header = &conversion->report->header;
    double *sensitivities = qins_alloc(header->n_tensors, sizeof *sensitivities, "list of matrices", error);
    if (sensitivities != NULL &&
        qins_sensitivity_measure(header, conversion->rows, &conversion->plan_text, conversion->pool,
                                 conversion->progress, conversion->context, sensitivities, error) == QINS_OK)
        qins_budget_spend(header, conversion->options, conversion->rows, sensitivities, conversion->pool, error);
    free(sensitivities);
}

static void check_calibration(const struct conversion *conversion, qins_error *error) {
    const qins_header *header = &conversion->report->header;
    size_t n_coded = 0;
    for (size_t i = 0; i < header->n_tensors; i++) n_coded += qins_type_is_coded(header->tensors[i].type);
    if (conversion->options->calibrate != NULL && n_coded == 0)
        qins_fail(error, QINS_USAGE, "--calibrate is only for coded weights (--type qins8, qins6, qins5, qins4)");
}

// The problems are those of the folder.
static void open_folder(struct conversion *conversion, const char *hf_dir, qins_error *error) {
    const qins_convert_options *options = conversion->options;
    conversion->lora.folder.fd = -1;
    conversion->problems =
        (qins_problems){.folder = hf_dir, .notice = options->notice, .context = options->notice_context};
    conversion->pool = options->pool != NULL ? options->pool : qins_pool_create(options->n_threads, error);
    if (error->status == QINS_OK) qins_hf_folder_open(&conversion->folder, hf_dir, "config.json", error);
    if (error->status == QINS_OK && !qins_hf_has(&conversion->folder, "config.json", error) && error->status == QINS_OK)
        qins_hint_no_config(hf_dir, error);
}

// Find the tensors in the checkpoint and in the adapter, and choose their types.
static void plan_tensors(struct conversion *conversion, qins_config *config, qins_error *error) {
    const qins_convert_options *options = conversion->options;
    qins_header *header = &conversion->report->header;
    if (conversion->checkpoint.tensors != NULL)
        qins_match_untie(&conversion->checkpoint, config, &conversion->problems, error);
    // With shards missing, most tensors would be missing too; naming the shards is clearer.
    if (conversion->checkpoint.tensors != NULL && error->status == QINS_OK) find_tensors(conversion, config, error);
    if (error->status == QINS_OK) qins_problems_end(&conversion->problems, error);
    if (error->status == QINS_OK && options->lora != NULL &&
        qins_lora_open(&conversion->lora, options, conversion->folder.n_sources, error) == QINS_OK &&
        qins_lora_compare_text(&conversion->lora, &conversion->folder, error) == QINS_OK)
        qins_lora_apply(&conversion->lora, header, conversion->rows, error);
    if (error->status == QINS_OK) qins_plan_types(header, conversion->rows, options, error);
}

// Everything up to the first weight.
static void prepare(struct conversion *conversion, const char *hf_dir, qins_error *error) {
    const qins_convert_options *options = conversion->options;
    qins_config config;
    open_folder(conversion, hf_dir, error);
    if (error->status == QINS_OK) read_config(conversion, &config, error);
    if (error->status == QINS_OK) read_text_files(conversion, &config, error);
    if (error->status == QINS_OK)
        qins_checkpoint_open(&conversion->checkpoint, &conversion->folder, &conversion->problems, error);
    if (error->status == QINS_OK) plan_tensors(conversion, &config, error);
    if (error->status == QINS_OK && options->plan_bits > 0) spend_bits(conversion, error);
    if (error->status == QINS_OK) check_calibration(conversion, error);
    if (error->status == QINS_OK) fill_header(conversion, error);
}

static void release(struct conversion *conversion) {
    qins_calibration_text_free(&conversion->text);
    qins_calibration_text_free(&conversion->plan_text);
    qins_recognized_free(&conversion->recognized);
    qins_json_free(conversion->tokenizer_config);
    free(conversion->tokenizer);
    free(conversion->rows);
    qins_lora_close(&conversion->lora);
    qins_checkpoint_close(&conversion->checkpoint);
    qins_hf_folder_close(&conversion->folder);
    if (conversion->pool != conversion->options->pool) qins_pool_free(conversion->pool);
}

static void write_tensors(struct conversion *conversion, qins_writer *writer, qins_error *error) {
    qins_tensor_writer tensors = {.options = conversion->options,
                                  .report = conversion->report,
                                  .rows = conversion->rows,
                                  .folder = conversion->folder.path,
                                  .pool = conversion->pool,
                                  .writer = writer,
                                  .progress = conversion->progress,
                                  .context = conversion->context};
    if (qins_tensor_writer_begin(&tensors, error) == QINS_OK && conversion->text.n_sequences > 0)
        qins_calibrate(&tensors, &conversion->text, error);
    qins_tensor_writer_write(&tensors, conversion->report->header.n_tensors, error);
    qins_tensor_writer_free(&tensors);
    if (error->status == QINS_OK) qins_writer_finish(writer, error);
    conversion->report->file_bytes = qins_writer_file_bytes(writer);
}

qins_status qins_convert(const char *hf_dir, int fd, const char *name, const qins_convert_options *options,
                         qins_progress *progress, void *context, qins_convert_report *report, qins_error *error) {
    *report = (qins_convert_report){0};
    struct conversion conversion = {
        .options = options, .progress = progress, .context = context, .report = report, .folder.fd = -1};
    qins_writer *writer = NULL;
    prepare(&conversion, hf_dir, error);
    if (error->status == QINS_OK)
        writer = qins_writer_create(fd, name, &report->header, conversion.tokenizer, conversion.tokenizer_bytes, error);
    if (error->status == QINS_OK) write_tensors(&conversion, writer, error);
    qins_writer_free(writer);
    release(&conversion);
    return error->status;
}

// Expected quantization errors.
static void expect_errors(struct conversion *conversion, qins_error *error) {
    qins_header *header = &conversion->report->header;
    const size_t n = header->n_tensors;
    qins_type *types = qins_alloc(n, sizeof *types, "list of types", error);
    qins_encoded *encoded = qins_alloc(n, sizeof *encoded, "list of errors", error);
    for (size_t i = 0; i < n && error->status == QINS_OK; i++) types[i] = header->tensors[i].type;
    if (error->status == QINS_OK) qins_estimate(conversion->pool, conversion->rows, types, n, encoded, error);
    for (size_t i = 0; i < n && error->status == QINS_OK; i++)
        qins_count_encoded(conversion->report, &header->tensors[i], &encoded[i]);
    free(encoded);
    free(types);
}

qins_status qins_convert_plan(const char *hf_dir, const qins_convert_options *options, qins_progress *progress,
                              void *context, qins_convert_report *report, qins_error *error) {
    *report = (qins_convert_report){0};
    struct conversion conversion = {
        .options = options, .progress = progress, .context = context, .report = report, .folder.fd = -1};
    prepare(&conversion, hf_dir, error);
    qins_header *header = &report->header;
    size_t header_bytes;
    if (error->status == QINS_OK)
        qins_writer_layout(header, conversion.tokenizer_bytes, &header_bytes, &report->file_bytes, error);
    if (error->status == QINS_OK)
        report->tensor_source = qins_alloc(header->n_tensors, sizeof *report->tensor_source, "list of tensors", error);
    for (size_t i = 0; i < header->n_tensors && error->status == QINS_OK; i++)
        report->tensor_source[i] = conversion.rows[i].pieces[0].weights.source;
    if (error->status == QINS_OK && options->expect_errors) expect_errors(&conversion, error);
    release(&conversion);
    return error->status;
}

void qins_convert_report_free(qins_convert_report *report) {
    qins_header_free(&report->header);
    free(report->tensor_source);
    report->tensor_source = NULL;
}
