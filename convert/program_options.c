// Options of qinsconvert; see program_options.h.
#include "convert/program_options.h"

#include "convert/onnx_export.h"
#include "convert/option_setters.h"
#include "engine/base/file.h"
#include "engine/base/processors.h"

#include <stdlib.h>
#include <string.h>

static void set_folder(void *values, const qins_given_option *given, qins_error *error) {
    qins_program_options *options = values;
    if (options->hf_dir != NULL)
        qins_fail(error, QINS_USAGE, "more than one folder was given: %s, %s", options->hf_dir, given->value);
    options->hf_dir = given->value;
}

static void set_method(void *values, const qins_given_option *given, qins_error *error) {
    qins_program_options *options = values;
    options->convert.calibrate_search = qins_given_choice(given, error) == 1;
}

static void set_plan_bits(void *values, const qins_given_option *given, qins_error *error) {
    qins_program_options *options = values;
    char *end;
    options->convert.plan_bits = strtod(given->value, &end);
    if (!(options->convert.plan_bits > 0) || *end != '\0')
        qins_fail(error, QINS_USAGE, "%s takes a number above 0, such as 4.5, not \"%s\"", given->name, given->value);
}

#define FIELD(field) offsetof(qins_program_options, field)
enum { ONE = 1 }; // qinsconvert has no commands: all rows are for the same one

// 16,384 tokens take 6 GiB of memory at Phi-3.5's size; more are not worth the time.
enum { MAX_THREADS = 1024, CALIBRATION_TOKENS = 4096, MAX_CALIBRATION_TOKENS = 16384 };

static const char WEIGHTS[] = "Weights", TEXT[] = "Text", WORK[] = "Work", HELP[] = "Help";

static const qins_option rows[] = {
    {WEIGHTS, 0, "type", "qins8|qins6|qins5|qins4|bf16|f32", ONE, true, qins_set_type, FIELD(convert.weight_type), 0, 0,
     "type of the layers' matrices (default: qins8)"},
    {WEIGHTS, 0, "lm-head", "bf16|qins8|qins6", ONE, true, qins_set_head_type, FIELD(convert), 0, 0,
     "type of the output matrix (default: qins6 with qins4 and qins5, qins8 with qins6, else 16 bits or f32)"},
    {WEIGHTS, 0, "embedding", "bf16|qins8|qins6", ONE, true, qins_set_embedding_type, FIELD(convert), 0, 0,
     "type of the embedding (default: as in the checkpoint; if it is also the output matrix, as that)"},
    {WEIGHTS, 0, "plan-bits", "X", ONE, true, set_plan_bits, 0, 0, 0,
     "instead of --type: coded types that take X bits per weight on average"},
    {WEIGHTS, 0, "tensor", "PATTERN=TYPE", ONE, true, qins_add_type_rule, FIELD(convert), 0, 0,
     "type of the tensors with matching names, such as 'qkv' or '*.layers.0.*'; may be repeated"},
    {WEIGHTS, 0, "calibrate", "FILE", ONE, true, qins_set_text, FIELD(convert.calibrate), 0, 0,
     "choose codes that least change the model's output on this text; \"default\": the built-in one"},
    {WEIGHTS, 0, "calibrate-method", "feedback|search", ONE, true, set_method, FIELD(convert.calibrate_search), 0, 0,
     "method: error feedback between weights (default), or a search weighted by the inputs, in a fifth of the time"},
    {WEIGHTS, 0, "calibrate-tokens", "N", ONE, true, qins_set_count, FIELD(convert.calibrate_tokens), 1,
     MAX_CALIBRATION_TOKENS, "tokens of that text to use (default: 4096)"},
    {WEIGHTS, 0, "lora", "DIR", ONE, true, qins_set_text, FIELD(convert.lora), 0, 0,
     "merge this LoRA adapter (a folder saved by peft) before anything else"},
    {TEXT, 0, "chat-template", "phi3|phi4|phi4-mini|chatml|none", ONE, true, qins_set_choice,
     FIELD(convert.chat_template), 0, 0, "chat format (default: the one the checkpoint's template renders)"},
    {WORK, 'o', "output", "FILE", ONE, true, qins_set_text, FIELD(output), 0, 0,
     "the file or folder to write; it appears only when it is complete"},
    {WORK, 't', "threads", "N", ONE, true, qins_set_count, FIELD(convert.n_threads), 1, MAX_THREADS,
     "threads (default: all available cores; the result is the same)"},
    {WORK, 0, "force", NULL, ONE, true, qins_set_switch, FIELD(force), 0, 0,
     "replace the output even if it is not a .qins file or is an input file; write into a folder that is not empty"},
    {WORK, 0, "dry-run", NULL, ONE, true, qins_set_switch, FIELD(dry_run), 0, 0,
     "print each tensor's type, size and expected error, and write nothing"},
    {WORK, 'v', "verbose", NULL, ONE, true, qins_set_switch, FIELD(verbose), 0, 0, "report the sandbox in force"},
    {WORK, 0, "no-sandbox", NULL, ONE, true, qins_set_switch, FIELD(no_sandbox), 0, 0,
     "do not restrict which files and system calls the program may use"},
    {WORK, 'q', "quiet", NULL, ONE, true, qins_set_switch, FIELD(quiet), 0, 0, "print no progress and no table"},
    {HELP, 'h', "help", NULL, ONE, true, qins_set_switch, FIELD(help), 0, 0, "this text"},
    {HELP, 0, "list-options", NULL, ONE, true, qins_set_switch, FIELD(list_options), 0, 0,
     "spellings, values and help, separated by tabs, for completion"},
    {HELP, 0, "version", NULL, ONE, true, qins_set_switch, FIELD(version), 0, 0, "the version"},
    {NULL, 0, NULL, "HF_DIR", ONE, false, set_folder, 0, 0, 0, NULL},
};

