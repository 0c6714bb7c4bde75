// The KV cache: stored values come back as their type allows, positions do not touch each other, sizes are those of the
// model.
#include "engine/kernels/encoder.h"
#include "engine/kernels/tiers.h"
#include "engine/model/kvcache.h"
#include "tests/support.h"

#include <math.h>
#include <string.h>

static const qins_type k_types[] = {QINS_F16, QINS_QINS8, QINS_F32};
static const qins_type v_types[] = {QINS_QINS8, QINS_QINS4, QINS_F16, QINS_F32};
enum { N_K = 3, N_V = 4, CAPACITY = 37, DIM = 12, V_COLS = 16 }; // two tiles of keys and a piece of one

static qins_kvcache make_cache(const qins_config *config, qins_type k_type, qins_type v_type) {
    qins_kvcache cache;
    qins_error error = {0};
    qins_kvcache_init(&cache, config, qins_kernels_get(), k_type, v_type, CAPACITY, &error);
    expect_ok(&error);
    cr_assert(config->head_dim == DIM && cache.v_cols == (v_type == QINS_QINS4 ? 2 : 1) * V_COLS);
    return cache;
}

// The key (kind 0) or value (1) of (layer, head, position): different for all of them, not a round number in any type.
static void fill_row(float row[DIM], size_t layer, size_t head, size_t position, int kind) {
    test_random random = {((layer * 64 + head) * 64 + position) * 2 + (size_t)kind};
    random_fill(&random, row, DIM);
}

static void store(qins_kvcache *cache, size_t layer, size_t head, size_t position) {
    float k[DIM], v[DIM];
    fill_row(k, layer, head, position, 0);
    fill_row(v, layer, head, position, 1);
    qins_kvcache_store(cache, layer, head, position, k, v);
}

static void read_key(const qins_kvcache *cache, size_t layer, size_t head, size_t position, float out[DIM]) {
    const void *tiles = qins_kvcache_keys(cache, layer, head, 0);
    const qins_matrix keys = {cache->k_type, QINS_PANELS, CAPACITY, DIM, tiles};
    if (cache->k_type != QINS_QINS8) {
        qins_decode_rows(out, &keys, position, 1);
        return;
    }
    const float d = qins_f32_from_bf16(*qins_kvcache_key_scales(cache, layer, head, position));
    for (size_t i = 0; i < DIM; i++)
        out[i] = d * qins_t_value(((const int8_t *)tiles)[(position / 16 * DIM + i) * 16 + position % 16]);
}

// The row as it is stored, with its padding.
static void read_value(const qins_kvcache *cache, size_t layer, size_t head, size_t position, float out[V_COLS]) {
    const uint16_t *scale = qins_kvcache_value_scales(cache, layer, head, position);
    float all[2 * V_COLS];
    qins_kernels_scalar.widen[cache->v_type](all, qins_kvcache_values(cache, layer, head, position), cache->v_cols);
    for (size_t i = 0; i < V_COLS; i++) out[i] = scale == NULL ? all[i] : all[i] * qins_f32_from_bf16(*scale);
}

// `stored` after a round trip through `type`, padded with zeros.
static void round_trip(qins_type type, const float stored[DIM], float out[V_COLS]) {
    int8_t codes[DIM];
    uint8_t nibbles[QINS_NIBBLE_BYTES];
    uint16_t d;
    float v[QINS_BLOCK];
    memset(out, 0, V_COLS * sizeof *out);
    if (type == QINS_QINS4) {
        qins_encode_cached_qins4(scalar_encoder(type), nibbles, &d, stored, DIM);
        qins_kernels_scalar.widen[type](v, nibbles, QINS_BLOCK);
        for (size_t i = 0; i < DIM; i++) {
            out[i] = qins_f32_from_bf16(d) * v[i];
            cr_assert_float_eq(out[i], stored[i], 0.6f); // half of the largest step, for numbers up to 6
        }
        return;
    }
    qins_encode_cached_qins8(&qins_kernels_scalar, codes, &d, stored, DIM);
    for (size_t i = 0; i < DIM; i++)
        out[i] = type == QINS_QINS8 ? qins_f32_from_bf16(d) * qins_t_value(codes[i])
                 : type == QINS_F16 ? qins_f32_from_f16(qins_f16_from_f32(stored[i]))
                                    : stored[i];
}

