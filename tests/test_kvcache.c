// The KV cache: what is stored comes back as its type says, rows do not touch each other, sizes are those of the model.
#include "engine/base/half.h"
#include "engine/model/kvcache.h"
#include "tests/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const qins_type k_types[] = {QINS_F16, QINS_F32};
static const qins_type v_types[] = {QINS_QINS8, QINS_F16, QINS_F32};
enum { N_K = 2, N_V = 3, CAPACITY = 9 };

static qins_kvcache make_cache(const qins_config *config, qins_type k_type, qins_type v_type,
                               const qins_codebook *book) {
    qins_kvcache cache;
    qins_error error = {0};
    qins_kvcache_init(&cache, config, k_type, v_type, book, CAPACITY, &error);
    expect_ok(&error);
    return cache;
}

// The value of (layer, head, position, i), different for all of them and not a round number in any type.
static void fill_row(float *row, size_t n, size_t layer, size_t head, size_t position, int kind) {
    test_random random = {((layer * 64 + head) * 64 + position) * 2 + (size_t)kind};
    random_fill(&random, row, n);
}

static void expect_row(const qins_matrix *matrix, size_t position, const float *stored, const char *what) {
    const size_t n = matrix->cols;
    float read[64], expected[64];
    qins_decode_rows(&qins_kernels_scalar, read, matrix, position, 1);
    if (matrix->type == QINS_QINS8) { // the head is one block; a small one takes the best of four scales
        uint8_t codes[64];
        uint16_t scale;
        qins_encode_block(matrix->book, stored, n, 4, codes, &scale);
        for (size_t i = 0; i < n; i++) expected[i] = qins_f32_from_bf16(scale) * matrix->book->value[codes[i]];
    } else {
        for (size_t i = 0; i < n; i++)
            expected[i] = matrix->type == QINS_F16 ? qins_f32_from_f16(qins_f16_from_f32(stored[i])) : stored[i];
    }
    for (size_t i = 0; i < n; i++)
        cr_assert_eq(read[i], expected[i], "%s as %s, position %zu", what, qins_types[matrix->type].name, position);
}

// Every row is stored, in a mixed order, before any is read: a row that touched another one would show.
static void check_types(qins_type k_type, qins_type v_type) {
    qins_config config = tiny_config();
    qins_codebook book;
    qins_codebook_make(&book, QINS_PROJECTIVE, 1);
    qins_kvcache cache = make_cache(&config, k_type, v_type, &book);
    const size_t n = config.head_dim, n_rows = config.n_layers * config.n_kv_heads * CAPACITY;
    float k[64], v[64];
    for (size_t i = 0; i < n_rows; i++) {
        size_t row = i * 7 % n_rows, position = row % CAPACITY, head = row / CAPACITY;
        fill_row(k, n, head / config.n_kv_heads, head % config.n_kv_heads, position, 0);
        fill_row(v, n, head / config.n_kv_heads, head % config.n_kv_heads, position, 1);
        qins_kvcache_store(&cache, head / config.n_kv_heads, head % config.n_kv_heads, position, k, v);
    }
    for (size_t row = 0; row < n_rows; row++) {
        size_t position = row % CAPACITY, layer = row / CAPACITY / config.n_kv_heads;
        size_t head = row / CAPACITY % config.n_kv_heads;
        qins_matrix keys = qins_kvcache_keys(&cache, layer, head), values = qins_kvcache_values(&cache, layer, head);
        cr_assert(keys.rows == CAPACITY && keys.cols == n && values.rows == CAPACITY && values.cols == n);
        fill_row(k, n, layer, head, position, 0);
        fill_row(v, n, layer, head, position, 1);
        expect_row(&keys, position, k, "keys");
        expect_row(&values, position, v, "values");
    }
    cr_expect_eq(cache.n_saturated, 0);
    qins_kvcache_free(&cache);
}

Test(kvcache, everything_stored_comes_back) {
    for (int k = 0; k < N_K; k++) {
        for (int v = 0; v < N_V; v++) check_types(k_types[k], v_types[v]);
    }
}

Test(kvcache, a_token_may_be_stored_again) {
    qins_config config = tiny_config();
    qins_codebook book;
    qins_codebook_make(&book, QINS_PROJECTIVE, 1);
    qins_kvcache cache = make_cache(&config, QINS_F16, QINS_QINS8, &book);
    float first[12], second[12];
    fill_row(first, 12, 0, 0, 0, 0);
    fill_row(second, 12, 1, 1, 1, 1);
    qins_kvcache_store(&cache, 1, 1, CAPACITY - 1, first, first);
    qins_kvcache_store(&cache, 1, 1, CAPACITY - 1, second, second);
    qins_matrix keys = qins_kvcache_keys(&cache, 1, 1), values = qins_kvcache_values(&cache, 1, 1);
    expect_row(&keys, CAPACITY - 1, second, "keys");
    expect_row(&values, CAPACITY - 1, second, "values");
    qins_kvcache_free(&cache);
}

