// Layouts of checkpoints and names in them: differences that do not change the model give the same tensors.
#include "convert/convert.h"
#include "convert/match.h"
#include "convert/names.h"
#include "engine/base/map.h"
#include "tests/hf_fixture.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct result {
    uint8_t *data; // the file
    size_t size;
    qins_convert_report report;
    char lines[4096];
    size_t n_lines;
};

static void keep_line(void *context, const char *line) {
    struct result *result = context;
    const size_t used = strlen(result->lines);
    snprintf(result->lines + used, sizeof result->lines - used, "%s\n", line);
    result->n_lines++;
}

static qins_status convert(const hf_fixture *fixture, struct result *result, qins_error *error) {
    *result = (struct result){0};
    const qins_convert_options options = {
        .weight_type = QINS_QINS8, .n_threads = 2, .notice = keep_line, .notice_context = result};
    const int fd = qins_memory_file("test-match", error);
    if (qins_convert(fixture->path, fd, "test", &options, NULL, NULL, &result->report, error) == QINS_OK) {
        result->size = result->report.file_bytes;
        result->data = malloc(result->size);
        cr_assert_eq(pread(fd, result->data, result->size, 0), (ssize_t)result->size);
    }
    close(fd);
    return error->status;
}

static void release(struct result *result) {
    free(result->data);
    qins_convert_report_free(&result->report);
}

// Both convert, and all tensors are equal, as are the hashes of their sources.
static void expect_equal(const hf_fixture *left, const hf_fixture *right, const char *what) {
    struct result a, b;
    qins_error error = {0};
    cr_assert_eq(convert(left, &a, &error), QINS_OK, "%s: %s", what, error.message);
    cr_assert_eq(convert(right, &b, &error), QINS_OK, "%s: %s\n%s", what, error.message, b.lines);
    cr_assert_eq(a.report.header.n_tensors, b.report.header.n_tensors);
    for (size_t i = 0; i < a.report.header.n_tensors; i++) {
        const qins_tensor *x = &a.report.header.tensors[i], *y = &b.report.header.tensors[i];
        cr_expect(x->hash == y->hash && x->source_hash == y->source_hash && x->bytes == y->bytes, "%s: %s", what,
                  x->spec.name);
        cr_expect(memcmp(a.data + x->offset, b.data + y->offset, x->bytes) == 0, "%s: %s", what, x->spec.name);
    }
    cr_expect_eq(a.report.source_bytes, b.report.source_bytes);
    release(&a);
    release(&b);
}

static void refused(const hf_fixture *fixture, const char *text, size_t n_lines) {
    struct result result;
    qins_error error = {0};
    cr_expect_eq(convert(fixture, &result, &error), QINS_BAD_MODEL, "%s", text);
    cr_expect_not_null(strstr(result.lines, text), "\"%s\" is not in \"%s\"", text, result.lines);
    cr_expect_eq(result.n_lines, n_lines + 1, "%s", result.lines); // and the missing tokenizer
    release(&result);
}

Test(match, unwraps_names) {
    static const char *const names[][2] = {
        {"model.norm.weight", "model.norm.weight"},
        {"norm.weight", "model.norm.weight"},
        {"lm_head.weight", "lm_head.weight"},
        {"layers.3.mlp.down_proj.weight", "model.layers.3.mlp.down_proj.weight"},
        {"_orig_mod.model.norm.weight", "model.norm.weight"},
        {"module._orig_mod.lm_head.weight", "lm_head.weight"},
        {"module.layers.3._orig_mod.mlp.weight", "model.layers.3.mlp.weight"},
        {"base_model.model.model.layers.0.x.base_layer.weight", "model.layers.0.x.weight"},
        {"base_model.model.lm_head.weight", "lm_head.weight"},
        {"module.base_model.model.embed_tokens.weight", "model.embed_tokens.weight"},
        {"_fsdp_wrapped_module.model.layers.0._checkpoint_wrapped_module.x", "model.layers.0.x"},
        {"other.norm.weight", "other.norm.weight"},
        {"modules.norm.weight", "modules.norm.weight"},
        {"module", "module"},
        {"", ""},
        {"..", ".."},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char plain[128];
        cr_expect_eq(qins_plain_name(plain, names[i][0]), plain + strlen(plain));
        cr_expect_str_eq(plain, names[i][1]);
    }
}

Test(match, joins_what_llama_has_apart) {
    static const qins_type types[] = {QINS_F32, QINS_BF16, QINS_F16};
    for (int i = 0; i < 3; i++) {
        hf_fixture whole, split;
        hf_fixture_make(&whole, types[i]);
        hf_fixture_write(&whole, 1);
        hf_fixture_make(&split, types[i]);
        hf_fixture_split(&split);
        hf_fixture_write(&split, i == 1 ? 4 : 1); // parts of a tensor in different files
        expect_equal(&whole, &split, "apart");
        hf_fixture_remove(&split);
        hf_fixture_remove(&whole);
    }
}

