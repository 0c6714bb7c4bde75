// The kernels of every vector tier, including the decoding of all codes, written in the primitives of a lanes_*.h that
// the tier includes first: sixteen lanes, the rows of a panel. Formulas and orders are those of kernels.h.
#include "engine/kernels/encoder.h"
#include "engine/kernels/kernels.h"

#include <math.h>

// GCC's partial redundancy elimination peels the first iteration off a loop whose sums start at zero, and then stores
// every sum in every iteration.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-tree-pre")
#endif

enum { WIDTH = 16 };

static inline size_t width(size_t left) {
    return left < WIDTH ? left : WIDTH;
}

// Prefetch the data that a memory stream will read soon: hardware prefetchers start anew in every 4 KiB page, and a
// core with few instructions in flight (Zen 3) reads half as fast with only those. Each line is read once per pass, so
// it goes past L2 (locality 0). Addresses past the end do no harm.
static inline void ask_ahead(const void *memory) {
    __builtin_prefetch((const char *)memory + 4096, 0, 0);
}

// --- coded weights ---

static void quantize(int16_t *x_int, float *scale, const float *x, size_t cols) {
    for (size_t start = 0; start < cols; start += QINS_UNIT, x_int += QINS_UNIT, scale++) {
        lanes part[QINS_UNIT / WIDTH], max = lanes_set(0.0f);
        bool is_finite = true;
        for (size_t i = 0; i < QINS_UNIT / WIDTH; i++) {
            const size_t col = start + i * WIDTH;
            part[i] = col < cols ? lanes_load_n(x + col, width(cols - col)) : lanes_set(0.0f);
            max = lanes_max(lanes_abs(part[i]), max);
            is_finite &= lanes_all_finite(lanes_bits(part[i]));
        }
        if (!is_finite) {
            memset(x_int, 0, QINS_UNIT * sizeof *x_int);
            *scale = NAN;
            continue;
        }
        const float largest = lanes_largest(max);
        int exponent = (int)(qins_f32_bits(largest) >> 23) - 127 - 12;
        if (exponent < -126)
            exponent = -126;
        else if (largest > (float)QINS_MAX_X * qins_f32_from_bits((uint32_t)(exponent + 127) << 23))
            exponent++;
        *scale = qins_f32_from_bits((uint32_t)(exponent + 127) << 23);
        const lanes inverse = lanes_set(qins_f32_from_bits((uint32_t)(127 - exponent) << 23));
        for (size_t i = 0; i < QINS_UNIT / WIDTH; i++) {
            int16_t in_order[WIDTH];
            ilanes_store_int16(in_order, lanes_to_int(lanes_mul(part[i], inverse)));
            for (size_t j = 0; j < WIDTH; j++) x_int[i * WIDTH + qins_x_place(j)] = in_order[j];
        }
    }
}

// A block of 32 columns in 16 rows: its codes, and k and t of its scale bytes as its type needs them.
typedef struct code_block {
    const uint8_t *codes;
    ilanes k, t;
} code_block;

// The properties of a code that the loops below need. All of them are constant wherever they are called.
typedef struct code_form {
    size_t bits;
    code_block (*block)(const uint8_t *codes, const uint8_t *scales);
    // v of 4 columns, group 0 .. 7 of a block: of the even ones and of the odd ones, in pairs.
    void (*group)(const code_block *block, size_t group, ilanes *even, ilanes *odd);
} code_form;

static inline code_block block_qins8(const uint8_t *codes, const uint8_t *scales) {
    return (code_block){.codes = codes, .k = pairs_of_int(ilanes_shift_left(ilanes_from_uint8(scales), 4))};
}

static inline void group_qins8(const code_block *block, size_t group, ilanes *even, ilanes *odd) {
    const ilanes s = ilanes_load(block->codes + group * 64);
    const ilanes factor = ilanes_or(bytes_abs(s), bytes_set(INT8_MIN));
    *even = pairs_mulhrs(pairs_maddubs(ilanes_and(factor, pairs_low_bytes()), s), block->k);
    *odd = pairs_mulhrs(pairs_maddubs(ilanes_and_not(pairs_low_bytes(), factor), s), block->k);
}

// Scale bytes 2 k + t as k << bits in pairs; t as ones in all bits, or zeros.
static inline code_block block_narrow(const uint8_t *codes, const uint8_t *scales, int bits) {
    const ilanes scale = ilanes_from_int8(scales), one = ilanes_set(1), t = ilanes_and(scale, one);
    const ilanes k = ilanes_shift_left(ilanes_sub(scale, t), bits - 1);
    return (code_block){.codes = codes, .k = pairs_of_int(k), .t = ilanes_sub(ilanes_set(0), t)};
}

// The low 4 bits of a group's codes.
static inline ilanes nibbles(const code_block *block, size_t group) {
    const ilanes both = ilanes_load(block->codes + group / 2 * 64);
    return ilanes_and(group % 2 == 0 ? both : pairs_shift(both, -4), bytes_set(15));
}

