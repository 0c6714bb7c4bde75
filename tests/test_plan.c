// The plan for every tensor, and that all problems of a checkpoint are reported, not only the first.
#include "convert/convert.h"
#include "convert/option_setters.h"
#include "convert/type_plan.h"
#include "engine/base/map.h"
#include "tests/hf_fixture.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct lines {
    char text[4096];
    size_t count;
};

static void keep_line(void *context, const char *line) {
    struct lines *lines = context;
    size_t used = strlen(lines->text);
    snprintf(lines->text + used, sizeof lines->text - used, "%s\n", line);
    lines->count++;
}

static qins_status plan(const hf_fixture *fixture, struct lines *lines, qins_convert_report *report,
                        qins_error *error) {
    *lines = (struct lines){0};
    qins_convert_options options = {
        .weight_type = QINS_QINS8, .n_threads = 1, .notice = keep_line, .notice_context = lines};
    return qins_convert_plan(fixture->path, &options, NULL, NULL, report, error);
}

// The plan fails and its notices contain the text.
static void expect_problem(const hf_fixture *fixture, const char *text) {
    struct lines lines;
    qins_convert_report report;
    qins_error error = {0};
    cr_expect_eq(plan(fixture, &lines, &report, &error), QINS_BAD_MODEL, "%s", text);
    cr_expect(strstr(lines.text, text) != NULL || strstr(error.message, text) != NULL,
              "\"%s\" is not in \"%s\" or \"%s\"", text, lines.text, error.message);
    qins_convert_report_free(&report);
}

// The plan succeeds, and its notices contain the text.
static void expect_warning(const hf_fixture *fixture, const char *text) {
    struct lines lines;
    qins_convert_report report;
    qins_error error = {0};
    cr_expect_eq(plan(fixture, &lines, &report, &error), QINS_OK, "%s: %s", text, error.message);
    cr_expect_not_null(strstr(lines.text, text), "\"%s\" is not in \"%s\"", text, lines.text);
    qins_convert_report_free(&report);
}

Test(plan, chooses_types_by_the_rules) {
    const qins_convert_options coded = {.weight_type = QINS_QINS8}, plain = {.weight_type = QINS_F32},
                               half = {.weight_type = QINS_BF16};
    for (int i = 0; i < 3; i++) {
        qins_type source = i == 0 ? QINS_F32 : i == 1 ? QINS_F16 : QINS_BF16;
        cr_expect_eq(qins_plan_type(&coded, QINS_ROLE_EMBEDDING, source), source);
        cr_expect_eq(qins_plan_type(&plain, QINS_ROLE_NORM, source), source);
        cr_expect_eq(qins_plan_type(&coded, QINS_ROLE_DOWN, source), QINS_QINS8);
        cr_expect_eq(qins_plan_type(&plain, QINS_ROLE_QKV, source), QINS_F32);
        cr_expect_eq(qins_plan_type(&half, QINS_ROLE_QKV, source), QINS_BF16);
        cr_expect_eq(qins_plan_type(&coded, QINS_ROLE_HEAD, source), source == QINS_F32 ? QINS_BF16 : source);
        cr_expect_eq(qins_plan_type(&plain, QINS_ROLE_HEAD, source), QINS_F32);
    }
}

Test(plan, tells_type_place_and_size_of_every_tensor) {
    hf_fixture fixture;
    hf_fixture_make(&fixture, QINS_BF16);
    hf_fixture_write(&fixture, 2);
    struct lines lines;
    qins_convert_report report;
    qins_error error = {0};
    cr_assert_eq(plan(&fixture, &lines, &report, &error), QINS_OK, "%s\n%s", lines.text, error.message);
    cr_expect_eq(lines.count, 1u, "%s", lines.text);
    cr_expect_not_null(strstr(lines.text, "no tokenizer.json"));
    cr_assert_eq(report.header.n_tensors, (size_t)FIXTURE_TENSORS);
    const qins_tensor *qkv = &report.header.tensors[QINS_LAYER_INDEX + QINS_QKV];
    cr_expect_eq(qkv->type, QINS_QINS8);
    cr_expect_str_eq(qkv->source_type, "BF16");
    cr_expect_eq(qkv->bytes, 10u * (128 + 2 * 1024));
    // The fixture deals tensors to the shards in turn, in schema order but for the last two.
    const qins_source *sources = report.header.sources;
    cr_expect_str_eq(sources[report.tensor_source[0]].name, "model-00001-of-00002.safetensors");
    cr_expect_str_eq(sources[report.tensor_source[1]].name, "model-00002-of-00002.safetensors");
    const qins_tensor *last = &report.header.tensors[FIXTURE_TENSORS - 1];
    cr_expect_eq(last->offset + last->bytes, report.file_bytes);
    const qins_convert_cost *cost = &report.costs[QINS_ROLE_QKV][QINS_QINS8];
    cr_expect_eq(cost->n_tensors, 2u);
    cr_expect_eq(cost->values, 2u * 160 * 80);
    qins_convert_report_free(&report);
    hf_fixture_remove(&fixture);
}

