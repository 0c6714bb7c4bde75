// Configuration: bounds and JSON form; see config.h.
#include "engine/format/config.h"

#include <string.h>

// Generous bounds that keep every product of two dimensions far from overflowing 64 bits.
enum { MAX_DIM = 1 << 18, MAX_LAYERS = 1024, MAX_HEADS = 1024, MAX_VOCAB = 1 << 22, MAX_POSITIONS = 1 << 24 };

static void check_range(const char *name, size_t value, size_t min, size_t max, qins_error *error) {
    if (value < min || value > max)
        qins_fail(error, QINS_BAD_MODEL, "%s is %zu; this engine supports %zu to %zu", name, value, min, max);
}

// The engine computes in FP32: within these bounds no number of a configuration overflows there, and none becomes 0.
static const double MIN_FACTOR = 1e-6, MAX_FACTOR = 1e6, MIN_EPS = 1e-30, MIN_ROPE_BASE = 1.0001, MAX_ROPE_BASE = 1e12;

static bool is_within(double value, double min, double max) {
    return value >= min && value <= max; // NaN is not
}

static void check_factors(const char *name, const double *factors, size_t count, qins_error *error) {
    for (size_t i = 0; i < count; i++) {
        if (!is_within(factors[i], MIN_FACTOR, MAX_FACTOR))
            qins_fail(error, QINS_BAD_MODEL, "%s[%zu] is %g; it must be positive: from %g to %g", name, i, factors[i],
                      MIN_FACTOR, MAX_FACTOR);
    }
}

// 0 means that it is not given.
static void check_optional_factor(const char *name, double factor, qins_error *error) {
    if (factor != 0 && !is_within(factor, MIN_FACTOR, MAX_FACTOR))
        qins_fail(error, QINS_BAD_MODEL, "%s is %g; it must be positive: from %g to %g", name, factor, MIN_FACTOR,
                  MAX_FACTOR);
}

qins_status qins_config_check(const qins_config *config, qins_error *error) {
    check_range("n_layers", config->n_layers, 1, MAX_LAYERS, error);
    check_range("hidden_dim", config->hidden_dim, 1, MAX_DIM, error);
    check_range("ffn_dim", config->ffn_dim, 1, MAX_DIM, error);
    check_range("n_heads", config->n_heads, 1, MAX_HEADS, error);
    check_range("n_kv_heads", config->n_kv_heads, 1, config->n_heads, error);
    check_range("head_dim", config->head_dim, 2, QINS_MAX_HEAD_DIM, error);
    check_range("vocab_size", config->vocab_size, 1, MAX_VOCAB, error);
    check_range("max_positions", config->max_positions, 1, MAX_POSITIONS, error);
    check_range("window", config->window, 0, MAX_POSITIONS, error);
    check_range("n_heads x head_dim", qins_config_q_dim(config), 1, MAX_DIM, error);
    check_range("rope_dim", config->rope_dim, 2, config->head_dim, error);
    if (error->status != QINS_OK) return error->status;

    if (config->n_heads % config->n_kv_heads != 0)
        return qins_fail(error, QINS_BAD_MODEL, "%zu query heads cannot share %zu KV heads evenly", config->n_heads,
                         config->n_kv_heads);
    if (config->rope_dim % 2 != 0)
        return qins_fail(error, QINS_BAD_MODEL, "rope_dim is %zu; rotation needs an even number", config->rope_dim);
    if (!(is_within(config->rms_eps, MIN_EPS, 1) && config->rms_eps < 1))
        return qins_fail(error, QINS_BAD_MODEL, "rms_eps is %g; it must lie between %g and 1", config->rms_eps,
                         MIN_EPS);
    if (!is_within(config->rope_base, MIN_ROPE_BASE, MAX_ROPE_BASE))
        return qins_fail(error, QINS_BAD_MODEL, "rope_base is %g; it must be above 1: from %g to %g", config->rope_base,
                         MIN_ROPE_BASE, MAX_ROPE_BASE);
    if (config->rope == QINS_ROPE_LONG) {
        check_range("original_positions", config->original_positions, 2, MAX_POSITIONS, error);
        check_factors("short_factor", config->short_factor, config->rope_dim / 2, error);
        check_factors("long_factor", config->long_factor, config->rope_dim / 2, error);
        check_optional_factor("attention_factor", config->attention_factor, error);
        check_optional_factor("scaling_factor", config->scaling_factor, error);
    }
    check_range("number of stop ids", config->n_stop_ids, 0, QINS_MAX_STOP_IDS, error);
    for (size_t i = 0; i < config->n_stop_ids && error->status == QINS_OK; i++) {
        if (config->stop_ids[i] < 0 || (size_t)config->stop_ids[i] >= config->vocab_size)
            qins_fail(error, QINS_BAD_MODEL, "stop id %d is outside the vocabulary of %zu", config->stop_ids[i],
                      config->vocab_size);
    }
    return error->status;
}

static void add_factors(qins_json *object, const char *key, const double *factors, size_t count, qins_error *error) {
    qins_json *array = qins_json_add_array(object, key, error);
    for (size_t i = 0; i < count; i++) qins_json_append_number(array, factors[i], error);
}