// Position `position` holds what was stored at `source`.
static void expect_stored(const qins_kvcache *cache, size_t layer, size_t head, size_t position, size_t source) {
    float row[DIM], read[V_COLS], expected[V_COLS];
    fill_row(row, layer, head, source, 0);
    round_trip(cache->k_type, row, expected);
    read_key(cache, layer, head, position, read);
    cr_assert_eq(memcmp(read, expected, DIM * sizeof *read), 0, "%s keys at %zu", qins_types[cache->k_type].name,
                 position);
    fill_row(row, layer, head, source, 1);
    round_trip(cache->v_type, row, expected);
    read_value(cache, layer, head, position, read);
    for (size_t i = 0; i < DIM; i++)
        cr_assert_eq(read[i], expected[i], "%s values at %zu", qins_types[cache->v_type].name, position);
}

// Every position is stored, in a mixed order, before any is read: one that touched another one would show.
static void check_types(qins_type k_type, qins_type v_type) {
    const qins_config config = tiny_config();
    qins_kvcache cache = make_cache(&config, k_type, v_type);
    const size_t n_heads = config.n_kv_heads, n = config.n_layers * n_heads * CAPACITY;
    for (size_t i = 0; i < n; i++) {
        const size_t row = i * 7 % n; // n is not a multiple of 7
        store(&cache, row / CAPACITY / n_heads, row / CAPACITY % n_heads, row % CAPACITY);
    }
    for (size_t row = 0; row < n; row++)
        expect_stored(&cache, row / CAPACITY / n_heads, row / CAPACITY % n_heads, row % CAPACITY, row % CAPACITY);
    cr_expect_eq(cache.n_saturated, 0);
    qins_kvcache_free(&cache);
}

Test(kvcache, everything_stored_comes_back) {
    for (int k = 0; k < N_K; k++) {
        for (int v = 0; v < N_V; v++) check_types(k_types[k], v_types[v]);
    }
}

// Keys and values that end with memory, on every tier: the same bytes as the scalar one's.
static void check_tiers(size_t head_dim, qins_type k_type, qins_type v_type) {
    qins_config config = tiny_config();
    config.head_dim = config.rope_dim = head_dim;
    test_random random = {head_dim};
    float row[128];
    random_fill(&random, row, head_dim);
    test_guards guards = {0};
    const float *k = guarded_copy(&guards, row, head_dim * sizeof *row);
    const float *v = guarded_copy(&guards, row, head_dim * sizeof *row);
    for (size_t i = 0; i < qins_n_tiers; i++) {
        if (!qins_tiers[i].is_available()) continue;
        const qins_kernels kernels = qins_tier_kernels(&qins_tiers[i]);
        qins_kvcache cache, scalar;
        qins_error error = {0};
        qins_kvcache_init(&cache, &config, &kernels, k_type, v_type, 32, &error);
        qins_kvcache_init(&scalar, &config, &qins_kernels_scalar, k_type, v_type, 32, &error);
        expect_ok(&error);
        qins_kvcache_store(&cache, 1, 1, 31, k, v);
        qins_kvcache_store(&scalar, 1, 1, 31, k, v);
        const size_t n_positions = config.n_layers * config.n_kv_heads * 32;
        const size_t v_bytes = n_positions * qins_values_bytes(v_type, cache.v_cols);
        cr_expect_eq(memcmp(cache.k, scalar.k, n_positions * head_dim * qins_types[k_type].bits / 8), 0, "%s keys, %s",
                     qins_types[k_type].name, qins_tiers[i].name);
        cr_expect_eq(memcmp(cache.v, scalar.v, v_bytes), 0, "%s values, %s", qins_types[v_type].name,
                     qins_tiers[i].name);
        cr_expect(cache.v_scales == NULL || memcmp(cache.v_scales, scalar.v_scales, n_positions * 2) == 0);
        cr_expect(cache.k_scales == NULL || memcmp(cache.k_scales, scalar.k_scales, n_positions * 2) == 0);
        qins_kvcache_free(&cache);
        qins_kvcache_free(&scalar);
    }
    guards_free(&guards);
}

Test(kvcache, every_tier_stores_the_same_bytes) {
    const size_t dims[] = {2, 12, 68, 96, 128};
    for (size_t i = 0; i < sizeof dims / sizeof dims[0]; i++) {
        for (int k = 0; k < N_K; k++) {
            for (int v = 0; v < N_V; v++) check_tiers(dims[i], k_types[k], v_types[v]);
        }
    }
}

