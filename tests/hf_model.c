// Models for tests; see hf_model.h.
#include "tests/hf_model.h"

#include "convert/convert.h"
#include "engine/base/file.h"
#include "engine/base/half.h"
#include "engine/base/map.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void expect_ok(const qins_error *error) {
    cr_assert_eq(error->status, QINS_OK, "%s", error->message);
}

// x[n] as Q8_0 holds it: blocks of 32 values, whole numbers up to 127 times a scale, which is max / 127 when the
// numbers are chosen and that rounded to FP16 when they are decoded (ggml's reference quantizer).
static void round_row_to_q8_0(float *x, size_t n) {
    enum { BLOCK = 32 };
    for (size_t start = 0; start < n; start += BLOCK) {
        const size_t end = n - start < BLOCK ? n : start + BLOCK;
        float largest = 0;
        for (size_t i = start; i < end; i++) largest = fmaxf(largest, fabsf(x[i]));
        const float scale = largest / 127, stored_scale = qins_f32_from_f16(qins_f16_from_f32(scale));
        for (size_t i = start; i < end && scale > 0; i++) x[i] = roundf(x[i] * (1 / scale)) * stored_scale;
    }
}

// Every matrix of the layers in a file of FP32 weights, which lie in panels.
static void round_file_to_q8_0(int fd, const qins_header *header) {
    for (size_t i = 0; i < header->n_tensors; i++) {
        const qins_tensor *tensor = &header->tensors[i];
        const size_t cols = tensor->spec.cols, bytes = (size_t)tensor->bytes;
        if (!qins_role_is_of_layers(tensor->spec.role)) continue;
        uint8_t *payload = malloc(bytes);
        float *row = malloc(cols * sizeof *row);
        cr_assert(payload != NULL && row != NULL && tensor->type == QINS_F32);
        cr_assert_eq(pread(fd, payload, bytes, (off_t)tensor->offset), (ssize_t)bytes);
        const qins_matrix matrix = {QINS_F32, QINS_PANELS, tensor->spec.rows, cols, payload};
        for (size_t r = 0; r < tensor->spec.rows; r++) {
            qins_decode_rows(row, &matrix, r, 1);
            round_row_to_q8_0(row, cols);
            qins_pack_values(payload + r / QINS_PANEL * qins_panel_bytes(QINS_F32, cols), QINS_F32, cols,
                             r % QINS_PANEL, row);
        }
        cr_assert_eq(pwrite(fd, payload, bytes, (off_t)tensor->offset), (ssize_t)bytes);
        free(row);
        free(payload);
    }
}

static qins_image *convert(const char *folder, const qins_convert_options *options, bool q8_0) {
    qins_error error = {0};
    qins_convert_report report = {0};
    const int fd = qins_memory_file("test-model", &error);
    expect_ok(&error);
    qins_convert(folder, fd, folder, options, NULL, NULL, &report, &error);
    expect_ok(&error);
    if (q8_0) round_file_to_q8_0(fd, &report.header);
    qins_convert_report_free(&report);
    qins_image *image = qins_image_from_fd(fd, folder, &error);
    expect_ok(&error);
    close(fd);
    return image;
}

qins_image *hf_image_open(const char *folder, qins_type type) {
    return convert(folder, &(qins_convert_options){.weight_type = type, .n_threads = 2}, false);
}

hf_model hf_model_open(const char *folder, hf_mode mode) {
    qins_error error = {0};
    const qins_convert_options options = {.weight_type = mode.weights,
                                          .rules = {{"head", QINS_F32}},
                                          .n_rules = mode.f32_head,
                                          .calibrate = mode.calibrate,
                                          .calibrate_tokens = 4096,
                                          .n_threads = 2};
    hf_model model = {.model = qins_model_from_image(convert(folder, &options, mode.q8_0), folder, &error)};
    expect_ok(&error);
    const qins_session_options session = {.k_type = mode.k_type, .v_type = mode.v_type};
    model.session = session_open(model.model, &session, mode.threads > 0 ? mode.threads : 2);
    return model;
}

hf_model hf_model_open_demo(void) {
    return hf_model_open("tests/data/demo", (hf_mode){.weights = QINS_QINS8, .k_type = QINS_F16, .v_type = QINS_QINS8});
}

void hf_model_close(hf_model *model) {
    session_close(model->session);
    qins_model_close(model->model);
    *model = (hf_model){0};
}

qins_session *session_open(const qins_model *model, const qins_session_options *options, size_t n_threads) {
    qins_error error = {0};
    qins_engine *engine = qins_engine_create(&model, 1, n_threads, &error);
    expect_ok(&error);
    qins_session *session = qins_session_create(engine, model, options, &error);
    expect_ok(&error);
    return session;
}

void session_close(qins_session *session) {
    if (session == NULL) return;
    qins_engine *engine = session->engine;
    qins_session_free(session);
    qins_engine_free(engine);
}

float *hf_model_score(hf_model *model, const int32_t *ids, size_t n) {
    const size_t vocab_size = qins_session_config(model->session)->vocab_size;
    qins_error error = {0};
    float *all = malloc(n * vocab_size * sizeof *all);
    cr_assert_not_null(all);
    qins_scorer *scorer = qins_scorer_create(model->session, &error);
    expect_ok(&error);
    qins_scorer_begin(scorer, ids, n, 0, &error);
    expect_ok(&error);
    for (size_t done = 0; done < n;) {
        const float *logits;
        size_t first, n_rows;
        qins_scorer_next(scorer, &logits, &first, &n_rows, &error);
        expect_ok(&error);
        cr_assert(first == done && n_rows > 0 && n_rows <= n - done);
        memcpy(all + done * vocab_size, logits, n_rows * vocab_size * sizeof *all);
        done += n_rows;
    }
    qins_scorer_free(scorer);
    return all;
}

char *hf_shared_path(const char *path) {
    const char *root = getenv("QINS_TEST_DATA");
    if (root == NULL || root[0] == '\0') return NULL;
    size_t size = strlen(root) + strlen(path) + 2;
    char *whole = malloc(size);
    cr_assert_not_null(whole);
    snprintf(whole, size, "%s/%s", root, path);
    return whole;
}

qins_json *hf_read_json(const char *path) {
    qins_error error = {0};
    size_t size;
    char *text = qins_file_read_all(path, (size_t)1 << 30, &size, QINS_FAILED, &error);
    expect_ok(&error);
    qins_json *json = qins_json_parse(text, size, QINS_BAD_MODEL, &error);
    expect_ok(&error);
    free(text);
    return json;
}

int32_t *hf_json_ids(const qins_json *array, size_t *n) {
    *n = qins_json_count(array);
    int32_t *ids = malloc((*n + 1) * sizeof *ids);
    cr_assert_not_null(ids);
    size_t i = 0;
    for (const qins_json *item = qins_json_first(array); item != NULL; item = qins_json_next(item)) {
        int64_t id;
        cr_assert(qins_json_integer(item, &id));
        ids[i++] = (int32_t)id;
    }
    return ids;
}