Test(match, knows_the_model_under_wrapped_names) {
    static const char *const prefixes[] = {"base_model.model.", "_orig_mod.", "module.", "module._orig_mod."};
    hf_fixture plain;
    hf_fixture_make(&plain, QINS_BF16);
    hf_fixture_write(&plain, 1);
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        hf_fixture wrapped;
        hf_fixture_make(&wrapped, QINS_BF16);
        if (i % 2 == 1) hf_fixture_split(&wrapped);
        for (size_t t = 0; t < wrapped.n_tensors; t++) {
            char name[96];
            snprintf(name, sizeof name, "%s%.60s", prefixes[i], wrapped.tensors[t].name);
            memcpy(wrapped.tensors[t].name, name, sizeof name);
        }
        hf_fixture_write(&wrapped, 1 + i % 2);
        expect_equal(&plain, &wrapped, prefixes[i]);
        hf_fixture_remove(&wrapped);
    }
    hf_fixture_remove(&plain);
}

// Values of one tensor in several types have FP32 in common.
Test(match, widens_parts_of_different_types) {
    hf_fixture fixture;
    hf_fixture_make(&fixture, QINS_BF16);
    hf_fixture_split(&fixture);
    fixture_tensor *k = hf_fixture_find(&fixture, "model.layers.1.self_attn.k_proj.weight");
    float *values = malloc(40 * 80 * sizeof *values);
    for (size_t i = 0; i < 40 * 80; i++) values[i] = hf_fixture_value(k, i);
    free(k->data);
    k->data = (uint8_t *)values;
    k->bytes = 40 * 80 * sizeof *values;
    k->dtype = "F32";
    hf_fixture_write(&fixture, 1);
    hf_fixture plain;
    hf_fixture_make(&plain, QINS_BF16);
    hf_fixture_write(&plain, 1);
    struct result a, b;
    qins_error error = {0};
    cr_assert_eq(convert(&fixture, &a, &error), QINS_OK, "%s", error.message);
    cr_assert_eq(convert(&plain, &b, &error), QINS_OK, "%s", error.message);
    const size_t index = QINS_LAYER_INDEX + QINS_TENSORS_PER_LAYER + QINS_QKV;
    const qins_tensor *x = &a.report.header.tensors[index], *y = &b.report.header.tensors[index];
    cr_expect_str_eq(x->source_type, "F32");
    cr_expect_str_eq(y->source_type, "BF16");
    cr_expect_eq(x->hash, y->hash);
    release(&a);
    release(&b);
    hf_fixture_remove(&plain);
    hf_fixture_remove(&fixture);
}

// The fixture's configuration ties the head, which becomes a copy of the embedding. Returns the head.
static fixture_tensor *tie(hf_fixture *fixture) {
    char config[1024];
    snprintf(config, sizeof config, "%s", fixture_config);
    memcpy(strstr(config, "false,\"eos"), " true", 5);
    hf_fixture_text(fixture, "config.json", config);
    fixture_tensor *head = hf_fixture_find(fixture, "lm_head.weight");
    memcpy(head->data, hf_fixture_find(fixture, "model.embed_tokens.weight")->data, head->bytes);
    return head;
}

// Is there a warning about a tied head in the last row of which one value is changed, or of another type?
static void expect_warning_of_head(bool is_changed, const char *dtype, bool is_warned) {
    hf_fixture fixture;
    struct result result;
    qins_error error = {0};
    hf_fixture_make(&fixture, QINS_BF16);
    fixture_tensor *head = tie(&fixture);
    if (is_changed) hf_fixture_set(head, 96 * 80 - 1, 2 * hf_fixture_value(head, 96 * 80 - 1) + 1);
    head->dtype = dtype;
    hf_fixture_write(&fixture, 2);
    cr_assert_eq(convert(&fixture, &result, &error), QINS_OK, "%s", error.message);
    const char *warning = strstr(result.lines, "lm_head.weight differs from model.embed_tokens.weight");
    cr_expect_eq(warning != NULL, is_warned, "%s", result.lines);
    cr_expect_eq(result.report.header.config.tied_head, !is_warned);
    cr_expect_eq(result.n_lines, 1 + is_warned, "%s", result.lines); // and the missing tokenizer
    release(&result);
    hf_fixture_remove(&fixture);
}

Test(match, tells_of_a_tied_head_that_is_not_the_embedding) {
    expect_warning_of_head(false, "BF16", false);
    expect_warning_of_head(true, "BF16", true);
    expect_warning_of_head(false, "F16", true);
}

