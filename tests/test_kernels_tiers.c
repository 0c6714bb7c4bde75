// Every tier of kernels that this machine has against the scalar one: exact where values are decoded or encoded, within
// written tolerances elsewhere; odd sizes, unaligned pointers, arrays that end at a page which may not be touched.
#define _GNU_SOURCE // MAP_ANONYMOUS
#include "engine/base/cpu.h"
#include "engine/base/half.h"
#include "engine/kernels/kernels.h"
#include "tests/support.h"

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MAX_COLS = 4200, MAX_ROWS = 70 };

// The tables in front of the scalar one; NULL for what the machine cannot run.
static const qins_kernels *faster_tier(int t) {
    size_t n;
    const qins_kernels *const *tiers = kernel_tiers(&n);
    return (size_t)t + 1 < n ? tiers[t + 1] : NULL;
}

static uint32_t random_state = 1;

static uint32_t next_bits(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state;
}

static float next_weight(void) { // like weights: many small, few large
    float u = (float)(next_bits() >> 8) / 16777216.0f - 0.5f;
    return u * u * u * 8.0f;
}

// `size` bytes that end where an unmapped page begins. Never released: the process of a test is short.
static void *before_guard(size_t size) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), pages = (size + page - 1) / page * page;
    uint8_t *memory = mmap(NULL, pages + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert(memory != MAP_FAILED);
    cr_assert_eq(mprotect(memory + pages, page, PROT_NONE), 0);
    return memory + pages - size;
}

// A matrix of random bits in guarded arrays. Halves and floats are finite; codes take all values.
static qins_matrix random_matrix(qins_type type, size_t rows, size_t cols, size_t block, const qins_codebook *book) {
    size_t blocks = type == QINS_QINS8 ? (cols + block - 1) / block : 0;
    size_t bytes = type == QINS_QINS8 ? rows * blocks * block : rows * cols * (qins_types[type].bits / 8);
    uint8_t *data = before_guard(bytes);
    uint16_t *scales = before_guard(rows * blocks * sizeof *scales);
    for (size_t i = 0; i < rows * cols && type != QINS_QINS8; i++) {
        float value = i % 97 == 0 ? 0.0f : i % 101 == 0 ? 1e-41f : next_weight();
        uint16_t half = type == QINS_F16 ? qins_f16_from_f32(value) : qins_bf16_from_f32(value);
        if (type == QINS_F16 && i % 31 == 0) half = (uint16_t)(next_bits() & 0x83FF); // subnormal
        memcpy(data + i * (qins_types[type].bits / 8), type == QINS_F32 ? (void *)&value : (void *)&half,
               qins_types[type].bits / 8);
    }
    for (size_t i = 0; i < bytes && type == QINS_QINS8; i++)
        data[i] = i / block % blocks == blocks - 1 && i % block >= cols - (blocks - 1) * block ? QINS_ZERO_CODE
                                                                                               : (uint8_t)next_bits();
    for (size_t i = 0; i < rows * blocks; i++)
        scales[i] = i % 17 == 0 ? 0 : i % 19 == 0 ? 0x0001 : (uint16_t)(0x3C00 + next_bits() % 0x180);
    return (qins_matrix){.type = type,
                         .rows = rows,
                         .cols = cols,
                         .block = type == QINS_QINS8 ? block : 0,
                         .data = data,
                         .scales = scales,
                         .book = book};
}

static void expect_same_bits(const qins_kernels *tier, const qins_matrix *w, const float *got, const float *expected,
                             size_t n) {
    for (size_t i = 0; i < n; i++)
        cr_assert_eq(qins_f32_bits(got[i]), qins_f32_bits(expected[i]), "%s, %s, %zu cols, value %zu: %a, not %a",
                     tier->name, qins_types[w->type].name, w->cols, i, (double)got[i], (double)expected[i]);
}

// A sum of n products in FP32, in any order and with or without FMA, is within n * 2^-24 * sum |a||b| (Higham 2002,
// section 3.1); two tiers differ by twice that at most. Subnormal sums round absolutely: hence the floor.
static double tolerance(size_t n, double absolute) {
    return 2.0 * (double)(n + 16) * 0x1p-24 * absolute + (double)n * 1e-44;
}