// v of bytes T with |T| < 128: mulhrs(T << 8, k << bits).
static inline void scale_bytes(const code_block *block, ilanes t, ilanes *even, ilanes *odd) {
    *even = pairs_mulhrs(pairs_shift(t, 8), block->k);
    *odd = pairs_mulhrs(ilanes_and_not(pairs_low_bytes(), t), block->k);
}

static inline code_block block_qins4(const uint8_t *codes, const uint8_t *scales) {
    code_block block = block_narrow(codes, scales, 7);
    block.t = ilanes_and(block.t, bytes_set(3));
    return block;
}

static inline void group_qins4(const code_block *block, size_t group, ilanes *even, ilanes *odd) {
    const ilanes t = bytes_lookup(bytes_table(qins4_table), nibbles(block, group));
    scale_bytes(block, bytes_add(t, block->t), even, odd);
}

static inline code_block block_qins5(const uint8_t *codes, const uint8_t *scales) {
    code_block block = block_narrow(codes, scales, 6);
    block.t = ilanes_and(block.t, bytes_set(3));
    return block;
}

static inline void group_qins5(const code_block *block, size_t group, ilanes *even, ilanes *odd) {
    const ilanes low = bytes_table(qins5_table), high = bytes_table(qins5_table + 16);
    const ilanes t = bytes_lookup_of_two(low, high, nibbles(block, group), ilanes_load(block->codes + 256), group);
    scale_bytes(block, bytes_add(t, block->t), even, odd);
}

static inline code_block block_qins6(const uint8_t *codes, const uint8_t *scales) {
    code_block block = block_narrow(codes, scales, 9);
    block.t = ilanes_and(block.t, pairs_set((const int16_t[]){24, 24}));
    return block;
}

static inline void group_qins6(const code_block *block, size_t group, ilanes *even, ilanes *odd) {
    const ilanes rest = pairs_shift(ilanes_load(block->codes + 256 + group / 4 * 64), 4 - (int)(group % 4) * 2);
    const ilanes code = ilanes_or(nibbles(block, group), ilanes_and(rest, bytes_set(0x30)));
    const ilanes s = bytes_sub(code, bytes_set(32)), factor = bytes_add(bytes_abs(s), bytes_set(48));
    const ilanes even_t = pairs_maddubs(ilanes_and(factor, pairs_low_bytes()), s);
    const ilanes odd_t = pairs_maddubs(ilanes_and_not(pairs_low_bytes(), factor), s);
    *even = pairs_mulhrs(pairs_add(even_t, block->t), block->k);
    *odd = pairs_mulhrs(pairs_add(odd_t, block->t), block->k);
}

// Sums of products over a unit.
static inline __attribute__((always_inline)) ilanes dot_unit(const code_form form, const uint8_t *codes,
                                                             const uint8_t *scales, const int16_t *x) {
    ilanes even_sum = ilanes_set(0), odd_sum = ilanes_set(0), even, odd;
    for (size_t b = 0; b < 2; b++, codes += form.bits * 64, scales += QINS_PANEL) {
        const code_block block = form.block(codes, scales);
#pragma GCC unroll 8
        for (size_t i = 0; i < QINS_BLOCK / 4; i++, x += 4) {
            if (i < form.bits) ask_ahead(codes + i * 64);
            form.group(&block, i, &even, &odd);
            even_sum = pairs_dot(even_sum, even, pairs_set(x));
            odd_sum = pairs_dot(odd_sum, odd, pairs_set(x + 2));
            keep_order(&even_sum, &odd_sum);
        }
    }
    return ilanes_add(even_sum, odd_sum);
}

// As above for qins4, whose v is T k without rounding, so a row's k can be applied after its sum over a block: sum v X
// = k (sum u X + (3 t - 64) sum X) for u = A + 64, which is positive and takes one instruction to widen. All terms are
// integers below 2^31.
static inline ilanes dot_unit_qins4(const uint8_t *codes, const uint8_t *scales, const int16_t *x) {
    const ilanes table = bytes_add(bytes_table(qins4_table), bytes_set(64));
    ilanes sum = ilanes_set(0);
    for (size_t b = 0; b < 2; b++, codes += 4 * 64, scales += QINS_PANEL) {
        const code_block block = {.codes = codes};
        const int32_t x_sum = pairs_sum(ilanes_load(x));
        ilanes even_sum = ilanes_set(0), odd_sum = ilanes_set(0);
#pragma GCC unroll 8
        for (size_t i = 0; i < QINS_BLOCK / 4; i++, x += 4) {
            if (i < 4) ask_ahead(codes + i * 64);
            const ilanes u = bytes_lookup(table, nibbles(&block, i));
            even_sum = pairs_dot(even_sum, ilanes_and(u, pairs_low_bytes()), pairs_set(x));
            odd_sum = pairs_dot(odd_sum, pairs_shift(u, -8), pairs_set(x + 2));
            keep_order(&even_sum, &odd_sum);
        }
        const ilanes scale = ilanes_from_int8(scales), t = ilanes_and(scale, ilanes_set(1));
        const ilanes of_t = ilanes_and(ilanes_sub(ilanes_set(0), t), ilanes_set(3 * x_sum));
        const ilanes total = ilanes_add(ilanes_add(even_sum, odd_sum), ilanes_sub(of_t, ilanes_set(64 * x_sum)));
        sum = ilanes_add(sum, ilanes_mul(ilanes_halve(scale), total));
    }
    return sum;
}

