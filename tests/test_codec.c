// The codec against its definition: tables from the formulas, nearest entries by brute force, golden bytes made by an
// encoder of exact fractions that was written from the specification alone.
#include "engine/base/half.h"
#include "tests/support.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { GOLDEN_COLS = 150, GOLDEN_BLOCKS = 3, GOLDEN_PADDED = 192 };

typedef struct golden {
    qins_curve curve;
    double parameter;
    const char *codes; // hexadecimal
    uint16_t scales[GOLDEN_BLOCKS];
} golden;

static const golden goldens[] = {
    {QINS_PROJECTIVE,
     1,
     "50731085b84a94035ebd5c4cd730cad9af5fda77a3cf5d4145f7dd607161bdbf20bc50d92ef1aedaa039da6bb7ace657"
     "b2c5b5f6f22061e4eebcb6ef347bd9fee07f497f827f7f7f997fc37f0f7fef7fac7f677f607f817fe57f767f0f7f6f7f"
     "2d7f907fc47f597f307f9f7f477f887f467fc87f3a7f4d7f1a7ff77fe37f3f7f957a7fee81f416ad6cc7255f2ed66861"
     "0d1b0f7b2e3c7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f",
     {0x4044, 0x3B0B, 0x4006}},
    {QINS_LOG,
     5,
     "254b0581972187002f992e22aa13a1ab9330ab558da42e1b1ed5ae314832999b0c9924ab12c692ac8c17ac3e9691b729"
     "949e95d3c90c32b5c19996c4156babfeb37f227f827f7f7f8b7f9f7f077fc57f937f3a7f337f817fb87f557f077f457f"
     "137f877f9f7f2d7f157f8d7f217f847f217fa17f1a7f257f0b7fd77fb67f1d7f89647fc481cf0a9440a1103214aa3c34"
     "060c076b141b7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f",
     {0x403B, 0x3B10, 0x400A}},
};

// Three blocks: near-normal values with an outlier; small values, every other one of them lost, with both zeros; a
// last block of 22.
static void golden_row(float row[static GOLDEN_COLS]) {
    test_random random = {2024};
    random_fill(&random, row, GOLDEN_COLS);
    row[3] *= 16;
    for (int i = 64; i < 128; i++) row[i] *= i % 2 ? 0x1p-100f : 0x1p-10f;
    row[70] = 0.0f;
    row[71] = -0.0f;
    row[130] = 0.0f;
}

Test(codec, golden_bytes) {
    for (size_t g = 0; g < 2; g++) {
        float row[GOLDEN_COLS];
        uint8_t codes[GOLDEN_PADDED], expected[GOLDEN_PADDED];
        uint16_t scales[GOLDEN_BLOCKS];
        qins_codebook book;
        golden_row(row);
        for (int i = 0; i < GOLDEN_PADDED; i++) {
            char digits[3] = {goldens[g].codes[2 * i], goldens[g].codes[2 * i + 1], '\0'};
            expected[i] = (uint8_t)strtoul(digits, NULL, 16);
        }
        qins_codebook_make(&book, goldens[g].curve, goldens[g].parameter);
        qins_encode_row(&book, row, GOLDEN_COLS, codes, scales);
        for (int i = 0; i < GOLDEN_BLOCKS; i++)
            cr_expect_eq(scales[i], goldens[g].scales[i], "%s: scale %d is %04x", qins_curve_name(goldens[g].curve), i,
                         scales[i]);
        for (int i = 0; i < GOLDEN_PADDED; i++)
            cr_expect_eq(codes[i], expected[i], "%s: code %d is %02x", qins_curve_name(goldens[g].curve), i, codes[i]);
    }
}

// --- tables ---

// t(u) of both curves in extended precision.
static long double curve_value(qins_curve curve, long double parameter, int s) {
    long double u = 1.0L - s / 127.0L;
    if (s == QINS_ZERO_CODE) return 0.0L;
    return curve == QINS_LOG ? expl(-parameter * (1.0L - u)) : u / (1.0L + parameter * (1.0L - u));
}

