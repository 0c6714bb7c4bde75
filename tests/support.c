// Shared helpers of the tests; see support.h.
#define _GNU_SOURCE // MAP_ANONYMOUS
#include "tests/support.h"

#include "engine/base/half.h"
#include "engine/kernels/tiers.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void expect_ok(const qins_error *error) {
    cr_assert_eq(error->status, QINS_OK, "%s", error->message);
}

void expect_error(qins_error *error, qins_status status, const char *text) {
    cr_assert_eq(error->status, status, "status %d instead of %d: %s", error->status, status, error->message);
    cr_assert(strstr(error->message, text) != NULL, "no \"%s\" in: %s", text, error->message);
    *error = (qins_error){0};
}

// xorshift64* (Vigna 2016) after a step of a Weyl sequence, so that 0 is a seed as well.
uint64_t random_bits(test_random *random) {
    uint64_t x = random->state += UINT64_C(0x9E3779B97F4A7C15);
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    return x * UINT64_C(0x2545F4914F6CDD1D);
}

size_t random_below(test_random *random, size_t n) {
    return (size_t)((random_bits(random) >> 11) % n);
}

float random_uniform(test_random *random) {
    return (float)((int32_t)(random_bits(random) >> 40) - (1 << 23)) / (float)(1 << 23);
}

float random_bell(test_random *random) {
    float sum = 0.0f; // of 12 uniform numbers of variance 1/3
    for (int i = 0; i < 12; i++) sum += random_uniform(random);
    return sum * 0.5f;
}

void random_fill(test_random *random, float *values, size_t n) {
    for (size_t i = 0; i < n; i++) values[i] = random_bell(random);
}

void *guarded(test_guards *guards, size_t size) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), whole = (size + page - 1) / page * page;
    cr_assert_lt(guards->count, sizeof guards->blocks / sizeof guards->blocks[0]);
    uint8_t *block = mmap(NULL, whole + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert(block != MAP_FAILED);
    cr_assert_eq(mprotect(block + whole, page, PROT_NONE), 0);
    memset(block, 0xA5, whole);
    guards->blocks[guards->count].block = block;
    guards->blocks[guards->count++].size = whole + page;
    return block + whole - size;
}

void *guarded_copy(test_guards *guards, const void *data, size_t size) {
    void *copy = guarded(guards, size);
    if (size > 0) memcpy(copy, data, size);
    return copy;
}

void guards_free(test_guards *guards) {
    for (size_t i = 0; i < guards->count; i++) munmap(guards->blocks[i].block, guards->blocks[i].size);
    guards->count = 0;
}

char *temporary_folder(void) {
    const char *root = getenv("TMPDIR");
    char path[4096];
    snprintf(path, sizeof path, "%s/qins-test-XXXXXX", root == NULL || root[0] == '\0' ? "/tmp" : root);
    cr_assert_not_null(mkdtemp(path));
    char *folder = strdup(path);
    cr_assert_not_null(folder);
    return folder;
}

void remove_folder(char *folder) {
    DIR *list = opendir(folder);
    cr_assert_not_null(list);
    for (struct dirent *entry; (entry = readdir(list)) != NULL;) {
        if (entry->d_name[0] != '.') cr_assert_eq(unlinkat(dirfd(list), entry->d_name, 0), 0);
    }
    closedir(list);
    cr_assert_eq(rmdir(folder), 0);
    free(folder);
}

const char *write_file(const char *folder, const char *name, const void *data, size_t size) {
    static char path[4300];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    cr_assert_not_null(file);
    cr_assert_eq(fwrite(data, 1, size, file), size);
    cr_assert_eq(fclose(file), 0);
    return path;
}

const qins_encoder *scalar_encoder(qins_type type) {
    static qins_encoder encoders[QINS_TYPE_COUNT];
    if (encoders[type].kernels == NULL) qins_encoder_init(&encoders[type], &qins_kernels_scalar, type);
    return &encoders[type];
}

uint8_t random_scale(test_random *random, qins_type type) {
    const qins_type_info *info = &qins_types[type];
    uint8_t scale;
    do scale = (uint8_t)random_below(random, 256);
    while (abs(info->k(scale)) > info->max_k);
    return scale;
}

