// The forward pass in ONNX's operators; see onnx_graph.h.
#include "convert/onnx_graph.h"

#include "engine/model/rope.h"

#include <math.h>
#include <stdio.h>

typedef qins_onnx_value value;

struct graph {
    qins_onnx_writer *writer;
    const qins_config *config;
    const qins_onnx_weight *weights;
    qins_rope rope;
    value ids;
    value tables[QINS_TYPE_COUNT]; // of the coded types that there are
    value two, eps, last_axis;
    value cos_a, sin_a; // [sequence, rope_dim / 2]
    value mask;         // [sequence, total]: 0 where a token sees a position, else -infinity
};

// --- nodes ---

static value op1(struct graph *g, const char *op, value a) {
    return qins_onnx_call(g->writer, (qins_onnx_node){.op = op, .inputs = {a}});
}

static value op2(struct graph *g, const char *op, value a, value b) {
    return qins_onnx_call(g->writer, (qins_onnx_node){.op = op, .inputs = {a, b}});
}

static value cast(struct graph *g, value a, qins_onnx_type type, const char *name) {
    return qins_onnx_call(
        g->writer, (qins_onnx_node){.op = "Cast", .inputs = {a}, .attributes = {{"to", 0, {type}}}, .output = name});
}

static value transpose(struct graph *g, value a, size_t rank, const int64_t *order) {
    qins_onnx_attribute perm = {"perm", rank, {0}};
    for (size_t i = 0; i < rank; i++) perm.values[i] = order[i];
    return qins_onnx_call(g->writer, (qins_onnx_node){.op = "Transpose", .inputs = {a}, .attributes = {perm}});
}

// In a shape, 0 keeps the size, and -1 takes the rest.
static value reshape(struct graph *g, value a, const int64_t *shape, size_t rank) {
    return op2(g, "Reshape", a, qins_onnx_ints(g->writer, shape, rank));
}

static value concat(struct graph *g, value a, value b, int64_t axis, const char *name) {
    return qins_onnx_call(
        g->writer,
        (qins_onnx_node){.op = "Concat", .inputs = {a, b}, .attributes = {{"axis", 0, {axis}}}, .output = name});
}

static void split(struct graph *g, value a, int64_t axis, const int64_t *sizes, value *parts, size_t n) {
    const value lengths = qins_onnx_ints(g->writer, sizes, n);
    qins_onnx_call_many(g->writer,
                        (qins_onnx_node){.op = "Split", .inputs = {a, lengths}, .attributes = {{"axis", 0, {axis}}}},
                        parts, n);
}

// --- weights ---

static value part_of(const qins_onnx_weight *weight, size_t part) {
    value name;
    snprintf(name.name, sizeof name.name, "%s", weight->parts[part].name);
    return name;
}

static const qins_onnx_weight *layer_weight(const struct graph *g, size_t layer, size_t index) {
    return &g->weights[QINS_LAYER_INDEX + layer * QINS_TENSORS_PER_LAYER + index];
}

// Rows [.., cols] without the columns of the padding.
static value cut(struct graph *g, value a, int64_t cols, const char *name) {
    const value start = qins_onnx_ints(g->writer, &(int64_t){0}, 1), end = qins_onnx_ints(g->writer, &cols, 1);
    return qins_onnx_call(g->writer,
                          (qins_onnx_node){.op = "Slice", .inputs = {a, start, end, g->last_axis}, .output = name});
}

// d floor(table[code] k + 1/2) of code.h, for codes [.., S, B, 32] to weights [.., cols]; `lead` dimensions come first.
static value decode(struct graph *g, const qins_onnx_weight *weight, value codes, value k, value d, size_t lead,
                    const char *name) {
    const bool is_padded = weight->spec.cols % QINS_UNIT != 0;
    const int64_t shape[] = {0, lead == 1 ? -1 : 0, -1};
    const value t = op2(g, "Gather", g->tables[weight->type], cast(g, codes, QINS_ONNX_INT32, NULL));
    value v = op2(g, "Mul", t, cast(g, k, QINS_ONNX_FLOAT, NULL));
    if (qins_types[weight->type].shift > 0) v = op1(g, "Floor", op2(g, "Add", v, qins_onnx_float(g->writer, 0.5f)));
    const value dims = qins_onnx_ints(g->writer, shape, lead + 1);
    const value rows = qins_onnx_call(
        g->writer,
        (qins_onnx_node){.op = "Reshape", .inputs = {op2(g, "Mul", v, d), dims}, .output = is_padded ? NULL : name});
    return is_padded ? cut(g, rows, (int64_t)weight->spec.cols, name) : rows;
}