static void dot(const qins_kernels *tier, float *out, const qins_matrix *w, size_t row, size_t n_rows, const float *x) {
    float *arranged = before_guard((w->cols + 63) / 64 * 64 * sizeof *arranged);
    tier->dot_rows(out, w, row, n_rows, qins_arranged(tier, arranged, w, x));
}

static void check_dot(const qins_kernels *tier, const qins_matrix *w, const float *x, size_t row, size_t n_rows,
                      const float *decoded) {
    float expected[MAX_ROWS], *got = before_guard(n_rows * sizeof *got);
    dot(&qins_kernels_scalar, expected, w, row, n_rows, x);
    dot(tier, got, w, row, n_rows, x);
    for (size_t r = 0; r < n_rows; r++) {
        double absolute = 0;
        for (size_t i = 0; i < w->cols; i++) absolute += fabs((double)decoded[(row + r) * w->cols + i] * (double)x[i]);
        cr_assert_leq(fabs((double)got[r] - (double)expected[r]),
                      tolerance(w->cols, absolute) + split_error(tier, w->type, w->cols, absolute),
                      "%s, %s, row %zu: %g, not %g", tier->name, qins_types[w->type].name, r, (double)got[r],
                      (double)expected[r]);
    }
}

static void check_add(const qins_kernels *tier, const qins_matrix *w, const float *decoded) {
    float *expected = before_guard(w->cols * sizeof(float)), *got = before_guard(w->cols * sizeof(float));
    float *weights = before_guard(w->rows * sizeof(float));
    for (size_t i = 0; i < w->cols; i++) got[i] = expected[i] = next_weight();
    for (size_t r = 0; r < w->rows; r++) weights[r] = next_weight();
    qins_kernels_scalar.add_rows(expected, w, 0, w->rows, weights);
    tier->add_rows(got, w, 0, w->rows, weights);
    for (size_t i = 0; i < w->cols; i++) {
        double absolute = fabs((double)expected[i]);
        for (size_t r = 0; r < w->rows; r++) absolute += fabs((double)weights[r] * (double)decoded[r * w->cols + i]);
        cr_assert_leq(fabs((double)got[i] - (double)expected[i]), tolerance(w->rows, absolute), "%s, col %zu",
                      tier->name, i);
    }
}

static void check_matrix(const qins_kernels *tier, const qins_matrix *w) {
    const size_t n = w->rows * w->cols;
    float *expected = malloc(n * sizeof *expected), *got = before_guard(n * sizeof *got),
          *x = before_guard(w->cols * sizeof *x);
    for (size_t i = 0; i < w->cols; i++) x[i] = next_weight();
    qins_decode_rows(&qins_kernels_scalar, expected, w, 0, w->rows);
    qins_decode_rows(tier, got, w, 0, w->rows);
    expect_same_bits(tier, w, got, expected, n);
    if (w->rows > 1) {
        qins_decode_rows(tier, got, w, 1, 1);
        expect_same_bits(tier, w, got, expected + w->cols, w->cols);
    }
    if (w->block == 0 || w->block == 64) {
        check_dot(tier, w, x, 0, w->rows, expected);
        check_dot(tier, w, x, w->rows / 2, w->rows - w->rows / 2, expected);
    }
    check_add(tier, w, expected);
    free(expected);
}

// Sizes around the widths of registers and pieces.
static const size_t sizes[] = {1,  2,  7,  8,   9,   10,  15,  16,  17,   31,   32,   33,   63,
                               64, 65, 96, 127, 128, 191, 192, 257, 1000, 2047, 2048, 2049, 4161};

static void check_sizes(const qins_codebook *book) {
    for (int t = 0; t < MAX_TIERS; t++) {
        const qins_kernels *tier = faster_tier(t);
        for (size_t i = 0; tier != NULL && i < sizeof sizes / sizeof sizes[0]; i++) {
            size_t cols = sizes[i], rows = cols > 200 ? 3 : 5 + cols % 3;
            for (int type = 0; type < QINS_TYPE_COUNT; type++) {
                qins_matrix w = random_matrix((qins_type)type, rows, cols, 64, book);
                check_matrix(tier, &w);
            }
            qins_matrix head = random_matrix(QINS_QINS8, rows, cols, cols, book); // cached V
            check_matrix(tier, &head);
        }
        if (tier == NULL) continue;
        qins_matrix tall = random_matrix(QINS_QINS8, MAX_ROWS, 200, 64, book);
        check_matrix(tier, &tall);
    }
}

