// The table of codes and the layout of matrices, against formulas in plain integers and bytes counted by hand.
#include "tests/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// floor(a / b) for b > 0
static int64_t floor_divide(int64_t a, int64_t b) {
    return a >= 0 ? a / b : -((-a + b - 1) / b);
}

Test(code, qins8_is_its_formula) {
    const qins_type_info *info = &qins_types[QINS_QINS8];
    for (int s = -128; s <= 127; s++) {
        const int t = s * (abs(s) < 128 ? abs(s) + 128 : 128);
        cr_assert_eq(qins_t_value((int8_t)s), (float)t);
        for (int k = 0; k <= 255; k++) {
            const int64_t v = floor_divide((int64_t)t * k + 1024, 2048);
            cr_assert_eq(info->value(s, k), v, "s %d, k %d", s, k);
            cr_assert(v >= -QINS_MAX_V && v <= QINS_MAX_V);
        }
    }
    cr_expect_eq(info->value(127, 255), QINS_MAX_V);
}

// T k / 2^bits, rounded with halves going up.
static int64_t scaled(int64_t t, int k, int bits) {
    return bits == 0 ? t * k : floor_divide(t * k + (1 << (bits - 1)), (int64_t)1 << bits);
}

// The narrow codes by the table in FORMAT.md, A and B typed in once more.
Test(code, narrow_codes_are_their_formulas) {
    static const int a[16] = {-63, -51, -40, -32, -24, -17, -11, -5, 1, 6, 12, 19, 25, 33, 42, 58};
    static const int b[32] = {-127, -113, -102, -92, -82, -73, -65, -57, -49, -42, -35, -28, -22, -16, -10, -5,
                              0,    5,    11,   16,  22,  28,  35,  42,  49,  56,  64,  73,  82,  91,  103, 121};
    for (int byte = 0; byte < 256; byte++) {
        const int k = (int)floor_divide((int8_t)byte, 2), t = byte % 2;
        cr_assert(qins_types[QINS_QINS4].k(byte) == k && qins_types[QINS_QINS6].k(byte) == k);
        for (int s = -32; s < 32; s++)
            cr_assert_eq(qins_types[QINS_QINS6].value(s, byte), scaled(s * (abs(s) + 48) + 24 * t, k, 6));
        for (int c = 0; c < 32; c++) cr_assert_eq(qins_types[QINS_QINS5].value(c, byte), scaled(b[c] + 3 * t, k, 1));
        for (int c = 0; c < 16; c++) cr_assert_eq(qins_types[QINS_QINS4].value(c, byte), scaled(a[c] + 3 * t, k, 0));
    }
}

static void check_promises(qins_type type) {
    const qins_type_info *info = &qins_types[type];
    int largest = 0;
    for (int scale = 0; scale < 256; scale++) {
        if (abs(info->k(scale)) > info->max_k) continue;
        for (int code = info->min_code; code <= info->max_code; code++) {
            const int v = info->value(code, scale);
            cr_assert_leq(abs(v), QINS_MAX_V);
            cr_assert_leq(abs(v), info->reach * (float)abs(info->k(scale)) + 0.5f);
            if (info->k(scale) == 0) cr_assert_eq(v, 0, "padding");
            cr_assert_eq(v, scaled(info->t(code, scale), info->k(scale), info->shift));
            cr_assert_eq(info->t(code, scale), info->t(code, scale % info->n_forms));
            largest = abs(v) > largest ? abs(v) : largest;
        }
    }
    cr_expect_geq(largest, (info->reach - 1.0f) * (float)info->max_k);
    uint8_t unit[QINS_PANEL * QINS_UNIT];
    const int n_codes = info->max_code - info->min_code + 1;
    cr_assert_leq(qins_unit_bytes(type), sizeof unit);
    for (size_t i = 0; i < QINS_PANEL * QINS_UNIT; i++) // each place has bits of its own
        info->put(unit, i / QINS_UNIT, i % QINS_UNIT, info->min_code + (int)(i * 7 % 50) % n_codes);
    for (size_t i = 0; i < QINS_PANEL * QINS_UNIT; i++)
        cr_assert_eq(info->get(unit, i / QINS_UNIT, i % QINS_UNIT), info->min_code + (int)(i * 7 % 50) % n_codes);
    memset(unit, 0, sizeof unit);
    cr_expect_eq(info->get(unit, 3, 5), info->padding_code);
}

Test(code, every_type_keeps_its_promises) {
    qins_type found;
    for (int type = 0; type < QINS_TYPE_COUNT; type++) {
        cr_assert(qins_type_from_name(qins_types[type].name, &found) && found == (qins_type)type);
        cr_expect_eq(qins_types[type].number != NULL, !qins_type_is_coded((qins_type)type));
        if (qins_type_is_coded((qins_type)type)) check_promises((qins_type)type);
    }
    cr_expect_not(qins_type_from_name("qins9", &found));
}

// The nearest code, or one whose value is as near but for the rounding of v and of T's inverse.
Test(code, nearest) {
    test_random random = {1};
    for (int i = 0; i < 80000; i++) {
        const qins_type type = (qins_type)(QINS_QINS8 + i % 4);
        const qins_type_info *info = &qins_types[type];
        const int scale = random_scale(&random, type);
        const float u = random_bell(&random) * 1500.0f;
        const int code = info->nearest(u, scale);
        double best = INFINITY;
        for (int s = info->min_code; s <= info->max_code; s++)
            best = fmin(best, fabs((double)u - info->value(s, scale)));
        cr_assert_leq(fabs((double)u - info->value(code, scale)), best + 1.01, "%s: u %g, scale byte %d, code %d",
                      info->name, (double)u, scale, code);
    }
}

