// The readers of the cases' input; see cases.h. Whether they refuse it does not matter here.
#define _XOPEN_SOURCE 700 // realpath
#include "convert/convert.h"
#include "convert/lora.h"
#include "engine/base/map.h"
#include "engine/cli/commands.h"
#include "engine/cli/conversation.h"
#include "engine/cli/input.h"
#include "engine/format/image.h"
#include "engine/measure/task.h"
#include "engine/runtime/model.h"
#include "engine/server/request.h"
#include "tests/linear/cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char base[] = "tests/data/tiny/plain-gqa-f32", adapter[] = "tests/data/lora/fused";
static const char *const base_files[] = {"config.json", "generation_config.json", "tokenizer.json",
                                         "tokenizer_config.json", "model.safetensors"};
static const char *const adapter_files[] = {"adapter_config.json", "adapter_model.safetensors"};
enum { N_BASE_FILES = sizeof base_files / sizeof *base_files };

static char model_folder[] = "/tmp/qins-linear-XXXXXX", adapter_folder[] = "/tmp/qins-linear-XXXXXX";
static char *header_text; // of the model in `base`
static qins_model *model;
static qins_tokenizer *marked; // has an added token of 256 bytes

static void require(bool condition, const char *what) {
    if (condition) return;
    fprintf(stderr, "tests/linear: %s\n", what);
    exit(2);
}