Test(kernels_tiers, matrices_with_the_projective_curve) {
    for (int i = 0; i < 4; i++) {
        qins_codebook book;
        qins_codebook_make(&book, QINS_PROJECTIVE, (double[]){0.0, 1.0, 2.53125, 8.0}[i]);
        check_sizes(&book);
    }
}

Test(kernels_tiers, matrices_with_the_log_curve) {
    for (int i = 0; i < 3; i++) {
        qins_codebook book;
        qins_codebook_make(&book, QINS_LOG, (double[]){1.0, 5.0, 12.0}[i]);
        check_sizes(&book);
    }
}

// Tables that no curve makes but a file may hold: steps anywhere, all equal, subnormal.
Test(kernels_tiers, matrices_with_any_table) {
    for (int kind = 0; kind < 4; kind++) {
        uint16_t magnitude[QINS_LEVELS] = {0};
        for (int s = 0; s < QINS_LEVELS - 1; s++)
            magnitude[s] = (uint16_t)(kind == 0   ? 0x3F80 - 127 * s
                                      : kind == 1 ? 0x3F80 - s / 3 * 300
                                      : kind == 2 ? 0x3F80
                                                  : 0x0090 - s);
        qins_codebook book;
        cr_assert(qins_codebook_load(&book, magnitude));
        check_sizes(&book);
    }
}

// A row's product does not depend on the rows that it is asked for with.
Test(kernels_tiers, rows_do_not_depend_on_each_other) {
    qins_codebook book;
    qins_codebook_make(&book, QINS_PROJECTIVE, 1.0);
    for (int t = 0; t < MAX_TIERS; t++) {
        const qins_kernels *tier = faster_tier(t);
        for (int type = 0; tier != NULL && type < QINS_TYPE_COUNT; type++) {
            qins_matrix w = random_matrix((qins_type)type, MAX_ROWS, MAX_COLS, 64, &book);
            float x[MAX_COLS], together[MAX_ROWS], alone;
            for (size_t i = 0; i < MAX_COLS; i++) x[i] = next_weight();
            dot(tier, together, &w, 0, MAX_ROWS, x);
            for (size_t r = 0; r < MAX_ROWS; r++) {
                dot(tier, &alone, &w, r, 1, x);
                expect_same_bits(tier, &w, &alone, &together[r], 1);
            }
        }
    }
}

// One activation beside the weight 1: what a tier that splits activations makes of it, all bits set behind the first,
// halfway between BF16 numbers, tiny or huge. The bound is that of kernels_avx512_bf16.c.
Test(kernels_tiers, single_activations) {
    const float activations[] = {1.0f,           0x1.fffffep0f, 0x1.01p0f,       0x1.017ffep0f,
                                 0x1.feff7ep-3f, 0x1p-100f,     0x1.23456p-112f, 0x1p-126f,
                                 0x1.8p-127f,    0x1p-149f,     0x1p127f,        0x1.fdfffep127f};
    qins_codebook book;
    qins_codebook_make(&book, QINS_PROJECTIVE, 1.0);
    uint8_t codes[64] = {0};
    memset(codes + 1, QINS_ZERO_CODE, 63);
    const uint16_t one = 0x3F80;
    const qins_matrix w = {
        .type = QINS_QINS8, .rows = 1, .cols = 64, .block = 64, .data = codes, .scales = &one, .book = &book};
    for (int t = 0; t < MAX_TIERS; t++) {
        const qins_kernels *tier = faster_tier(t);
        for (size_t i = 0; tier != NULL && i < sizeof activations / sizeof *activations; i++) {
            float x[64] = {activations[i]}, y;
            dot(tier, &y, &w, 0, 1, x);
            cr_expect_leq(fabs((double)y - (double)x[0]), 0x1p-17 * (double)x[0] + 0x1p-125, "%s: %a of %a", tier->name,
                          (double)y, (double)x[0]);
        }
        float x[64] = {FLT_MAX}, y;
        if (tier == NULL) continue;
        dot(tier, &y, &w, 0, 1, x);
        cr_expect(y == FLT_MAX || isnan(y), "%s: %a", tier->name, (double)y);
    }
}