// The whole matrix [rows, cols], called by its tensor's name.
static value matrix(struct graph *g, const qins_onnx_weight *weight) {
    const value values = part_of(weight, QINS_ONNX_VALUES);
    if (qins_type_is_coded(weight->type))
        return decode(g, weight, part_of(weight, QINS_ONNX_CODES), part_of(weight, QINS_ONNX_K),
                      part_of(weight, QINS_ONNX_D), 1, weight->spec.name);
    if (weight->parts[QINS_ONNX_VALUES].type == QINS_ONNX_FLOAT) return values;
    return cast(g, values, QINS_ONNX_FLOAT, weight->spec.name);
}

static value linear(struct graph *g, value x, const qins_onnx_weight *weight, const char *name) {
    const value transposed = transpose(g, matrix(g, weight), 2, (int64_t[]){1, 0});
    return qins_onnx_call(g->writer, (qins_onnx_node){.op = "MatMul", .inputs = {x, transposed}, .output = name});
}

// x[1, sequence, hidden_dim]: rows are picked first, then decoded.
static value embed(struct graph *g) {
    const qins_onnx_weight *weight = &g->weights[QINS_EMBEDDING_INDEX];
    value rows[QINS_ONNX_PARTS];
    for (size_t p = 0; p < weight->n_parts; p++) rows[p] = op2(g, "Gather", part_of(weight, p), g->ids);
    if (qins_type_is_coded(weight->type))
        return decode(g, weight, rows[QINS_ONNX_CODES], rows[QINS_ONNX_K], rows[QINS_ONNX_D], 2, NULL);
    if (weight->parts[QINS_ONNX_VALUES].type == QINS_ONNX_FLOAT) return rows[QINS_ONNX_VALUES];
    return cast(g, rows[QINS_ONNX_VALUES], QINS_ONNX_FLOAT, NULL);
}

// --- shared by the whole graph ---

static void add_constants(struct graph *g) {
    g->two = qins_onnx_float(g->writer, 2.0f);
    g->eps = qins_onnx_float(g->writer, (float)g->config->rms_eps);
    g->last_axis = qins_onnx_ints(g->writer, &(int64_t){-1}, 1);
}

static void add_weights(struct graph *g, const qins_onnx_weights *weights, const char *location) {
    for (size_t i = 0; i < weights->n; i++) {
        const qins_onnx_weight *weight = &weights->weights[i];
        for (size_t p = 0; p < weight->n_parts; p++) qins_onnx_external(g->writer, &weight->parts[p], location);
        if (!qins_type_is_coded(weight->type) || g->tables[weight->type].name[0] != '\0') continue;
        float table[QINS_ONNX_TABLE];
        const size_t n = qins_onnx_table(weight->type, table);
        g->tables[weight->type] = qins_onnx_floats(g->writer, table, n);
    }
}

static void cache_name(char name[QINS_ONNX_NAME], const char *what, size_t layer, const char *which) {
    snprintf(name, QINS_ONNX_NAME, "%s.%zu.%s", what, layer, which);
}

static void add_inputs_and_outputs(struct graph *g) {
    const qins_onnx_dim one = {NULL, 1}, sequence = {"sequence_length", 0};
    const qins_onnx_dim heads = {NULL, g->config->n_kv_heads}, dim = {NULL, g->config->head_dim};
    const qins_onnx_dim past[] = {one, heads, {"past_sequence_length", 0}, dim};
    const qins_onnx_dim present[] = {one, heads, {"total_sequence_length", 0}, dim};
    const char *const kinds[] = {"key", "value"};
    char name[QINS_ONNX_NAME];
    g->ids = qins_onnx_input(g->writer, "input_ids", QINS_ONNX_INT64, (qins_onnx_dim[]){one, sequence}, 2);
    qins_onnx_output(g->writer, "logits", QINS_ONNX_FLOAT,
                     (qins_onnx_dim[]){one, sequence, {NULL, g->config->vocab_size}}, 3);
    for (size_t i = 0; i < 2 * g->config->n_layers; i++) {
        cache_name(name, "past_key_values", i / 2, kinds[i % 2]);
        qins_onnx_input(g->writer, name, QINS_ONNX_FLOAT, past, 4);
        cache_name(name, "present", i / 2, kinds[i % 2]);
        qins_onnx_output(g->writer, name, QINS_ONNX_FLOAT, present, 4);
    }
}

// --- positions ---

// Size number `axis` of a value, as a list of one number.
static value size_of(struct graph *g, value a, int64_t axis) {
    return qins_onnx_call(
        g->writer,
        (qins_onnx_node){.op = "Shape", .inputs = {a}, .attributes = {{"start", 0, {axis}}, {"end", 0, {axis + 1}}}});
}

