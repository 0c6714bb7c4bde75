// Shared helpers of the tests; see support.h.
#define _GNU_SOURCE // MAP_ANONYMOUS
#include "tests/support.h"

#include "engine/base/cpu.h"
#include "engine/base/half.h"

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

// xorshift64* (Vigna 2016) behind a step of a Weyl sequence, so that 0 is a seed as well.
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

size_t matrix_data_bytes(const qins_matrix *matrix) {
    if (matrix->block == 0) return matrix->rows * matrix->cols * (qins_types[matrix->type].bits / 8);
    return matrix->rows * ((matrix->cols + matrix->block - 1) / matrix->block) * matrix->block;
}

size_t matrix_scale_bytes(const qins_matrix *matrix) {
    if (matrix->block == 0) return 0;
    return matrix->rows * ((matrix->cols + matrix->block - 1) / matrix->block) * sizeof(uint16_t);
}

// Random codes and scales; code 255 is left out, as no writer makes it.
static void fill_coded(test_matrix *made, test_random *random) {
    const qins_matrix *matrix = &made->matrix;
    const size_t blocks = (matrix->cols + matrix->block - 1) / matrix->block;
    uint8_t *codes = made->data;
    for (size_t i = 0; i < matrix_data_bytes(matrix); i++) codes[i] = (uint8_t)random_below(random, 255);
    for (size_t i = 0; i < matrix->rows * blocks; i++)
        made->scales[i] = qins_bf16_from_f32(0.01f + 0.01f * (float)random_below(random, 100));
    for (size_t row = 0; row < matrix->rows; row++) {
        for (size_t col = 0; col < matrix->cols; col++) {
            size_t block = row * blocks + col / matrix->block;
            uint8_t code = codes[block * matrix->block + col % matrix->block];
            double magnitude = qins_f32_from_bf16(made->book.magnitude[code & 0x7F]);
            double d = qins_f32_from_bf16(made->scales[block]);
            made->values[row * matrix->cols + col] = code & 0x80 ? -d * magnitude : d * magnitude;
        }
    }
}

static void fill_plain(test_matrix *made, test_random *random) {
    for (size_t i = 0; i < made->matrix.rows * made->matrix.cols; i++) {
        float value = random_bell(random);
        if (made->matrix.type == QINS_F32) {
            ((float *)made->data)[i] = value;
        } else if (made->matrix.type == QINS_F16) {
            uint16_t half = ((uint16_t *)made->data)[i] = qins_f16_from_f32(value);
            value = qins_f32_from_f16(half);
        } else {
            uint16_t half = ((uint16_t *)made->data)[i] = qins_bf16_from_f32(value);
            value = qins_f32_from_bf16(half);
        }
        made->values[i] = value;
    }
}

test_matrix *matrix_make(qins_type type, size_t rows, size_t cols, size_t block, uint64_t seed) {
    test_random random = {seed};
    test_matrix *made = calloc(1, sizeof *made);
    cr_assert_not_null(made);
    made->matrix = (qins_matrix){.type = type, .rows = rows, .cols = cols};
    if (qins_type_is_coded(type)) made->matrix.block = block == 0 ? qins_types[type].block : block;
    made->values = malloc(rows * cols * sizeof *made->values);
    made->matrix.data = made->data = malloc(matrix_data_bytes(&made->matrix));
    made->matrix.scales = made->scales = malloc(matrix_scale_bytes(&made->matrix) + 1);
    made->matrix.book = &made->book;
    cr_assert(made->values != NULL && made->data != NULL && made->scales != NULL);
    qins_codebook_make(&made->book, QINS_PROJECTIVE, 1.0);
    if (qins_type_is_coded(type))
        fill_coded(made, &random);
    else
        fill_plain(made, &random);
    return made;
}

void matrix_free(test_matrix *matrix) {
    free(matrix->values);
    free(matrix->data);
    free(matrix->scales);
    free(matrix);
}

const qins_kernels *const *kernel_tiers(size_t *n) {
    static const qins_kernels *tiers[MAX_TIERS];
    *n = 0;
    tiers[(*n)++] = &qins_kernels_scalar;
#ifdef __x86_64__
    if (qins_cpu_has(QINS_CPU_AVX2)) tiers[(*n)++] = &qins_kernels_avx2;
    if (qins_cpu_has(QINS_CPU_AVX512)) tiers[(*n)++] = &qins_kernels_avx512;
    if (qins_cpu_has(QINS_CPU_AVX512) && __builtin_cpu_supports("avx512bf16"))
        tiers[(*n)++] = &qins_kernels_avx512_bf16;
#endif
    return tiers;
}

double split_error(const qins_kernels *tier, qins_type type, size_t n, double absolute) {
    if (strcmp(tier->name, "avx512 with bf16") != 0 || !qins_type_is_coded(type)) return 0.0;
    return 0x1p-17 * absolute + 3.0 * 0x1p-126 * (double)n;
}