typedef ilanes dot_unit_function(const uint8_t *codes, const uint8_t *scales, const int16_t *x);

static inline __attribute__((always_inline)) void dot_coded(dot_unit_function *of_unit, size_t bits, float *y,
                                                            const qins_matrix *w, size_t panel, size_t n_panels,
                                                            const int16_t *x, const float *scale) {
    const size_t unit_bytes = bits * 2 * 64;
    for (size_t p = 0; p < n_panels; p++) {
        const uint8_t *data = qins_panel_at(w, panel + p);
        lanes sum = lanes_set(0.0f);
        for (size_t start = 0; start < w->cols; start += QINS_STRETCH) {
            const qins_stretch stretch = qins_stretch_at(data, unit_bytes, w->cols, start);
            const lanes d = lanes_from_bf16(stretch.d);
            for (size_t col = 0; col < stretch.n_cols; col += QINS_UNIT) {
                const ilanes products = of_unit(stretch.codes + col / QINS_UNIT * unit_bytes,
                                                stretch.scales + col / QINS_BLOCK * QINS_PANEL, x + start + col);
                sum =
                    lanes_fma(lanes_mul(d, lanes_set(scale[(start + col) / QINS_UNIT])), lanes_from_int(products), sum);
            }
        }
        lanes_store(y + p * QINS_PANEL, sum);
    }
}

static inline __attribute__((always_inline)) void unpack(const code_form form, int16_t *v, const uint8_t *codes,
                                                         const uint8_t *scales, size_t n_units) {
    ilanes even, odd;
    for (size_t b = 0; b < 2 * n_units; b++, codes += form.bits * 64, scales += QINS_PANEL) {
        const code_block block = form.block(codes, scales);
#pragma GCC unroll 8
        for (size_t i = 0; i < QINS_BLOCK / 4; i++, v += 64) {
            form.group(&block, i, &even, &odd);
            ilanes_store(v, even);
            ilanes_store(v + 32, odd);
        }
    }
}

