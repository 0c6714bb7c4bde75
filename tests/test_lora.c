// Merging of adapters that peft saved, against what peft and the same sum in numpy give (tests/oracle), and refusals.
#define _XOPEN_SOURCE 700 // realpath
#include "convert/convert.h"
#include "convert/lora_config.h"
#include "convert/rows.h"
#include "engine/base/map.h"
#include "tests/failing_allocation.h"
#include "tests/hf_fixture.h"
#include "tests/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

static const char base[] = "tests/data/tiny/plain-gqa-f32";

struct result {
    uint8_t *data; // the file
    qins_convert_report report;
    char lines[4096];
};

static void keep_line(void *context, const char *line) {
    struct result *result = context;
    const size_t used = strlen(result->lines);
    snprintf(result->lines + used, sizeof result->lines - used, "%s\n", line);
}

static qins_status convert(const char *folder, const char *lora, const qins_convert_options *wanted,
                           struct result *result, qins_error *error) {
    *result = (struct result){0};
    qins_convert_options options = *wanted;
    options.lora = lora;
    options.notice = keep_line;
    options.notice_context = result;
    const int fd = qins_memory_file("test-lora", error);
    if (qins_convert(folder, fd, "test", &options, NULL, NULL, &result->report, error) == QINS_OK) {
        result->data = malloc(result->report.file_bytes);
        cr_assert_eq(pread(fd, result->data, result->report.file_bytes, 0), (ssize_t)result->report.file_bytes);
    }
    close(fd);
    return error->status;
}

static void release(struct result *result) {
    free(result->data);
    qins_convert_report_free(&result->report);
}

static void link_file(const char *folder, const char *name, const char *target) {
    char path[4096], full[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    cr_assert_not_null(realpath(target, full), "%s", target);
    unlink(path);
    cr_assert_eq(symlink(full, path), 0);
}

// The base's folder with the merged tensors of a golden in place of its weights.
static void link_merged(const char *folder, const char *golden) {
    static const char *const names[] = {"config.json", "tokenizer.json", "tokenizer_config.json"};
    char path[4096];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", base, names[i]);
        link_file(folder, names[i], path);
    }
    snprintf(path, sizeof path, "tests/data/lora/%s/merged.safetensors", golden);
    link_file(folder, "model.safetensors", path);
}

// Both files have the same tensors.
static void expect_equal(const struct result *a, const struct result *b, const char *what) {
    for (size_t i = 0; i < a->report.header.n_tensors; i++) {
        const qins_tensor *x = &a->report.header.tensors[i], *y = &b->report.header.tensors[i];
        cr_assert_eq(x->bytes, y->bytes);
        cr_expect(memcmp(a->data + x->offset, b->data + y->offset, x->bytes) == 0, "%s: %s", what, x->spec.name);
    }
}

Test(lora, gives_the_tensors_of_a_merged_checkpoint) {
    static const char *const goldens[] = {"fused", "split"};
    static const qins_convert_options options[] = {
        {.weight_type = QINS_F32, .n_threads = 1},
        {.weight_type = QINS_QINS8, .n_threads = 3},
        {.weight_type = QINS_QINS4, .n_threads = 2, .calibrate = "default", .calibrate_tokens = 64},
        {.plan_bits = 16, .n_threads = 2}};
    for (size_t g = 0; g < 2; g++) {
        char folder[] = "/tmp/qins_lora_XXXXXX", lora[64];
        cr_assert_not_null(mkdtemp(folder));
        link_merged(folder, goldens[g]);
        snprintf(lora, sizeof lora, "tests/data/lora/%s", goldens[g]);
        for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
            struct result merged, plain;
            qins_error error = {0};
            cr_assert_eq(convert(base, lora, &options[i], &merged, &error), QINS_OK, "%s", error.message);
            cr_assert_eq(convert(folder, NULL, &options[i], &plain, &error), QINS_OK, "%s", error.message);
            expect_equal(&merged, &plain, goldens[g]);
            release(&merged);
            release(&plain);
        }
        hf_fixture fixture = {.n_tensors = 0};
        memcpy(fixture.path, folder, sizeof folder);
        hf_fixture_remove(&fixture);
    }
}