// The size_t fields of the header's "config", in the order in which they are written.
static const struct size_field {
    const char *key;
    size_t offset;
} size_fields[] = {
    {"n_layers", offsetof(qins_config, n_layers)},     {"hidden_dim", offsetof(qins_config, hidden_dim)},
    {"ffn_dim", offsetof(qins_config, ffn_dim)},       {"n_heads", offsetof(qins_config, n_heads)},
    {"n_kv_heads", offsetof(qins_config, n_kv_heads)}, {"head_dim", offsetof(qins_config, head_dim)},
    {"vocab_size", offsetof(qins_config, vocab_size)}, {"max_positions", offsetof(qins_config, max_positions)},
    {"rope_dim", offsetof(qins_config, rope_dim)},
};
enum { N_SIZE_FIELDS = sizeof size_fields / sizeof size_fields[0] };

void qins_config_to_json(const qins_config *config, qins_json *object, qins_error *error) {
    for (int i = 0; i < N_SIZE_FIELDS; i++) {
        size_t value;
        memcpy(&value, (const char *)config + size_fields[i].offset, sizeof value);
        qins_json_add_number(object, size_fields[i].key, (double)value, error);
    }
    if (config->window > 0) qins_json_add_number(object, "window", (double)config->window, error);
    qins_json_add_number(object, "rms_eps", config->rms_eps, error);
    qins_json_add_bool(object, "tied_head", config->tied_head, error);
    qins_json_add_number(object, "rope_base", config->rope_base, error);
    if (config->rope == QINS_ROPE_LONG) {
        qins_json *rope = qins_json_add_object(object, "longrope", error);
        qins_json_add_number(rope, "original_positions", (double)config->original_positions, error);
        if (config->attention_factor > 0)
            qins_json_add_number(rope, "attention_factor", config->attention_factor, error);
        if (config->scaling_factor > 0) qins_json_add_number(rope, "scaling_factor", config->scaling_factor, error);
        add_factors(rope, "short_factor", config->short_factor, config->rope_dim / 2, error);
        add_factors(rope, "long_factor", config->long_factor, config->rope_dim / 2, error);
    }
    qins_json *stops = qins_json_add_array(object, "stop_ids", error);
    for (size_t i = 0; i < config->n_stop_ids; i++) qins_json_append_number(stops, config->stop_ids[i], error);
}

void qins_config_factors(double *factors, size_t count, const qins_json *object, const char *key, qins_error *error) {
    const qins_json *array = qins_json_get(object, key);
    if (!qins_json_is_array(array) || qins_json_count(array) != count) {
        qins_fail(error, QINS_BAD_MODEL, "\"%s\" must be an array of %zu numbers, one for each rotated pair", key,
                  count);
        return;
    }
    const qins_json *item = qins_json_first(array);
    for (size_t i = 0; i < count; i++, item = qins_json_next(item)) {
        if (!qins_json_number(item, &factors[i]))
            qins_fail(error, QINS_BAD_MODEL, "\"%s\"[%zu] is not a number", key, i);
    }
}

static void read_longrope(qins_config *config, const qins_json *rope, qins_error *error) {
    config->rope = QINS_ROPE_LONG;
    config->original_positions =
        (size_t)qins_json_get_integer(rope, "original_positions", 2, MAX_POSITIONS, QINS_BAD_MODEL, error);
    config->attention_factor = qins_json_get_number_or(rope, "attention_factor", 0, 1e6, 0, QINS_BAD_MODEL, error);
    config->scaling_factor = qins_json_get_number_or(rope, "scaling_factor", 0, 1e6, 0, QINS_BAD_MODEL, error);
    if (config->rope_dim > QINS_MAX_HEAD_DIM) return; // qins_config_check will say so
    qins_config_factors(config->short_factor, config->rope_dim / 2, rope, "short_factor", error);
    qins_config_factors(config->long_factor, config->rope_dim / 2, rope, "long_factor", error);
}

qins_status qins_config_from_json(qins_config *config, const qins_json *object, qins_error *error) {
    *config = (qins_config){0};
    for (int i = 0; i < N_SIZE_FIELDS; i++) {
        size_t value =
            (size_t)qins_json_get_integer(object, size_fields[i].key, 0, MAX_POSITIONS, QINS_BAD_MODEL, error);
        memcpy((char *)config + size_fields[i].offset, &value, sizeof value);
    }
    config->window = (size_t)qins_json_get_integer_or(object, "window", 1, MAX_POSITIONS, 0, QINS_BAD_MODEL, error);
    config->rms_eps = qins_json_get_number(object, "rms_eps", 0, 1, QINS_BAD_MODEL, error);
    config->tied_head = qins_json_get_bool(object, "tied_head", QINS_BAD_MODEL, error);
    config->rope_base = qins_json_get_number(object, "rope_base", 0, 1e12, QINS_BAD_MODEL, error);
    const qins_json *rope = qins_json_get(object, "longrope");
    if (rope != NULL && error->status == QINS_OK) read_longrope(config, rope, error);
    const qins_json *stops = qins_json_get(object, "stop_ids");
    if (!qins_json_is_array(stops)) qins_fail(error, QINS_BAD_MODEL, "\"stop_ids\" must be an array of token ids");
    for (const qins_json *item = qins_json_first(stops); item != NULL; item = qins_json_next(item)) {
        int64_t id;
        if (!qins_json_integer(item, &id) || id < 0 || id > MAX_VOCAB || config->n_stop_ids == QINS_MAX_STOP_IDS)
            return qins_fail(error, QINS_BAD_MODEL, "\"stop_ids\" must be at most %d token ids", QINS_MAX_STOP_IDS);
        config->stop_ids[config->n_stop_ids++] = (int32_t)id;
    }
    if (error->status != QINS_OK) return error->status;
    return qins_config_check(config, error);
}