Test(kvcache, a_position_may_be_stored_again) {
    const qins_config config = tiny_config();
    qins_kvcache cache = make_cache(&config, QINS_F16, QINS_QINS8);
    const float other[DIM] = {NAN, 3, -1e30f};
    qins_kvcache_store(&cache, 1, 1, CAPACITY - 1, other, other);
    store(&cache, 1, 1, CAPACITY - 1);
    expect_stored(&cache, 1, 1, CAPACITY - 1, CAPACITY - 1);
    qins_kvcache_free(&cache);
}

Test(kvcache, numbers_beyond_fp16_are_clamped_and_counted) {
    const qins_config config = tiny_config();
    const float row[DIM] = {65504.0f, -65504.0f, 65505.0f, -65519.0f, 65520.0f, 1e30f, -INFINITY, NAN, 1.0f};
    const float clamped[9] = {65504, -65504, 65504, -65504, 65504, 65504, -65504, NAN, 1}, fine[DIM] = {0};
    float key[DIM], value[V_COLS];
    qins_kvcache cache = make_cache(&config, QINS_F16, QINS_F16);
    qins_kvcache_store(&cache, 0, 0, 17, row, fine);
    cr_expect_eq(cache.n_saturated, 5, "%zu", (size_t)cache.n_saturated);
    qins_kvcache_store(&cache, 1, 1, 3, fine, row);
    cr_expect_eq(cache.n_saturated, 10);
    read_key(&cache, 0, 0, 17, key);
    read_value(&cache, 1, 1, 3, value);
    for (int i = 0; i < 9; i++) {
        cr_expect(i == 7 ? isnan(key[i]) : key[i] == clamped[i], "%d: %g", i, (double)key[i]);
        cr_expect(i == 7 ? isnan(value[i]) : value[i] == clamped[i], "%d: %g", i, (double)value[i]);
    }
    qins_kvcache_free(&cache);
    cache = make_cache(&config, QINS_F32, QINS_F32);
    qins_kvcache_store(&cache, 0, 0, 0, row, row);
    cr_expect_eq(cache.n_saturated, 0, "FP32 keeps its values");
    qins_kvcache_free(&cache);
}

// Codes cannot hold numbers that are not finite: the scale shows them.
Test(kvcache, coded_values_that_are_not_finite_have_no_scale) {
    const qins_config config = tiny_config();
    const float bad[] = {NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < 6; i++) {
        qins_kvcache cache = make_cache(&config, QINS_QINS8, i < 3 ? QINS_QINS8 : QINS_QINS4);
        float row[DIM] = {1, 2, 3};
        row[5] = bad[i % 3];
        qins_kvcache_store(&cache, 0, 1, i, row, row);
        cr_expect(isnan(qins_f32_from_bf16(*qins_kvcache_value_scales(&cache, 0, 1, i))));
        cr_expect(isnan(qins_f32_from_bf16(*qins_kvcache_key_scales(&cache, 0, 1, i))));
        qins_kvcache_free(&cache);
    }
}

Test(kvcache, bytes_of_a_token) {
    const qins_config config = phi35_config(), tiny = tiny_config();
    // 32 layers, 32 heads of 96: K in FP16, V as bytes with a BF16 scale a head
    cr_expect_eq(qins_kvcache_token_bytes(&config, QINS_F16, QINS_QINS8), 32 * 32 * (96 * 2 + 96 + 2));
    // in nibbles, with a scale byte for 32: 38 % less than FP16; keys in bytes, too: 61 %
    cr_expect_eq(qins_kvcache_token_bytes(&config, QINS_F16, QINS_QINS4), 32 * 32 * (96 * 2 + 48 + 3 + 2));
    cr_expect_eq(qins_kvcache_token_bytes(&config, QINS_QINS8, QINS_QINS4), 32 * 32 * (96 + 2 + 48 + 3 + 2));
    cr_expect_eq(qins_kvcache_token_bytes(&config, QINS_F16, QINS_F16), 393216); // MODEL: 384 KiB at 16 bit
    cr_expect_eq(qins_kvcache_token_bytes(&config, QINS_F32, QINS_F32), 786432);
    // 2 layers, 2 heads of 12, of which values take 16
    cr_expect_eq(qins_kvcache_token_bytes(&tiny, QINS_F16, QINS_QINS8), 2 * 2 * (12 * 2 + 16 + 2));
}