static double ulps(float got, double expected) {
    int exponent;
    frexp(expected, &exponent);
    return fabs((double)got - expected) / ldexp(1.0, exponent - 24 < -149 ? -149 : exponent - 24);
}

Test(kernels_tiers, exp_is_within_two_units_in_the_last_place) {
    for (int t = 0; t < MAX_TIERS; t++) {
        const qins_kernels *tier = faster_tier(t);
        for (uint32_t i = 0; tier != NULL && i < 400000; i++) {
            float x[3], original = -110.0f + (float)i * (110.0f + 88.0f) / 400000.0f;
            x[0] = x[1] = x[2] = original;
            tier->exp_sum(x, 3, 0.0f);
            cr_assert_leq(ulps(x[2], exp((double)original)), 2.0, "%s: exp(%a) = %a", tier->name, (double)original,
                          (double)x[2]);
        }
    }
}

Test(kernels_tiers, exp_at_its_ends) {
    for (int t = 0; t < MAX_TIERS; t++) {
        const qins_kernels *tier = faster_tier(t);
        if (tier == NULL) continue;
        float x[] = {-INFINITY, -1e30f, -150.0f, -0.0f, 0.0f, 89.5f, 1e30f, INFINITY, NAN, 1.0f};
        cr_expect(isnan(tier->exp_sum(x, 10, 0.0f)));
        for (int i = 0; i < 3; i++) cr_expect_eq(x[i], 0.0f);
        cr_expect(x[3] == 1.0f && x[4] == 1.0f);
        for (int i = 5; i < 8; i++) cr_expect_eq(x[i], INFINITY);
        cr_expect(isnan(x[8]) && fabsf(x[9] - 2.7182817f) < 1e-6f);
    }
}

Test(kernels_tiers, vectors) {
    for (int t = 0; t < MAX_TIERS; t++) {
        const qins_kernels *tier = faster_tier(t);
        for (size_t k = 0; tier != NULL && k < sizeof sizes / sizeof sizes[0]; k++) {
            const size_t n = sizes[k], bytes = n * sizeof(float);
            float *a = before_guard(bytes), *b = before_guard(bytes), *got = before_guard(bytes),
                  *expected = before_guard(bytes);
            for (size_t i = 0; i < n; i++) {
                a[i] = 20.0f * next_weight();
                b[i] = next_weight();
            }
            qins_kernels_scalar.rmsnorm(expected, a, b, n, 1e-5f);
            tier->rmsnorm(got, a, b, n, 1e-5f);
            for (size_t i = 0; i < n; i++) // the sum of squares is positive: its error halves under the root
                cr_assert_leq(fabsf(got[i] - expected[i]), (float)(n + 16) * 0x1p-24f * fabsf(expected[i]));
            qins_kernels_scalar.swiglu(expected, a, b, n);
            tier->swiglu(got, a, b, n);
            for (size_t i = 0; i < n; i++) // two exponentials and four roundings
                cr_assert_leq(fabsf(got[i] - expected[i]), 8 * 0x1p-23f * fabsf(expected[i]) + 1e-37f);
            memcpy(got, a, bytes);
            memcpy(expected, a, bytes);
            float sum = qins_kernels_scalar.exp_sum(expected, n, 40.0f), tier_sum = tier->exp_sum(got, n, 40.0f);
            cr_assert_leq(fabsf(sum - tier_sum), (float)(n + 16) * 0x1p-23f * sum);
            tier->rmsnorm(a, a, b, n, 1e-5f); // in place
        }
    }
}

