// Whole conversions: what the file holds, and that it depends only on folder and options.
#include "convert/convert.h"
#include "engine/base/map.h"
#include "engine/format/image.h"
#include "tests/hf_fixture.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

static const qins_convert_options coded = {.weight_type = QINS_QINS8, .n_threads = 2};

struct result {
    uint8_t *data; // owned
    size_t size;
};

static qins_status convert_with(const char *folder, const qins_convert_options *options, struct result *result,
                                qins_error *error) {
    *result = (struct result){0};
    int fd = qins_memory_file("test", error);
    qins_convert_report report;
    if (fd >= 0) qins_convert(folder, fd, "out", options, NULL, NULL, &report, error);
    if (error->status == QINS_OK) {
        result->size = (size_t)report.file_bytes;
        result->data = malloc(result->size + 1);
        cr_assert_not_null(result->data);
        cr_assert_eq(pread(fd, result->data, result->size + 1, 0), (ssize_t)result->size);
    }
    qins_convert_report_free(&report);
    close(fd);
    return error->status;
}

static struct result convert(const char *folder, qins_convert_options options) {
    struct result result;
    qins_error error = {0};
    cr_assert_eq(convert_with(folder, &options, &result, &error), QINS_OK, "%s", error.message);
    return result;
}

static qins_image *open_result(const struct result *result) {
    qins_error error = {0};
    qins_image *image = qins_image_from_memory(result->data, result->size, "result", &error);
    cr_assert_not_null(image, "%s", error.message);
    qins_pool *pool = qins_pool_create(1, &error);
    cr_expect_eq(qins_image_verify(image, pool, &error), QINS_OK, "%s", error.message);
    qins_pool_free(pool);
    return image;
}

// Every tensor differs from the checkpoint's by exactly the error that the header states.
static void check_values(const qins_image *image, hf_fixture *fixture) {
    const qins_header *header = qins_image_header(image);
    for (size_t i = 0; i < header->n_tensors; i++) {
        const qins_tensor *tensor = &header->tensors[i];
        const fixture_tensor *source = hf_fixture_find(fixture, tensor->spec.name);
        const qins_matrix matrix = qins_image_matrix(image, i);
        double error = 0, squares = 0;
        float *stored = malloc(matrix.rows * matrix.cols * sizeof *stored);
        cr_assert_not_null(stored);
        qins_decode_rows(stored, &matrix, 0, matrix.rows);
        for (size_t k = 0; k < matrix.rows * matrix.cols; k++) {
            double value = (double)hf_fixture_value(source, k);
            error += pow(value - (double)stored[k], 2);
            squares += value * value;
        }
        free(stored);
        cr_expect_float_eq(tensor->error, sqrt(error / squares), 1e-12, "%s: %g", tensor->spec.name, tensor->error);
        cr_expect_lt(tensor->error, 0.01);
        cr_expect_str_eq(tensor->source_type, source->dtype);
        cr_expect_eq(tensor->source_hash, XXH3_64bits(source->data, source->bytes));
    }
}

Test(convert, keeps_values_within_the_stated_error) {
    const qins_type sources[] = {QINS_F32, QINS_BF16, QINS_F16}, targets[] = {QINS_QINS8, QINS_F32, QINS_BF16};
    for (int i = 0; i < 9; i++) {
        hf_fixture fixture;
        hf_fixture_make(&fixture, sources[i / 3]);
        hf_fixture_write(&fixture, 1);
        qins_convert_options options = {
            .weight_type = targets[i % 3], .n_threads = 2, .rules = {{"head", QINS_QINS8}}, .n_rules = i == 0};
        struct result result = convert(fixture.path, options);
        qins_image *image = open_result(&result);
        check_values(image, &fixture);
        const qins_tensor *tensors = qins_image_header(image)->tensors;
        cr_expect_eq(tensors[QINS_LAYER_INDEX + QINS_DOWN].type, targets[i % 3]);
        cr_expect_eq(tensors[QINS_EMBEDDING_INDEX].type, sources[i / 3]);
        qins_image_close(image);
        free(result.data);
        hf_fixture_remove(&fixture);
    }
}