// Distance, relative to the value, to the nearest place where rounding to BF16 changes its result.
static long double boundary_distance(long double value) {
    int exponent;
    long double steps = frexpl(value, &exponent) * 256; // in [128, 256): one BF16 step is 1
    return fabsl(steps - floorl(steps) - 0.5L) / steps;
}

// BF16 bits of a positive normal number that is not half way between two.
static unsigned nearest_bf16(long double value) {
    int exponent;
    if (value == 0) return 0;
    long steps = lroundl(frexpl(value, &exponent) * 256);
    return (unsigned)((exponent + 126 - 1) * 128 + steps);
}

static void expect_table(qins_curve curve, double parameter) {
    qins_codebook book;
    qins_codebook_make(&book, curve, parameter);
    for (int s = 0; s < QINS_LEVELS; s++)
        cr_assert_eq(book.magnitude[s], nearest_bf16(curve_value(curve, parameter, s)), "%s %g: T[%d] is %04x",
                     qins_curve_name(curve), parameter, s, book.magnitude[s]);
    qins_codebook loaded;
    cr_assert(qins_codebook_load(&loaded, book.magnitude), "%s %g", qins_curve_name(curve), parameter);
    cr_assert_eq(memcmp(loaded.value, book.value, sizeof book.value), 0);
    cr_assert_eq(memcmp(loaded.boundary, book.boundary, sizeof book.boundary), 0);
    cr_assert_eq(memcmp(loaded.start, book.start, sizeof book.start), 0);
}

Test(codec, tables_are_the_rounded_curves) {
    for (int i = 0; i <= 256; i++) expect_table(QINS_PROJECTIVE, i / 32.0);
    for (int i = 32; i <= 384; i++) expect_table(QINS_LOG, i / 32.0);
}

// C libraries agree on exp to better than 1e-15, and the product rounds through FP32, which moves a value by up to
// 6e-8: below 1e-9 a library could decide an entry by itself.
Test(codec, no_entry_of_the_log_curve_hangs_on_the_c_library) {
    for (int i = 32; i <= 384; i++) {
        for (int s = 1; s < QINS_ZERO_CODE; s++) {
            long double value = curve_value(QINS_LOG, i / 32.0L, s);
            cr_assert_gt(boundary_distance(value), 1e-9L, "R = %g, s = %d", i / 32.0, s);
            cr_assert_eq(qins_bf16_from_f32((float)(value * (1 + 1e-12L))),
                         qins_bf16_from_f32((float)(value * (1 - 1e-12L))));
        }
    }
}

Test(codec, damaged_tables_are_refused) {
    qins_codebook good, loaded;
    qins_codebook_make(&good, QINS_PROJECTIVE, 1);
    static const struct {
        const char *name;
        int index;
        uint16_t value;
    } cases[] = {{"above 1", 0, 0x3F81},
                 {"infinity", 0, 0x7F80},
                 {"NaN", 0, 0x7FC0},
                 {"negative", 64, 0xBF00},
                 {"negative zero", 127, 0x8000},
                 {"T[127] above 0", 127, 0x0001},
                 {"rising at 1", 1, 0x3F81},
                 {"rising at 126", 126, 0x3F80},
                 {"NaN inside", 50, 0x7FC1},
                 {"falling then rising", 60, 0x0000}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint16_t magnitude[QINS_LEVELS];
        memcpy(magnitude, good.magnitude, sizeof magnitude);
        magnitude[cases[i].index] = cases[i].value;
        cr_expect(!qins_codebook_load(&loaded, magnitude), "%s", cases[i].name);
    }
    uint16_t flat[QINS_LEVELS] = {0};
    cr_expect(qins_codebook_load(&loaded, flat), "a table may be flat");
    for (int s = 0; s < 127; s++) flat[s] = 0x3F80;
    cr_expect(qins_codebook_load(&loaded, flat));
}

