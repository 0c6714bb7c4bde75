// Out of memory, address space or threads at every single place of base, kernels and model: an error with a message, no
// result, nothing lost (mappings are counted, the address sanitizer looks for leaks).
#include "convert/convert.h"
#include "engine/base/buffer.h"
#include "engine/base/file.h"
#include "engine/base/map.h"
#include "engine/format/writer.h"
#include "engine/measure/machine.h"
#include "engine/model/attention.h"
#include "engine/runtime/sampler.h"
#include "engine/runtime/session.h"
#include "tests/failing_allocation.h"
#include "tests/hf_model.h"
#include "tests/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// One operation from start to release; whether it succeeded must be what it returns.
typedef qins_status operation(void *context, qins_error *error);

// A call that fails for lack of memory says so, with QINS_FAILED (1).
static void fail_each_call(const char *name, operation *run, void *context) {
    for (size_t n = 1;; n++) {
        qins_error error = {0};
        const long mappings = failing_allocation_mappings();
        failing_allocation_set(n);
        qins_status status = run(context, &error);
        bool hit = failing_allocation_hit();
        failing_allocation_set(0);
        cr_assert_eq(failing_allocation_mappings(), mappings, "%s, call %zu: a mapping is lost", name, n);
        cr_assert_eq(status, error.status, "%s, call %zu", name, n);
        cr_assert_eq(status != QINS_OK, hit, "%s, call %zu: %s", name, n, error.message);
        cr_assert(!hit || error.message[0] != '\0', "%s, call %zu: no message", name, n);
        cr_assert(!hit || status == QINS_FAILED, "%s, call %zu: %s", name, n, error.message);
        if (!hit) {
            cr_assert(n > 1, "%s allocates nothing?", name);
            return;
        }
    }
}

static qins_status make_pool(void *context, qins_error *error) {
    (void)context;
    qins_pool *pool = qins_pool_create(4, error);
    cr_assert_eq(pool == NULL, error->status != QINS_OK);
    qins_pool_free(pool);
    return error->status;
}

static qins_status make_compute(void *context, qins_error *error) {
    (void)context;
    qins_compute compute;
    qins_status status = qins_compute_init(&compute, 3, error);
    qins_compute_free(&compute);
    return status;
}

static qins_status make_sgemm_gauge(void *context, qins_error *error) {
    const qins_sgemm_shape shape = {20, 30};
    qins_sgemm_gauge gauge;
    (void)context;
    qins_pool *pool = qins_pool_create(1, error);
    if (pool == NULL) return error->status;
    qins_status status = qins_sgemm_gauge_init(&gauge, pool, 10, &shape, 1, error);
    qins_sgemm_gauge_free(&gauge);
    qins_pool_free(pool);
    return status;
}

static qins_status make_cache(void *context, qins_error *error) {
    const qins_config config = tiny_config();
    const qins_type *types = context; // of keys, of values
    qins_kvcache cache;
    qins_status status = qins_kvcache_init(&cache, &config, &qins_kernels_scalar, types[0], types[1], 100, error);
    qins_kvcache_free(&cache);
    return status;
}

static qins_status make_sampler(void *context, qins_error *error) {
    const qins_sampler_options options = qins_sampler_defaults();
    const qins_bias bias = {1, 1};
    (void)context;
    qins_sampler *sampler = qins_sampler_create(&options, &bias, 1, 1000, error);
    cr_assert_eq(sampler == NULL, error->status != QINS_OK);
    qins_sampler_free(sampler);
    return error->status;
}

static qins_status fill_buffer(void *context, qins_error *error) {
    (void)context;
    qins_buffer buffer = {.error = error};
    for (uint32_t i = 0; i < 100; i++) qins_buffer_u32(&buffer, i);
    cr_assert_eq(buffer.size == 400, error->status == QINS_OK);
    qins_buffer_free(&buffer);
    return error->status;
}

