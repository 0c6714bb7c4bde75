// A .qins file written out as a Hugging Face folder and read back: the same values, the same configuration; and
// refusals, which leave nothing behind.
#include "convert/convert.h"
#include "convert/export.h"
#include "engine/base/map.h"
#include "tests/hf_model.h"
#include "tests/support.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static void export(const qins_image *image, const char *folder, qins_type type, qins_error *error) {
    qins_pool *pool = qins_pool_create(2, error);
    qins_export_folder(image, &(qins_export_options){folder, type, false}, pool, NULL, NULL, error);
    qins_pool_free(pool);
}

// Every value of `read` is that of `written`, rounded to BF16 if `is_rounded`.
static void expect_same_values(const qins_image *read, const qins_image *written, bool is_rounded) {
    const qins_header *header = qins_image_header(written);
    for (size_t i = 0; i < header->n_tensors; i++) {
        const qins_matrix a = qins_image_matrix(read, i), b = qins_image_matrix(written, i);
        float *x = malloc(a.cols * sizeof *x), *y = malloc(a.cols * sizeof *y);
        cr_assert(x != NULL && y != NULL);
        for (size_t row = 0; row < a.rows; row++) {
            qins_decode_rows(x, &a, row, 1);
            qins_decode_rows(y, &b, row, 1);
            for (size_t j = 0; j < a.cols && is_rounded; j++) y[j] = qins_f32_from_bf16(qins_bf16_from_f32(y[j]));
            cr_assert(memcmp(x, y, a.cols * sizeof *x) == 0, "%s, row %zu", header->tensors[i].spec.name, row);
        }
        free(x);
        free(y);
    }
}

static void expect_same_config(const qins_image *read, const qins_image *written) {
    const qins_config *a = &qins_image_header(read)->config, *b = &qins_image_header(written)->config;
    cr_expect(memcmp(a, b, sizeof *a) == 0);
}

// The tokenizer section's bytes, and the header's fields for conversations.
static void expect_same_text(const qins_image *read, const qins_image *written) {
    const qins_header *a = qins_image_header(read), *b = qins_image_header(written);
    size_t a_size = 0, b_size = 0;
    const uint8_t *a_section = qins_image_tokenizer(read, &a_size), *b_section = qins_image_tokenizer(written, &b_size);
    cr_assert((a_section == NULL) == (b_section == NULL) && a_size == b_size);
    cr_expect(a_section == NULL || memcmp(a_section, b_section, a_size) == 0);
    cr_expect_str_eq(a->chat_template, b->chat_template);
}

static void check(const char *source, qins_type weights, qins_type type) {
    char *parent = temporary_folder(), folder[300];
    qins_error error = {0};
    qins_image *image = hf_image_open(source, weights);
    snprintf(folder, sizeof folder, "%s/out", parent);
    export(image, folder, type, &error);
    expect_ok(&error);
    qins_image *read = hf_image_open(folder, type);
    expect_same_config(read, image);
    expect_same_values(read, image, type == QINS_BF16);
    expect_same_text(read, image);
    qins_image_close(read);
    qins_image_close(image);
    remove_folder(strcpy(malloc(sizeof folder), folder));
    remove_folder(parent);
}

Test(export, gives_back_what_the_codes_stand_for) {
    check("tests/data/demo", QINS_QINS4, QINS_F32);
    check("tests/data/demo", QINS_QINS8, QINS_BF16);
    check("tests/data/demo", QINS_BF16, QINS_BF16);
}

Test(export, keeps_every_kind_of_configuration) {
    check("tests/data/tiny/tied-bf16", QINS_QINS6, QINS_F32);
    check("tests/data/tiny/plain-gqa-f32", QINS_F32, QINS_F32);
    check("tests/data/tiny/window-gqa-bf16", QINS_QINS5, QINS_F32);
    check("tests/data/tiny/phi4-mini-bf16", QINS_QINS8, QINS_F32);
    check("tests/data/tiny/longrope-odd-f16", QINS_QINS8, QINS_F32);
}

static bool stop(void *context, uint64_t done, uint64_t total) {
    (void)context, (void)total;
    return done == 0;
}

Test(export, leaves_nothing_behind_and_takes_nothing_away) {
    char *folder = temporary_folder(), inside[300];
    qins_error error = {0};
    qins_image *image = hf_image_open("tests/data/tiny/tied-bf16", QINS_QINS8);
    write_file(folder, "notes", "x", 1);
    export(image, folder, QINS_F32, &error);
    expect_error(&error, QINS_USAGE, "is not empty");
    snprintf(inside, sizeof inside, "%s/notes", folder);
    export(image, inside, QINS_F32, &error);
    expect_error(&error, QINS_USAGE, "cannot be read as a folder");
    snprintf(inside, sizeof inside, "%s/no/such", folder);
    export(image, inside, QINS_F32, &error);
    expect_error(&error, QINS_FAILED, "cannot make the folder");
    snprintf(inside, sizeof inside, "%s/new", folder);
    qins_pool *pool = qins_pool_create(1, &error);
    qins_export_folder(image, &(qins_export_options){inside, QINS_F32, false}, pool, stop, NULL, &error);
    expect_error(&error, QINS_INTERRUPTED, "interrupted");
    cr_expect_neq(access(inside, F_OK), 0, "the folder is still there");
    qins_pool_free(pool);
    qins_image_close(image);
    remove_folder(folder);
}

Test(export, a_folder_that_cannot_be_looked_at_is_no_wrong_usage) {
    char *folder = temporary_folder();
    struct rlimit limit;
    qins_error error = {0};
    bool is_new;
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    setrlimit(RLIMIT_NOFILE, &(struct rlimit){0, limit.rlim_max});
    qins_export_make_folder(folder, true, &is_new, &error);
    setrlimit(RLIMIT_NOFILE, &limit);
    expect_error(&error, QINS_FAILED, "Too many open files");
    remove_folder(folder);
}