Test(kvcache, keys_beyond_fp16_are_clamped_and_counted) {
    qins_config config = tiny_config();
    qins_codebook book;
    qins_codebook_make(&book, QINS_PROJECTIVE, 1);
    float k[12] = {65504.0f, -65504.0f, 65505.0f, -65519.0f, 65520.0f, 1e30f, -INFINITY, NAN, 1.0f}, v[12] = {1e30f};
    const float expected[9] = {65504, -65504, 65504, -65504, 65504, 65504, -65504, NAN, 1};
    float read[12];
    qins_kvcache cache = make_cache(&config, QINS_F16, QINS_QINS8, &book);
    qins_kvcache_store(&cache, 0, 0, 0, k, v);
    cr_expect_eq(cache.n_saturated, 5, "%zu", (size_t)cache.n_saturated);
    qins_kvcache_store(&cache, 1, 1, 3, k, v);
    cr_expect_eq(cache.n_saturated, 10);
    qins_matrix keys = qins_kvcache_keys(&cache, 0, 0);
    qins_decode_rows(&qins_kernels_scalar, read, &keys, 0, 1);
    for (int i = 0; i < 9; i++)
        cr_expect(i == 7 ? isnan(read[i]) : read[i] == expected[i], "%d: %g", i, (double)read[i]);
    qins_kvcache_free(&cache);
    cache = make_cache(&config, QINS_F32, QINS_QINS8, &book);
    qins_kvcache_store(&cache, 0, 0, 0, k, v);
    cr_expect_eq(cache.n_saturated, 0, "FP32 keys keep their values");
    qins_kvcache_free(&cache);
}

Test(kvcache, bytes_of_a_token_of_phi35) {
    const qins_config config = phi35_config();
    // 32 layers, 32 heads of 96: K in FP16, V as bytes with a BF16 scale a head
    cr_expect_eq(qins_kvcache_token_bytes(&config, QINS_F16, QINS_QINS8), 32 * 32 * (96 * 2 + 96 + 2));
    cr_expect_eq(qins_kvcache_token_bytes(&config, QINS_F16, QINS_F16), 393216); // MODEL: 384 KiB at 16 bit
    cr_expect_eq(qins_kvcache_token_bytes(&config, QINS_F32, QINS_F32), 786432);
}

// Each array's bytes are those that the plan counts, no two heads share any, and the last one ends with the array.
Test(kvcache, heads_follow_each_other) {
    qins_config config = tiny_config();
    qins_codebook book;
    qins_codebook_make(&book, QINS_PROJECTIVE, 1);
    qins_kvcache cache = make_cache(&config, QINS_F16, QINS_QINS8, &book);
    const uint8_t *k = cache.k, *v = cache.v;
    const uint16_t *scales = cache.v_scales;
    for (size_t layer = 0; layer < config.n_layers; layer++) {
        for (size_t head = 0; head < config.n_kv_heads; head++) {
            qins_matrix keys = qins_kvcache_keys(&cache, layer, head),
                        values = qins_kvcache_values(&cache, layer, head);
            cr_expect(keys.data == k && values.data == v && values.scales == scales && values.book == &book);
            k += CAPACITY * config.head_dim * 2;
            v += CAPACITY * config.head_dim;
            scales += CAPACITY;
        }
    }
    size_t used = (size_t)(k - cache.k) + (size_t)(v - cache.v) + (size_t)(scales - cache.v_scales) * 2;
    cr_expect_eq(used, CAPACITY * qins_kvcache_token_bytes(&config, QINS_F16, QINS_QINS8));
    qins_kvcache_free(&cache);
}

Test(kvcache, impossible_capacities_are_refused) {
    qins_config config = phi35_config();
    qins_kvcache cache;
    qins_error error = {0};
    qins_kvcache_init(&cache, &config, QINS_F16, QINS_F16, NULL, SIZE_MAX / 1000, &error);
    expect_error(&error, QINS_FAILED, "more than this machine can address");
    qins_kvcache_free(&cache);
    qins_kvcache_init(&cache, &config, QINS_F16, QINS_F16, NULL, (size_t)1 << 42, &error);
    expect_error(&error, QINS_FAILED, "keys"); // fits into 64 bits, not into an address space
    qins_kvcache_free(&cache);
}

// Rows that nobody stored are those of the first three positions again; what lies behind `n` stays as it was.
Test(kvcache, repeats_what_is_stored) {
    enum { STORED = 3, FILLED = 8 };
    qins_config config = tiny_config();
    qins_codebook book;
    qins_error error = {0};
    qins_codebook_make(&book, QINS_PROJECTIVE, 1);
    qins_kvcache cache = make_cache(&config, QINS_F16, QINS_QINS8, &book);
    qins_pool *pool = qins_pool_create(2, &error);
    cr_assert_not_null(pool, "%s", error.message);
    float k[64], v[64];
    for (size_t i = 0; i < config.n_layers * config.n_kv_heads * STORED; i++) {
        const size_t position = i % STORED, head = i / STORED % config.n_kv_heads;
        const size_t layer = i / STORED / config.n_kv_heads;
        fill_row(k, config.head_dim, layer, head, position, 0);
        fill_row(v, config.head_dim, layer, head, position, 1);
        qins_kvcache_store(&cache, layer, head, position, k, v);
    }
    qins_kvcache_repeat(&cache, pool, STORED, FILLED);
    for (size_t i = 0; i < config.n_layers * config.n_kv_heads * CAPACITY; i++) {
        const size_t position = i % CAPACITY, head = i / CAPACITY % config.n_kv_heads;
        const size_t layer = i / CAPACITY / config.n_kv_heads;
        const qins_matrix keys = qins_kvcache_keys(&cache, layer, head),
                          values = qins_kvcache_values(&cache, layer, head);
        fill_row(k, config.head_dim, layer, head, position % STORED, 0);
        fill_row(v, config.head_dim, layer, head, position % STORED, 1);
        if (position < FILLED) {
            expect_row(&keys, position, k, "keys");
            expect_row(&values, position, v, "values");
        } else {
            cr_expect_eq(((const uint16_t *)keys.data)[position * config.head_dim], 0);
            cr_expect_eq(values.scales[position], 0);
        }
    }
    qins_pool_free(pool);
    qins_kvcache_free(&cache);
}