// The plan with these rules ("PATTERN=TYPE", ended by NULL) beside qins8.
static qins_status plan_with(const hf_fixture *fixture, const char *const *rules, qins_convert_report *report,
                             qins_error *error) {
    qins_convert_options options = {.weight_type = QINS_QINS8, .n_threads = 2};
    const qins_option option = {.name = "tensor"};
    for (size_t i = 0; rules[i] != NULL && error->status == QINS_OK; i++)
        qins_add_type_rule(&options, &(qins_given_option){.option = &option, .name = "--tensor", .value = rules[i]},
                           error);
    cr_assert_eq(error->status, QINS_OK, "%s", error->message);
    return qins_convert_plan(fixture->path, &options, NULL, NULL, report, error);
}

Test(plan, follows_rules_for_single_tensors) {
    hf_fixture fixture;
    hf_fixture_make(&fixture, QINS_BF16);
    hf_fixture_write(&fixture, 1);
    static const char *const rules[] = {
        "*.layers.1.*=qins4", "down=qins5", "*.1.mlp.gate_*=f32", "lm_head.weight=qins6", "model.norm*=f32",
        "embedding=qins8",    NULL};
    qins_convert_report report;
    qins_error error = {0};
    cr_assert_eq(plan_with(&fixture, rules, &report, &error), QINS_OK, "%s", error.message);
    // Embedding; layer 0, 1: norm, qkv, output, norm, gate_up, down; norm, head. A rule ignores tensors that cannot
    // have its type, and the last one that matches counts.
    static const qins_type expected[FIXTURE_TENSORS] = {QINS_QINS8, QINS_BF16,  QINS_QINS8, QINS_QINS8, QINS_BF16,
                                                        QINS_QINS8, QINS_QINS5, QINS_BF16,  QINS_QINS4, QINS_QINS4,
                                                        QINS_BF16,  QINS_F32,   QINS_QINS5, QINS_F32,   QINS_QINS6};
    for (size_t i = 0; i < FIXTURE_TENSORS; i++) {
        const qins_tensor *tensor = &report.header.tensors[i];
        cr_expect_eq(tensor->type, expected[i], "%s is %s", tensor->spec.name, qins_types[tensor->type].name);
    }
    qins_convert_report_free(&report);
    hf_fixture_remove(&fixture);
}

Test(plan, refuses_rules_that_apply_to_nothing) {
    static const struct {
        const char *rule, *message;
    } refused[] = {{"model.layers.2.*=qins4", "model.layers.2.*=qins4: no tensor matches"},
                   {"self_attn.qkv_proj=qins4", "no tensor matches"},
                   {"*norm*=qins6", "*norm*=qins6: model.norm.weight cannot be qins6; norms are never coded"}};
    hf_fixture fixture;
    hf_fixture_make(&fixture, QINS_BF16);
    hf_fixture_write(&fixture, 1);
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        const char *const rules[] = {"qkv=qins5", refused[i].rule, NULL};
        qins_convert_report report;
        qins_error error = {0};
        cr_expect_eq(plan_with(&fixture, rules, &report, &error), QINS_USAGE, "%s", refused[i].rule);
        cr_expect_not_null(strstr(error.message, refused[i].message), "%s", error.message);
        qins_convert_report_free(&report);
    }
    hf_fixture_remove(&fixture);
}

// Of 32 rows or fewer nothing is guessed; the fixture's larger tensors are like noise, and every row tells of all.
Test(plan, expects_the_errors_that_a_conversion_makes) {
    hf_fixture fixture;
    hf_fixture_make(&fixture, QINS_F32);
    hf_fixture_write(&fixture, 1);
    const qins_convert_options options = {.weight_type = QINS_QINS5, .n_threads = 2, .expect_errors = true};
    qins_convert_report expected, done;
    qins_error error = {0};
    cr_assert_eq(qins_convert_plan(fixture.path, &options, NULL, NULL, &expected, &error), QINS_OK, "%s",
                 error.message);
    const int fd = qins_memory_file("test", &error);
    cr_assert_eq(qins_convert(fixture.path, fd, "out", &options, NULL, NULL, &done, &error), QINS_OK);
    for (size_t i = 0; i < FIXTURE_TENSORS; i++) {
        const qins_tensor *tensor = &done.header.tensors[i];
        cr_expect_leq(fabs(expected.header.tensors[i].error - tensor->error), 0.1 * tensor->error, "%s",
                      tensor->spec.name);
    }
    const qins_convert_cost *a = &expected.costs[QINS_ROLE_DOWN][QINS_QINS5],
                            *b = &done.costs[QINS_ROLE_DOWN][QINS_QINS5];
    cr_expect_float_eq(a->squares / b->squares, 1, 0.1);
    cr_expect_float_eq(a->error / b->error, 1, 0.1);
    close(fd);
    qins_convert_report_free(&expected);
    qins_convert_report_free(&done);
    hf_fixture_remove(&fixture);
}

