// Attention bit by bit against its definition in attention.h, and that against a softmax in double: grouped heads, one
// token and prompts across the borders of units, tiles, parts and blocks, all types of keys and values, every tier, any
// number of threads.
#include "engine/base/memory.h"
#include "engine/kernels/tiers.h"
#include "engine/model/attention.h"
#include "tests/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_THREADS = 4, LAYER = 1, PART = 1024, TILE = 256 }; // as in attention.h

typedef struct attention_case {
    size_t n_heads, n_kv_heads, head_dim;
    qins_type k_type, v_type;
    size_t n, position; // tokens, and the number of those before them
    size_t window;      // 0: none
} attention_case;

static qins_config config_of(const attention_case *c) {
    qins_config config = tiny_config();
    config.n_heads = c->n_heads;
    config.n_kv_heads = c->n_kv_heads;
    config.head_dim = config.rope_dim = c->head_dim;
    config.window = c->window;
    return config;
}

static void *allocate(size_t count, size_t size) {
    void *memory = malloc(count * size);
    cr_assert_not_null(memory);
    return memory;
}

// A cache with random keys and values in all positions that the queries may see, NaN in some after them: nothing of
// those may reach a result.
static qins_kvcache fill_cache(const attention_case *c) {
    const qins_config config = config_of(c);
    const size_t n_visible = c->position + c->n, capacity = n_visible + 70;
    qins_kvcache cache;
    qins_error error = {0};
    test_random random = {n_visible};
    float k[128], v[128];
    qins_kvcache_init(&cache, &config, &qins_kernels_scalar, c->k_type, c->v_type, capacity, &error);
    expect_ok(&error);
    for (size_t head = 0; head < c->n_kv_heads; head++) {
        for (size_t position = 0; position < capacity; position++) {
            random_fill(&random, k, c->head_dim);
            random_fill(&random, v, c->head_dim);
            for (size_t i = 0; i < c->head_dim && position >= n_visible; i++) k[i] = v[i] = NAN;
            qins_kvcache_store(&cache, LAYER, head, position, k, v);
        }
    }
    return cache;
}

// The contents of the first n positions of a KV head, in FP32: key = key_d * k, value = d * v.
struct stored {
    float *keys;   // [n, dim]
    float *values; // [n, dim]
    float *key_d;  // [n]
    float *d;      // [n]
};

static struct stored read_head(const qins_kvcache *cache, size_t head, size_t n) {
    const size_t dim = cache->head_dim;
    struct stored stored = {allocate(n * dim, sizeof(float)), allocate(n * dim, sizeof(float)),
                            allocate(n, sizeof(float)), allocate(n, sizeof(float))};
    const uint8_t *tiles = qins_kvcache_keys(cache, LAYER, head, 0);
    float row[160];
    for (size_t position = 0; position < n; position++) {
        const uint16_t *scale = qins_kvcache_value_scales(cache, LAYER, head, position);
        const uint16_t *key_scale = qins_kvcache_key_scales(cache, LAYER, head, position);
        stored.d[position] = scale == NULL ? 1.0f : qins_f32_from_bf16(*scale);
        stored.key_d[position] = key_scale == NULL ? 1.0f : qins_f32_from_bf16(*key_scale);
        for (size_t i = 0; i < dim; i++) {
            const uint8_t *key =
                tiles + ((position / 16 * dim + i) * 16 + position % 16) * (qins_types[cache->k_type].bits / 8);
            stored.keys[position * dim + i] =
                cache->k_type == QINS_QINS8 ? qins_t_value((int8_t)*key) : qins_types[cache->k_type].number(key);
        }
        qins_kernels_scalar.widen[cache->v_type](row, qins_kvcache_values(cache, LAYER, head, position), cache->v_cols);
        memcpy(stored.values + position * dim, row, dim * sizeof *row);
    }
    return stored;
}

static void free_stored(struct stored *stored) {
    free(stored->keys);
    free(stored->values);
    free(stored->key_d);
    free(stored->d);
}

// --- the definition ---

static float score_of(const float *q, const float *k, size_t dim) {
    float sum = 0.0f;
    for (size_t start = 0; start < dim; start += QINS_UNIT) {
        float chain = 0.0f;
        for (size_t i = start; i < dim && i < start + QINS_UNIT; i++) chain = fmaf(q[i], k[i], chain);
        sum += chain;
    }
    return sum;
}