// 0 .. n - 1 for n, a list of one number.
static value count_to(struct graph *g, value n) {
    const value zero = qins_onnx_int(g->writer, 0), one = qins_onnx_int(g->writer, 1);
    return qins_onnx_call(g->writer, (qins_onnx_node){.op = "Range", .inputs = {zero, op1(g, "Squeeze", n), one}});
}

// theta[rope_dim / 2] for a sequence of total[1] tokens: qins_rope_set_for() as nodes.
static value theta(struct graph *g, value total) {
    const value of_short = qins_onnx_floats(g->writer, g->rope.theta[QINS_ROPE_SHORT_SET], g->rope.half);
    if (g->config->rope == QINS_ROPE_PLAIN) return of_short;
    const value of_long = qins_onnx_floats(g->writer, g->rope.theta[QINS_ROPE_LONG_SET], g->rope.half);
    const value limit = qins_onnx_int(g->writer, (int64_t)g->config->original_positions);
    return qins_onnx_call(
        g->writer, (qins_onnx_node){.op = "Where", .inputs = {op2(g, "Greater", total, limit), of_long, of_short}});
}

// From the positions of the tokens, [sequence, 1].
static void add_angles(struct graph *g, value positions, value total) {
    const value angle = op2(g, "Mul", cast(g, positions, QINS_ONNX_FLOAT, NULL), theta(g, total));
    const value factor = qins_onnx_float(g->writer, g->rope.attention_factor);
    g->cos_a = op2(g, "Mul", op1(g, "Cos", angle), factor);
    g->sin_a = op2(g, "Mul", op1(g, "Sin", angle), factor);
}

// A token sees itself and the tokens before it, within the last `window` positions.
static void add_mask(struct graph *g, value positions, value total) {
    const value keys = count_to(g, total);
    value visible = op2(g, "LessOrEqual", keys, positions);
    if (g->config->window > 0) {
        const value window = qins_onnx_int(g->writer, (int64_t)g->config->window);
        visible = op2(g, "And", visible, op2(g, "Greater", keys, op2(g, "Sub", positions, window)));
    }
    const value nothing = qins_onnx_float(g->writer, 0.0f), hidden = qins_onnx_float(g->writer, -INFINITY);
    g->mask = qins_onnx_call(g->writer, (qins_onnx_node){.op = "Where", .inputs = {visible, nothing, hidden}});
}

static void add_positions(struct graph *g) {
    value keys = {"past_key_values.0.key"};
    const value n = size_of(g, g->ids, 1), past = size_of(g, keys, 2), total = op2(g, "Add", past, n);
    const value positions = op2(g, "Unsqueeze", op2(g, "Add", count_to(g, n), past), g->last_axis);
    add_angles(g, positions, total);
    add_mask(g, positions, total);
}

// --- layers ---

static value rmsnorm(struct graph *g, value x, const qins_onnx_weight *weight) {
    const qins_onnx_node mean = {
        .op = "ReduceMean", .inputs = {op2(g, "Pow", x, g->two)}, .attributes = {{"axes", 1, {-1}}}};
    const value root = op1(g, "Sqrt", op2(g, "Add", qins_onnx_call(g->writer, mean), g->eps));
    return op2(g, "Mul", op2(g, "Div", x, root), part_of(weight, QINS_ONNX_VALUES));
}

// The heads of x[1, heads, sequence, head_dim] rotated; elements from rope_dim on stay.
static value rotate(struct graph *g, value x) {
    const int64_t half = (int64_t)g->rope.half, rest = (int64_t)g->config->head_dim - 2 * half;
    value parts[3];
    split(g, x, 3, (int64_t[]){half, half, rest}, parts, rest > 0 ? 3 : 2);
    const value first = op2(g, "Sub", op2(g, "Mul", parts[0], g->cos_a), op2(g, "Mul", parts[1], g->sin_a));
    const value second = op2(g, "Add", op2(g, "Mul", parts[1], g->cos_a), op2(g, "Mul", parts[0], g->sin_a));
    const value rotated = concat(g, first, second, 3, NULL);
    return rest > 0 ? concat(g, rotated, parts[2], 3, NULL) : rotated;
}

// [1, heads, sequence, ..] seen as heads of another number: the query heads of a KV head one after another, or back.
static value regroup(struct graph *g, value x, size_t n_heads) {
    if (g->config->n_heads == g->config->n_kv_heads) return x;
    return reshape(g, x, (int64_t[]){0, (int64_t)n_heads, -1, (int64_t)g->config->head_dim}, 4);
}