// safetensors.torch.save_model keeps either of two tensors that are one in memory.
Test(match, takes_a_tied_embedding_from_the_head) {
    hf_fixture fixture;
    struct result a, b;
    qins_error error = {0};
    hf_fixture_make(&fixture, QINS_BF16);
    fixture_tensor *head = tie(&fixture), *embedding = hf_fixture_find(&fixture, "model.embed_tokens.weight");
    head->absent = true;
    hf_fixture_write(&fixture, 1);
    cr_assert_eq(convert(&fixture, &a, &error), QINS_OK, "%s", error.message);
    head->absent = false;
    embedding->absent = true;
    hf_fixture_write(&fixture, 1);
    cr_assert_eq(convert(&fixture, &b, &error), QINS_OK, "%s", error.message);
    cr_expect_eq(a.report.header.n_tensors, b.report.header.n_tensors);
    cr_expect_eq(a.report.header.tensors[0].hash, b.report.header.tensors[0].hash);
    release(&a);
    release(&b);
    hf_fixture_remove(&fixture);
}

Test(match, ignores_a_value_head) {
    hf_fixture fixture;
    struct result result;
    qins_error error = {0};
    hf_fixture_make(&fixture, QINS_BF16);
    hf_fixture_add(&fixture, "v_head.summary.weight", "F32", 1, 80);
    hf_fixture_add(&fixture, "v_head.summary.bias", "F32", 0, 1);
    hf_fixture_write(&fixture, 1);
    cr_assert_eq(convert(&fixture, &result, &error), QINS_OK, "%s", error.message);
    cr_expect_not_null(strstr(result.lines, "value head"), "%s", result.lines);
    release(&result);
    hf_fixture_remove(&fixture);
}

Test(match, tells_of_unreadable_types_in_one_line) {
    hf_fixture fixture;
    hf_fixture_make(&fixture, QINS_F32);
    for (size_t i = 0; i < fixture.n_tensors; i++) fixture.tensors[i].dtype = "I32";
    hf_fixture_write(&fixture, 1);
    refused(&fixture,
            "tensor model.embed_tokens.weight: dtype I32 cannot be converted (BF16, F16 and F32 can), nor can", 1);
    hf_fixture_remove(&fixture);
}

Test(match, names_the_part_and_its_row_of_nan) {
    hf_fixture fixture;
    hf_fixture_make(&fixture, QINS_F32);
    hf_fixture_split(&fixture);
    hf_fixture_set(hf_fixture_find(&fixture, "model.layers.1.self_attn.v_proj.weight"), 80 * 5 + 3, (float)NAN);
    hf_fixture_write(&fixture, 1);
    struct result result;
    qins_error error = {0};
    cr_expect_eq(convert(&fixture, &result, &error), QINS_BAD_MODEL);
    cr_expect_not_null(
        strstr(error.message, "model.safetensors: tensor model.layers.1.self_attn.v_proj.weight: row 5, column 3: "),
        "%s", error.message);
    release(&result);
    hf_fixture_remove(&fixture);
}

Test(match, refuses_by_name) {
    hf_fixture fixture;
    hf_fixture_make(&fixture, QINS_BF16);
    hf_fixture_split(&fixture);
    hf_fixture_find(&fixture, "model.layers.0.self_attn.k_proj.weight")->absent = true;
    hf_fixture_write(&fixture, 1);
    refused(&fixture, "tensor model.layers.0.self_attn.k_proj.weight: missing", 1);
    hf_fixture_find(&fixture, "model.layers.0.self_attn.k_proj.weight")->absent = false;
    hf_fixture_find(&fixture, "model.layers.0.self_attn.qkv_proj.weight")->absent = false;
    hf_fixture_write(&fixture, 1);
    refused(&fixture, "tensor model.layers.0.self_attn.v_proj.weight: not part of this model", 3);
    hf_fixture_find(&fixture, "model.layers.0.self_attn.qkv_proj.weight")->absent = true;
    hf_fixture_add(&fixture, "model.layers.0.self_attn.q_proj.bias", "F32", 0, 80);
    hf_fixture_add(&fixture, "model.layers.1.self_attn.q_proj.bias", "F32", 0, 80);
    hf_fixture_write(&fixture, 1);
    refused(&fixture, "q_proj.bias: a bias, which this model does not have (and 1 more of them)", 1);
    hf_fixture_remove(&fixture);
}

// One line, not one for every tensor.
Test(match, says_at_once_that_all_names_are_wrong) {
    hf_fixture fixture;
    hf_fixture_make(&fixture, QINS_BF16);
    for (int i = 0; i < 2; i++) {
        for (size_t t = 0; t < fixture.n_tensors; t++) {
            fixture_tensor *tensor = &fixture.tensors[t];
            if (i == 0 && strcmp(tensor->name, "lm_head.weight") != 0) memcpy(tensor->name, "mudel", 5);
            if (i == 1) snprintf(tensor->name, sizeof tensor->name, "transformer.h.%zu", t);
        }
        hf_fixture_write(&fixture, 1);
        refused(&fixture,
                i == 0 ? "the names of all tensors of the layers begin with \"mudel.\", where \"model.\" is expected"
                       : "none of the layers is here; the names of the tensors are those of another model",
                1);
    }
    hf_fixture_remove(&fixture);
}