struct part {
    float max, sum, out[128];
};

// The n positions from `first` on, of which those from `begin` on are seen.
static void define_tile(struct part *part, const struct stored *stored, const float *q, size_t dim, size_t first,
                        size_t n, size_t begin) {
    float x[TILE];
    for (size_t j = 0; j < n; j++) x[j] = score_of(q, stored->keys + (first + j) * dim, dim) * stored->key_d[first + j];
    for (size_t j = 0; j < n && first + j < begin; j++) x[j] = -INFINITY;
    const float highest = qins_kernels_scalar.scale_max(x, n, 1.0f / sqrtf((float)dim));
    const float max = highest > part->max ? highest : part->max, shrink = qins_exp(part->max - max);
    part->sum = part->sum * shrink + qins_kernels_scalar.exp_sum(x, n, max, stored->d + first);
    part->max = max;
    for (size_t i = 0; i < dim; i++) {
        part->out[i] *= shrink;
        for (size_t start = 0; start < n; start += QINS_UNIT) {
            float chain = 0.0f;
            for (size_t j = start; j < n && j < start + QINS_UNIT; j++)
                chain = fmaf(x[j], stored->values[(first + j) * dim + i], chain);
            part->out[i] += chain;
        }
    }
}

// out[dim] of a row that sees positions begin .. n - 1.
static void define_row(float *out, const struct stored *stored, const float *q, size_t dim, size_t begin, size_t n) {
    struct part total = {.max = -INFINITY};
    for (size_t start = begin / PART * PART; start < n; start += PART) {
        struct part part = {.max = -INFINITY};
        for (size_t first = start; first < n && first < start + PART; first += TILE)
            if (begin < first + TILE)
                define_tile(&part, stored, q, dim, first, n - first < TILE ? n - first : TILE, begin);
        const float max = part.max > total.max ? part.max : total.max;
        const float a = qins_exp(total.max - max), b = qins_exp(part.max - max);
        for (size_t i = 0; i < dim; i++) total.out[i] = total.out[i] * a + part.out[i] * b;
        total.sum = total.sum * a + part.sum * b;
        total.max = max;
    }
    for (size_t i = 0; i < dim; i++) out[i] = total.out[i] / total.sum;
}

// FP32 against double: scores are sums of head_dim products (error up to (head_dim + 16) * 2^-24 times sum |q||k|),
// which the exponential turns into a relative error of the same size; then sums over the keys, a rescaling for every
// tile, and V's own products. The bound is relative to the weighted sum of |v|.
static void expect_softmax(const float *out, const struct stored *stored, const float *q, size_t dim, size_t begin,
                           size_t n) {
    double *weights = allocate(n, sizeof *weights), max = -INFINITY, sum = 0, largest_score = 0;
    for (size_t j = begin; j < n; j++) {
        double score = 0, absolute = 0;
        for (size_t i = 0; i < dim; i++) {
            const double product = (double)q[i] * (double)stored->key_d[j] * (double)stored->keys[j * dim + i];
            score += product;
            absolute += fabs(product);
        }
        weights[j] = score / sqrt((double)dim);
        max = fmax(max, weights[j]);
        largest_score = fmax(largest_score, absolute / sqrt((double)dim));
    }
    for (size_t j = begin; j < n; j++) sum += weights[j] = exp(weights[j] - max);
    for (size_t i = 0; i < dim; i++) {
        double expected = 0, absolute = 0;
        for (size_t j = begin; j < n; j++) {
            const double value = (double)stored->d[j] * (double)stored->values[j * dim + i];
            expected += weights[j] / sum * value;
            absolute += weights[j] / sum * fabs(value);
        }
        const double tolerance = 2 * ((double)(dim + 16) * largest_score + (double)n + 32) * 0x1p-24 * absolute;
        cr_assert(fabs((double)out[i] - expected) <= tolerance, // also false for NaN
                  "%zu dimensions, %zu positions: %g instead of %g", dim, n, (double)out[i], expected);
    }
    free(weights);
}