Test(codec, names_of_types_and_curves) {
    for (int i = 0; i < QINS_TYPE_COUNT; i++) {
        qins_type type;
        cr_expect(qins_type_from_name(qins_types[i].name, &type) && type == (qins_type)i);
    }
    qins_type type;
    qins_curve curve;
    cr_expect(!qins_type_from_name("F32", &type) && !qins_type_from_name("", &type) &&
              !qins_type_from_name("qins", &type));
    cr_expect(qins_curve_from_name("log", &curve) && curve == QINS_LOG);
    cr_expect(qins_curve_from_name("projective", &curve) && curve == QINS_PROJECTIVE);
    cr_expect(!qins_curve_from_name("linear", &curve) && !qins_curve_from_name("", &curve));
    cr_expect(qins_type_is_coded(QINS_QINS8) && !qins_type_is_coded(QINS_BF16));
}

Test(codec, sizes_of_tensors) {
    size_t bytes = 0;
    cr_expect(qins_tensor_bytes(QINS_F32, 3, 5, &bytes) && bytes == 60);
    cr_expect(qins_tensor_bytes(QINS_BF16, 3, 5, &bytes) && bytes == 30);
    cr_expect(qins_tensor_bytes(QINS_F16, 3, 5, &bytes) && bytes == 30);
    cr_expect(qins_tensor_bytes(QINS_QINS8, 3, 64, &bytes) && bytes == 3 * (64 + 2));
    cr_expect(qins_tensor_bytes(QINS_QINS8, 3, 65, &bytes) && bytes == 3 * (128 + 4));
    cr_expect(qins_blocks(QINS_QINS8, 1) == 1 && qins_blocks(QINS_QINS8, 128) == 2 && qins_blocks(QINS_F32, 9) == 0);
    for (int type = 0; type < QINS_TYPE_COUNT; type++) {
        cr_expect(!qins_tensor_bytes((qins_type)type, SIZE_MAX / 2, 64, &bytes));
        cr_expect(!qins_tensor_bytes((qins_type)type, 64, SIZE_MAX / 2, &bytes));
        cr_expect(!qins_tensor_bytes((qins_type)type, 1, SIZE_MAX, &bytes));
    }
}

// --- encoding ---

static float magnitude_of(const qins_codebook *book, unsigned code) {
    return qins_f32_from_bf16(book->magnitude[code & 0x7F]);
}

// The nearest of all entries to |value| / d, the larger one on ties. Ratio and entries are FP32, so their difference in
// double is exact, or so large that it cannot be the smallest.
static unsigned brute_force(const qins_codebook *book, float value, float d) {
    const double ratio = fabsf(value) / d;
    unsigned best = 0;
    for (unsigned s = 1; s < QINS_LEVELS; s++) {
        if (fabs(ratio - magnitude_of(book, s)) < fabs(ratio - magnitude_of(book, best))) best = s;
    }
    return best;
}

static void expect_nearest(const qins_codebook *book, float value, float d) {
    const unsigned code = qins_encode_value(book, value, d), expected = brute_force(book, value, d);
    cr_assert_eq(magnitude_of(book, code), magnitude_of(book, expected), "%a / %a: code %02x instead of %02x",
                 (double)value, (double)d, code, expected);
    if ((code & 0x7F) == QINS_ZERO_CODE)
        cr_assert_eq(code, QINS_ZERO_CODE, "the zero code has no sign");
    else
        cr_assert_eq(code >> 7, signbit(value) != 0);
}

