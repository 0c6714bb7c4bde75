// Checked arithmetic and allocation.
#include "engine/base/memory.h"
#include "tests/support.h"

#include <stdlib.h>
#include <string.h>

Test(memory, products_and_sums_are_checked) {
    size_t result = 7;
    cr_expect(qins_multiply(0, SIZE_MAX, &result) && result == 0);
    cr_expect(qins_multiply(SIZE_MAX, 0, &result) && result == 0);
    cr_expect(qins_multiply(SIZE_MAX, 1, &result) && result == SIZE_MAX);
    cr_expect(qins_multiply(SIZE_MAX / 3, 3, &result) && result == SIZE_MAX / 3 * 3);
    result = 7;
    cr_expect(!qins_multiply(SIZE_MAX / 3 + 1, 3, &result) && result == 7);
    cr_expect(!qins_multiply((size_t)1 << 32, (size_t)1 << 32, &result) && result == 7);
    cr_expect(!qins_add(SIZE_MAX, 1, &result) && result == 7);
    cr_expect(qins_add(SIZE_MAX - 1, 1, &result) && result == SIZE_MAX);
}

Test(memory, align_up) {
    cr_expect_eq(qins_align_up(0, 64), 0);
    cr_expect_eq(qins_align_up(1, 64), 64);
    cr_expect_eq(qins_align_up(64, 64), 64);
    cr_expect_eq(qins_align_up(65, 64), 128);
    cr_expect_eq(qins_align_up(7, 1), 7);
}

Test(memory, blocks_are_zero_and_aligned) {
    qins_error error = {0};
    for (size_t size = 0; size < 300; size += 7) {
        uint8_t *block = qins_alloc(size, 1, "block", &error);
        cr_assert_not_null(block);
        cr_expect_eq((uintptr_t)block % 64, 0);
        for (size_t i = 0; i < size; i++) cr_assert_eq(block[i], 0);
        memset(block, 1, size);
        free(block);
    }
    expect_ok(&error);
}

Test(memory, impossible_sizes_are_refused_by_name) {
    qins_error error = {0};
    cr_expect_null(qins_alloc(SIZE_MAX / 2, 3, "list of things", &error));
    expect_error(&error, QINS_FAILED, "list of things");
    cr_expect_null(qins_alloc(SIZE_MAX, 1, "list of things", &error)); // would wrap when rounded up
    expect_error(&error, QINS_FAILED, "list of things");
    cr_expect_null(qins_alloc(SIZE_MAX - 64, 1, "list of things", &error));
    expect_error(&error, QINS_FAILED, "list of things");
}

Test(memory, grow_keeps_what_is_there) {
    qins_error error = {0};
    void *items = NULL;
    size_t capacity = 0, n_moves = 0;
    for (size_t count = 0; count < 5000; count++) {
        size_t before = capacity;
        cr_assert_eq(qins_grow(&items, &capacity, count + 1, sizeof(uint32_t), &error), QINS_OK);
        cr_assert_geq(capacity, count + 1);
        n_moves += capacity != before;
        ((uint32_t *)items)[count] = (uint32_t)count;
    }
    cr_expect_lt(n_moves, 20, "it should double, not creep");
    for (size_t i = 0; i < 5000; i++) cr_assert_eq(((uint32_t *)items)[i], i);
    void *same = items;
    cr_expect_eq(qins_grow(&items, &capacity, SIZE_MAX / 2, sizeof(uint32_t), &error), QINS_FAILED);
    cr_expect(items == same && ((uint32_t *)items)[4999] == 4999);
    error = (qins_error){0};
    cr_expect_eq(qins_grow(&items, &capacity, SIZE_MAX, 1, &error), QINS_FAILED);
    free(items);
}

Test(memory, available_memory_is_plausible) {
    size_t available = qins_memory_available();
    cr_expect(available > 1 << 20 && (available == SIZE_MAX || available % 1024 == 0 || available > 1 << 24));
}

Test(memory, peak_holds_what_was_touched) {
    const size_t size = 64 << 20;
    qins_error error = {0};
    void *touched = qins_alloc(1, size, "test", &error);
    cr_assert_not_null(touched);
    cr_expect_geq(qins_memory_peak(), size);
    free(touched);
    cr_expect_geq(qins_memory_peak(), size);
}