Test(lora, is_named_with_its_hash) {
    struct result result;
    qins_error error = {0};
    const qins_convert_options options = {.weight_type = QINS_QINS8, .n_threads = 2};
    cr_assert_eq(convert(base, "tests/data/lora/split", &options, &result, &error), QINS_OK, "%s", error.message);
    const qins_header *header = &result.report.header;
    cr_assert_geq(header->n_sources, 2u);
    const qins_source *source = &header->sources[header->n_sources - 1];
    size_t size;
    uint8_t *file = hf_fixture_read("tests/data/lora/split/adapter_model.safetensors", &size);
    cr_expect_str_eq(source->name, "adapter_model.safetensors");
    cr_expect_eq(source->bytes, size);
    cr_expect_eq(source->hash, XXH3_64bits(file, size));
    cr_expect_str_eq(source[-1].name, "adapter_config.json");
    cr_expect_str_eq(header->tensors[QINS_LAYER_INDEX + QINS_TENSORS_PER_LAYER + QINS_DOWN].source_type, "F32");
    free(file);
    release(&result);
}

static void refused(const char *folder, const char *lora, const char *text) {
    struct result result;
    qins_error error = {0};
    const qins_convert_options options = {.weight_type = QINS_QINS8, .n_threads = 1};
    cr_expect_eq(convert(folder, lora, &options, &result, &error), QINS_BAD_MODEL, "%s", text);
    cr_expect(strstr(error.message, text) != NULL || strstr(result.lines, text) != NULL, "no \"%s\" in \"%s\", \"%s\"",
              text, error.message, result.lines);
    release(&result);
}

// An adapter for one matrix of the fixture, as F32, with this configuration.
static void make_adapter(hf_fixture *adapter, const char *config) {
    *adapter = (hf_fixture){.path = "/tmp/qins_lora_XXXXXX"};
    cr_assert_not_null(mkdtemp(adapter->path));
    hf_fixture_text(adapter, "adapter_config.json", config);
    hf_fixture_add(adapter, "base_model.model.model.layers.0.mlp.up_proj.lora_A.weight", "F32", 4, 80);
    hf_fixture_add(adapter, "base_model.model.model.layers.0.mlp.up_proj.lora_B.weight", "F32", 72, 4);
}

static void write_adapter(const hf_fixture *adapter) {
    hf_fixture_write(adapter, 1);
    cr_assert_eq(
        rename(hf_fixture_path(adapter, "model.safetensors"), hf_fixture_path(adapter, "adapter_model.safetensors")),
        0);
}

static const char plain_config[] = "{\"peft_type\":\"LORA\",\"r\":4,\"lora_alpha\":8}";

Test(lora, refuses_settings_by_name) {
    static const struct {
        const char *config, *text;
    } cases[] = {
        {"{\"peft_type\":\"IA3\"}", "adapter_config.json: \"peft_type\" is IA3; only LORA can be merged"},
        {"{\"peft_type\":\"LORA\",\"use_dora\":true}", "\"use_dora\" is set"},
        {"{\"peft_type\":\"LORA\",\"modules_to_save\":[\"lm_head\"]}", "\"modules_to_save\" is set"},
        {"{\"peft_type\":\"LORA\",\"trainable_token_indices\":{\"embed_tokens\":[1]}}", "\"trainable_token_indices\""},
        {"{\"peft_type\":\"LORA\",\"bias\":\"all\"}", "\"bias\" is \"all\""},
        {"{\"peft_type\":\"LORA\",\"init_lora_weights\":\"pissa_niter_4\"}",
         "\"init_lora_weights\" is \"pissa_niter_4\""},
        {"{\"peft_type\":\"LORA\",\"r\":0}", "\"r\" must be an integer"},
        {"{\"peft_type\":\"LORA\",\"r\":4,\"lora_alpha\":NaN}", "\"lora_alpha\" must be a number"},
        {"{\"peft_type\":\"LORA\",\"r\":8}", "lora_A.weight: shape [4, 80] found, [8, 80] expected"},
        {"{\"peft_type\":\"LORA\",\"r\":4,\"rank_pattern\":{\"up_proj\":2}}", "shape [4, 80] found, [2, 80] expected"},
        {"{\"peft_type\":\"LORA\",\"r\":4,\"alpha_pattern\":{\"(?i)up\":2}}",
         "the pattern \"(?i)up\" is not supported"},
        {"{\"peft_type\":\"LORA\",\"r\":4,\"alpha_pattern\":{\"a{99}\":2}}", "is not supported"},
        {"{\"peft_type\":\"LORA\",\"r\":4,\"alpha_pattern\":{\"[\":2}}", "is not supported"},
        {"[]", "not a JSON object"},
    };
    hf_fixture fixture, adapter;
    hf_fixture_make(&fixture, QINS_BF16);
    hf_fixture_write(&fixture, 1);
    make_adapter(&adapter, plain_config);
    write_adapter(&adapter);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hf_fixture_text(&adapter, "adapter_config.json", cases[i].config);
        refused(fixture.path, adapter.path, cases[i].text);
    }
    hf_fixture_remove(&adapter);
    hf_fixture_remove(&fixture);
}