Test(convert, fills_in_the_header) {
    hf_fixture fixture;
    hf_fixture_make(&fixture, QINS_BF16);
    hf_fixture_write(&fixture, 2);
    struct result result = convert(fixture.path, coded);
    qins_image *image = open_result(&result);
    const qins_header *header = qins_image_header(image);
    cr_expect_str_eq(header->converter, QINS_CONVERTER);
    cr_expect_str_eq(header->chat_template, "none");
    cr_expect_eq(header->tokenizer_bytes, 0u);
    cr_expect_eq(header->config.n_stop_ids, 2u);
    cr_expect_eq(header->config.stop_ids[0], 5);
    static const char *const names[] = {"config.json", "generation_config.json", "model.safetensors.index.json",
                                        "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"};
    cr_assert_eq(header->n_sources, 5u);
    for (size_t i = 0; i < 5; i++) {
        size_t size;
        uint8_t *file = hf_fixture_read(hf_fixture_path(&fixture, names[i]), &size);
        uint64_t json_bytes = 0;
        memcpy(&json_bytes, file, 8);
        cr_expect_str_eq(header->sources[i].name, names[i]);
        cr_expect_eq(header->sources[i].bytes, size);
        cr_expect_eq(header->sources[i].hash, i < 3 ? XXH3_64bits(file, size) : XXH3_64bits(file + 8, json_bytes));
        free(file);
    }
    qins_image_close(image);
    free(result.data);
    hf_fixture_remove(&fixture);
}

Test(convert, gives_the_same_bytes_for_any_number_of_threads_and_any_folder) {
    hf_fixture fixture, other;
    hf_fixture_make(&fixture, QINS_F32);
    hf_fixture_write(&fixture, 1);
    hf_fixture_make(&other, QINS_F32);
    hf_fixture_write(&other, 1);
    struct result first = convert(fixture.path, coded);
    for (size_t n_threads = 1; n_threads <= 4; n_threads++) {
        qins_convert_options options = coded;
        options.n_threads = n_threads;
        struct result again = convert(n_threads % 2 ? fixture.path : other.path, options);
        cr_assert_eq(again.size, first.size);
        cr_expect(memcmp(again.data, first.data, first.size) == 0, "%zu threads", n_threads);
        free(again.data);
    }
    free(first.data);
    hf_fixture_remove(&other);
    hf_fixture_remove(&fixture);
}

Test(convert, gives_the_same_payloads_for_shards_and_a_single_file) {
    hf_fixture fixture, other;
    hf_fixture_make(&fixture, QINS_BF16);
    hf_fixture_write(&fixture, 1);
    hf_fixture_make(&other, QINS_BF16);
    hf_fixture_write(&other, 4);
    struct result single = convert(fixture.path, coded), sharded = convert(other.path, coded);
    qins_image *a = open_result(&single), *b = open_result(&sharded);
    for (size_t i = 0; i < qins_image_header(a)->n_tensors; i++) {
        const qins_tensor *left = &qins_image_header(a)->tensors[i], *right = &qins_image_header(b)->tensors[i];
        cr_assert_eq(left->bytes, right->bytes);
        cr_expect(memcmp(single.data + left->offset, sharded.data + right->offset, left->bytes) == 0);
        cr_expect(left->hash == right->hash && left->source_hash == right->source_hash && left->error == right->error);
    }
    qins_image_close(a);
    qins_image_close(b);
    free(single.data);
    free(sharded.data);
    hf_fixture_remove(&other);
    hf_fixture_remove(&fixture);
}