Test(faults, base_and_kernels) {
    fail_each_call("pool", make_pool, NULL);
    fail_each_call("compute", make_compute, NULL);
    fail_each_call("sgemm gauge", make_sgemm_gauge, NULL);
    fail_each_call("KV cache", make_cache, (qins_type[]){QINS_F16, QINS_QINS8});
    fail_each_call("small KV cache", make_cache, (qins_type[]){QINS_QINS8, QINS_QINS4});
    fail_each_call("sampler", make_sampler, NULL);
    fail_each_call("buffer", fill_buffer, NULL);
}

static qins_status parse_json(void *context, qins_error *error) {
    qins_json *json = qins_json_parse(context, strlen(context), QINS_BAD_MODEL, error);
    cr_assert_eq(json == NULL, error->status != QINS_OK);
    qins_json_free(json);
    return error->status;
}

static qins_status build_json(void *context, qins_error *error) {
    (void)context;
    qins_json *root = qins_json_new_object(error);
    qins_json_add_string(root, "s", "text", error);
    qins_json_add_number(root, "n", 1.5, error);
    qins_json_add_bool(root, "b", true, error);
    qins_json *array = qins_json_add_array(root, "a", error);
    qins_json_append_number(array, 2, error);
    qins_json_append_string(array, "x", error);
    qins_json_add_number(qins_json_append_object(array, error), "k", 3, error);
    qins_json_append_number(qins_json_append_array(array, error), 4, error);
    qins_json_add_object(root, "o", error);
    char *text = qins_json_print(root, error);
    cr_assert_eq(text == NULL, error->status != QINS_OK);
    free(text);
    qins_json_free(root);
    return error->status;
}

Test(faults, json) {
    char text[] = "{\"a\": [1, \"two\", {\"b\": true}], \"c\": 1.5}";
    fail_each_call("parse", parse_json, text);
    fail_each_call("build", build_json, NULL);
}

// --- the model file ---

static qins_status open_path(void *path, qins_error *error) {
    qins_image *image = qins_image_open(path, error);
    cr_assert_eq(image == NULL, error->status != QINS_OK);
    qins_image_close(image);
    return error->status;
}

static qins_status read_all(void *path, qins_error *error) {
    size_t size;
    char *text = qins_file_read_all(path, 1 << 20, &size, QINS_FAILED, error);
    cr_assert_eq(text == NULL, error->status != QINS_OK);
    free(text);
    return error->status;
}

static qins_status verify(void *context, qins_error *error) {
    qins_pool *pool = qins_pool_create(2, error);
    if (pool == NULL) return error->status;
    qins_image_verify(context, pool, error);
    qins_pool_free(pool);
    return error->status;
}

// A whole file, as the converter writes one.
static qins_status write_model(void *context, qins_error *error) {
    static const uint8_t zeros[1 << 16];
    const qins_config config = tiny_config();
    qins_header header;
    qins_writer *writer = NULL;
    int fd = *(int *)context;
    model_header(&header, &config, QINS_QINS8, error);
    if (error->status == QINS_OK) writer = qins_writer_create(fd, "model", &header, (const uint8_t *)"token", 5, error);
    for (size_t i = 0; i < header.n_tensors && error->status == QINS_OK; i++)
        qins_writer_append(writer, zeros, (size_t)header.tensors[i].bytes, error);
    if (error->status == QINS_OK) qins_writer_finish(writer, error);
    qins_writer_free(writer);
    qins_header_free(&header);
    return error->status;
}

Test(faults, model_file) {
    const qins_config config = tiny_config();
    qins_error error = {0};
    size_t size;
    char *folder = temporary_folder();
    uint8_t *bytes = model_bytes(&config, 1, QINS_QINS8, &size);
    char *path = strdup(write_file(folder, "model.qins", bytes, size));
    cr_assert_not_null(path);
    fail_each_call("open", open_path, path);
    fail_each_call("read all", read_all, path);
    qins_image *image = qins_image_from_memory(bytes, size, "model", &error);
    expect_ok(&error);
    fail_each_call("verify", verify, image);
    qins_image_close(image);
    int fd = qins_memory_file("model", &error);
    fail_each_call("write", write_model, &fd);
    close(fd);
    free(path);
    free(bytes);
    remove_folder(folder);
}