Test(lora, refuses_tensors_by_name) {
    static const struct {
        const char *name;
        size_t rows, cols;
        const char *text;
    } cases[] = {
        {"base_model.model.model.layers.0.mlp.up_proj.lora_magnitude_vector", 0, 72, "DoRA is not supported"},
        {"base_model.model.model.embed_tokens.lora_embedding_A", 4, 96, "an update of the embedding is not supported"},
        {"base_model.model.lm_head.weight", 96, 80, "a whole tensor in place of the model's is not supported"},
        {"base_model.model.model.layers.0.self_attn.qkv_proj.base_layer.weight", 160, 80,
         "a whole tensor in place of the model's is not supported"},
        {"base_model.model.model.layers.0.mlp.up_proj.lora_B.bias", 0, 72, "a bias, which this model does not have"},
        {"base_model.model.model.layers.2.mlp.up_proj.lora_A.weight", 4, 80, "changes no matrix of this model"},
        {"base_model.model.model.layers.1.mlp.up_proj.lora_A.weight", 4, 80, "up_proj.lora_B.weight: missing"},
    };
    hf_fixture fixture;
    hf_fixture_make(&fixture, QINS_BF16);
    hf_fixture_write(&fixture, 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hf_fixture adapter;
        make_adapter(&adapter, plain_config);
        hf_fixture_add(&adapter, cases[i].name, "F32", cases[i].rows, cases[i].cols);
        write_adapter(&adapter);
        refused(fixture.path, adapter.path, cases[i].text);
        hf_fixture_remove(&adapter);
    }
    hf_fixture adapter; // two updates of the same rows
    make_adapter(&adapter, plain_config);
    hf_fixture_add(&adapter, "base_model.model.model.layers.0.mlp.gate_up_proj.lora_A.weight", "F32", 4, 80);
    hf_fixture_add(&adapter, "base_model.model.model.layers.0.mlp.gate_up_proj.lora_B.weight", "F32", 144, 4);
    write_adapter(&adapter);
    refused(fixture.path, adapter.path, "up_proj.weight: changed as a part and as part of the whole");
    unlink(hf_fixture_path(&adapter, "adapter_model.safetensors"));
    refused(fixture.path, adapter.path, "is it a LoRA adapter of peft?");
    hf_fixture_text(&adapter, "adapter_model.bin", "x");
    refused(fixture.path, adapter.path, "has adapter_model.bin: only safetensors are read");
    refused(fixture.path, fixture.path, "has config.json: a whole model; --lora takes an adapter's folder");
    hf_fixture_remove(&adapter);
    hf_fixture_remove(&fixture);
}