static void check_encode(const qins_codebook *book, const float *values, size_t cols) {
    size_t blocks = (cols + 63) / 64;
    float *x = before_guard(cols * sizeof *x);
    memcpy(x, values, cols * sizeof *x);
    uint8_t *expected_codes = before_guard(blocks * 64), *codes = before_guard(blocks * 64);
    uint16_t *expected_scales = before_guard(blocks * 2), *scales = before_guard(blocks * 2);
    double expected = qins_encode_row(book, x, cols, expected_codes, expected_scales);
    for (int t = 0; t < MAX_TIERS; t++) {
        const qins_kernels *tier = faster_tier(t);
        if (tier == NULL) continue;
        double error = tier->encode_row(book, x, cols, codes, scales);
        cr_assert(memcmp(scales, expected_scales, blocks * 2) == 0, "%s: scales of %zu", tier->name, cols);
        cr_assert(memcmp(codes, expected_codes, blocks * 64) == 0, "%s: codes of %zu", tier->name, cols);
        cr_assert(memcmp(&error, &expected, sizeof error) == 0, "%s: error %a, not %a", tier->name, error, expected);
    }
}

static void check_encode_of_kinds(const qins_codebook *book) {
    static float x[MAX_COLS];
    for (int kind = 0; kind < 9; kind++) {
        for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
            for (size_t i = 0; i < sizes[k]; i++) {
                float value = next_weight();
                switch (kind) {
                case 0:
                    break;
                case 1:
                    value = qins_f32_from_bf16(qins_bf16_from_f32(value * 0.02f));
                    break;
                case 2:
                    value *= 1e-38f;
                    break; // around the subnormal numbers
                case 3:
                    value *= 3e38f;
                    break; // up to the largest
                case 4:
                    value = i % 5 == 0 ? value : 0.0f;
                    break;
                case 5:
                    value = qins_f32_from_bits(next_bits() & 0xBFFFFFFF);
                    break; // any exponent
                case 6:
                    value = i % 64 == 3 ? 3.4e38f : value;
                    break; // no room for larger scales
                case 7:
                    value = book->value[next_bits() & 255];
                    break; // no error at all
                default:
                    value = book->boundary[next_bits() & 127];
                    break; // ties
                }
                x[i] = value;
            }
            check_encode(book, x, sizes[k]);
        }
    }
}

Test(kernels_tiers, encode_alike) {
    for (int i = 0; i < 5; i++) {
        qins_codebook book;
        qins_codebook_make(&book, i < 3 ? QINS_PROJECTIVE : QINS_LOG, (double[]){0.0, 1.0, 8.0, 1.0, 12.0}[i]);
        check_encode_of_kinds(&book);
    }
    uint16_t flat[QINS_LEVELS] = {0x3F80, 0x3F80, 0x3F00, 0x3F00, 0x3F00};
    qins_codebook book;
    cr_assert(qins_codebook_load(&book, flat));
    check_encode_of_kinds(&book);
}

static bool names_tier(const qins_kernels *kernels, const char *tier) {
    return strncmp(kernels->name, tier, strlen(tier)) == 0;
}

Test(kernels_tiers, the_environment_chooses_the_tier) {
    qins_error error = {0};
    const char *name = getenv("QINS_CPU");
    if (name != NULL && strcmp(name, "auto") != 0) cr_expect(names_tier(qins_kernels_get(), name));
    for (int tier = 0; tier < QINS_CPU_COUNT; tier++) {
        qins_status status = qins_cpu_select(qins_cpu_name((qins_cpu)tier), &error);
        cr_expect_eq(status, qins_cpu_has((qins_cpu)tier) ? QINS_OK : QINS_USAGE);
        if (status == QINS_OK) cr_expect(names_tier(qins_kernels_get(), qins_cpu_name((qins_cpu)tier)));
        error = (qins_error){0};
    }
    cr_expect_eq(qins_cpu_select("auto", &error), QINS_OK);
    setenv("QINS_CPU", "scalar", 1);
    cr_expect_eq(qins_cpu_select(NULL, &error), QINS_OK);
    cr_expect_eq(qins_cpu_tier(), QINS_CPU_SCALAR);
    setenv("QINS_CPU", "mmx", 1);
    cr_expect_eq(qins_cpu_select(NULL, &error), QINS_USAGE);
    cr_expect_not_null(strstr(error.message, "QINS_CPU takes scalar|avx2|avx512|auto, not \"mmx\""), "%s",
                       error.message);
}
