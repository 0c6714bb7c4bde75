// The Hadamard transform against its matrix in double, and its purpose: scores stay the same.
#include "engine/model/hadamard.h"
#include "tests/support.h"

#include <math.h>

enum { MOST = 256 };

// Entry of the symmetric Hadamard matrix of any power of two, without the factor.
static double entry(size_t row, size_t col) {
    return __builtin_popcountll((unsigned long long)(row & col)) % 2 == 0 ? 1 : -1;
}

static void check_dim(size_t dim) {
    test_random random = {dim};
    float x[MOST], turned[MOST];
    random_fill(&random, x, dim);
    memcpy(turned, x, sizeof turned);
    qins_hadamard(turned, dim);
    size_t block = 32;
    for (size_t start = 0; start < dim; start += block) {
        while (start + block > dim) block /= 2;
        for (size_t i = 0; i < block; i++) {
            double expected = 0;
            for (size_t j = 0; j < block; j++) expected += entry(i, j) * (double)x[start + j];
            cr_assert_float_eq((double)turned[start + i], expected / sqrt((double)block), 4e-6, "%zu of %zu", start + i,
                               dim);
        }
    }
}

Test(hadamard, is_its_matrix_in_blocks) {
    const size_t dims[] = {1, 2, 10, 12, 32, 48, 64, 68, 80, 96, 100, 128, 256};
    for (size_t i = 0; i < sizeof dims / sizeof dims[0]; i++) check_dim(dims[i]);
}

Test(hadamard, keeps_scores) {
    test_random random = {1};
    float q[96], k[96];
    double before = 0, after = 0, size = 0;
    random_fill(&random, q, 96);
    random_fill(&random, k, 96);
    for (int i = 0; i < 96; i++) before += (double)q[i] * (double)k[i];
    qins_hadamard(q, 96);
    qins_hadamard(k, 96);
    for (int i = 0; i < 96; i++) {
        after += (double)q[i] * (double)k[i];
        size += fabs((double)q[i] * (double)k[i]);
    }
    cr_expect_float_eq(after, before, 1e-6 * size);
}
