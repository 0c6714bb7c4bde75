// One tensor from file to payload: every pair of types, the errors, and independence of the number of threads.
#include "convert/encode_tensor.h"
#include "engine/base/buffer.h"
#include "engine/base/half.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

enum { OFFSET = 24 }; // bytes before the tensor

static float value_at(size_t i) {
    uint32_t state = (uint32_t)i * 2654435761u;
    state = (state ^ state >> 15) * 2246822519u;
    return ((float)(state >> 8) / 16777216.0f - 0.5f) * (i % 37 == 0 ? 0.5f : 0.0625f);
}

// A file with W[rows, cols] of the type, value_at(i) rounded to it, and values[bad] replaced.
static qins_rows make_rows(qins_type type, size_t rows, size_t cols, size_t bad, float bad_value) {
    static char path[] = "/tmp/qins_rows_XXXXXX";
    memcpy(path + sizeof path - 7, "XXXXXX", 6);
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    unlink(path);
    qins_error error = {0};
    qins_buffer buffer = {.error = &error};
    for (int i = 0; i < OFFSET; i++) qins_buffer_u8(&buffer, 0xEE);
    for (size_t i = 0; i < rows * cols; i++) {
        float value = i == bad ? bad_value : value_at(i);
        if (type == QINS_F32) qins_buffer_u32(&buffer, qins_f32_bits(value));
        if (type == QINS_BF16) qins_buffer_u16(&buffer, qins_bf16_from_f32(value));
        if (type == QINS_F16) qins_buffer_u16(&buffer, qins_f16_from_f32(value));
    }
    cr_assert_eq(error.status, QINS_OK);
    cr_assert_eq(write(fd, buffer.data, buffer.size), (ssize_t)buffer.size);
    qins_buffer_free(&buffer);
    return qins_rows_of(&(qins_stored){.fd = fd, .path = "test file", .name = "w", .offset = OFFSET, .type = type},
                        rows, cols);
}

static float source_value(qins_type type, size_t i) {
    if (type == QINS_BF16) return qins_f32_from_bf16(qins_bf16_from_f32(value_at(i)));
    if (type == QINS_F16) return qins_f32_from_f16(qins_f16_from_f32(value_at(i)));
    return value_at(i);
}

static qins_status append(void *context, const void *bytes, size_t size, qins_error *error) {
    qins_buffer *buffer = context;
    qins_buffer_append(buffer, bytes, size);
    return error->status;
}

static qins_buffer encode(const qins_rows *rows, qins_type type, qins_layout layout, size_t n_threads,
                          qins_encoded *result) {
    static qins_error error;
    error = (qins_error){0};
    qins_buffer buffer = {.error = &error};
    qins_pool *pool = qins_pool_create(n_threads, &error);
    cr_assert_not_null(pool);
    qins_encode_tensor(pool, rows, type, layout, NULL, append, &buffer, result, &error);
    cr_assert_eq(error.status, QINS_OK, "%s", error.message);
    qins_pool_free(pool);
    return buffer;
}

static qins_status fails(qins_type source, qins_type type, size_t bad, float value, qins_error *error) {
    qins_rows rows = make_rows(source, 7, 100, bad, value);
    qins_buffer buffer = {.error = error};
    qins_encoded result;
    qins_pool *pool = qins_pool_create(2, error);
    qins_encode_tensor(pool, &rows, type, QINS_PANELS, NULL, append, &buffer, &result, error);
    qins_pool_free(pool);
    qins_buffer_free(&buffer);
    close(rows.pieces[0].weights.fd);
    return error->status;
}

Test(convert_encode, copies_a_type_to_itself) {
    const qins_type types[] = {QINS_F32, QINS_BF16, QINS_F16};
    for (int k = 0; k < 3; k++) {
        qins_rows rows = make_rows(types[k], 9, 33, SIZE_MAX, 0);
        qins_encoded result;
        qins_buffer payload = encode(&rows, types[k], QINS_ROWS, 2, &result);
        cr_assert_eq(payload.size, 9 * qins_row_bytes(types[k], 33));
        uint8_t *file = malloc(payload.size);
        cr_assert_eq(pread(rows.pieces[0].weights.fd, file, payload.size, OFFSET), (ssize_t)payload.size);
        cr_expect_arr_eq(payload.data, file, payload.size);
        cr_expect_eq(result.error, 0.0);
        cr_expect_gt(result.squares, 0.0);
        cr_expect_eq(result.source_hash, XXH3_64bits(file, payload.size));
        free(file);
        qins_buffer_free(&payload);
        close(rows.pieces[0].weights.fd);
    }
}