Test(convert, lays_the_file_out_as_planned) {
    hf_fixture fixture;
    hf_fixture_make(&fixture, QINS_F16);
    hf_fixture_write(&fixture, 2);
    qins_convert_report plan;
    qins_error error = {0};
    cr_assert_eq(qins_convert_plan(fixture.path, &coded, NULL, NULL, &plan, &error), QINS_OK, "%s", error.message);
    struct result result = convert(fixture.path, coded);
    qins_image *image = open_result(&result);
    cr_expect_eq(plan.file_bytes, result.size);
    for (size_t i = 0; i < plan.header.n_tensors; i++) {
        cr_expect_eq(plan.header.tensors[i].offset, qins_image_header(image)->tensors[i].offset);
        cr_expect_eq(plan.header.tensors[i].bytes, qins_image_header(image)->tensors[i].bytes);
    }
    qins_image_close(image);
    qins_convert_report_free(&plan);
    free(result.data);
    hf_fixture_remove(&fixture);
}

Test(convert, names_file_tensor_and_place_of_nan) {
    hf_fixture fixture;
    hf_fixture_make(&fixture, QINS_BF16);
    hf_fixture_set(hf_fixture_find(&fixture, "model.layers.1.mlp.down_proj.weight"), 72 * 5 + 3, NAN);
    hf_fixture_write(&fixture, 1);
    struct result result;
    qins_error error = {0};
    cr_expect_eq(convert_with(fixture.path, &coded, &result, &error), QINS_BAD_MODEL);
    cr_expect_not_null(
        strstr(error.message, "model.safetensors: tensor model.layers.1.mlp.down_proj.weight: row 5, column 3"), "%s",
        error.message);
    hf_fixture_remove(&fixture);
}

struct steps {
    uint64_t first, last, total; // first: above 0
};

static bool follow(void *context, uint64_t done, uint64_t total) {
    struct steps *steps = context;
    cr_expect(done >= steps->last && done <= total, "%llu after %llu", (unsigned long long)done,
              (unsigned long long)steps->last);
    if (steps->first == 0) steps->first = done;
    steps->last = done;
    steps->total = total;
    return true;
}

// The embedding is copied at once; matrices that are calibrated take nearly all of the time.
Test(convert, progress_goes_with_the_work) {
    const size_t embedding_bytes = 832 * 96 * 2;
    for (int i = 0; i < 2; i++) {
        qins_convert_options options = {.weight_type = QINS_QINS8, .n_threads = 2, .calibrate_tokens = 512};
        if (i == 1) options.calibrate = "tests/data/demo/calibration.txt";
        struct steps steps = {0};
        qins_error error = {0};
        qins_convert_report report;
        const int fd = qins_memory_file("test", &error);
        qins_convert("tests/data/demo", fd, "out", &options, follow, &steps, &report, &error);
        cr_assert_eq(error.status, QINS_OK, "%s", error.message);
        cr_expect_eq(steps.last, steps.total);
        if (i == 0)
            cr_expect_eq(steps.first, embedding_bytes);
        else
            cr_expect_lt(steps.first, embedding_bytes / 4);
        qins_convert_report_free(&report);
        close(fd);
    }
}

static bool stop_at_once(void *context, uint64_t done, uint64_t total) {
    uint64_t *calls = context;
    cr_expect_leq(done, total);
    return ++*calls < 3;
}

Test(convert, stops_when_progress_says_so) {
    hf_fixture fixture;
    hf_fixture_make(&fixture, QINS_BF16);
    hf_fixture_write(&fixture, 1);
    qins_error error = {0};
    qins_convert_report report;
    uint64_t calls = 0;
    int fd = qins_memory_file("test", &error);
    cr_expect_eq(qins_convert(fixture.path, fd, "out", &coded, stop_at_once, &calls, &report, &error),
                 QINS_INTERRUPTED);
    cr_expect_eq(calls, 3u);
    qins_convert_report_free(&report);
    close(fd);
    hf_fixture_remove(&fixture);
}