// out[n, n_heads, dim] by the definition, which is checked.
static float *define(const attention_case *c, const qins_kvcache *cache, const float *q, size_t q_stride) {
    const size_t dim = c->head_dim, group = c->n_heads / c->n_kv_heads;
    float *out = allocate(c->n * c->n_heads * dim, sizeof *out);
    for (size_t head = 0; head < c->n_heads; head++) {
        struct stored stored = read_head(cache, head / group, c->position + c->n);
        for (size_t t = 0; t < c->n; t++) {
            const float *row = q + t * q_stride + head * dim;
            float *defined = out + (t * c->n_heads + head) * dim;
            const size_t n = c->position + t + 1, begin = c->window > 0 && n > c->window ? n - c->window : 0;
            define_row(defined, &stored, row, dim, begin, n);
            if (t % 7 == 0 || t + 1 == c->n) expect_softmax(defined, &stored, row, dim, begin, n);
        }
        free_stored(&stored);
    }
    return out;
}

// --- attention ---

// Attention of n tokens at `position` with a tier and a number of threads, into out[n, n_heads, dim].
static void attend(const attention_case *c, const qins_kvcache *cache, const qins_kernels *kernels, size_t n_threads,
                   const float *q, size_t q_stride, size_t n, size_t position, float *out) {
    const qins_config config = config_of(c);
    qins_error error = {0};
    qins_compute compute;
    qins_attention attention;
    qins_compute_init(&compute, n_threads, &error);
    compute.kernels = kernels;
    const size_t floats = qins_attention_floats(&config, n_threads);
    float *scratch = qins_alloc(floats, sizeof *scratch, "scratch", &error);
    expect_ok(&error);
    qins_attention_init(&attention, &compute, &config, scratch);
    memset(out, 0xFF, n * c->n_heads * c->head_dim * sizeof *out); // NaN: whatever is not written shows
    qins_attention_run(&attention, out, q, q_stride, cache, LAYER, n, position);
    free(scratch);
    qins_compute_free(&compute);
}

static void expect_bits(const float *out, const float *expected, size_t n, const attention_case *c, const char *tier,
                        size_t n_threads) {
    for (size_t i = 0; i < n; i++)
        cr_assert_eq(qins_f32_bits(out[i]), qins_f32_bits(expected[i]),
                     "%zu/%zu heads of %zu, %s/%s, %zu tokens at %zu, %s, %zu threads: number %zu is %a instead of %a",
                     c->n_heads, c->n_kv_heads, c->head_dim, qins_types[c->k_type].name, qins_types[c->v_type].name,
                     c->n, c->position, tier, n_threads, i, (double)out[i], (double)expected[i]);
}

// The rows of q begin qkv_dim floats apart, and end with memory.
static void check_case(const attention_case *c) {
    const qins_config config = config_of(c);
    const size_t q_dim = c->n_heads * c->head_dim, q_stride = qins_config_qkv_dim(&config);
    const size_t n_q = (c->n - 1) * q_stride + q_dim;
    test_random random = {c->n};
    test_guards guards = {0};
    qins_kvcache cache = fill_cache(c);
    float *q = guarded(&guards, n_q * sizeof *q), *out = guarded(&guards, c->n * q_dim * sizeof *out);
    random_fill(&random, q, n_q);
    float *expected = define(c, &cache, q, q_stride);
    for (size_t i = 0; i < qins_n_tiers; i++) {
        if (!qins_tiers[i].is_available()) continue;
        const qins_kernels kernels = qins_tier_kernels(&qins_tiers[i]);
        const size_t n_threads = i % MAX_THREADS + 1;
        attend(c, &cache, &kernels, n_threads, q, q_stride, c->n, c->position, out);
        expect_bits(out, expected, c->n * q_dim, c, qins_tiers[i].name, n_threads);
    }
    free(expected);
    guards_free(&guards);
    qins_kvcache_free(&cache);
}

// Tokens around the borders of units and of blocks, after few others and around the borders of tiles and parts.
static void check_lengths(size_t n_heads, size_t n_kv_heads, size_t head_dim, qins_type k_type, qins_type v_type) {
    const size_t lengths[] = {1, 2, 16, 63, 65, 129}, positions[] = {0, 1, 63, 64, 255, 256, 960, 1023, 1024};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        for (size_t p = 0; p < sizeof positions / sizeof positions[0]; p++)
            check_case(&(attention_case){n_heads, n_kv_heads, head_dim, k_type, v_type, lengths[i], positions[p], 0});
    }
}

Test(attention, heads_of_their_own) {
    check_lengths(2, 2, 12, QINS_F32, QINS_F32);
}

