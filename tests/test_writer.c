// The writer: the same bytes however they are handed over, the golden file, misuse.
#include "engine/base/file.h"
#include "engine/base/map.h"
#include "engine/format/writer.h"
#include "tests/support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

// One layer of a coded type, with rows of one and of two blocks, the rest in BF16.
static qins_config golden_config(void) {
    qins_config config = tiny_config();
    config.n_layers = 1;
    config.ffn_dim = 70;
    config.vocab_size = 9;
    config.hidden_dim = 8;
    config.n_heads = 2;
    config.n_kv_heads = 1;
    config.head_dim = config.rope_dim = 4;
    return config;
}

// The format may only grow: a file that was written once must be written and read the same for ever. When an encoder
// or version 2 changes on purpose before its release, set QINS_WRITE_GOLDEN to make the files again, and look at the
// difference. first and last: of the last row of the down projection, worked out from the bytes by the second reader
// (tests/oracle/qins_format.py).
static const struct golden {
    qins_type type;
    uint64_t hash;
    float first, last;
} goldens[] = {
    {QINS_QINS8, UINT64_C(0x8137e3a4eefe092f), -0x1.0b5ap-6f, 0x1.46538p-4f},
    {QINS_QINS6, UINT64_C(0xcce6d5fb3f902458), -0x1.158p-6f, 0x1.4454p-4f},
    {QINS_QINS5, UINT64_C(0x5886cb39f5f6f450), -0x1.37fp-6f, 0x1.45f4p-4f},
    {QINS_QINS4, UINT64_C(0x79c248653498dca5), -0x1.b60cp-6f, 0x1.22a4p-4f},
};
enum { N_GOLDENS = sizeof goldens / sizeof goldens[0] };

static const char *golden_path(const struct golden *golden) {
    static char path[64];
    snprintf(path, sizeof path, "tests/data/golden_%s.qins", qins_types[golden->type].name);
    return path;
}

static void check_golden(const struct golden *golden) {
    const qins_config config = golden_config();
    const char *path = golden_path(golden);
    qins_error error = {0};
    size_t size, stored_size;
    uint8_t *bytes = model_bytes(&config, 1, golden->type, &size);
    if (getenv("QINS_WRITE_GOLDEN") != NULL) {
        FILE *file = fopen(path, "wb");
        cr_assert(file != NULL && fwrite(bytes, 1, size, file) == size && fclose(file) == 0);
    }
    char *stored = qins_file_read_all(path, 1 << 20, &stored_size, QINS_FAILED, &error);
    expect_ok(&error);
    cr_expect_eq(XXH3_64bits(stored, stored_size), golden->hash, "%s itself has changed: %016llx", path,
                 (unsigned long long)XXH3_64bits(stored, stored_size));
    for (size_t i = 0; i < size && i < stored_size; i++)
        cr_assert_eq(bytes[i], (uint8_t)stored[i], "byte %zu of %zu differs from %s", i, size, path);
    cr_expect_eq(size, stored_size);
    free(stored);
    free(bytes);
}

Test(writer, writes_the_golden_files) {
    for (size_t i = 0; i < N_GOLDENS; i++) check_golden(&goldens[i]);
}

static void check_golden_is_read(const struct golden *golden) {
    const qins_config config = golden_config();
    qins_error error = {0};
    qins_image *image = qins_image_open(golden_path(golden), &error);
    expect_ok(&error);
    const qins_header *header = qins_image_header(image);
    cr_expect_eq(header->n_tensors, qins_schema_count(&config));
    cr_expect(header->config.hidden_dim == 8 && header->config.ffn_dim == 70 && header->config.vocab_size == 9);
    float row[70];
    qins_matrix embedding = qins_image_matrix(image, QINS_EMBEDDING_INDEX);
    qins_decode_rows(row, &embedding, 0, 1);
    cr_expect(row[0] == 0x1.1ap+0f && row[7] == -0x1.bcp-3f);
    qins_matrix down = qins_image_matrix(image, QINS_LAYER_INDEX + QINS_DOWN);
    qins_decode_rows(row, &down, 7, 1);
    cr_expect(row[0] == golden->first && row[69] == golden->last, "%s: %a, %a", golden_path(golden), (double)row[0],
              (double)row[69]);
    qins_pool *pool = qins_pool_create(2, &error);
    qins_image_verify(image, pool, &error);
    expect_ok(&error);
    qins_pool_free(pool);
    qins_image_close(image);
}

Test(writer, the_golden_files_are_read) {
    for (size_t i = 0; i < N_GOLDENS; i++) check_golden_is_read(&goldens[i]);
}