Test(plan, lists_all_problems) {
    hf_fixture fixture;
    hf_fixture_make(&fixture, QINS_F32);
    hf_fixture_find(&fixture, "model.norm.weight")->absent = true;
    hf_fixture_find(&fixture, "model.layers.1.mlp.down_proj.weight")->absent = true;
    hf_fixture_find(&fixture, "model.embed_tokens.weight")->shape[0] = 80;
    hf_fixture_find(&fixture, "model.embed_tokens.weight")->shape[1] = 96;
    hf_fixture_add(&fixture, "model.layers.0.self_attn.qkv_proj.bias", "F32", 0, 160);
    hf_fixture_add(&fixture, "model.layers.2.mlp.down_proj.weight", "F32", 80, 72);
    fixture_tensor *norm = hf_fixture_find(&fixture, "model.layers.0.input_layernorm.weight");
    norm->dtype = "I32";
    hf_fixture_write(&fixture, 1);
    struct lines lines;
    qins_convert_report report;
    qins_error error = {0};
    cr_assert_eq(plan(&fixture, &lines, &report, &error), QINS_BAD_MODEL);
    static const char *const expected[] = {
        "tensor model.norm.weight: missing",
        "tensor model.layers.1.mlp.down_proj.weight: missing",
        "tensor model.embed_tokens.weight: shape [80, 96] found, [96, 80] expected",
        "tensor model.layers.0.self_attn.qkv_proj.bias: a bias, which this model does not have",
        "tensor model.layers.2.mlp.down_proj.weight: not part of this model",
        "tensor model.layers.0.input_layernorm.weight: dtype I32 cannot be converted"};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        cr_expect_not_null(strstr(lines.text, expected[i]), "%s\n%s", expected[i], lines.text);
    cr_expect_eq(lines.count, 7u); // and the missing tokenizer
    cr_expect_not_null(strstr(error.message, "6 problems"), "%s", error.message);
    qins_convert_report_free(&report);

    error = (qins_error){0};
    const qins_convert_options silent = {.weight_type = QINS_QINS8, .n_threads = 1};
    cr_expect_eq(qins_convert_plan(fixture.path, &silent, NULL, NULL, &report, &error), QINS_BAD_MODEL);
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        cr_expect_not_null(strstr(error.message, expected[i]), "%s\n%s", expected[i], error.message);
    qins_convert_report_free(&report);
    hf_fixture_remove(&fixture);
}

Test(plan, passes_over_what_is_not_needed) {
    hf_fixture fixture;
    hf_fixture_make(&fixture, QINS_BF16);
    hf_fixture_add(&fixture, "model.layers.0.self_attn.rotary_emb.inv_freq", "F32", 0, 10);
    hf_fixture_write(&fixture, 1);
    struct lines lines;
    qins_convert_report report;
    qins_error error = {0};
    cr_expect_eq(plan(&fixture, &lines, &report, &error), QINS_OK, "%s", lines.text);
    qins_convert_report_free(&report);
    char tied[1024];
    snprintf(tied, sizeof tied, "%.*s\"tie_word_embeddings\":true}",
             (int)(strstr(fixture_config, "\"tie_word") - fixture_config), fixture_config);
    hf_fixture_text(&fixture, "config.json", tied); // with and without the copy in lm_head
    fixture_tensor *head = hf_fixture_find(&fixture, "lm_head.weight");
    memcpy(head->data, hf_fixture_find(&fixture, "model.embed_tokens.weight")->data, head->bytes);
    hf_fixture_write(&fixture, 1);
    for (int i = 0; i < 2; i++) {
        cr_expect_eq(plan(&fixture, &lines, &report, &error), QINS_OK, "%s", lines.text);
        cr_expect_eq(report.header.n_tensors, (size_t)FIXTURE_TENSORS - 1);
        qins_convert_report_free(&report);
        head->absent = true;
        hf_fixture_write(&fixture, 1);
    }
    hf_fixture_remove(&fixture);
}