Test(attention, grouped_heads) {
    check_lengths(6, 2, 10, QINS_F32, QINS_QINS8);
}

Test(attention, all_heads_share_one) {
    check_lengths(3, 1, 16, QINS_F16, QINS_F16);
}

// More query rows than a block of 128 tokens takes; more heads than that leaves tokens for.
Test(attention, many_heads_share_one) {
    const size_t lengths[] = {1, 2, 33, 70};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        check_case(&(attention_case){10, 1, 8, QINS_F16, QINS_QINS8, lengths[i], 250, 0});
        check_case(&(attention_case){40, 1, 2, QINS_F16, QINS_QINS8, lengths[i], 250, 0});
    }
}

Test(attention, every_type_of_keys_and_values) {
    const qins_type k_types[] = {QINS_F16, QINS_QINS8, QINS_F32};
    const qins_type v_types[] = {QINS_QINS8, QINS_QINS4, QINS_F16, QINS_F32};
    const size_t some[] = {1, 5, 65}, dims[] = {96, 128, 68};
    for (int i = 0; i < 108; i++)
        check_case(&(attention_case){4, i % 2 == 0 ? 2 : 4, dims[i / 36], k_types[i % 3], v_types[i / 3 % 4],
                                     some[i / 12 % 3], 70, 0});
}

Test(attention, several_parts) {
    check_case(&(attention_case){1, 1, 8, QINS_F16, QINS_QINS8, 1, 5000, 0});
    check_case(&(attention_case){2, 1, 8, QINS_F16, QINS_QINS8, 1, 4095, 0});
    check_case(&(attention_case){2, 1, 8, QINS_F16, QINS_QINS8, 40, 4080, 0});
    check_case(&(attention_case){1, 1, 4, QINS_F16, QINS_QINS8, 1, 66000, 0}); // more than run at once
}

// Windows whose beginning moves over the borders of units, tiles, parts and blocks.
Test(attention, sees_a_window) {
    const size_t windows[] = {1, 15, 17, 64, 255, 256, 257, 1023, 1024, 1025, 2047};
    for (size_t i = 0; i < sizeof windows / sizeof windows[0]; i++) {
        check_case(&(attention_case){4, 2, 12, QINS_F16, QINS_QINS8, 150, 0, windows[i]});
        check_case(&(attention_case){4, 2, 12, QINS_F32, QINS_F32, 150, 1000, windows[i]});
        check_case(&(attention_case){6, 2, 8, QINS_F16, QINS_QINS8, 40, windows[i] - 1, windows[i]});
        for (size_t position = 2045; position < 2050; position++)
            check_case(&(attention_case){4, 2, 12, QINS_QINS8, QINS_QINS4, 1, position, windows[i]});
        check_case(&(attention_case){1, 1, 8, QINS_F16, QINS_QINS8, 1, 5000, windows[i]});
        check_case(&(attention_case){1, 1, 4, QINS_F16, QINS_QINS8, 1, 70000, windows[i]});
    }
}

// A prompt cut anywhere, down to single tokens, on any number of threads.
static void check_cuts(size_t window) {
    const attention_case c = {4, 2, 12, QINS_F16, QINS_QINS8, 300, 900, window};
    const size_t q_dim = c.n_heads * c.head_dim, cuts[] = {1, 7, 64, 100, 299};
    float *q = allocate(c.n * q_dim, sizeof *q), *out = allocate(c.n * q_dim, sizeof *out);
    test_random random = {8};
    qins_kvcache cache = fill_cache(&c);
    random_fill(&random, q, c.n * q_dim);
    float *expected = define(&c, &cache, q, q_dim);
    for (size_t n_threads = 1; n_threads <= MAX_THREADS; n_threads++) {
        attend(&c, &cache, qins_kernels_get(), n_threads, q, q_dim, c.n, c.position, out);
        expect_bits(out, expected, c.n * q_dim, &c, "all at once", n_threads);
    }
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        for (size_t done = 0; done < c.n; done += cuts[i]) {
            const size_t n = c.n - done < cuts[i] ? c.n - done : cuts[i];
            attend(&c, &cache, qins_kernels_get(), 2, q + done * q_dim, q_dim, n, c.position + done,
                   out + done * q_dim);
        }
        expect_bits(out, expected, c.n * q_dim, &c, "cut", 2);
    }
    free(expected);
    free(out);
    free(q);
    qins_kvcache_free(&cache);
}