_Static_assert(sizeof rows / sizeof rows[0] <= QINS_MAX_OPTIONS, "a place for each row");

static const qins_option_table table = {"qinsconvert", rows, sizeof rows / sizeof rows[0], NULL};

// When a .qins file is exported, there is nothing to choose except, for a folder, the type of its weights.
static void check_export(qins_program_options *options, const bool *given, qins_error *error) {
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const bool is_for_folders = rows[i].group == WEIGHTS || rows[i].group == TEXT;
        const bool fits = !is_for_folders || strcmp(rows[i].name, "type") == 0;
        if (given[i] && (!fits || rows[i].offset == FIELD(dry_run)))
            qins_fail(error, QINS_USAGE, "--%s is for folders; %s is a file, which is written out as it is",
                      rows[i].name, options->hf_dir);
    }
    if (options->is_onnx && options->convert.weight_type != QINS_TYPE_COUNT)
        qins_fail(error, QINS_USAGE, "--type is not for ONNX, which gets the weights as %s has them", options->hf_dir);
    if (options->convert.weight_type == QINS_TYPE_COUNT) options->convert.weight_type = QINS_F32;
    if (qins_type_is_coded(options->convert.weight_type))
        qins_fail(error, QINS_USAGE, "a folder holds f32, which is exact, or bf16 weights, not %s",
                  qins_types[options->convert.weight_type].name);
}

qins_status qins_program_options_parse(qins_program_options *options, int argc, char **argv, qins_error *error) {
    *options = (qins_program_options){.convert = {.weight_type = QINS_TYPE_COUNT, .n_threads = qins_default_threads()}};
    bool given[QINS_MAX_OPTIONS];
    if (qins_option_table_parse(&table, ONE, argc, argv, options, given, error) != QINS_OK || options->help ||
        options->list_options || options->version)
        return error->status;
    if (options->hf_dir == NULL) return qins_fail(error, QINS_USAGE, "no folder was given; see qinsconvert --help");
    if (options->output == NULL && !options->dry_run)
        return qins_fail(error, QINS_USAGE,
                         "no output was given; use -o MODEL.qins (from a .qins file, -o FOLDER or -o MODEL.onnx)");
    if (options->output != NULL && strcmp(options->output, "-") == 0)
        return qins_fail(error, QINS_USAGE, "the output cannot be a stream; give -o the name of a file or folder");
    qins_look look;
    if (qins_look_at(options->hf_dir, &look, QINS_BAD_MODEL, error) != QINS_OK) return error->status;
    options->exports = look.kind == QINS_REGULAR || look.kind == QINS_SPECIAL;
    options->is_onnx = options->output != NULL && qins_path_ends_in(options->output, ".onnx");
    if (options->exports) {
        check_export(options, given, error);
        return error->status;
    }
    if (options->is_onnx)
        return qins_fail(error, QINS_USAGE,
                         "an ONNX model is made from a .qins file; convert %s to one first (-o MODEL.qins)",
                         options->hf_dir);
    if (options->convert.plan_bits > 0 && options->convert.weight_type != QINS_TYPE_COUNT)
        return qins_fail(error, QINS_USAGE, "--type and --plan-bits exclude each other; give one of them");
    if (options->convert.weight_type == QINS_TYPE_COUNT) options->convert.weight_type = QINS_QINS8;
    if (options->convert.calibrate == NULL && options->convert.calibrate_tokens > 0)
        return qins_fail(error, QINS_USAGE,
                         "--calibrate-tokens says how much of --calibrate's text to use; give that, too");
    if (options->convert.calibrate == NULL && options->convert.calibrate_search)
        return qins_fail(error, QINS_USAGE, "--calibrate-method says how to use --calibrate's text; give that, too");
    if (options->convert.calibrate_tokens == 0) options->convert.calibrate_tokens = CALIBRATION_TOKENS;
    return QINS_OK;
}

void qins_convert_print_help(void) {
    printf("qinsconvert HF_DIR -o MODEL.qins [options]\n"
           "qinsconvert MODEL.qins -o HF_DIR [--type f32|bf16]\n"
           "qinsconvert MODEL.qins -o MODEL.onnx\n\n"
           "Converts a Hugging Face folder of a Phi3ForCausalLM model, or of one in the form of Llama or Mistral\n"
           "(config.json, safetensors, tokenizer.json), to one file for qinsrun. Converts that file back to a folder,\n"
           "with the decoded weights, or to an ONNX model, with the codes and the operators that decode them.\n\n");
    qins_option_table_print(&table, ONE, false, stdout);
    printf("\nExit codes: 0 success, 1 failure (such as a full disk), 2 wrong usage, 3 bad checkpoint, 130 "
           "interrupted.\n");
}

void qins_convert_list_options(void) {
    qins_option_table_list(&table, ONE, stdout);
}