// A whole file of `config`, every payload byte 7, appended in pieces of `piece` bytes.
static char *written_in_pieces(const qins_config *config, size_t piece, size_t *size) {
    qins_error error = {0};
    qins_header header;
    uint8_t bytes[1000];
    memset(bytes, 7, sizeof bytes);
    model_header(&header, config, QINS_BF16, &error);
    int fd = qins_memory_file("test", &error);
    qins_writer *writer = qins_writer_create(fd, "test", &header, NULL, 0, &error);
    expect_ok(&error);
    for (size_t i = 0; i < header.n_tensors; i++) {
        for (uint64_t left = header.tensors[i].bytes; left > 0;) {
            size_t n = left < piece ? (size_t)left : piece;
            qins_writer_append(writer, bytes, n, &error);
            left -= n;
        }
    }
    qins_writer_append(writer, bytes, 0, &error);
    error = (qins_error){0}; // nothing may follow, not even an empty piece; the file is complete all the same
    qins_writer_finish(writer, &error);
    expect_ok(&error);
    *size = (size_t)qins_writer_file_bytes(writer);
    char *file = malloc(*size);
    cr_assert_not_null(file);
    cr_assert_eq(pread(fd, file, *size, 0), (ssize_t)*size);
    cr_assert_eq(lseek(fd, 0, SEEK_END), (off_t)*size);
    qins_writer_free(writer);
    qins_header_free(&header);
    close(fd);
    return file;
}

Test(writer, pieces_do_not_matter) {
    const qins_config config = golden_config();
    size_t size, first_size;
    char *first = written_in_pieces(&config, 1000, &first_size);
    for (size_t piece = 1; piece < 200; piece = piece * 3 + 2) {
        char *again = written_in_pieces(&config, piece, &size);
        cr_assert(size == first_size && memcmp(first, again, size) == 0, "pieces of %zu", piece);
        free(again);
    }
    free(first);
}

Test(writer, the_layout_is_known_before_anything_is_written) {
    const qins_config config = tiny_config();
    qins_error error = {0};
    qins_header planned, written;
    uint64_t file_bytes;
    size_t header_bytes;
    model_header(&planned, &config, QINS_QINS8, &error);
    model_header(&written, &config, QINS_QINS8, &error);
    qins_writer_layout(&planned, 5, &header_bytes, &file_bytes, &error);
    int fd = qins_memory_file("test", &error);
    qins_writer *writer = qins_writer_create(fd, "test", &written, (const uint8_t *)"token", 5, &error);
    expect_ok(&error);
    cr_expect_eq(qins_writer_file_bytes(writer), file_bytes);
    cr_expect(header_bytes % 64 == 0 && planned.tokenizer_offset == 64 + header_bytes);
    cr_expect_eq(planned.tokenizer_offset, written.tokenizer_offset);
    for (size_t i = 0; i < planned.n_tensors; i++) {
        cr_expect_eq(planned.tensors[i].offset, written.tensors[i].offset);
        cr_expect_eq(planned.tensors[i].bytes, written.tensors[i].bytes);
    }
    qins_writer_free(writer);
    qins_header_free(&planned);
    qins_header_free(&written);
    close(fd);
}

Test(writer, too_many_and_too_few_bytes_are_refused) {
    const qins_config config = golden_config();
    qins_error error = {0};
    qins_header header;
    static uint8_t bytes[100000];
    model_header(&header, &config, QINS_F32, &error);
    int fd = qins_memory_file("test", &error);
    qins_writer *writer = qins_writer_create(fd, "out.qins", &header, NULL, 0, &error);
    expect_ok(&error);
    qins_writer_finish(writer, &error);
    expect_error(&error, QINS_FAILED, "out.qins: tensor model.embed_tokens.weight is not complete");
    qins_writer_append(writer, bytes, (size_t)header.tensors[0].bytes + 1, &error); // would reach into the next tensor
    expect_error(&error, QINS_FAILED, "more bytes than the tensors hold");
    for (size_t i = 0; i < header.n_tensors; i++) {
        qins_writer_append(writer, bytes, (size_t)header.tensors[i].bytes, &error);
        expect_ok(&error);
    }
    qins_writer_append(writer, bytes, 1, &error);
    expect_error(&error, QINS_FAILED, "more bytes than the tensors hold");
    qins_writer_finish(writer, &error);
    expect_ok(&error);
    qins_writer_free(writer);
    qins_writer_free(NULL);
    qins_header_free(&header);
    close(fd);
}

Test(writer, a_file_that_cannot_be_written_is_named) {
    const qins_config config = golden_config();
    qins_error error = {0};
    qins_header header;
    model_header(&header, &config, QINS_F32, &error);
    int fd = open("tests/data/golden_qins8.qins", O_RDONLY);
    cr_assert_null(qins_writer_create(fd, "out.qins", &header, (const uint8_t *)"token", 5, &error));
    expect_error(&error, QINS_FAILED, "cannot write out.qins: ");
    qins_writer *writer = qins_writer_create(fd, "out.qins", &header, NULL, 0, &error);
    expect_ok(&error); // nothing was written yet
    qins_writer_append(writer, "xyz", 3, &error);
    expect_error(&error, QINS_FAILED, "cannot write out.qins: ");
    qins_writer_free(writer);
    qins_header_free(&header);
    close(fd);
}