Test(attention, cuts_and_threads_do_not_matter) {
    check_cuts(0);
    check_cuts(200);
}

// A value that is not a number reaches the rows that see it, all of them, and no other.
static void check_masked_nan(qins_type v_type, size_t group) {
    enum { N = 150, BAD = 77 };
    const attention_case c = {2 * group, 2, 12, QINS_F16, v_type, N, 200, 0};
    const size_t dim = c.head_dim, q_dim = c.n_heads * dim;
    float *q = allocate(N * q_dim, sizeof *q), *out = allocate(N * q_dim, sizeof *out), bad[12] = {[5] = NAN};
    test_random random = {9};
    qins_kvcache cache = fill_cache(&c);
    random_fill(&random, q, N * q_dim);
    float *expected = define(&c, &cache, q, q_dim);
    qins_kvcache_store(&cache, LAYER, 1, c.position + BAD, q, bad);
    attend(&c, &cache, qins_kernels_get(), 2, q, q_dim, N, c.position, out);
    for (size_t t = 0; t < N; t++) {
        for (size_t i = 0; i < q_dim; i++) {
            const bool is_hit = i >= q_dim / 2 && t >= BAD && (v_type == QINS_QINS8 || i % dim == 5);
            if (is_hit)
                cr_assert(isnan(out[t * q_dim + i]), "token %zu, %zu", t, i);
            else if (i < q_dim / 2 || t < BAD)
                cr_assert_eq(out[t * q_dim + i], expected[t * q_dim + i], "token %zu, %zu", t, i);
        }
    }
    free(expected);
    free(out);
    free(q);
    qins_kvcache_free(&cache);
}

Test(attention, later_values_that_are_not_numbers_do_not_matter) {
    const qins_type v_types[] = {QINS_QINS8, QINS_F16, QINS_F32};
    for (int i = 0; i < 3; i++) {
        check_masked_nan(v_types[i], 1);
        check_masked_nan(v_types[i], 3);
    }
}

// Scores that are not numbers show, even where a whole part has no other.
Test(attention, keys_that_are_not_numbers_show) {
    const attention_case c = {2, 2, 12, QINS_F16, QINS_QINS8, 2, 2 * PART, 0};
    float q[48], out[48], bad[12];
    test_random random = {10};
    qins_kvcache cache = fill_cache(&c);
    random_fill(&random, q, 48);
    for (size_t i = 0; i < 12; i++) bad[i] = NAN;
    for (size_t position = 0; position < PART; position++) qins_kvcache_store(&cache, LAYER, 1, position, bad, q);
    for (size_t n = 1; n <= 2; n++) {
        attend(&c, &cache, qins_kernels_get(), 1, q, 24, n, c.position, out);
        for (size_t i = 0; i < n * 24; i++) cr_expect_eq(isnan(out[i]) != 0, i % 24 >= 12, "%zu tokens, %zu", n, i);
    }
    qins_kvcache_free(&cache);
}

// Scores far apart: the running maximum keeps exponentials in range, and the largest score takes all.
Test(attention, large_scores_do_not_overflow) {
    const attention_case c = {4, 2, 12, QINS_F32, QINS_F32, 1, 1199, 0};
    const qins_config config = config_of(&c);
    qins_error error = {0};
    qins_kvcache cache;
    float q[48], out[48], k[12], v[12];
    qins_kvcache_init(&cache, &config, qins_kernels_get(), QINS_F32, QINS_F32, 1200, &error);
    expect_ok(&error);
    for (size_t position = 0; position < 1200; position++) {
        for (size_t i = 0; i < 12; i++) {
            k[i] = (float)position * 10 - 6000;
            v[i] = (float)position;
        }
        for (size_t head = 0; head < 2; head++) qins_kvcache_store(&cache, LAYER, head, position, k, v);
    }
    for (size_t i = 0; i < 48; i++) q[i] = i < 24 ? 100.0f : -100.0f; // heads 0, 1 and heads 2, 3
    attend(&c, &cache, qins_kernels_get(), 1, q, 48, 1, 1199, out);
    for (size_t i = 0; i < 48; i++) cr_expect_eq(out[i], i < 24 ? 1199.0f : 0.0f, "%g", (double)out[i]);
    qins_kvcache_free(&cache);
}
