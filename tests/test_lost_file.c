// A model whose file fails under its mapping ends with an error; another one of the same engine goes on.
#include "engine/base/fault.h"
#include "engine/base/file.h"
#include "engine/base/map.h"
#include "engine/runtime/engine.h"
#include "engine/runtime/session.h"
#include "tests/support.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const int32_t ids[] = {1, 2, 3, 4};
enum { N = sizeof ids / sizeof *ids };

static const char message[] = "lost.qins was changed or cut off while in use, or can no longer be read";

// A model in a file that can be cut off: *fd.
static qins_model *mapped_model(const char *name, int *fd, size_t *size) {
    qins_error error = {0};
    const qins_config config = tiny_config();
    uint8_t *bytes = model_bytes(&config, 1, QINS_QINS8, size);
    *fd = qins_memory_file(name, &error);
    qins_file_write_at(*fd, name, bytes, *size, 0, &error);
    qins_image *image = qins_image_from_fd(*fd, name, &error);
    expect_ok(&error);
    free(bytes);
    return model_of_image(image);
}

Test(lost_file, ends_its_model_and_no_other) {
    qins_error error = {0};
    int fd, other_fd;
    size_t size;
    const qins_model *models[2] = {mapped_model("lost.qins", &fd, &size), mapped_model("other", &other_fd, &size)};
    qins_engine *engine = qins_engine_create(models, 2, 3, &error);
    const qins_session_options options = qins_session_defaults();
    qins_session *session = qins_session_create(engine, models[0], &options, &error),
                 *other = qins_session_create(engine, models[1], &options, &error);
    qins_scorer *scorer = qins_scorer_create(session, &error);
    qins_catch_faults(&error);
    qins_session_sync(session, ids, N, &error);
    qins_session_sync(other, ids, N, &error);
    expect_ok(&error);
    const float before = qins_session_logits(other)[0];

    cr_assert_eq(ftruncate(fd, 4096), 0);
    for (int i = 0; i < 2; i++) { // and from there on
        qins_session_sync(session, ids + 1, N - 1, &error);
        expect_error(&error, QINS_BAD_MODEL, message);
    }
    const float *logits;
    size_t first, n_rows;
    qins_scorer_begin(scorer, ids, N, 0, &error);
    qins_scorer_next(scorer, &logits, &first, &n_rows, &error);
    expect_error(&error, QINS_BAD_MODEL, message);
    qins_image_verify(models[0]->image, qins_engine_pool(engine), &error);
    cr_expect_null(strstr(error.message, "damaged"), "what came of the zeros is not told");
    expect_error(&error, QINS_BAD_MODEL, message);

    qins_session_sync(other, ids + 1, N - 1, &error);
    qins_session_sync(other, ids, N, &error);
    expect_ok(&error);
    cr_expect_eq(qins_session_logits(other)[0], before);
    qins_scorer_free(scorer);
    qins_session_free(other);
    qins_session_free(session);
    qins_engine_free(engine);
    for (int i = 0; i < 2; i++) qins_model_close((qins_model *)(uintptr_t)models[i]);
    close(fd);
    close(other_fd);
}