Test(plan, names_missing_shards_and_warns_of_a_wrong_index) {
    hf_fixture fixture;
    hf_fixture_make(&fixture, QINS_BF16);
    hf_fixture_write(&fixture, 3);
    unlink(hf_fixture_path(&fixture, "model-00001-of-00003.safetensors"));
    unlink(hf_fixture_path(&fixture, "model-00003-of-00003.safetensors"));
    expect_problem(&fixture, "file model-00001-of-00003.safetensors: missing");
    expect_problem(&fixture, "file model-00003-of-00003.safetensors: missing");
    hf_fixture_write(&fixture, 3);
    size_t size;
    char *index = (char *)hf_fixture_read(hf_fixture_path(&fixture, "model.safetensors.index.json"), &size);
    char *place = strstr(index, "model-00001-of"); // of the embedding
    place[10] = '2';
    hf_fixture_text(&fixture, "model.safetensors.index.json", index);
    expect_warning(&fixture,
                   "model.safetensors.index.json names the wrong file for 1 tensor (harmless): it places "
                   "model.embed_tokens.weight in model-00002-of-00003.safetensors, which does not contain it");
    place = strstr(index, "model.norm.weight");
    memcpy(place, "model.worm", 10);
    hf_fixture_text(&fixture, "model.safetensors.index.json", index);
    expect_warning(&fixture, "the wrong file for 2 tensors");
    hf_fixture_find(&fixture, "model.norm.weight")->absent = true;
    hf_fixture_write(&fixture, 3);
    hf_fixture_text(&fixture, "model.safetensors.index.json", index);
    expect_problem(&fixture, "tensor model.norm.weight: missing");
    free(index);
    hf_fixture_text(&fixture, "model.safetensors.index.json", "{\"weight_map\":{\"a\":\"../b.safetensors\"}}");
    expect_problem(&fixture, "must be a plain file name, not \"../b.safetensors\"");
    hf_fixture_text(&fixture, "model.safetensors.index.json", "{\"weight_map\":{\"a\":1}}");
    expect_problem(&fixture, "must be a plain file name");
    hf_fixture_text(&fixture, "model.safetensors.index.json", "{\"weight_map\":{}}");
    expect_problem(&fixture, "lists no tensors");
    hf_fixture_remove(&fixture);
}

Test(plan, names_tensors_stored_twice) {
    hf_fixture fixture;
    hf_fixture_make(&fixture, QINS_BF16);
    hf_fixture_add(&fixture, "model.norm.weight", "BF16", 0, 80);
    hf_fixture_write(&fixture, 1);
    expect_problem(&fixture, "tensor model.norm.weight: stored twice in model.safetensors");
    unlink(hf_fixture_path(&fixture, "model.safetensors"));
    hf_fixture_write(&fixture, 3); // the copies are 13 and 15 in the list: shards 2 and 1
    expect_problem(&fixture,
                   "stored twice, in model-00001-of-00003.safetensors and in model-00002-of-00003.safetensors");
    hf_fixture_remove(&fixture);
}

Test(plan, recognizes_what_is_no_model_file) {
    static const char pointer[] = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n";
    static const char *const names[] = {"model.safetensors", "config.json", "generation_config.json", "tokenizer.json",
                                        "tokenizer_config.json"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        hf_fixture fixture;
        hf_fixture_make(&fixture, QINS_BF16);
        hf_fixture_write(&fixture, 1);
        hf_fixture_text(&fixture, names[i], pointer);
        char message[128];
        snprintf(message, sizeof message, "%s is a git-lfs pointer", names[i]);
        expect_problem(&fixture, message);
        hf_fixture_text(&fixture, names[i], "\n <!DOCTYPE html><html></html>");
        snprintf(message, sizeof message, "%s is a web page", names[i]);
        expect_problem(&fixture, message);
        hf_fixture_text(&fixture, names[i], "");
        snprintf(message, sizeof message, "%s is empty", names[i]);
        expect_problem(&fixture, message);
        hf_fixture_remove(&fixture);
    }
}

Test(plan, says_what_a_folder_lacks) {
    hf_fixture fixture;
    hf_fixture_make(&fixture, QINS_BF16);
    expect_problem(&fixture, "has neither model.safetensors nor model.safetensors.index.json");
    hf_fixture_text(&fixture, "pytorch_model.bin", "x");
    expect_problem(&fixture, "only safetensors are read");
    unlink(hf_fixture_path(&fixture, "pytorch_model.bin"));
    hf_fixture_text(&fixture, "model-00001-of-00002.safetensors", "x");
    expect_problem(&fixture, "not the model.safetensors.index.json that lists them");
    unlink(hf_fixture_path(&fixture, "config.json"));
    expect_problem(&fixture, "has no config.json");
    hf_fixture_remove(&fixture);
}