static const char phi3_template[] =
    "{% for message in messages %}{% if message['role'] == 'system' and message['content'] %}{{'<|system|>\\n' + "
    "message['content'] + '<|end|>\\n'}}{% elif message['role'] == 'user' %}{{'<|user|>\\n' + message['content'] + "
    "'<|end|>\\n'}}{% elif message['role'] == 'assistant' %}{{'<|assistant|>\\n' + message['content'] + "
    "'<|end|>\\n'}}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% else %}{{ eos_token "
    "}}{% endif %}"; // as JSON spells it

static void expect_template(const hf_fixture *fixture, const char *expected) {
    struct result result = convert(fixture->path, coded);
    qins_image *image = open_result(&result);
    cr_expect_str_eq(qins_image_header(image)->chat_template, expected);
    qins_image_close(image);
    free(result.data);
}

Test(convert, finds_the_chat_template_in_all_its_places) {
    hf_fixture fixture;
    hf_fixture_make(&fixture, QINS_BF16);
    hf_fixture_write(&fixture, 1);
    char text[2048];
    snprintf(text, sizeof text, "{\"chat_template\":\"%s\"}", phi3_template);
    hf_fixture_text(&fixture, "tokenizer_config.json", text);
    expect_template(&fixture, "phi3");
    snprintf(text, sizeof text,
             "{\"chat_template\":[{\"name\":\"tools\",\"template\":\"x\"},{\"name\":\"default\",\"template\":\"%s\"}]}",
             phi3_template);
    hf_fixture_text(&fixture, "tokenizer_config.json", text);
    expect_template(&fixture, "phi3");
    hf_fixture_text(&fixture, "chat_template.jinja", "something else"); // takes precedence over tokenizer_config.json
    expect_template(&fixture, "none");
    hf_fixture_text(&fixture, "chat_template.jinja", "");
    expect_template(&fixture, "none");
    char *out = text;
    for (const char *in = phi3_template; *in != '\0'; in++) { // as the file spells it
        bool newline = in[0] == '\\' && in[1] == 'n';
        *out++ = newline ? '\n' : *in;
        in += newline;
    }
    *out = '\0';
    hf_fixture_text(&fixture, "tokenizer_config.json", "{}");
    hf_fixture_text(&fixture, "chat_template.jinja", text);
    expect_template(&fixture, "phi3");
    hf_fixture_remove(&fixture);
}

// As Python does, which reads these files as UTF-8.
Test(convert, refuses_text_that_is_not_utf8) {
    static const char *const names[] = {"generation_config.json", "tokenizer_config.json", "chat_template.jinja"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        hf_fixture fixture;
        struct result result;
        qins_error error = {0};
        hf_fixture_make(&fixture, QINS_BF16);
        hf_fixture_write(&fixture, 1);
        hf_fixture_text(&fixture, names[i], "{\"name\": \"caf\xE9\"}");
        cr_expect_eq(convert_with(fixture.path, &coded, &result, &error), QINS_BAD_MODEL);
        cr_expect_not_null(strstr(error.message, names[i]), "%s", error.message);
        cr_expect_not_null(strstr(error.message, "is not text in UTF-8"), "%s", error.message);
        hf_fixture_remove(&fixture);
    }
}

Test(convert, converts_trained_models) {
    const char *data = getenv("QINS_TEST_DATA");
    if (data == NULL || data[0] == '\0') cr_skip_test("QINS_TEST_DATA is not set");
    static const char *const names[] = {"stories260k-phi3", "stories260k-phi3-f32", "babyllama105-phi3-f32"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char folder[4096];
        snprintf(folder, sizeof folder, "%s/models/%s", data, names[i]);
        struct result result = convert(folder, coded);
        qins_image *image = open_result(&result);
        const qins_header *header = qins_image_header(image);
        cr_expect_str_eq(header->chat_template, "phi3");
        cr_expect_gt(header->tokenizer_bytes, 0u);
        for (size_t k = 0; k < header->n_tensors; k++) cr_expect_lt(header->tensors[k].error, 0.01);
        qins_image_close(image);
        free(result.data);
    }
}