// peft saves the embedding and the head, too, where the vocabulary might have changed.
Test(lora, ignores_copies_of_the_embedding_and_the_head) {
    static const char *const names[] = {"model.embed_tokens.weight", "lm_head.weight"};
    hf_fixture fixture, adapter;
    struct result result;
    qins_error error = {0};
    const qins_convert_options options = {.weight_type = QINS_QINS8, .n_threads = 2};
    hf_fixture_make(&fixture, QINS_BF16);
    hf_fixture_write(&fixture, 1);
    make_adapter(&adapter, plain_config);
    for (size_t i = 0; i < 2; i++) {
        char name[64];
        snprintf(name, sizeof name, "base_model.model.%s", names[i]);
        fixture_tensor *copy = hf_fixture_add(&adapter, name, "BF16", 96, 80);
        memcpy(copy->data, hf_fixture_find(&fixture, names[i])->data, copy->bytes);
    }
    write_adapter(&adapter);
    cr_expect_eq(convert(fixture.path, adapter.path, &options, &result, &error), QINS_OK, "%s", error.message);
    release(&result);
    fixture_tensor *head = hf_fixture_find(&adapter, "base_model.model.lm_head.weight");
    hf_fixture_set(head, 7, 1 + hf_fixture_value(head, 7));
    write_adapter(&adapter);
    refused(fixture.path, adapter.path, "lm_head.weight: a whole tensor in place of the model's is not supported");
    hf_fixture_remove(&adapter);
    hf_fixture_remove(&fixture);
}

Test(lora, tells_of_another_tokenizer_and_template) {
    static const struct {
        const char *base_config, *template, *config; // of the base, and of the adapter; NULL: none
        const char *text;
    } cases[] = {
        {"{\"chat_template\":\"a\"}", "a", NULL, NULL},
        {"{\"chat_template\":\"a\"}", NULL, "{\"chat_template\":\"a\",\"more\":1}", NULL},
        {"{\"chat_template\":\"a\"}", NULL, "{}", NULL},
        {"{\"chat_template\":\"a\"}", "b", NULL, "comes with another chat template than"},
        {"{}", NULL, "{\"chat_template\":\"b\"}", "comes with another chat template than"},
    };
    hf_fixture fixture;
    const qins_convert_options options = {.weight_type = QINS_QINS8, .n_threads = 2};
    hf_fixture_make(&fixture, QINS_BF16);
    hf_fixture_write(&fixture, 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hf_fixture adapter;
        struct result result;
        qins_error error = {0};
        make_adapter(&adapter, plain_config);
        write_adapter(&adapter);
        hf_fixture_text(&fixture, "tokenizer_config.json", cases[i].base_config);
        if (cases[i].template != NULL) hf_fixture_text(&adapter, "chat_template.jinja", cases[i].template);
        if (cases[i].config != NULL) hf_fixture_text(&adapter, "tokenizer_config.json", cases[i].config);
        cr_expect_eq(convert(fixture.path, adapter.path, &options, &result, &error), QINS_OK, "%s", error.message);
        const char *found = strstr(result.lines, "the adapter comes with another");
        cr_expect_eq(found != NULL, cases[i].text != NULL, "case %zu: %s", i, result.lines);
        cr_expect(cases[i].text == NULL || strstr(result.lines, cases[i].text) != NULL, "%s", result.lines);
        release(&result);
        hf_fixture_remove(&adapter);
    }
    hf_fixture_remove(&fixture);
}

Test(lora, passes_over_fan_in_fan_out_as_peft_does) {
    hf_fixture fixture, adapter;
    hf_fixture_make(&fixture, QINS_F16);
    hf_fixture_split(&fixture);
    hf_fixture_write(&fixture, 2);
    make_adapter(&adapter, "{\"peft_type\":\"LORA\",\"r\":4,\"lora_alpha\":8,\"fan_in_fan_out\":true}");
    write_adapter(&adapter);
    struct result a, b;
    qins_error error = {0};
    const qins_convert_options options = {.weight_type = QINS_QINS8, .n_threads = 2};
    cr_assert_eq(convert(fixture.path, adapter.path, &options, &a, &error), QINS_OK, "%s", error.message);
    cr_expect_not_null(strstr(a.lines, "\"fan_in_fan_out\" applies to another kind of layer"), "%s", a.lines);
    hf_fixture_text(&adapter, "adapter_config.json", plain_config);
    cr_assert_eq(convert(fixture.path, adapter.path, &options, &b, &error), QINS_OK, "%s", error.message);
    expect_equal(&a, &b, "fan_in_fan_out");
    release(&a);
    release(&b);
    hf_fixture_remove(&adapter);
    hf_fixture_remove(&fixture);
}