static void expect_nearest_everywhere(const qins_codebook *book, test_random *random) {
    for (int s = 0; s < 127; s++) { // at, above and below every boundary
        const float boundary = (magnitude_of(book, (unsigned)s) + magnitude_of(book, (unsigned)s + 1)) / 2;
        const float values[] = {boundary, nextafterf(boundary, 2), nextafterf(boundary, 0), book->value[s]};
        for (int i = 0; i < 4; i++) {
            expect_nearest(book, values[i], 1.0f);
            expect_nearest(book, -values[i], 1.0f);
            expect_nearest(book, values[i] * 0x1p20f, 0x1p20f);
        }
    }
    for (int i = 0; i < 5000; i++) {
        float d = qins_f32_from_bf16((uint16_t)(0x3000 + random_below(random, 0x1800)));
        expect_nearest(book, random_uniform(random) * d, d);
        expect_nearest(book, random_uniform(random) * d * 0x1p-12f, d);
        expect_nearest(book, random_uniform(random) * d * 4, d);
    }
}

Test(codec, encoding_takes_the_nearest_entry) {
    test_random random = {3};
    qins_codebook book;
    const double projective[] = {0, 0.125, 1, 2.5, 8}, logarithmic[] = {1, 3.125, 5, 12};
    for (size_t i = 0; i < sizeof projective / sizeof projective[0]; i++) {
        qins_codebook_make(&book, QINS_PROJECTIVE, projective[i]);
        expect_nearest_everywhere(&book, &random);
    }
    for (size_t i = 0; i < sizeof logarithmic / sizeof logarithmic[0]; i++) {
        qins_codebook_make(&book, QINS_LOG, logarithmic[i]);
        expect_nearest_everywhere(&book, &random);
    }
}

Test(codec, ties_go_to_the_larger_magnitude) {
    qins_codebook book;
    qins_codebook_make(&book, QINS_PROJECTIVE, 1);
    for (unsigned s = 0; s < 127; s++) {
        float middle = (magnitude_of(&book, s) + magnitude_of(&book, s + 1)) / 2;
        cr_assert_eq(qins_encode_value(&book, middle, 1.0f), s);
        cr_assert_eq(qins_encode_value(&book, -middle, 1.0f), s | 0x80);
    }
}

// --- decoding ---

Test(codec, every_code_decodes_to_sign_scale_and_table) {
    qins_codebook book;
    qins_codebook_make(&book, QINS_LOG, 5);
    uint8_t codes[256];
    float values[256];
    for (int i = 0; i < 256; i++) codes[i] = (uint8_t)i;
    for (unsigned scale = 0; scale <= 0x7F7F; scale += 97) {
        qins_decode_block(values, &book, codes, (uint16_t)scale, 256);
        for (unsigned i = 0; i < 256; i++) {
            float expected = qins_f32_from_bf16((uint16_t)scale) * magnitude_of(&book, i);
            cr_assert_eq(values[i], i & 0x80 ? -expected : expected, "code %02x, scale %04x", i, scale);
            if (scale >= 0x1000) // no subnormal product: 8 bits times 8 bits fit into FP32
                cr_assert_eq((double)values[i], (double)qins_f32_from_bf16((uint16_t)scale) * (double)book.value[i]);
        }
    }
}

// --- blocks ---

Test(codec, scales_round_up_to_bf16) {
    qins_codebook book;
    qins_codebook_make(&book, QINS_PROJECTIVE, 1);
    static const struct {
        float largest;
        uint16_t scale;
    } cases[] = {{1.0f, 0x3F80},           {0x1.000002p0f, 0x3F81}, // one FP32 step above 1
                 {-0x1.020002p0f, 0x3F82}, {0x1.fffffep0f, 0x4000}, {0.0f, 0x0000},
                 {-0.0f, 0x0000},          {0x1p-133f, 0x0001}, // the smallest BF16
                 {0x1p-149f, 0x0001},                           // the smallest FP32
                 {0x1.fep127f, 0x7F7F},    {FLT_MAX, 0x7F7F}};  // rounding up would give infinity
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        float x[3] = {0, cases[i].largest, 0}, decoded[3];
        uint8_t codes[3];
        uint16_t scale;
        qins_encode_block(&book, x, 3, 1, codes, &scale);
        cr_expect_eq(scale, cases[i].scale, "%a: %04x", (double)cases[i].largest, scale);
        qins_decode_block(decoded, &book, codes, scale, 3);
        cr_expect(codes[0] == QINS_ZERO_CODE && isfinite(decoded[1]));
    }
}