static void fill_coded(test_matrix *made, test_random *random) {
    const qins_matrix *matrix = &made->matrix;
    const qins_type_info *info = &qins_types[matrix->type];
    test_row *room = calloc(1, sizeof *room);
    cr_assert_not_null(room);
    const qins_coded_row row = coded_row(room);
    for (size_t r = 0; r < matrix->rows; r++) {
        for (size_t i = 0; i < TEST_PADDED_COLS; i++) {
            const int n_codes = info->max_code - info->min_code + 1;
            row.codes[i] = (int8_t)(info->min_code + (int)random_below(random, (size_t)n_codes));
            if (i >= matrix->cols) row.codes[i] = (int8_t)info->padding_code;
            row.scales[i / QINS_BLOCK] = random_scale(random, matrix->type);
            if (i / QINS_BLOCK * QINS_BLOCK >= matrix->cols) row.scales[i / QINS_BLOCK] = 0;
            row.d[i / QINS_STRETCH] = qins_bf16_from_f32(1e-5f + 1e-5f * (float)random_below(random, 100));
        }
        for (size_t i = 0; i < matrix->cols; i++) {
            const double d = qins_f32_from_bf16(row.d[i / QINS_STRETCH]);
            made->values[r * matrix->cols + i] = d * info->value(row.codes[i], row.scales[i / QINS_BLOCK]);
        }
        qins_pack_coded((uint8_t *)made->data + r / QINS_PANEL * qins_panel_bytes(matrix->type, matrix->cols),
                        matrix->type, matrix->cols, r % QINS_PANEL, &row);
    }
    free(room);
}

static void fill_plain(test_matrix *made, test_random *random) {
    const qins_matrix *matrix = &made->matrix;
    const size_t size = qins_types[matrix->type].bits / 8;
    for (size_t i = 0; i < matrix->rows * matrix->cols; i++) {
        const size_t row = i / matrix->cols, col = i % matrix->cols;
        const size_t panel = row / QINS_PANEL * QINS_PANEL * matrix->cols, lane = row % QINS_PANEL;
        const size_t place = matrix->layout == QINS_ROWS ? i : panel + col * QINS_PANEL + lane;
        const float value = random_bell(random);
        const uint16_t half = matrix->type == QINS_F16 ? qins_f16_from_f32(value) : qins_bf16_from_f32(value);
        memcpy((uint8_t *)made->data + place * size, size == 4 ? (const void *)&value : (const void *)&half, size);
        made->values[i] = qins_types[matrix->type].number((uint8_t *)made->data + place * size);
    }
}

test_matrix *matrix_make(qins_type type, qins_layout layout, size_t rows, size_t cols, uint64_t seed) {
    test_random random = {seed};
    test_matrix *made = calloc(1, sizeof *made);
    cr_assert_not_null(made);
    cr_assert_leq(cols, TEST_MAX_COLS);
    made->matrix = (qins_matrix){.type = type, .layout = layout, .rows = rows, .cols = cols};
    cr_assert(qins_matrix_bytes(type, layout, rows, cols, &made->bytes));
    made->values = malloc(rows * cols * sizeof *made->values);
    made->matrix.data = made->data = calloc(1, made->bytes + 1);
    cr_assert(made->values != NULL && made->data != NULL);
    if (qins_type_is_coded(type))
        fill_coded(made, &random);
    else
        fill_plain(made, &random);
    return made;
}

void matrix_free(test_matrix *matrix) {
    free(matrix->values);
    free(matrix->data);
    free(matrix);
}

qins_coded_row coded_row(test_row *row) {
    return (qins_coded_row){row->codes, row->scales, row->d};
}

const test_tier *kernel_tiers(size_t *n) {
    static test_tier tiers[MAX_TIERS];
    *n = 0;
    for (size_t i = 0; i < qins_n_tiers && *n < MAX_TIERS; i++)
        if (qins_tiers[i].is_available())
            tiers[(*n)++] = (test_tier){qins_tiers[i].name, qins_tier_kernels(&qins_tiers[i])};
    return tiers;
}