Test(code, bytes_of_panels) {
    // 512 columns: 32 bytes of d, 256 of scales, 32 zeros, 8192 codes; the rest of 576 columns: 32, 32, 0 and 1024
    cr_expect_eq(qins_panel_bytes(QINS_QINS8, 512), 8512);
    cr_expect_eq(qins_panel_bytes(QINS_QINS8, 576), 8512 + 64 + 1024);
    cr_expect_eq(qins_panel_bytes(QINS_QINS8, 3072), 6 * 8512);
    cr_expect_eq(qins_panel_bytes(QINS_QINS8, 1), 64 + 1024);
    cr_expect_eq(qins_panel_bytes(QINS_BF16, 3), 16 * 3 * 2);
    size_t bytes;
    cr_assert(qins_matrix_bytes(QINS_QINS8, QINS_PANELS, 17, 512, &bytes) && bytes == 2 * 8512);
    cr_assert(qins_matrix_bytes(QINS_F32, QINS_ROWS, 17, 3, &bytes) && bytes == 17 * 3 * 4);
    cr_expect_not(qins_matrix_bytes(QINS_QINS8, QINS_ROWS, 1, 1, &bytes), "there are no coded rows");
    cr_expect_not(qins_matrix_bytes(QINS_F32, QINS_ROWS, SIZE_MAX / 4, 2, &bytes));
    cr_expect_not(qins_matrix_bytes(QINS_QINS8, QINS_PANELS, SIZE_MAX, 1, &bytes));
    cr_expect_not(qins_matrix_bytes(QINS_QINS8, QINS_PANELS, 1, SIZE_MAX, &bytes));
}

// The places of a row's numbers, according to FORMAT.md.
Test(code, coded_rows_lie_where_the_format_says) {
    enum { COLS = 600 };
    test_row *room = calloc(1, sizeof *room);
    const qins_coded_row row = coded_row(room);
    cr_assert_eq(qins_panel_bytes(QINS_QINS8, COLS), 8512 + 128 + 2 * 1024);
    uint8_t *data = calloc(1, 8512 + 128 + 2 * 1024);
    for (int i = 0; i < COLS; i++) row.codes[i] = (int8_t)(i % 255 - 127);
    for (int i = 0; i < 20; i++) row.scales[i] = (uint8_t)(i + 1);
    row.d[0] = 0x1234, row.d[1] = 0x5678;
    qins_pack_coded(data, QINS_QINS8, COLS, 5, &row);
    for (size_t i = 0; i < COLS; i++) {
        const size_t start = i < 512 ? 0 : 8512, scales = i < 512 ? 320 : 128, col = i % 512;
        const uint16_t d = (uint16_t)(data[start + 10] | data[start + 11] << 8);
        cr_assert_eq(d, i < 512 ? 0x1234 : 0x5678);
        cr_assert_eq(data[start + 32 + col / 32 * 16 + 5], i / 32 + 1);
        cr_assert_eq((int8_t)data[start + scales + col / 4 * 64 + 5 * 4 + col % 4], (int)(i % 255) - 127);
    }
    free(data);
    free(room);
}

static void check_rows(qins_type type, qins_layout layout, size_t rows, size_t cols) {
    test_matrix *made = matrix_make(type, layout, rows, cols, rows + cols);
    test_guards guards = {0};
    qins_matrix matrix = made->matrix;
    matrix.data = guarded_copy(&guards, made->data, made->bytes);
    float *values = guarded(&guards, rows * cols * sizeof *values);
    qins_decode_rows(values, &matrix, 0, rows);
    for (size_t i = 0; i < rows * cols; i++)
        cr_assert_eq((double)values[i], made->values[i], "%s [%zu, %zu], value %zu", qins_types[type].name, rows, cols,
                     i);
    guards_free(&guards);
    matrix_free(made);
}

static void check_unpacked(qins_type type, size_t rows, size_t cols) {
    test_matrix *made = matrix_make(type, QINS_PANELS, rows, cols, rows + cols);
    test_row *room = calloc(1, sizeof *room);
    float *values = calloc(cols, sizeof *values);
    const qins_coded_row row = coded_row(room);
    for (size_t r = 0; r < rows; r++) {
        qins_unpack_coded(&row, &made->matrix, r);
        qins_decode_coded(values, type, cols, &row);
        for (size_t i = 0; i < cols; i++)
            cr_assert_eq((double)values[i], made->values[r * cols + i], "%s, %zu, %zu", qins_types[type].name, r, i);
    }
    free(values);
    free(room);
    matrix_free(made);
}

Test(code, coded_rows_come_out_of_their_panels) {
    for (int type = QINS_QINS8; type < QINS_TYPE_COUNT; type++) {
        check_unpacked((qins_type)type, 17, 65);
        check_unpacked((qins_type)type, 33, 1100);
    }
}

Test(code, rows_decode_from_any_layout) {
    static const size_t shapes[][2] = {{1, 1}, {16, 64}, {17, 65}, {5, 511}, {33, 513}, {3, 1100}};
    for (int type = 0; type < QINS_TYPE_COUNT; type++)
        for (size_t i = 0; i < 6; i++) {
            check_rows((qins_type)type, QINS_PANELS, shapes[i][0], shapes[i][1]);
            if (!qins_type_is_coded((qins_type)type))
                check_rows((qins_type)type, QINS_ROWS, shapes[i][0], shapes[i][1]);
        }
}