static const char *path_in(const char *folder, const char *name) {
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_file(const char *path, const char *text, size_t size) {
    FILE *file = fopen(path, "wb");
    require(file != NULL && fwrite(text, 1, size, file) == size && fclose(file) == 0, path);
}

static void link_file(const char *folder, const char *from, const char *name) {
    char *target = realpath(path_in(from, name), NULL);
    require(target != NULL && symlink(target, path_in(folder, name)) == 0, name);
    free(target);
}

static const qins_convert_options options = {.weight_type = QINS_QINS8, .n_threads = 1};

static void plan(void) {
    qins_convert_report report;
    qins_error error = {0};
    qins_convert_plan(model_folder, &options, NULL, NULL, &report, &error);
    qins_convert_report_free(&report);
}

// Plan a conversion with the text in place of a file of the folder, which may have had none of that name.
static void plan_with(const char *name, const char *text, size_t size) {
    bool is_linked = false;
    unlink(path_in(model_folder, name));
    write_file(path_in(model_folder, name), text, size);
    plan();
    unlink(path_in(model_folder, name));
    for (size_t i = 0; i < N_BASE_FILES; i++) is_linked |= strcmp(base_files[i], name) == 0;
    if (is_linked) link_file(model_folder, base, name);
}

// --- set-up ---

static void make_model(void) {
    qins_convert_report report;
    qins_error error = {0};
    size_t size;
    const int fd = qins_memory_file("model", &error);
    qins_convert(base, fd, base, &options, NULL, NULL, &report, &error);
    header_text = qins_header_print(&report.header, &size, &error);
    qins_convert_report_free(&report);
    model = qins_model_from_image(qins_image_from_fd(fd, base, &error), base, &error);
    require(model != NULL, error.message);
    close(fd);
}

static void make_marked(void) {
    static const char json[] = "{\"added_tokens\":[{\"id\":1,\"content\":\"%0255d1\"}],\"decoder\":{\"type\":\"Fuse\"},"
                               "\"model\":{\"type\":\"BPE\",\"vocab\":{\"0\":0},\"merges\":[]},\"normalizer\":null}";
    char text[1024];
    qins_error error = {0};
    const char *fuse = "{\"type\":\"Fuse\"}",
               *replace = "{\"type\":\"Replace\",\"pattern\":{\"String\":\"_\"},\"content\":\" \"}";
    const int n = snprintf(text, sizeof text, json, 0);
    char *at = strstr(text, fuse);
    memmove(at + strlen(replace), at + strlen(fuse), (size_t)(text + n + 1 - (at + strlen(fuse))));
    memcpy(at, replace, strlen(replace));
    marked = qins_tokenizer_from_hf(text, strlen(text), NULL, &error);
    require(marked != NULL, error.message);
}

void linear_setup(void) {
    require(mkdtemp(model_folder) != NULL && mkdtemp(adapter_folder) != NULL, "no temporary folder");
    for (size_t i = 0; i < N_BASE_FILES; i++) link_file(model_folder, base, base_files[i]);
    link_file(adapter_folder, adapter, adapter_files[1]);
    make_model();
    make_marked();
}

void linear_teardown(void) {
    for (size_t i = 0; i < N_BASE_FILES; i++) unlink(path_in(model_folder, base_files[i]));
    for (size_t i = 0; i < 2; i++) unlink(path_in(adapter_folder, adapter_files[i]));
    rmdir(model_folder);
    rmdir(adapter_folder);
    free(header_text);
    qins_tokenizer_free(marked);
    qins_model_close(model);
}

// --- readers ---

// The header with the text after the first `place` in it.
static void read_header_with(const char *place, const char *text, size_t size) {
    qins_header header;
    qins_error error = {0};
    qins_buffer json = {.error = &error};
    const char *rest = strstr(header_text, place);
    require(rest != NULL, place);
    rest += strlen(place);
    qins_buffer_append(&json, header_text, (size_t)(rest - header_text));
    qins_buffer_append(&json, text, size);
    qins_buffer_append(&json, rest, strlen(rest));
    qins_header_parse(&header, (const char *)json.data, json.size, &error);
    qins_header_free(&header);
    qins_buffer_free(&json);
}

void read_header(const char *text, size_t size) {
    read_header_with("{", text, size);
}

void read_header_config(const char *text, size_t size) {
    read_header_with("\"config\":{", text, size);
}

void read_header_tensor(const char *text, size_t size) {
    read_header_with("\"tensors\":[{", text, size);
}

void read_header_sources(const char *text, size_t size) {
    read_header_with("\"sources\":[", text, size);
}

void read_tokenizer(const char *text, size_t size) {
    qins_error error = {0};
    uint8_t *packed = NULL;
    size_t packed_size;
    qins_tokenizer *tokenizer = qins_tokenizer_from_hf(text, size, NULL, &error);
    if (tokenizer == NULL) return;
    if (qins_tokenizer_pack(tokenizer, &packed, &packed_size, &error) == QINS_OK)
        qins_tokenizer_free(qins_tokenizer_unpack(packed, packed_size, &error));
    qins_tokenizer_free(tokenizer);
    free(packed);
}

void read_config(const char *text, size_t size) {
    qins_error error = {0};
    qins_buffer json = {.error = &error};
    char own[2048];
    FILE *file = fopen(path_in(base, "config.json"), "rb");
    size_t n = file != NULL ? fread(own, 1, sizeof own, file) : 0;
    require(n > 1 && n < sizeof own && fclose(file) == 0, "config.json");
    while (own[n] != '}') n--;
    qins_buffer_append(&json, own, n); // of members of one name the last one counts
    qins_buffer_u8(&json, ',');
    qins_buffer_append(&json, text, size - 1);
    qins_buffer_u8(&json, '}');
    plan_with("config.json", (const char *)json.data, json.size);
    qins_buffer_free(&json);
}

void read_generation(const char *text, size_t size) {
    plan_with("generation_config.json", text, size);
}

void read_chat_config(const char *text, size_t size) {
    plan_with("tokenizer_config.json", text, size);
}

void read_template(const char *text, size_t size) {
    plan_with("chat_template.jinja", text, size);
}

void read_index(const char *text, size_t size) {
    unlink(path_in(model_folder, "model.safetensors"));
    plan_with("model.safetensors.index.json", text, size);
    link_file(model_folder, base, "model.safetensors");
}

void read_safetensors(const char *text, size_t size) {
    qins_error error = {0};
    qins_buffer file = {.error = &error};
    qins_buffer_u64(&file, size);
    qins_buffer_append(&file, text, size);
    plan_with("model.safetensors", (const char *)file.data, file.size);
    qins_buffer_free(&file);
}

void read_adapter(const char *text, size_t size) {
    qins_convert_options with = options;
    qins_convert_report report;
    qins_error error = {0};
    with.lora = adapter_folder;
    write_file(path_in(adapter_folder, adapter_files[0]), text, size);
    qins_convert_plan(model_folder, &with, NULL, NULL, &report, &error);
    qins_convert_report_free(&report);
}

void read_body(const char *text, size_t size) {
    const qins_request_reader reader = {.model = model, .alias = "model", .n_ctx = 1 << 20};
    qins_request request;
    qins_refusal refusal = {0};
    qins_request_read(&request, QINS_CHAT_REQUEST, text, size, &reader, &refusal);
    qins_request_free(&request);
}

void read_conversation(const char *text, size_t size) {
    static const qins_prompt_options prompt;
    qins_conversation conversation = qins_conversation_new(&prompt, model);
    qins_error error = {0};
    bool awaits_reply;
    qins_conversation_parse(&conversation, text, size, &awaits_reply, &error);
    qins_conversation_free(&conversation);
}

void read_task(const char *text, size_t size) {
    qins_task task;
    qins_error error = {0};
    char path[4096];
    snprintf(path, sizeof path, "%s", path_in(adapter_folder, adapter_files[0]));
    write_file(path, text, size);
    qins_task_read(&task, path, QINS_ARC, SIZE_MAX, &error);
    qins_task_free(&task);
}

void read_ids(const char *text, size_t size) {
    qins_ids ids = {0};
    qins_error error = {0};
    qins_parse_ids(text, size, "ids", &ids, &error);
    qins_ids_free(&ids);
}

void read_arguments(const char *text, size_t size) {
    qins_error error = {0};
    qins_options parsed;
    char *copy = malloc(size + 1), **arguments = malloc((size + 1) * sizeof *arguments);
    int count = 0;
    require(copy != NULL && arguments != NULL, "out of memory");
    memcpy(copy, text, size);
    copy[size] = '\0';
    for (char *line = strtok(copy, "\n"); line != NULL; line = strtok(NULL, "\n")) arguments[count++] = line;
    arguments[count] = NULL;
    qins_options_parse(&parsed, qins_default_options(), count, arguments, &error);
    free(arguments);
    free(copy);
}

void encode_text(const char *text, size_t size) {
    qins_ids ids = {0};
    qins_error error = {0};
    qins_tokenizer_encode(marked, text, size, QINS_PARSE_SPECIAL, &ids, &error);
    qins_model_encode(model, text, size, QINS_PARSE_SPECIAL, &ids, &error);
    qins_ids_free(&ids);
}
