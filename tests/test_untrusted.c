// A model file that somebody else writes to while it is open: checked data stays as it was checked, and weights may be
// any bytes. Run with config=asan, these find any access outside.
#include "engine/base/map.h"
#include "engine/format/image.h"
#include "tests/hf_model.h"
#include "tests/support.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

// Somebody else: a thread that writes to bytes[size] until it is stopped.
typedef struct intruder {
    pthread_t thread;
    atomic_bool stop;
    volatile uint8_t *bytes;
    size_t size;
    const uint8_t *original; // [size]; NULL: random bytes
} intruder;

static void *write_on(void *context) {
    intruder *writer = context;
    test_random random = {3};
    for (size_t round = 0; !atomic_load(&writer->stop); round++) {
        for (size_t i = 0; i < 64; i++) {
            const size_t at = random_below(&random, writer->size);
            const bool restores = writer->original != NULL && round % 4 != 0;
            writer->bytes[at] = restores ? writer->original[at] : (uint8_t)random_below(&random, 256);
        }
        if (writer->original != NULL && round % 4 == 3) // most of the time it is the file that it was
            for (size_t i = 0; i < writer->size; i++) writer->bytes[i] = writer->original[i];
    }
    return NULL;
}

static void start(intruder *writer) {
    atomic_store(&writer->stop, false);
    cr_assert_eq(pthread_create(&writer->thread, NULL, write_on, writer), 0);
}

static void stop(intruder *writer) {
    atomic_store(&writer->stop, true);
    pthread_join(writer->thread, NULL);
}

Test(untrusted, what_was_checked_is_not_read_again) {
    const qins_config config = tiny_config();
    qins_error error = {0};
    size_t size, tokenizer_size;
    uint8_t *bytes = model_bytes(&config, 1, QINS_QINS8, &size);
    qins_image *image = qins_image_from_memory(bytes, size, "sample", &error);
    expect_ok(&error);
    const qins_header *header = qins_image_header(image);
    const uint8_t *tokenizer = qins_image_tokenizer(image, &tokenizer_size);
    memset(bytes, 0xEE, (size_t)header->tensors[0].offset); // preamble, header, tokenizer
    cr_expect(tokenizer_size == 13 && memcmp(tokenizer, "no tokenizer", 13) == 0);
    cr_expect(tokenizer < bytes || tokenizer >= bytes + size);
    cr_expect_str_eq(header->tensors[1].spec.name, "model.layers.0.input_layernorm.weight");
    cr_expect_eq(header->config.hidden_dim, config.hidden_dim);
    qins_image_close(image);
    free(bytes);
}

Test(untrusted, a_file_may_change_while_it_is_opened) {
    const qins_config config = tiny_config();
    qins_error error = {0};
    size_t size, n_opened = 0, n_refused = 0;
    uint8_t *bytes = model_bytes(&config, 1, QINS_QINS8, &size);
    const int fd = qins_memory_file("changing", &error);
    cr_assert_eq(pwrite(fd, bytes, size, 0), (ssize_t)size);
    void *mapping = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    cr_assert(mapping != MAP_FAILED);
    intruder writer = {.bytes = mapping, .size = 12288, .original = bytes};
    start(&writer);
    for (size_t i = 0; i < 2000; i++) {
        error = (qins_error){0};
        qins_image *image = qins_image_from_fd(fd, "changing", &error);
        cr_assert_eq(image == NULL, error.status == QINS_BAD_MODEL, "%s", error.message);
        n_opened += image != NULL;
        n_refused += image == NULL;
        if (image != NULL) cr_assert_eq(qins_image_header(image)->config.hidden_dim, config.hidden_dim);
        qins_image_close(image);
    }
    stop(&writer);
    cr_expect(n_refused > 0, "%zu opened, %zu refused", n_opened, n_refused);
    munmap(mapping, size);
    close(fd);
    free(bytes);
}

// Every code and scale byte has a value, so no weights can lead outside.
static void compute_on_changing_weights(qins_type type) {
    const qins_config config = tiny_config();
    qins_error error = {0};
    size_t size;
    uint8_t *bytes = model_bytes(&config, 1, type, &size);
    qins_image *image = qins_image_from_memory(bytes, size, "changing", &error);
    expect_ok(&error);
    const size_t first = (size_t)qins_image_header(image)->tensors[0].offset;
    qins_model *model = model_of_image(image);
    const qins_session_options options = {.n_ctx = 32, .k_type = QINS_QINS8, .v_type = QINS_QINS4};
    intruder writer = {.bytes = bytes + first, .size = size - first};
    start(&writer);
    for (size_t round = 0; round < 20; round++) {
        qins_session *session = session_open(model, &options, 2);
        int32_t ids[24];
        for (size_t i = 0; i < 24; i++) ids[i] = (int32_t)((i * 7 + round) % config.vocab_size);
        for (size_t n = 20; n <= 24; n++) {
            error = (qins_error){0};
            qins_session_sync(session, ids, n, &error); // logits that are not numbers are an error
            cr_assert(error.status == QINS_OK || error.status == QINS_FAILED, "%s", error.message);
        }
        session_close(session);
    }
    stop(&writer);
    qins_model_close(model);
    free(bytes);
}

Test(untrusted, weights_may_be_any_bytes) {
    static const qins_type types[] = {QINS_F32, QINS_F16, QINS_BF16, QINS_QINS8, QINS_QINS6, QINS_QINS5, QINS_QINS4};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) compute_on_changing_weights(types[i]);
}