// The past's keys or values of a layer, then the new ones.
static value extend(struct graph *g, size_t layer, const char *which, value now) {
    value past;
    char name[QINS_ONNX_NAME];
    cache_name(past.name, "past_key_values", layer, which);
    cache_name(name, "present", layer, which);
    return concat(g, past, now, 2, name);
}

// softmax(q k / sqrt(head_dim) + mask) v
static value attend(struct graph *g, value q, value k, value v) {
    const qins_config *config = g->config;
    const value scale = qins_onnx_float(g->writer, (float)(1.0 / sqrt((double)config->head_dim)));
    const value queries = regroup(g, op2(g, "Mul", q, scale), config->n_kv_heads);
    value scores = op2(g, "MatMul", queries, transpose(g, k, 4, (int64_t[]){0, 1, 3, 2}));
    const bool is_grouped = config->n_heads != config->n_kv_heads;
    if (is_grouped) scores = reshape(g, scores, (int64_t[]){0, (int64_t)config->n_heads, -1, 0}, 4);
    scores = op2(g, "Add", scores, g->mask);
    value weights = qins_onnx_call(
        g->writer, (qins_onnx_node){.op = "Softmax", .inputs = {scores}, .attributes = {{"axis", 0, {-1}}}});
    if (is_grouped) weights = reshape(g, weights, (int64_t[]){0, (int64_t)config->n_kv_heads, -1, 0}, 4);
    return regroup(g, op2(g, "MatMul", weights, v), config->n_heads);
}

// heads[1, sequence, q_dim] from qkv[1, sequence, qkv_dim].
static value attention(struct graph *g, size_t layer, value qkv) {
    const int64_t n = (int64_t)g->config->n_heads, n_kv = (int64_t)g->config->n_kv_heads;
    const int64_t dim = (int64_t)g->config->head_dim, swap[] = {0, 2, 1, 3};
    value qk_v[2], q_k[2];
    const value heads = transpose(g, reshape(g, qkv, (int64_t[]){0, 0, n + 2 * n_kv, dim}, 4), 4, swap);
    split(g, heads, 1, (int64_t[]){n + n_kv, n_kv}, qk_v, 2);
    split(g, rotate(g, qk_v[0]), 1, (int64_t[]){n, n_kv}, q_k, 2);
    const value k = extend(g, layer, "key", q_k[1]), v = extend(g, layer, "value", qk_v[1]);
    return reshape(g, transpose(g, attend(g, q_k[0], k, v), 4, swap), (int64_t[]){0, 0, n * dim}, 3);
}

// act[1, sequence, ffn_dim] = up * silu(gate)
static value swiglu(struct graph *g, value gate_up) {
    const int64_t ffn = (int64_t)g->config->ffn_dim;
    value parts[2];
    split(g, gate_up, 2, (int64_t[]){ffn, ffn}, parts, 2);
    return op2(g, "Mul", op2(g, "Mul", parts[0], op1(g, "Sigmoid", parts[0])), parts[1]);
}

static value add_layer(struct graph *g, size_t layer, value x) {
    value normed = rmsnorm(g, x, layer_weight(g, layer, QINS_INPUT_NORM));
    const value qkv = linear(g, normed, layer_weight(g, layer, QINS_QKV), NULL);
    const value heads = attention(g, layer, qkv);
    x = op2(g, "Add", x, linear(g, heads, layer_weight(g, layer, QINS_OUTPUT), NULL));

    normed = rmsnorm(g, x, layer_weight(g, layer, QINS_POST_NORM));
    const value gate_up = linear(g, normed, layer_weight(g, layer, QINS_GATE_UP), NULL);
    return op2(g, "Add", x, linear(g, swiglu(g, gate_up), layer_weight(g, layer, QINS_DOWN), NULL));
}

void qins_onnx_graph(qins_onnx_writer *writer, const qins_config *config, const qins_onnx_weights *weights,
                     const char *location) {
    struct graph g = {.writer = writer, .config = config, .weights = weights->weights};
    const size_t final_norm = QINS_LAYER_INDEX + config->n_layers * QINS_TENSORS_PER_LAYER;
    qins_rope_init(&g.rope, config);
    add_inputs_and_outputs(&g);
    add_weights(&g, weights, location);
    add_constants(&g);
    add_positions(&g);
    value x = embed(&g); // [1, sequence, hidden_dim]
    for (size_t layer = 0; layer < config->n_layers; layer++) x = add_layer(&g, layer, x);
    x = rmsnorm(&g, x, &g.weights[final_norm]);
    linear(&g, x, &g.weights[config->tied_head ? QINS_EMBEDDING_INDEX : final_norm + 1], "logits");
}