Test(convert_encode, widens_exactly_and_narrows_to_nearest) {
    const qins_type types[] = {QINS_F32, QINS_BF16, QINS_F16};
    for (int k = 0; k < 3; k++) {
        qins_rows rows = make_rows(types[k], 5, 70, SIZE_MAX, 0);
        qins_encoded result;
        qins_buffer wide = encode(&rows, QINS_F32, QINS_ROWS, 1, &result);
        cr_assert_eq(wide.size, 5u * 70 * 4);
        cr_expect_eq(result.error, 0.0);
        qins_buffer narrow = encode(&rows, QINS_BF16, QINS_ROWS, 1, &result);
        cr_assert_eq(narrow.size, 5u * 70 * 2);
        double error = 0;
        for (size_t i = 0; i < 5 * 70; i++) {
            float value = source_value(types[k], i), stored;
            uint16_t half;
            memcpy(&stored, wide.data + 4 * i, 4);
            memcpy(&half, narrow.data + 2 * i, 2);
            cr_assert_eq(qins_f32_bits(stored), qins_f32_bits(value));
            cr_assert_eq(half, qins_bf16_from_f32(value));
            error += pow((double)value - (double)qins_f32_from_bf16(half), 2);
        }
        cr_expect_float_eq(result.error, error, error * 1e-12);
        qins_buffer_free(&wide);
        qins_buffer_free(&narrow);
        close(rows.pieces[0].weights.fd);
    }
}

// In panels: values as they are, codes to within the stated error, zeros where there are no rows or columns.
static void check_panels(qins_type type) {
    const size_t row_count = 21, cols = 150;
    qins_rows rows = make_rows(QINS_BF16, row_count, cols, SIZE_MAX, 0);
    qins_encoded result;
    qins_buffer payload = encode(&rows, type, QINS_PANELS, 3, &result);
    size_t bytes;
    cr_assert(qins_matrix_bytes(type, QINS_PANELS, row_count, cols, &bytes));
    cr_assert_eq(payload.size, bytes);
    const qins_matrix matrix = {type, QINS_PANELS, row_count, cols, payload.data};
    const qins_matrix padded = {type, QINS_PANELS, 32, cols, payload.data};
    float decoded[192];
    double squared_error = 0, squares = 0;
    for (size_t row = 0; row < row_count; row++) {
        qins_decode_rows(decoded, &matrix, row, 1);
        for (size_t col = 0; col < cols; col++) {
            const double value = (double)source_value(QINS_BF16, row * cols + col);
            squared_error += pow(value - (double)decoded[col], 2);
            squares += value * value;
        }
    }
    for (size_t row = row_count; row < 32; row++) {
        qins_decode_rows(decoded, &padded, row, 1);
        for (size_t col = 0; col < cols; col++) cr_assert_eq(decoded[col], 0.0f);
    }
    cr_expect_float_eq(result.error, squared_error, squared_error * 1e-12);
    cr_expect_float_eq(result.squares, squares, squares * 1e-12);
    cr_expect_lt(sqrt(squared_error / squares), qins_types[type].bits < 8 ? 2.0 / (1 << qins_types[type].bits) : 0.01);
    qins_buffer_free(&payload);
    close(rows.pieces[0].weights.fd);
}

Test(convert_encode, panels_decode_to_within_the_stated_error) {
    check_panels(QINS_BF16);
    check_panels(QINS_F32);
    for (int type = 0; type < QINS_TYPE_COUNT; type++)
        if (qins_type_is_coded((qins_type)type)) check_panels((qins_type)type);
}

