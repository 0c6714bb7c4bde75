// Attention against a softmax in double: grouped heads, one token and prompts across the borders of tiles, all types of
// keys and values, the same bits for any number of threads.
#include "engine/model/attention.h"
#include "tests/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CAPACITY = 300, MAX_THREADS = 4, LAYER = 1 };

typedef struct attention_case {
    size_t n_heads, n_kv_heads, head_dim;
    qins_type k_type, v_type;
    size_t n, position; // tokens, and how many there are before them
} attention_case;

static qins_config config_of(const attention_case *c) {
    qins_config config = tiny_config();
    config.n_heads = c->n_heads;
    config.n_kv_heads = c->n_kv_heads;
    config.head_dim = config.rope_dim = c->head_dim;
    return config;
}

// A cache with random keys and values in all positions that the queries may see, NaN behind: they must not be read.
static qins_kvcache fill_cache(const attention_case *c, const qins_codebook *book) {
    const qins_config config = config_of(c);
    qins_kvcache cache;
    qins_error error = {0};
    test_random random = {c->n + c->position};
    float k[128], v[128];
    qins_kvcache_init(&cache, &config, c->k_type, c->v_type, book, CAPACITY, &error);
    expect_ok(&error);
    for (size_t head = 0; head < c->n_kv_heads; head++) {
        for (size_t position = 0; position < CAPACITY; position++) {
            bool visible = position < c->position + c->n;
            random_fill(&random, k, c->head_dim);
            random_fill(&random, v, c->head_dim);
            for (size_t i = 0; i < c->head_dim && !visible; i++) k[i] = v[i] = NAN;
            qins_kvcache_store(&cache, LAYER, head, position, k, v);
        }
    }
    return cache;
}

// FP32 against double: scores are sums of head_dim products (error up to (head_dim + 16) * 2^-24 times sum |q||k|),
// which the exponential turns into a relative error of the same size; then sums over the keys, a rescaling for every
// tile, and V's own products. The bound is relative to the weighted sum of |v|.
static void expect_attention(const attention_case *c, const qins_kvcache *cache, const float *q, size_t q_stride,
                             const float *out) {
    const size_t dim = c->head_dim, group = c->n_heads / c->n_kv_heads;
    const size_t n_keys_all = c->position + c->n;
    float *keys = malloc(n_keys_all * dim * sizeof *keys), *values = malloc(n_keys_all * dim * sizeof *values);
    double *weights = malloc(n_keys_all * sizeof *weights);
    cr_assert(keys != NULL && values != NULL && weights != NULL);
    for (size_t h = 0; h < c->n_heads; h++) {
        qins_matrix k = qins_kvcache_keys(cache, LAYER, h / group), v = qins_kvcache_values(cache, LAYER, h / group);
        qins_decode_rows(&qins_kernels_scalar, keys, &k, 0, n_keys_all);
        qins_decode_rows(&qins_kernels_scalar, values, &v, 0, n_keys_all);
        for (size_t t = 0; t < c->n; t++) {
            const size_t n_keys = c->position + t + 1;
            double max = -INFINITY, sum = 0, largest_score = 0;
            for (size_t j = 0; j < n_keys; j++) {
                double score = 0, absolute = 0;
                for (size_t i = 0; i < dim; i++) {
                    double product = (double)q[t * q_stride + h * dim + i] * (double)keys[j * dim + i];
                    score += product;
                    absolute += fabs(product);
                }
                weights[j] = score / sqrt((double)dim);
                max = fmax(max, weights[j]);
                largest_score = fmax(largest_score, absolute / sqrt((double)dim));
            }
            for (size_t j = 0; j < n_keys; j++) sum += weights[j] = exp(weights[j] - max);
            for (size_t i = 0; i < dim; i++) {
                double expected = 0, absolute = 0;
                for (size_t j = 0; j < n_keys; j++) {
                    expected += weights[j] / sum * (double)values[j * dim + i];
                    absolute += weights[j] / sum * fabs((double)values[j * dim + i]);
                }
                double tolerance = 2 * ((double)(dim + 16) * largest_score + (double)n_keys + 32) * 0x1p-24 * absolute;
                double got = out[t * c->n_heads * dim + h * dim + i];
                cr_assert(fabs(got - expected) <= tolerance, // also false for NaN
                          "%zu/%zu heads of %zu, %s/%s, %zu tokens at %zu: token %zu, head %zu: %g instead of %g",
                          c->n_heads, c->n_kv_heads, dim, qins_types[c->k_type].name, qins_types[c->v_type].name, c->n,
                          c->position, t, h, got, expected);
            }
        }
    }
    free(keys);
    free(values);
    free(weights);
}