// No two heads share memory, and the last one ends with the array: in whole tiles, capacity is rounded up to 48.
Test(kvcache, heads_follow_each_other) {
    const qins_config config = tiny_config();
    qins_kvcache cache = make_cache(&config, QINS_F16, QINS_QINS8);
    for (size_t i = 0; i < config.n_layers * config.n_kv_heads; i++) {
        const size_t layer = i / config.n_kv_heads, head = i % config.n_kv_heads, first = i * 48;
        cr_expect_eq(qins_kvcache_keys(&cache, layer, head, 0), (const void *)(cache.k + first * DIM * 2));
        cr_expect_eq(qins_kvcache_keys(&cache, layer, head, 32), (const void *)(cache.k + (first + 32) * DIM * 2));
        cr_expect_eq(qins_kvcache_values(&cache, layer, head, 5), (const void *)(cache.v + (first + 5) * V_COLS));
        cr_expect_eq(qins_kvcache_value_scales(&cache, layer, head, 5), cache.v_scales + first + 5);
    }
    qins_kvcache_free(&cache);
    cache = make_cache(&config, QINS_F16, QINS_F16);
    cr_expect_null(qins_kvcache_value_scales(&cache, 0, 0, 0));
    qins_kvcache_free(&cache);
}

Test(kvcache, impossible_capacities_are_refused) {
    const qins_config config = phi35_config();
    const size_t capacities[] = {SIZE_MAX, SIZE_MAX / 1000};
    qins_kvcache cache;
    qins_error error = {0};
    for (size_t i = 0; i < 2; i++) {
        qins_kvcache_init(&cache, &config, qins_kernels_get(), QINS_F16, QINS_F16, capacities[i], &error);
        expect_error(&error, QINS_FAILED, "more than this machine can address");
        qins_kvcache_free(&cache);
    }
    qins_kvcache_init(&cache, &config, qins_kernels_get(), QINS_F16, QINS_F16, (size_t)1 << 42, &error);
    expect_error(&error, QINS_FAILED, "keys"); // fits into 64 bits, not into an address space
    qins_kvcache_free(&cache);
}

// Positions that were never stored hold the first 16 again. Values stop at the last of them, keys with its tile.
Test(kvcache, repeats_what_is_stored) {
    enum { STORED = 16, FILLED = 35 };
    const qins_config config = tiny_config();
    qins_error error = {0};
    qins_kvcache cache = make_cache(&config, QINS_QINS8, QINS_QINS4);
    qins_pool *pool = qins_pool_create(2, &error);
    cr_assert_not_null(pool, "%s", error.message);
    for (size_t i = 0; i < config.n_layers * config.n_kv_heads * STORED; i++)
        store(&cache, i / STORED / config.n_kv_heads, i / STORED % config.n_kv_heads, i % STORED);
    qins_kvcache_repeat(&cache, pool, STORED, FILLED);
    for (size_t i = 0; i < config.n_layers * config.n_kv_heads * CAPACITY; i++) {
        const size_t position = i % CAPACITY, layer = i / CAPACITY / config.n_kv_heads;
        const size_t head = i / CAPACITY % config.n_kv_heads;
        if (position < FILLED)
            expect_stored(&cache, layer, head, position, position % STORED);
        else
            cr_expect_eq(*qins_kvcache_value_scales(&cache, layer, head, position), 0);
    }
    qins_pool_free(pool);
    qins_kvcache_free(&cache);
}

// The first positions are those of the other cache, and no other is touched.
Test(kvcache, copies_a_beginning) {
    enum { COPIED = 21 };
    const qins_config config = tiny_config();
    qins_kvcache from = make_cache(&config, QINS_QINS8, QINS_QINS4), to = make_cache(&config, QINS_QINS8, QINS_QINS4);
    for (size_t i = 0; i < config.n_layers * config.n_kv_heads * CAPACITY; i++)
        store(&from, i / CAPACITY / config.n_kv_heads, i / CAPACITY % config.n_kv_heads, i % CAPACITY);
    qins_kvcache_copy(&to, &from, COPIED);
    for (size_t i = 0; i < config.n_layers * config.n_kv_heads * CAPACITY; i++) {
        const size_t position = i % CAPACITY, layer = i / CAPACITY / config.n_kv_heads;
        const size_t head = i / CAPACITY % config.n_kv_heads;
        if (position < COPIED)
            expect_stored(&to, layer, head, position, position);
        else
            cr_expect_eq(*qins_kvcache_value_scales(&to, layer, head, position), 0);
    }
    qins_kvcache_free(&from);
    qins_kvcache_free(&to);
}