Test(convert_encode, does_not_depend_on_the_number_of_threads) {
    qins_rows rows = make_rows(QINS_F32, 1201, 1000, SIZE_MAX, 0); // two pieces, many items, an uneven end
    const qins_type types[] = {QINS_QINS8, QINS_BF16};
    for (int k = 0; k < 2; k++) {
        qins_encoded first, other;
        qins_buffer payload = encode(&rows, types[k], QINS_PANELS, 1, &first);
        for (size_t n_threads = 2; n_threads <= 5; n_threads++) {
            qins_buffer again = encode(&rows, types[k], QINS_PANELS, n_threads, &other);
            cr_assert_eq(again.size, payload.size);
            cr_expect(memcmp(again.data, payload.data, payload.size) == 0);
            cr_expect(first.error == other.error && first.squares == other.squares);
            cr_expect_eq(first.source_hash, other.source_hash);
            qins_buffer_free(&again);
        }
        qins_buffer_free(&payload);
    }
    close(rows.pieces[0].weights.fd);
}

Test(convert_encode, names_the_place_of_what_is_not_finite) {
    const qins_type sources[] = {QINS_F32, QINS_BF16, QINS_F16}, targets[] = {QINS_QINS8, QINS_F32, QINS_BF16};
    for (int i = 0; i < 9; i++) {
        qins_error error = {0};
        cr_expect_eq(fails(sources[i / 3], targets[i % 3], 342, NAN, &error), QINS_BAD_MODEL);
        cr_expect_not_null(strstr(error.message, "row 3, column 42: the value is NaN"), "%s", error.message);
        error = (qins_error){0};
        cr_expect_eq(fails(sources[i / 3], targets[i % 3], 699, -INFINITY, &error), QINS_BAD_MODEL);
        cr_expect_not_null(strstr(error.message, "row 6, column 99: the value is infinite"), "%s", error.message);
    }
}

Test(convert_encode, refuses_to_round_to_infinity) {
    qins_error error = {0};
    cr_expect_eq(fails(QINS_F32, QINS_BF16, 101, 3.4e38f, &error), QINS_BAD_MODEL);
    cr_expect_not_null(strstr(error.message, "row 1, column 1: the value is too large for bf16"), "%s", error.message);
    error = (qins_error){0};
    cr_expect_eq(fails(QINS_F32, QINS_QINS8, 101, 3.4e38f, &error), QINS_OK, "%s", error.message);
}

Test(convert_encode, reports_a_file_that_ends_early) {
    qins_rows rows = make_rows(QINS_F32, 4, 64, SIZE_MAX, 0);
    cr_assert_eq(ftruncate(rows.pieces[0].weights.fd, OFFSET + 1000), 0);
    qins_error error = {0};
    qins_buffer buffer = {.error = &error};
    qins_encoded result;
    qins_pool *pool = qins_pool_create(2, &error);
    cr_expect_eq(qins_encode_tensor(pool, &rows, QINS_BF16, QINS_ROWS, NULL, append, &buffer, &result, &error),
                 QINS_BAD_MODEL);
    cr_expect_not_null(strstr(error.message, "test file ends at byte 1024"), "%s", error.message);
    qins_pool_free(pool);
    qins_buffer_free(&buffer);
    close(rows.pieces[0].weights.fd);
}

static qins_status refuse(void *context, const void *bytes, size_t size, qins_error *error) {
    (void)context, (void)bytes, (void)size;
    return qins_fail(error, QINS_INTERRUPTED, "interrupted");
}

Test(convert_encode, stops_when_the_sink_fails) {
    for (size_t n_rows = 1; n_rows <= 2000; n_rows += 1999) { // in the last piece, in one before
        qins_rows rows = make_rows(QINS_F32, n_rows, 1000, SIZE_MAX, 0);
        qins_error error = {0};
        qins_encoded result;
        qins_pool *pool = qins_pool_create(2, &error);
        cr_expect_eq(qins_encode_tensor(pool, &rows, QINS_F32, QINS_ROWS, NULL, refuse, NULL, &result, &error),
                     QINS_INTERRUPTED);
        qins_pool_free(pool);
        close(rows.pieces[0].weights.fd);
    }
}