Test(codec, a_single_huge_value_takes_the_first_code) {
    qins_codebook book;
    qins_codebook_make(&book, QINS_PROJECTIVE, 1);
    float x[64] = {[10] = -FLT_MAX, [11] = 1e30f, [12] = -1.0f}, decoded[64];
    uint8_t codes[64];
    uint16_t scale;
    double error = qins_encode_row(&book, x, 64, codes, &scale);
    qins_decode_block(decoded, &book, codes, scale, 64);
    cr_expect(codes[10] == 0x80 && codes[11] == QINS_ZERO_CODE && codes[12] == QINS_ZERO_CODE);
    cr_expect_eq(decoded[10], -0x1.fep127f);
    cr_expect(isfinite(error) && error > 0);
}

Test(codec, zeros_become_the_zero_code) {
    qins_codebook book;
    qins_codebook_make(&book, QINS_LOG, 5);
    float x[70];
    uint8_t codes[128];
    uint16_t scales[2] = {1, 1};
    for (int i = 0; i < 70; i++) x[i] = i % 2 ? 0.0f : -0.0f;
    cr_expect_eq(qins_encode_row(&book, x, 70, codes, scales), 0.0);
    cr_expect(scales[0] == 0 && scales[1] == 0);
    for (int i = 0; i < 128; i++) cr_assert_eq(codes[i], QINS_ZERO_CODE);
}

// Encode, decode, and compare the squared error with the one reported, for rows of every kind.
static void expect_round_trip(const qins_codebook *book, const float *row, size_t cols) {
    const size_t blocks = qins_blocks(QINS_QINS8, cols), padded = blocks * 64;
    test_guards guards = {0};
    const float *x = guarded_copy(&guards, row, cols * sizeof *row);
    uint8_t *codes = guarded(&guards, padded);
    uint16_t *scales = guarded(&guards, blocks * sizeof *scales);
    float *decoded = guarded(&guards, cols * sizeof *decoded);
    const double reported = qins_encode_row(book, x, cols, codes, scales);
    double squared_error = 0, plain_error = 0;
    for (size_t b = 0; b < blocks; b++) {
        size_t n = cols - b * 64 < 64 ? cols - b * 64 : 64;
        uint8_t plain_codes[64];
        uint16_t plain_scale;
        qins_decode_block(decoded + b * 64, book, codes + b * 64, scales[b], n);
        plain_error += qins_encode_block(book, x + b * 64, n, 1, plain_codes, &plain_scale);
        cr_assert(scales[b] >= plain_scale && scales[b] < plain_scale + QINS_SCALE_CHOICES);
    }
    for (size_t i = 0; i < cols; i++) {
        double error = (double)x[i] - (double)decoded[i];
        squared_error += error * error;
    }
    for (size_t i = cols; i < padded; i++) cr_assert_eq(codes[i], QINS_ZERO_CODE, "padding");
    for (size_t i = 0; i < padded; i++) cr_assert_neq(codes[i], 0xFF);
    // Both are sums of the same squares in double, in another order.
    cr_assert_leq(fabs(squared_error - reported), 1e-12 * squared_error);
    cr_assert_leq(reported, plain_error * (1 + 1e-12), "the search over scales may not lose");
    guards_free(&guards);
}

Test(codec, rows_come_back_with_the_reported_error) {
    test_random random = {4};
    float row[300];
    for (size_t cols = 1; cols <= 300; cols += cols < 140 ? 1 : 23) {
        qins_codebook book;
        qins_codebook_make(&book, cols % 2 ? QINS_PROJECTIVE : QINS_LOG, 1 + (double)(cols % 8));
        for (int kind = 0; kind < 4; kind++) {
            random_fill(&random, row, cols);
            for (size_t i = 0; i < cols; i++) {
                if (kind == 1) row[i] *= 0x1p-130f; // subnormal FP32
                if (kind == 2) row[i] *= 0x1p120f;
                if (kind == 3) row[i] = i % 3 ? 0.0f : row[i];
            }
            expect_round_trip(&book, row, cols);
        }
    }
}