// The slots of a code.
#define DOT_UNIT(name, n_bits)                                                                                         \
    static inline ilanes dot_unit_##name(const uint8_t *codes, const uint8_t *scales, const int16_t *x) {              \
        return dot_unit((code_form){n_bits, block_##name, group_##name}, codes, scales, x);                            \
    }
#define CODED(name, n_bits)                                                                                            \
    static void dot_##name(float *y, const qins_matrix *w, size_t panel, size_t n_panels, const int16_t *x,            \
                           const float *scale) {                                                                       \
        dot_coded(dot_unit_##name, n_bits, y, w, panel, n_panels, x, scale);                                           \
    }                                                                                                                  \
    static void unpack_##name(int16_t *v, const uint8_t *codes, const uint8_t *scales, size_t n_units) {               \
        unpack((code_form){n_bits, block_##name, group_##name}, v, codes, scales, n_units);                            \
    }
DOT_UNIT(qins8, 8)
DOT_UNIT(qins6, 6)
DOT_UNIT(qins5, 5)
CODED(qins8, 8)
CODED(qins6, 6)
CODED(qins5, 5)
CODED(qins4, 4)

// A part of a product whose sums stay in registers, one panel or two: n_tokens and `both` are constants wherever this
// is called. (Compilers keep an array in registers only if no loop around its uses is nested in another such loop.)
static inline __attribute__((always_inline)) void multiply_part(const qins_product *product, size_t token, size_t panel,
                                                                const size_t n_tokens, const bool both) {
    const size_t panel_values = product->n_cols * QINS_PANEL;
    const int16_t *v = product->v + panel * panel_values, *x = product->x + token * product->x_stride;
    // Only addresses: there may be no such panel, and no bytes past the last one. Nothing is read there.
    const uintptr_t next = (uintptr_t)product->next[panel], other_next = both ? (uintptr_t)product->next[panel + 1] : 0;
    for (size_t col = 0; col < product->n_cols; col += QINS_UNIT) {
        ilanes first[PRODUCT_TOKENS], second[PRODUCT_TOKENS];
#pragma GCC unroll 12
        for (size_t t = 0; t < n_tokens; t++) first[t] = second[t] = ilanes_set(0);
        for (size_t i = col; i < col + QINS_UNIT; i += 2) {
            const ilanes weights = ilanes_load(v + i * QINS_PANEL);
            const ilanes others = both ? ilanes_load(v + panel_values + i * QINS_PANEL) : weights;
            __builtin_prefetch((const void *)(next + i * product->next_bytes));
            if (both) __builtin_prefetch((const void *)(other_next + i * product->next_bytes));
#pragma GCC unroll 12
            for (size_t t = 0; t < n_tokens; t++) {
                const ilanes pair = pairs_set(x + t * product->x_stride + i);
                first[t] = pairs_dot(first[t], weights, pair);
                if (both) second[t] = pairs_dot(second[t], others, pair);
            }
        }
        const lanes d = lanes_load(product->d + panel * QINS_PANEL);
        const lanes other_d = both ? lanes_load(product->d + (panel + 1) * QINS_PANEL) : d;
#pragma GCC unroll 12
        for (size_t t = 0; t < n_tokens; t++) {
            const lanes scale = lanes_set(product->scale[(token + t) * product->scale_stride + col / QINS_UNIT]);
            float *y = product->y + (token + t) * product->y_stride + panel * QINS_PANEL, *other_y = y + QINS_PANEL;
            lanes_store(y, lanes_fma(lanes_mul(d, scale), lanes_from_int(first[t]), lanes_load(y)));
            if (both)
                lanes_store(other_y,
                            lanes_fma(lanes_mul(other_d, scale), lanes_from_int(second[t]), lanes_load(other_y)));
        }
    }
}

static inline __attribute__((always_inline)) void multiply_tokens(const qins_product *product, size_t token,
                                                                  const size_t n_tokens) {
    for (size_t p = 0; p < QINS_TILE_PANELS; p += PRODUCT_PANELS)
        multiply_part(product, token, p, n_tokens, PRODUCT_PANELS == 2);
}

// Runs of tokens of almost the same length, so a few tokens at the end do not cost as much as many.
_Static_assert(PRODUCT_TOKENS <= 12, "multiply has a case for each length of a run");
static void multiply(const qins_product *product) {
    const size_t n_runs = (product->n_tokens + PRODUCT_TOKENS - 1) / PRODUCT_TOKENS;
    for (size_t run = 0; run < n_runs; run++) {
        const size_t token = run * product->n_tokens / n_runs, end = (run + 1) * product->n_tokens / n_runs;
        switch (end - token) {
#define RUN(n)                                                                                                         \
    case n:                                                                                                            \
        if (n <= PRODUCT_TOKENS) multiply_tokens(product, token, n);                                                   \
        break;
            RUN(1) RUN(2) RUN(3) RUN(4) RUN(5) RUN(6) RUN(7) RUN(8) RUN(9) RUN(10) RUN(11) RUN(12)
#undef RUN
        }
    }
}

static double integer_rounds(size_t rounds) {
    enum { CHAINS = 12, INNER = 16 };
    const int16_t pair[2] = {3, -5};
    const ilanes factor = pairs_set(pair);
    ilanes all = factor;
    for (size_t round = 0; round < rounds; round += INNER) {
        ilanes sums[CHAINS];
        for (size_t i = 0; i < CHAINS; i++) sums[i] = ilanes_add(all, ilanes_set((int32_t)i));
        for (size_t inner = 0; inner < INNER; inner++) // products of the sums, else the rounds are multiplied out
            for (size_t i = 0; i < CHAINS; i++) sums[i] = pairs_dot(sums[i], sums[i], factor);
        for (size_t i = 0; i < CHAINS; i++) all = ilanes_add(all, sums[i]);
    }
    int32_t values[WIDTH];
    static volatile int32_t sink;
    ilanes_store(values, all);
    sink = values[0];
    (void)sink;
    return (double)qins_round_up(rounds, INNER) * CHAINS * WIDTH * 4.0; // two products and two sums a lane
}

// --- numbers in floating point ---

static inline __attribute__((always_inline)) void gemm_part(const qins_gemm *g, size_t row, size_t col,
                                                            const size_t n_rows, const bool both) {
    const float *a = g->a + row * g->a_stride, *b = g->b + col / WIDTH * g->b_panel;
    for (size_t start = 0; start < g->k; start += QINS_UNIT) {
        const size_t end = start + QINS_UNIT < g->k ? start + QINS_UNIT : g->k;
        lanes first[GEMM_ROWS], second[GEMM_ROWS];
#pragma GCC unroll 12
        for (size_t r = 0; r < n_rows; r++) first[r] = second[r] = lanes_set(0.0f);
        for (size_t i = start; i < end; i++) {
            const lanes values = lanes_load(b + i * g->b_row);
            const lanes others = both ? lanes_load(b + g->b_panel + i * g->b_row) : values;
#pragma GCC unroll 12
            for (size_t r = 0; r < n_rows; r++) {
                const lanes factor = lanes_set(a[r * g->a_stride + i]);
                first[r] = lanes_fma(factor, values, first[r]);
                if (both) second[r] = lanes_fma(factor, others, second[r]);
            }
        }
#pragma GCC unroll 12
        for (size_t r = 0; r < n_rows; r++) {
            float *c = g->c + (row + r) * g->c_stride + col, *other_c = c + WIDTH;
            lanes_store(c, lanes_add(lanes_load(c), first[r]));
            if (both) lanes_store(other_c, lanes_add(lanes_load(other_c), second[r]));
        }
    }
}

static inline __attribute__((always_inline)) void gemm_columns(const qins_gemm *g, size_t col, const bool both) {
    size_t row = 0;
    for (; row + GEMM_ROWS <= g->m; row += GEMM_ROWS) gemm_part(g, row, col, GEMM_ROWS, both);
    for (; row + 4 <= g->m; row += 4) gemm_part(g, row, col, 4, both);
    for (; row < g->m; row++) gemm_part(g, row, col, 1, both);
}

static void gemm(const qins_gemm *g) {
    size_t col = 0;
    if (GEMM_LANES == 2)
        for (; col + 2 * WIDTH <= g->n; col += 2 * WIDTH) gemm_columns(g, col, true);
    for (; col < g->n; col += WIDTH) gemm_columns(g, col, false);
}

// Numbers 16 group .. 16 group + 15 of a row of values at rest.
typedef lanes load_numbers(const void *row, size_t group);

static inline lanes load_f32(const void *row, size_t group) {
    return lanes_load((const float *)row + group * WIDTH);
}

static inline lanes load_f16(const void *row, size_t group) {
    return lanes_from_f16((const uint16_t *)row + group * WIDTH);
}

static inline lanes load_bf16(const void *row, size_t group) {
    return lanes_from_bf16((const uint16_t *)row + group * WIDTH);
}

// T(s), none of the codes being -128: encode_values made them.
static inline lanes load_qins8(const void *row, size_t group) {
    const lanes s = lanes_from_int8((const int8_t *)row + group * WIDTH);
    return lanes_mul(s, lanes_add(lanes_abs(s), lanes_set(128.0f)));
}

static inline lanes load_qins4(const void *row, size_t group) {
    const uint8_t *block = (const uint8_t *)row + group / 2 * QINS_NIBBLE_BYTES;
    const int scale = (int8_t)block[QINS_NIBBLE_BYTES - 1], t = scale & 1, k = (scale - t) / 2;
    const lanes entries = lanes_from_nibbles(block, group % 2 == 1, qins4_table);
    return lanes_mul(lanes_add(entries, lanes_set((float)(3 * t))), lanes_set((float)k));
}

static inline __attribute__((always_inline)) void dot_numbers(float *y, const void *panels, size_t n_panels,
                                                              size_t cols, const float *x, load_numbers *load,
                                                              size_t size) {
    const uint8_t *values = panels;
    for (size_t p = 0; p < n_panels; p++, y += WIDTH) {
        lanes sum = lanes_set(0.0f);
        for (size_t start = 0; start < cols; start += QINS_UNIT) {
            const size_t end = start + QINS_UNIT < cols ? start + QINS_UNIT : cols;
            lanes chain = lanes_set(0.0f);
            for (size_t i = start; i < end; i++, values += WIDTH * size) {
                ask_ahead(values);
                chain = lanes_fma(load(values, 0), lanes_set(x[i]), chain);
            }
            sum = lanes_add(sum, chain);
        }
        lanes_store(y, sum);
    }
}

static inline __attribute__((always_inline)) void widen(float *out, const void *in, size_t n, load_numbers *load,
                                                        qins_type type) {
    size_t group = 0;
    for (; (group + 1) * WIDTH <= n; group++) lanes_store(out + group * WIDTH, load(in, group));
    const size_t left = n - group * WIDTH;
    if (left == 0) return; // always true where numbers are not contiguous
    uint8_t rest[WIDTH * sizeof(float)] = {0};
    memcpy(rest, (const uint8_t *)in + qins_values_bytes(type, group * WIDTH), qins_values_bytes(type, left));
    lanes_store_n(out + group * WIDTH, load(rest, 0), left);
}

// Columns, starting at 16 group, that are summed at once: n_lanes, a constant wherever this is called, times 16.
static inline __attribute__((always_inline)) void add_columns(float *out, const uint8_t *values, size_t row_bytes,
                                                              size_t n, const float *weights, load_numbers *load,
                                                              const size_t bits, size_t group, const size_t n_lanes) {
    lanes chains[6];
    for (size_t l = 0; l < n_lanes; l++) chains[l] = lanes_set(0.0f);
    for (size_t i = 0; i < n; i++, values += row_bytes) {
        const lanes weight = lanes_set(weights[i]);
        for (size_t byte = 0; byte < n_lanes * WIDTH * bits / 8; byte += 64)
            ask_ahead(values + group * WIDTH * bits / 8 + byte);
#pragma GCC unroll 6
        for (size_t l = 0; l < n_lanes; l++) chains[l] = lanes_fma(weight, load(values, group + l), chains[l]);
    }
    out += group * WIDTH;
    for (size_t l = 0; l < n_lanes; l++)
        lanes_store(out + l * WIDTH, lanes_add(lanes_load(out + l * WIDTH), chains[l]));
}

static inline __attribute__((always_inline)) void add_numbers(float *out, const void *values, size_t cols, size_t n,
                                                              const float *weights, load_numbers *load, qins_type type,
                                                              const size_t bits) {
    const size_t row_bytes = qins_values_bytes(type, cols), n_groups = cols / WIDTH;
    size_t group = 0;
    for (; group + 6 <= n_groups; group += 6) add_columns(out, values, row_bytes, n, weights, load, bits, group, 6);
    for (; group + 4 <= n_groups; group += 4) add_columns(out, values, row_bytes, n, weights, load, bits, group, 4);
    for (; group + 2 <= n_groups; group += 2) add_columns(out, values, row_bytes, n, weights, load, bits, group, 2);
    for (; group < n_groups; group++) add_columns(out, values, row_bytes, n, weights, load, bits, group, 1);
}

// The slots of one type.
#define DOT(name, load, size)                                                                                          \
    static void name(float *y, const void *panels, size_t n_panels, size_t cols, const float *x) {                     \
        dot_numbers(y, panels, n_panels, cols, x, load, size);                                                         \
    }
#define WIDEN(name, type)                                                                                              \
    static void widen_##name(float *out, const void *in, size_t n) {                                                   \
        widen(out, in, n, load_##name, type);                                                                          \
    }
#define ADD(name, type, bits)                                                                                          \
    static void add_##name(float *out, const void *values, size_t cols, size_t n, const float *weights) {              \
        add_numbers(out, values, cols, n, weights, load_##name, type, bits);                                           \
    }
DOT(dot_f32, load_f32, sizeof(float))
DOT(dot_f16, load_f16, sizeof(uint16_t))
DOT(dot_bf16, load_bf16, sizeof(uint16_t))
DOT(dot_keys_qins8, load_qins8, 1)
WIDEN(f16, QINS_F16)
WIDEN(bf16, QINS_BF16)
WIDEN(qins8, QINS_QINS8)
WIDEN(qins4, QINS_QINS4)
ADD(f32, QINS_F32, 32)
ADD(f16, QINS_F16, 16)
ADD(qins8, QINS_QINS8, 8)
ADD(qins4, QINS_QINS4, 4)

static size_t narrow(uint16_t *out, const float *x, size_t n) {
    const float largest = 65504.0f;
    const lanes high = lanes_set(largest), low = lanes_set(-largest);
    size_t n_clamped = 0;
    for (size_t i = 0; i < n; i += WIDTH) {
        uint16_t halves[WIDTH];
        const lanes v = lanes_load_n(x + i, width(n - i));
        if (!lanes_all_finite(lanes_bits(v)) || lanes_largest(lanes_abs(v)) > largest)
            for (size_t j = i; j < n && j < i + WIDTH; j++) n_clamped += fabsf(x[j]) > largest;
        lanes_store_f16(halves, lanes_max(low, lanes_min(high, v)));
        memcpy(out + i, halves, width(n - i) * sizeof *out);
    }
    return n_clamped;
}

// The s = 0 .. 127 with T(s) nearest to t >= 0.
static inline lanes nearest_t(lanes t) {
    const lanes s = lanes_round(lanes_sub(lanes_sqrt(lanes_add(t, lanes_set(4096.0f))), lanes_set(64.0f)));
    return lanes_min(s, lanes_set(127.0f));
}

static float value_codes(int8_t *codes, float d, const float *x, size_t n) {
    const lanes scale = lanes_set(d);
    lanes sum = lanes_set(0.0f);
    for (size_t i = 0; i < n; i += WIDTH) {
        const lanes v = lanes_load_n(x + i, width(n - i)), t = lanes_div(v, scale), s = nearest_t(lanes_abs(t));
        const lanes value = lanes_with_sign(lanes_mul(s, lanes_add(s, lanes_set(128.0f))), t);
        const lanes error = lanes_sub(v, lanes_mul(scale, value));
        sum = lanes_fma(error, error, sum);
        int8_t bytes[WIDTH];
        ilanes_store_int8(bytes, lanes_to_int(lanes_with_sign(s, t)));
        memcpy(codes + i, bytes, width(n - i));
    }
    return lanes_sum(sum);
}

// --- norms and activation functions ---

static inline lanes exp_lanes(lanes x) {
    static const float taylor[] = {1.0f / 5040, 1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f};
    const lanes bounded = lanes_min(lanes_set(88.02f), x), magic = lanes_set(0x1.8p23f);
    const lanes shifted = lanes_fma(bounded, lanes_set(0x1.715476p+0f), magic), n = lanes_sub(shifted, magic);
    lanes r = lanes_fma(n, lanes_set(-0x1.62e4p-1f), bounded);
    r = lanes_fma(n, lanes_set(-0x1.7f7d1cp-20f), r);
    lanes y = lanes_set(taylor[0]);
    for (size_t i = 1; i < sizeof taylor / sizeof *taylor; i++) y = lanes_fma(y, r, lanes_set(taylor[i]));
    const ilanes power = ilanes_add(ilanes_shift_left(lanes_bits(shifted), 23), ilanes_set(127 << 23));
    return lanes_unless_below(lanes_mul(y, lanes_from_bits(power)), x, -87.3f);
}

static void rmsnorm(float *out, const float *x, const float *weight, size_t n, float eps) {
    lanes sum = lanes_set(0.0f);
    for (size_t i = 0; i < n; i += WIDTH) {
        const lanes v = lanes_load_n(x + i, width(n - i));
        sum = lanes_fma(v, v, sum);
    }
    const lanes factor = lanes_set(1.0f / sqrtf(lanes_sum(sum) / (float)n + eps));
    for (size_t i = 0; i < n; i += WIDTH) {
        const lanes v = lanes_mul(lanes_load_n(x + i, width(n - i)), factor);
        lanes_store_n(out + i, lanes_mul(v, lanes_load_n(weight + i, width(n - i))), width(n - i));
    }
}

static void swiglu(float *out, const float *gate, const float *up, size_t n) {
    for (size_t i = 0; i < n; i += WIDTH) {
        const lanes g = lanes_load_n(gate + i, width(n - i));
        const lanes negative = lanes_mul(g, lanes_set(-1.0f));
        const lanes silu = lanes_div(g, lanes_add(lanes_set(1.0f), exp_lanes(negative)));
        lanes_store_n(out + i, lanes_mul(lanes_load_n(up + i, width(n - i)), silu), width(n - i));
    }
}

static float scale_max(float *x, size_t n, float factor) {
    lanes largest = lanes_set(-INFINITY);
    size_t i = 0;
    for (; i + WIDTH <= n; i += WIDTH) {
        const lanes v = lanes_mul(lanes_load(x + i), lanes_set(factor));
        lanes_store(x + i, v);
        largest = lanes_max(v, largest); // NaN: the second
    }
    float result = lanes_largest(largest);
    for (; i < n; i++) {
        x[i] *= factor;
        result = x[i] > result ? x[i] : result;
    }
    return result;
}

static float exp_sum(float *x, size_t n, float max, const float *factors) {
    lanes sum = lanes_set(0.0f);
    for (size_t i = 0; i < n; i += WIDTH) {
        const size_t count = width(n - i);
        const lanes e = exp_lanes(lanes_sub(lanes_load_n(x + i, count), lanes_set(max)));
        if (count == WIDTH) {
            sum = lanes_add(sum, e);
        } else {
            lanes_store_n(x + i, e, count); // and again, for the zeros after the last
            sum = lanes_add(sum, lanes_load_n(x + i, count));
        }
        lanes_store_n(x + i, factors == NULL ? e : lanes_mul(e, lanes_load_n(factors + i, count)), count);
    }
    return lanes_sum(sum);
}

// --- encoding ---

// Scale bytes as the functions below need them: k, the T of v = 1 (0 for k = 0), and the amount that t adds to T.
typedef struct scale_lanes {
    lanes k, inverse, shift;
} scale_lanes;

// The nearest code of each u, and its v.
typedef ilanes code_lanes(lanes u, const scale_lanes *scale, lanes *v);

// v is rounded with halves going up: floor(T k / 2048 + 1 / 2).
static inline ilanes code_qins8(lanes u, const scale_lanes *scale, lanes *v) {
    const lanes size = nearest_t(lanes_mul(lanes_abs(u), scale->inverse)), s = lanes_with_sign(size, u);
    const lanes t = lanes_mul(s, lanes_add(size, lanes_set(128.0f)));
    *v = lanes_floor(lanes_mul(lanes_fma(t, scale->k, lanes_set(1024.0f)), lanes_set(1.0f / 2048.0f)));
    return lanes_to_int(s);
}

static inline ilanes code_qins6(lanes u, const scale_lanes *scale, lanes *v) {
    const lanes t = lanes_sub(lanes_mul(u, scale->inverse), scale->shift);
    const lanes size =
        lanes_round(lanes_sub(lanes_sqrt(lanes_add(lanes_abs(t), lanes_set(575.75f))), lanes_set(24.0f)));
    const lanes s = lanes_max(lanes_min(lanes_with_sign(size, t), lanes_set(31.0f)), lanes_set(-32.0f));
    const lanes stored = lanes_fma(s, lanes_add(lanes_abs(s), lanes_set(48.0f)), scale->shift);
    *v = lanes_floor(lanes_mul(lanes_fma(stored, scale->k, lanes_set(32.0f)), lanes_set(1.0f / 64.0f)));
    return lanes_to_int(s);
}

// Entries of a table, and the midpoints between entries i and i + 1.
static inline lanes halfway(const int8_t *table, size_t n_more) {
    int8_t next[WIDTH] = {0};
    memcpy(next, table + 1, WIDTH - 1 + n_more);
    return lanes_mul(lanes_add(lanes_from_int8(table), lanes_from_int8(next)), lanes_set(0.5f));
}

static inline ilanes code_qins5(lanes u, const scale_lanes *scale, lanes *v) {
    const lanes t = lanes_sub(lanes_mul(u, scale->inverse), scale->shift);
    const lanes low = halfway(qins5_table, 1), high = halfway(qins5_table + WIDTH, 0);
    ilanes code = ilanes_if_above(t, lanes_set(0.5f * (float)(qins5_table[15] + qins5_table[16])), 16);
#pragma GCC unroll 4
    for (int step = 8; step > 0; step /= 2)
        code = ilanes_add(
            code, ilanes_if_above(t, lanes_lookup_of_two(low, high, ilanes_add(code, ilanes_set(step - 1))), step));
    const lanes entry = lanes_lookup_of_two(lanes_from_int8(qins5_table), lanes_from_int8(qins5_table + WIDTH), code);
    *v = lanes_floor(lanes_mul(lanes_fma(lanes_add(entry, scale->shift), scale->k, lanes_set(1.0f)), lanes_set(0.5f)));
    return code;
}

static inline ilanes code_qins4(lanes u, const scale_lanes *scale, lanes *v) {
    const lanes t = lanes_sub(lanes_mul(u, scale->inverse), scale->shift), between = halfway(qins4_table, 0);
    ilanes code = ilanes_if_above(t, lanes_set(0.5f * (float)(qins4_table[7] + qins4_table[8])), 8);
#pragma GCC unroll 3
    for (int step = 4; step > 0; step /= 2)
        code =
            ilanes_add(code, ilanes_if_above(t, lanes_lookup(between, ilanes_add(code, ilanes_set(step - 1))), step));
    *v = lanes_mul(lanes_add(lanes_lookup(lanes_from_int8(qins4_table), code), scale->shift), scale->k);
    return code;
}

static inline scale_lanes scale_lanes_of(lanes k, float one, lanes shift) {
    return (scale_lanes){k, lanes_unless_below(lanes_div(lanes_set(one), k), lanes_abs(k), 1.0f), shift};
}

static inline __attribute__((always_inline)) void nearest(code_lanes *code, bool is_narrow, float one, float shift,
                                                          int8_t *codes, float *v, const float *u,
                                                          const uint8_t *scales) {
    const lanes bytes = is_narrow ? lanes_from_int8(scales) : lanes_from_uint8(scales);
    const lanes k = is_narrow ? lanes_floor(lanes_mul(bytes, lanes_set(0.5f))) : bytes;
    const lanes t = lanes_sub(bytes, lanes_add(k, k)); // of narrow codes
    const scale_lanes scale = scale_lanes_of(k, one, is_narrow ? lanes_mul(t, lanes_set(shift)) : lanes_set(0.0f));
    lanes value;
    ilanes_store_int8(codes, code(lanes_load(u), &scale, &value));
    lanes_store(v, lanes_add(value, lanes_set(0.0f))); // +0 for -0
}

// The slot of a code: v of T under k is T k / one, t adds `shift` to T.
#define NEAREST(name, one, shift)                                                                                      \
    static void nearest_##name(int8_t *codes, float *v, const float *u, const uint8_t *scales) {                       \
        nearest(code_##name, (shift) > 0.0f, one, shift, codes, v, u, scales);                                         \
    }
NEAREST(qins8, 2048.0f, 0.0f)
NEAREST(qins6, 64.0f, 24.0f)
NEAREST(qins5, 2.0f, 3.0f)
NEAREST(qins4, 1.0f, 3.0f)

static void override(qins_kernels *kernels) {
    kernels->quantize = quantize;
    kernels->dot_coded[QINS_QINS8] = dot_qins8;
    kernels->dot_coded[QINS_QINS6] = dot_qins6;
    kernels->dot_coded[QINS_QINS5] = dot_qins5;
    kernels->dot_coded[QINS_QINS4] = dot_qins4;
    kernels->dot_values[QINS_F32] = dot_f32;
    kernels->dot_values[QINS_F16] = dot_f16;
    kernels->dot_values[QINS_BF16] = dot_bf16;
    kernels->dot_values[QINS_QINS8] = dot_keys_qins8;
    kernels->unpack[QINS_QINS8] = unpack_qins8;
    kernels->unpack[QINS_QINS6] = unpack_qins6;
    kernels->unpack[QINS_QINS5] = unpack_qins5;
    kernels->unpack[QINS_QINS4] = unpack_qins4;
    kernels->multiply = multiply;
    kernels->gemm = gemm;
    kernels->widen[QINS_F16] = widen_f16;
    kernels->widen[QINS_BF16] = widen_bf16;
    kernels->widen[QINS_QINS8] = widen_qins8;
    kernels->widen[QINS_QINS4] = widen_qins4;
    kernels->add_values[QINS_F32] = add_f32;
    kernels->add_values[QINS_F16] = add_f16;
    kernels->add_values[QINS_QINS8] = add_qins8;
    kernels->add_values[QINS_QINS4] = add_qins4;
    kernels->narrow = narrow;
    kernels->value_codes = value_codes;
    kernels->rmsnorm = rmsnorm;
    kernels->swiglu = swiglu;
    kernels->scale_max = scale_max;
    kernels->exp_sum = exp_sum;
    kernels->nearest[QINS_QINS8] = nearest_qins8;
    kernels->nearest[QINS_QINS6] = nearest_qins6;
    kernels->nearest[QINS_QINS5] = nearest_qins5;
    kernels->nearest[QINS_QINS4] = nearest_qins4;
    kernels->integer_rounds = integer_rounds;
}