// Modules, patterns, and the results of peft's get_pattern_key for them: the whole name or its end matches, so a
// pattern that begins with ^ needs the whole name.
Test(lora, finds_patterns_as_peft_does) {
    static const char text[] =
        "{\"peft_type\":\"LORA\",\"r\":8,\"lora_alpha\":16,\"rank_pattern\":{\"q_proj\":4,\"layers\\\\.1\\\\..*\":2,"
        "\"model\\\\.layers\\\\.\\\\d{2}\\\\.mlp\":16},\"alpha_pattern\":{\"^model.layers.0\":1,\"mlp\":3,"
        "\"o_proj|down_proj\":5,\"^model.layers.3.self_attn.[kv]_proj\":7}}";
    static const struct {
        const char *module;
        int64_t rank;
        double scale;
    } cases[] = {
        {"model.layers.0.self_attn.q_proj", 4, 16.0 / 4},
        {"model.layers.3.self_attn.v_proj", 8, 7.0 / 8},
        {"model.layers.12.mlp", 16, 3.0 / 16},
        {"model.layers.0", 8, 1.0 / 8},
        {"model.layers.1.self_attn.q_proj", 4, 16.0 / 4},
        {"model.layers.1.self_attn.xq_proj", 2, 16.0 / 2},
        {"model.layers.2.mlp", 8, 3.0 / 8},
        {"model.layers.2.mlp.down_proj", 8, 5.0 / 8},
        {"lm_head", 8, 16.0 / 8},
    };
    qins_error error = {0};
    const qins_problems problems = {.folder = "folder"};
    qins_lora_config config;
    qins_json *json = qins_json_parse_python(text, sizeof text - 1, 1000, QINS_BAD_MODEL, &error);
    qins_lora_config_read(&config, json, &problems, &error);
    expect_ok(&error);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t rank;
        double scale;
        qins_lora_config_module(&config, cases[i].module, &rank, &scale, &error);
        expect_ok(&error);
        cr_expect_eq(rank, cases[i].rank, "%s: %d", cases[i].module, (int)rank);
        cr_expect_eq(scale, cases[i].scale, "%s: %g", cases[i].module, scale);
    }
    qins_lora_config_free(&config);
    qins_json_free(json);
}

// members: what follows the type in adapter_config.json.
static void expect_config_refused(const char *members, qins_status status, const char *message) {
    qins_error error = {0};
    const qins_problems problems = {.folder = "folder"};
    int64_t rank;
    double scale;
    char *text = malloc(strlen(members) + 64);
    sprintf(text, "{\"peft_type\":\"LORA\",%s}", members);
    qins_lora_config config;
    qins_json *json = qins_json_parse(text, strlen(text), QINS_BAD_MODEL, &error);
    expect_ok(&error);
    if (qins_lora_config_read(&config, json, &problems, &error) == QINS_OK)
        qins_lora_config_module(&config, "model.layers.0.self_attn.q_proj", &rank, &scale, &error);
    expect_error(&error, status, message);
    qins_lora_config_free(&config);
    qins_json_free(json);
    free(text);
}

static void expect_patterns_refused(const char *patterns, qins_status status, const char *message) {
    char *members = malloc(strlen(patterns) + 64);
    sprintf(members, "\"rank_pattern\":{%s}", patterns);
    expect_config_refused(members, status, message);
    free(members);
}