static void check_case(const attention_case *c) {
    const qins_config config = config_of(c);
    const size_t q_dim = c->n_heads * c->head_dim, q_stride = qins_config_qkv_dim(&config);
    qins_codebook book;
    test_random random = {c->n};
    test_guards guards = {0};
    qins_codebook_make(&book, QINS_PROJECTIVE, 1);
    qins_kvcache cache = fill_cache(c, &book);
    float *q = guarded(&guards, ((c->n - 1) * q_stride + q_dim) * sizeof *q);
    float *out = guarded(&guards, c->n * q_dim * sizeof *out), *first = malloc(c->n * q_dim * sizeof *first);
    cr_assert_not_null(first);
    random_fill(&random, q, (c->n - 1) * q_stride + q_dim);
    for (size_t n_threads = 1; n_threads <= MAX_THREADS; n_threads++) {
        qins_error error = {0};
        qins_compute compute;
        qins_attention attention;
        qins_compute_init(&compute, n_threads, &error);
        qins_attention_init(&attention, &compute, &config, &error);
        expect_ok(&error);
        memset(out, 0xFF, c->n * q_dim * sizeof *out); // NaN: whatever is not written shows
        qins_attention_run(&attention, out, q, q_stride, &cache, LAYER, c->n, c->position);
        if (n_threads == 1) memcpy(first, out, c->n * q_dim * sizeof *out);
        cr_assert_eq(memcmp(out, first, c->n * q_dim * sizeof *out), 0, "%zu threads", n_threads);
        qins_attention_free(&attention);
        qins_compute_free(&compute);
    }
    expect_attention(c, &cache, q, q_stride, first);
    free(first);
    guards_free(&guards);
    qins_kvcache_free(&cache);
}

// Tokens around the borders of key tiles (64) and of query blocks (16), behind nothing and behind other tokens.
static const size_t lengths[] = {1, 2, 15, 16, 17, 63, 64, 65, 130};
static const size_t positions[] = {0, 1, 63, 64, 100};

static void check_lengths(size_t n_heads, size_t n_kv_heads, size_t head_dim, qins_type k_type, qins_type v_type) {
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        for (size_t p = 0; p < sizeof positions / sizeof positions[0]; p++)
            check_case(&(attention_case){n_heads, n_kv_heads, head_dim, k_type, v_type, lengths[i], positions[p]});
    }
}

Test(attention, heads_of_their_own) {
    check_lengths(2, 2, 12, QINS_F32, QINS_F32);
}

Test(attention, grouped_heads) {
    check_lengths(6, 2, 10, QINS_F32, QINS_F32);
}

Test(attention, all_heads_share_one) {
    check_lengths(3, 1, 16, QINS_F16, QINS_QINS8);
}

Test(attention, every_type_of_keys_and_values) {
    const qins_type k_types[] = {QINS_F16, QINS_F32}, v_types[] = {QINS_QINS8, QINS_F16, QINS_F32};
    const size_t some[] = {1, 5, 65};
    for (int i = 0; i < 18; i++)
        check_case(&(attention_case){4, 2, 96, k_types[i % 2], v_types[i / 2 % 3], some[i / 6], 70});
}

// One token alone reads the cache as it is, others read decoded tiles: the same numbers.
Test(attention, one_token_at_a_time_equals_a_prompt) {
    const attention_case c = {4, 2, 12, QINS_F16, QINS_QINS8, 80, 0};
    const qins_config config = config_of(&c);
    const size_t q_dim = c.n_heads * c.head_dim;
    qins_codebook book;
    qins_error error = {0};
    qins_compute compute;
    qins_attention attention;
    test_random random = {8};
    static float q[80 * 48], prompt[80 * 48], single[48];
    qins_codebook_make(&book, QINS_PROJECTIVE, 1);
    qins_kvcache cache = fill_cache(&c, &book);
    qins_compute_init(&compute, 2, &error);
    qins_attention_init(&attention, &compute, &config, &error);
    expect_ok(&error);
    random_fill(&random, q, 80 * q_dim);
    qins_attention_run(&attention, prompt, q, q_dim, &cache, LAYER, 80, 0);
    for (size_t t = 0; t < 80; t++) {
        qins_attention_run(&attention, single, q + t * q_dim, q_dim, &cache, LAYER, 1, t);
        for (size_t i = 0; i < q_dim; i++) // values below 6 in magnitude; the sums are the same but for their order
            cr_assert_leq(fabsf(single[i] - prompt[t * q_dim + i]), 2e-5f, "token %zu", t);
    }
    qins_attention_free(&attention);
    qins_compute_free(&compute);
    qins_kvcache_free(&cache);
}

// Scores far apart: the running maximum keeps exponentials in range, and the largest score takes all.
Test(attention, large_scores_do_not_overflow) {
    qins_config config = tiny_config();
    qins_error error = {0};
    qins_compute compute;
    qins_attention attention;
    qins_kvcache cache;
    float q[48], out[48], k[12], v[12];
    qins_compute_init(&compute, 1, &error);
    qins_attention_init(&attention, &compute, &config, &error);
    qins_kvcache_init(&cache, &config, QINS_F32, QINS_F32, NULL, 200, &error);
    expect_ok(&error);
    for (size_t position = 0; position < 200; position++) {
        for (size_t i = 0; i < 12; i++) {
            k[i] = (float)position * 10 - 1000;
            v[i] = (float)position;
        }
        for (size_t head = 0; head < 2; head++) qins_kvcache_store(&cache, 0, head, position, k, v);
    }
    for (size_t i = 0; i < 48; i++) q[i] = i < 24 ? 100.0f : -100.0f; // heads 0, 1 and heads 2, 3
    qins_attention_run(&attention, out, q, 48, &cache, 0, 1, 199);
    for (size_t i = 0; i < 48; i++) cr_expect_eq(out[i], i < 24 ? 199.0f : 0.0f, "%g", (double)out[i]);
    qins_kvcache_free(&cache);
    qins_attention_free(&attention);
    qins_compute_free(&compute);
}