// The relative error of an entry's neighbourhood bounds what is lost: a value at most d lies within half the largest
// gap.
Test(codec, no_value_is_further_away_than_half_a_gap) {
    test_random random = {5};
    qins_codebook book;
    qins_codebook_make(&book, QINS_PROJECTIVE, 1);
    float x[64], decoded[64], widest = 0;
    for (int s = 0; s < 127; s++) widest = fmaxf(widest, book.value[s] - book.value[s + 1]);
    for (int trial = 0; trial < 200; trial++) {
        uint8_t codes[64];
        uint16_t scale;
        random_fill(&random, x, 64);
        qins_encode_block(&book, x, 64, 1, codes, &scale);
        qins_decode_block(decoded, &book, codes, scale, 64);
        for (int i = 0; i < 64; i++) // 1e-6: the division is rounded
            cr_assert_leq(fabsf(x[i] - decoded[i]), widest / 2 * qins_f32_from_bf16(scale) * (1 + 1e-6f));
    }
}

// --- the fit ---

static double error_with(qins_curve curve, double parameter, const float *x, size_t rows, size_t cols) {
    qins_codebook book;
    uint8_t codes[256];
    uint16_t scales[4];
    double error = 0;
    qins_codebook_make(&book, curve, parameter);
    for (size_t r = 0; r < rows; r++) error += qins_encode_row(&book, x + r * cols, cols, codes, scales);
    return error;
}

Test(codec, the_fit_beats_the_linear_code_and_its_neighbours) {
    enum { ROWS = 8, COLS = 256 };
    static float x[ROWS * COLS];
    test_random random = {6};
    random_fill(&random, x, ROWS * COLS);
    double alpha = qins_fit_parameter(QINS_PROJECTIVE, x, ROWS, COLS);
    double error = error_with(QINS_PROJECTIVE, alpha, x, ROWS, COLS);
    cr_expect(alpha >= 0 && alpha <= 8 && alpha * 32 == floor(alpha * 32));
    cr_expect_lt(error, 0.99 * error_with(QINS_PROJECTIVE, 0, x, ROWS, COLS), "near-normal values need a curve");
    for (int i = 0; i <= 8; i++) cr_expect_leq(error, error_with(QINS_PROJECTIVE, i, x, ROWS, COLS));
    double range = qins_fit_parameter(QINS_LOG, x, ROWS, COLS);
    error = error_with(QINS_LOG, range, x, ROWS, COLS);
    cr_expect(range >= 1 && range <= 12 && range * 32 == floor(range * 32));
    for (int i = 1; i <= 12; i++) cr_expect_leq(error, error_with(QINS_LOG, i, x, ROWS, COLS));
}

// Values that one curve holds exactly: only its own parameter loses nothing.
static void expect_recovered(qins_curve curve, double parameter) {
    enum { ROWS = 4, COLS = 128 };
    static float x[ROWS * COLS];
    test_random random = {7};
    qins_codebook book;
    qins_codebook_make(&book, curve, parameter);
    for (size_t i = 0; i < ROWS * COLS; i++) x[i] = i % 64 == 0 ? 1.0f : book.value[random_below(&random, 255)];
    cr_expect_eq(qins_fit_parameter(curve, x, ROWS, COLS), parameter);
}

Test(codec, the_fit_finds_the_curve_that_made_the_values) {
    for (int i = 0; i <= 8; i++) expect_recovered(QINS_PROJECTIVE, i);
    for (int i = 1; i <= 12; i++) expect_recovered(QINS_LOG, i);
}