// regcomp copies an operand that is repeated, so thirty repetitions of each other would take gigabytes.
Test(lora, patterns_are_bounded) {
    static const char *const patterns[] = {
        "q++",   "[]",    "[^]", "q{,2}", "q{123}",      "q{1,123}", "q{1;2}",  "{2}",    "\\\\z", "|+",  "(*)",
        "^^",    "q{2}+", "q**", "(q)+",  "(q){2}",      "q{33}",    "q{1000}", "q{3,1}", "q{}",   "a^b", "a$b",
        "(?i)q", "(q",    "q)",  "[q",    "[[:alpha:]]", "\\\\b",    "q{",      "*q",     "\\\\"};
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        char item[64];
        snprintf(item, sizeof item, "\"%s\":1", patterns[i]);
        expect_patterns_refused(item, QINS_BAD_MODEL, "\"rank_pattern\": the pattern");
    }
    expect_patterns_refused("\"q\":\"x\"", QINS_BAD_MODEL, "\"rank_pattern\": \"q\" must be a number");
    expect_patterns_refused("\"q\":-1", QINS_BAD_MODEL, "\"q\" must be a number from 0");
    expect_patterns_refused("\"q\":1e9", QINS_BAD_MODEL, "\"q\" must be a number from 0");
    expect_patterns_refused("\"q_proj\":0", QINS_BAD_MODEL, "must be a positive integer");
    expect_patterns_refused("\"q_proj\":1.5", QINS_BAD_MODEL, "must be a positive integer");
    expect_config_refused("\"rank_pattern\":[1]", QINS_BAD_MODEL, "\"rank_pattern\": it must be an object");
    char nested[256] = "\"", *many = malloc(1 << 20), *at = many;
    for (int i = 0; i < 30; i++) strcat(nested, "(");
    strcat(nested, "a");
    for (int i = 0; i < 30; i++) strcat(nested, ")+");
    strcat(nested, "\":1");
    expect_patterns_refused(nested, QINS_BAD_MODEL, "is not supported");
    for (int i = 0; i < 65; i++) at += sprintf(at, "%s\"layers.*%d\":1", i == 0 ? "" : ",", i);
    expect_patterns_refused(many, QINS_BAD_MODEL,
                            "\"rank_pattern\": it has more than 8192 patterns, or 64 that are not");
    at = many;
    for (int i = 0; i < 8193; i++) at += sprintf(at, "%s\"name%d\":1", i == 0 ? "" : ",", i);
    expect_patterns_refused(many, QINS_BAD_MODEL, "\"rank_pattern\": it has more than 8192 patterns");
    free(many);
}

Test(lora, every_allocation_may_fail) {
    const qins_convert_options options = {.weight_type = QINS_QINS8, .n_threads = 1, .lora = "tests/data/lora/fused"};
    bool failed = true;
    size_t n = 0;
    for (; failed; n++) {
        qins_error error = {0};
        qins_convert_report report;
        const int fd = qins_memory_file("test", &error);
        failing_allocation_set(n + 1);
        const qins_status status = qins_convert(base, fd, "out", &options, NULL, NULL, &report, &error);
        failed = failing_allocation_hit();
        failing_allocation_set(0);
        cr_expect_eq(status, failed ? QINS_FAILED : QINS_OK, "allocation %zu: %s", n, error.message);
        qins_convert_report_free(&report);
        close(fd);
    }
    cr_expect_gt(n, 100u);
}

// Python's re.match("(.*\.)?(PATTERN)$", MODULE) says the same.
Test(lora, patterns_match_as_in_python) {
    static const struct {
        const char *pattern, *module;
        bool matches;
    } cases[] = {
        {"q_proj", "layers.0.q_proj", true},
        {"q_proj", "q_proj", true},
        {"q_proj", "xq_proj", false},
        {"q_proj", "proj", false},
        {"layers.0", "layersx0", true},
        {"layers.0", "layers.1", false},
        {"[^.]+_proj", "layers.0.q_proj", true},
        {"[0-9]", "layers.7", true},
        {"[0-9]", "layers.x", false},
        {"layers\\.\\d+", "model.layers.12", true},
        {"layers\\.\\d", "model.layers.12", false},
        {"\\w+\\-\\w", "a.b_c-d", true},
        {"x{2}", "xx", true},
        {"x{2}", "xxx", false},
        {"x{1,2}", "xx", true},
        {"x{2,}", "xxxx", true},
        {"x{2,}", "x", false},
        {"a?b*", "bb", true},
        {"(q|k)_proj", "l.k_proj", true},
        {"(q|k)_proj", "l.v_proj", false},
        {"q_proj$", "l.q_proj", true},
        {"^l.q_proj", "l.q_proj", true},
        {"^q_proj", "l.q_proj", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        qins_error error = {0};
        qins_lora_pattern pattern;
        cr_assert_eq(qins_lora_pattern_compile(&pattern, cases[i].pattern, &error), QINS_OK, "%s", error.message);
        cr_expect_eq(qins_lora_pattern_matches(&pattern, cases[i].module), cases[i].matches, "%s, %s", cases[i].pattern,
                     cases[i].module);
        qins_lora_pattern_free(&pattern);
    }
}