// --- the runtime ---

// Everything that a reply needs, from a model on.
static qins_status make_generation(void *context, qins_error *error) {
    const qins_model *model = context;
    const qins_session_options options = qins_session_defaults();
    const int32_t prompt[] = {1, 2, 3};
    const char *const stops[] = {"a", "bc"};
    qins_generation_options wanted = qins_generation_defaults();
    wanted.ids = prompt;
    wanted.n_ids = 3;
    wanted.stops = stops;
    wanted.n_stops = wanted.n_top = 2;
    qins_session *session = NULL;
    qins_scorer *scorer = NULL;
    qins_generation *generation = NULL;
    qins_engine *engine = qins_engine_create(&model, 1, 3, error);
    if (engine != NULL) session = qins_session_create(engine, model, &options, error);
    if (session != NULL) scorer = qins_scorer_create(session, error);
    if (scorer != NULL) generation = qins_generation_create(session, &wanted, error);
    cr_assert_eq(generation == NULL, error->status != QINS_OK);
    qins_generation_free(generation);
    qins_scorer_free(scorer);
    qins_session_free(session);
    qins_engine_free(engine);
    return error->status;
}

static qins_status open_model(void *path, qins_error *error) {
    qins_model *model = qins_model_open(path, error);
    cr_assert_eq(model == NULL, error->status != QINS_OK);
    qins_model_close(model);
    return error->status;
}

// The demo model in memory, with its tokenizer.
static int convert_demo(void) {
    const qins_convert_options options = {.weight_type = QINS_QINS8, .n_threads = 1};
    qins_convert_report report = {0};
    qins_error error = {0};
    const int fd = qins_memory_file("demo", &error);
    qins_convert("tests/data/demo", fd, "demo", &options, NULL, NULL, &report, &error);
    expect_ok(&error);
    qins_convert_report_free(&report);
    return fd;
}

Test(faults, runtime) {
    char path[64];
    const int fd = convert_demo();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    qins_error error = {0};
    qins_model *model = qins_model_open(path, &error);
    expect_ok(&error);
    fail_each_call("generation", make_generation, model);
    fail_each_call("model", open_model, path);
    qins_model_close(model);
    close(fd);
}

static void run_without_allocating(qins_type k_type, qins_type v_type) {
    const qins_config config = tiny_config();
    const qins_session_options options = {.k_type = k_type, .v_type = v_type};
    qins_model *model = model_of_image(model_image(&config, 1, QINS_QINS8));
    qins_error error = {0};
    qins_session *session = session_open(model, &options, 2), *other;
    cr_assert_not_null(other = qins_session_create(session->engine, model, &options, &error));
    qins_scorer *scorer = qins_scorer_create(session, &error);
    expect_ok(&error);
    const int32_t ids[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    const float *logits;
    size_t first, n_rows;
    failing_allocation_set(1);
    for (size_t n = 1; n <= 12; n++) qins_session_sync(session, ids, n, &error); // across the switch of LongRoPE
    qins_session_begin(session, ids, 5, &error);
    qins_session_begin(other, ids, 7, &error);
    qins_engine_step(session->engine, (qins_entry[]){{session, 1, true}, {other, 7, true}}, 2, &error);
    qins_scorer_begin(scorer, ids, 12, 0, &error);
    do qins_scorer_next(scorer, &logits, &first, &n_rows, &error);
    while (n_rows > 0 && error.status == QINS_OK);
    bool hit = failing_allocation_hit();
    failing_allocation_set(0);
    expect_ok(&error);
    cr_expect(!hit, "something was allocated after the session's creation");
    qins_scorer_free(scorer);
    qins_session_free(other);
    session_close(session);
    qins_model_close(model);
}

Test(faults, a_session_that_runs_allocates_nothing) {
    run_without_allocating(QINS_F16, QINS_QINS8);
    run_without_allocating(QINS_QINS8, QINS_QINS4);
}
