// Reading of config.json; see hf_config.h. Sources: transformers 5, models/{phi3,llama,mistral}/configuration_*.py and
// modeling_*.py, modeling_rope_utils.py (convert_rope_params_to_dict, standardize_rope_params, longrope).
#include "convert/hf_config.h"

#include <string.h>

// Configurations that describe this model, and their values for absent keys.
struct family {
    const char *architecture, *type;
    int64_t vocab, hidden, ffn, layers, heads;
    int64_t kv_heads; // 0: as many as heads
    int64_t positions, eos;
    int64_t window; // where the key is absent; 0: none, NO_WINDOW: the key is not read at all
    double eps;
    bool is_phi; // its own spellings of rotations, and partial ones
};

enum { NO_WINDOW = -1 };

static const struct family families[] = {
    {"Phi3ForCausalLM", "phi3", 32064, 3072, 8192, 32, 32, 0, 4096, 32000, 0, 1e-5, true},
    {"LlamaForCausalLM", "llama", 32000, 4096, 11008, 32, 32, 0, 2048, 2, NO_WINDOW, 1e-6, false},
    {"MistralForCausalLM", "mistral", 32000, 4096, 14336, 32, 32, 8, 131072, 2, 4096, 1e-6, false},
};
enum { N_FAMILIES = sizeof families / sizeof *families };

static const int64_t DEFAULT_ORIGINAL_POSITIONS = 4096; // of Phi3Config
static const double DEFAULT_ROPE_BASE = 10000.0;

static const int64_t MAX_SIZE = INT64_C(1) << 40; // no bound of the model (qins_config_check has those)

static bool contains_text(const qins_json *array, const char *text) {
    for (const qins_json *item = qins_json_first(array); item != NULL; item = qins_json_next(item)) {
        if (qins_json_text(item) != NULL && strcmp(qins_json_text(item), text) == 0) return true;
    }
    return false;
}

// The type takes precedence over the architecture, as in transformers' AutoConfig. NULL and an error: it is another
// model.
static const struct family *find_family(const qins_json *config, qins_error *error) {
    const qins_json *architectures = qins_json_get(config, "architectures");
    const char *type = qins_json_text(qins_json_get(config, "model_type"));
    for (int i = 0; i < N_FAMILIES; i++)
        if (type != NULL && strcmp(type, families[i].type) == 0) return &families[i];
    for (int i = 0; i < N_FAMILIES; i++)
        if (contains_text(architectures, families[i].architecture)) return &families[i];
    const char *first = qins_json_text(qins_json_first(architectures));
    qins_fail(
        error, QINS_BAD_MODEL,
        "the architecture is %s (model_type %s); this program converts Phi3ForCausalLM (model_type phi3), also as "
        "LlamaForCausalLM or MistralForCausalLM",
        first == NULL ? "not given" : first, type == NULL ? "not given" : type);
    return NULL;
}

static bool begins(const char *text, const char *start) {
    return strncmp(text, start, strlen(start)) == 0;
}

// Is it more than the leftovers of a run in fewer bits: an empty object, or bitsandbytes' with its switches off?
static bool quantizes(const qins_json *object, qins_error *error) {
    for (const qins_json *item = qins_json_first(object); item != NULL; item = qins_json_next(item)) {
        const char *key = qins_json_key(item), *text = qins_json_text(item);
        const bool is_method = strcmp(key, "quant_method") == 0 && text != NULL && strcmp(text, "bitsandbytes") == 0;
        const bool is_setting =
            begins(key, "load_in_") || begins(key, "_load_in_") || begins(key, "bnb_4bit_") || begins(key, "llm_int8_");
        if (!is_method && !is_setting) return true;
    }
    return !qins_json_is_object(object) ||
           qins_json_get_bool_or(object, "load_in_4bit", false, QINS_BAD_MODEL, error) ||
           qins_json_get_bool_or(object, "load_in_8bit", false, QINS_BAD_MODEL, error);
}

// Keys that change the model's computation in ways that the engine does not support.
static void check_refusals(const qins_json *config, const qins_problems *problems, qins_error *error) {
    static const char *const objects[] = {"quantization_config", "per_layer_config"};
    static const char *const biases[] = {"attention_bias", "mlp_bias", "lm_head_bias"};
    for (size_t i = 0; i < sizeof objects / sizeof objects[0]; i++) {
        const qins_json *object = qins_json_get(config, objects[i]);
        if (object == NULL) continue;
        if (i == 0 && !quantizes(object, error))
            qins_problems_warn(problems, "config.json has a \"%s\" that quantizes nothing; it is ignored", objects[i]);
        else
            qins_fail(error, QINS_BAD_MODEL,
                      "it has a \"%s\", which is not supported; use the original 16-bit or 32-bit checkpoint",
                      objects[i]);
    }
    for (size_t i = 0; i < sizeof biases / sizeof biases[0]; i++) {
        if (qins_json_get_bool_or(config, biases[i], false, QINS_BAD_MODEL, error))
            qins_fail(error, QINS_BAD_MODEL, "\"%s\" is true; biases are not supported", biases[i]);
    }
    const qins_json *act = qins_json_get(config, "hidden_act");
    const char *name = act == NULL ? "silu" : qins_json_text(act);
    if (name == NULL || (strcmp(name, "silu") != 0 && strcmp(name, "swish") != 0)) // two names of one function
        qins_fail(error, QINS_BAD_MODEL, "\"hidden_act\" is \"%s\"; only silu is supported",
                  name == NULL ? "not a text" : name);
}

static size_t get_size_or(const qins_json *config, const char *key, int64_t fallback, qins_error *error) {
    return (size_t)qins_json_get_integer_or(config, key, 0, MAX_SIZE, fallback, QINS_BAD_MODEL, error);
}

// With window w a position sees the w positions up to itself: one that spans all positions never acts.
// A null means no window, but an absent key means the family's.
static void read_window(qins_config *result, const qins_json *config, const struct family *family, qins_error *error) {
    if (family->window == NO_WINDOW) return;
    static const char key[] = "sliding_window";
    const qins_json *item = qins_json_get(config, key);
    int64_t window = family->window > 0 && !qins_json_has(config, key) ? family->window : INT64_MAX;
    if (item != NULL && (!qins_json_integer(item, &window) || window < 1))
        qins_fail(error, QINS_BAD_MODEL, "\"sliding_window\" must be a positive integer or null");
    else if (window < (int64_t)result->max_positions)
        result->window = (size_t)window;
}

static void read_sizes(qins_config *result, const qins_json *config, const struct family *family, qins_error *error) {
    result->vocab_size = get_size_or(config, "vocab_size", family->vocab, error);
    result->hidden_dim = get_size_or(config, "hidden_size", family->hidden, error);
    result->ffn_dim = get_size_or(config, "intermediate_size", family->ffn, error);
    result->n_layers = get_size_or(config, "num_hidden_layers", family->layers, error);
    result->n_heads = get_size_or(config, "num_attention_heads", family->heads, error);
    if (result->n_heads == 0) qins_fail(error, QINS_BAD_MODEL, "\"num_attention_heads\" is 0");
    const bool has_default = family->kv_heads > 0 && !qins_json_has(config, "num_key_value_heads");
    const int64_t kv_heads = has_default ? family->kv_heads : (int64_t)result->n_heads;
    result->n_kv_heads = get_size_or(config, "num_key_value_heads", kv_heads, error);
    result->max_positions = get_size_or(config, "max_position_embeddings", family->positions, error);
    int64_t head_dim = result->n_heads == 0 ? 0 : (int64_t)(result->hidden_dim / result->n_heads);
    result->head_dim = get_size_or(config, "head_dim", head_dim, error);
    result->rms_eps = qins_json_get_number_or(config, "rms_norm_eps", 0, 1, family->eps, QINS_BAD_MODEL, error);
    result->tied_head = qins_json_get_bool_or(config, "tie_word_embeddings", false, QINS_BAD_MODEL, error);
}

// The object that holds the rotation's parameters, NULL if there is none: rope_scaling (until transformers 4) takes
// precedence over rope_parameters, unless it is empty.
static const qins_json *rope_object(const qins_json *config, const char **name, qins_error *error) {
    static const char *const names[] = {"rope_scaling", "rope_parameters"};
    for (int i = 0; i < 2; i++) {
        const qins_json *object = qins_json_get(config, names[i]);
        if (object != NULL && !qins_json_is_object(object))
            qins_fail(error, QINS_BAD_MODEL, "\"%s\" must be an object or null", names[i]);
        if (qins_json_first(object) == NULL) continue;
        *name = names[i];
        return object;
    }
    return NULL;
}

static void check_rope_keys(const qins_json *rope, const char *name, qins_error *error) {
    static const char *const known[] = {"type",
                                        "rope_type",
                                        "short_factor",
                                        "long_factor",
                                        "factor",
                                        "attention_factor",
                                        "rope_theta",
                                        "partial_rotary_factor",
                                        "original_max_position_embeddings"};
    for (const qins_json *item = qins_json_first(rope); item != NULL && error->status == QINS_OK;
         item = qins_json_next(item)) {
        bool found = qins_json_is_null(item); // null says nothing
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) found |= strcmp(qins_json_key(item), known[i]) == 0;
        if (!found)
            qins_fail(error, QINS_BAD_MODEL,
                      "\"%s\" has the key \"%s\", which is not supported and may change the result", name,
                      qins_json_key(item));
    }
}

// rope_type takes precedence over type; "su" and "yarn" are old spellings of longrope in Phi's configurations.
static qins_rope_kind rope_kind(const qins_json *rope, const char *name, const struct family *family,
                                qins_error *error) {
    static const char *const long_names[] = {"longrope", "su", "yarn"};
    const size_t n_names = family->is_phi ? sizeof long_names / sizeof *long_names : 1;
    const qins_json *item = qins_json_get(rope, "rope_type");
    if (item == NULL) item = qins_json_get(rope, "type");
    const char *type = item == NULL ? "default" : qins_json_text(item);
    for (size_t i = 0; type != NULL && i < n_names; i++) {
        if (strcmp(type, long_names[i]) == 0) return QINS_ROPE_LONG;
    }
    if (type == NULL || strcmp(type, "default") != 0)
        qins_fail(error, QINS_BAD_MODEL, "\"%s\" has the type \"%s\"; default and longrope are supported", name,
                  type == NULL ? "not a text" : type);
    return QINS_ROPE_PLAIN;
}

// An optional positive number, 0 when absent: 0 itself would be taken for "absent" from here on.
static double positive_or_absent(const qins_json *rope, const char *key, qins_error *error) {
    double value = qins_json_get_number_or(rope, key, 0, 1e6, 0, QINS_BAD_MODEL, error);
    if (qins_json_get(rope, key) != NULL && !(value > 0))
        qins_fail(error, QINS_BAD_MODEL, "\"%s\" must be positive", key);
    return value;
}

// In Phi3Config the top level's number, or its default, overrides one inside the object; the others have no default.
static size_t original_positions(const qins_config *result, const qins_json *config, const qins_json *rope,
                                 const struct family *family, qins_error *error) {
    static const char key[] = "original_max_position_embeddings";
    const int64_t inner = (int64_t)get_size_or(rope, key, (int64_t)result->max_positions, error);
    return get_size_or(config, key, family->is_phi ? DEFAULT_ORIGINAL_POSITIONS : inner, error);
}

static void read_rope(qins_config *result, const qins_json *config, const struct family *family, qins_error *error) {
    const char *name = "rope_scaling";
    const qins_json *rope = rope_object(config, &name, error);
    check_rope_keys(rope, name, error);
    result->rope = rope_kind(rope, name, family, error);
    // The top level has the values that the object lacks.
    double base = qins_json_get_number_or(config, "rope_theta", 0, 1e12, DEFAULT_ROPE_BASE, QINS_BAD_MODEL, error);
    result->rope_base = qins_json_get_number_or(rope, "rope_theta", 0, 1e12, base, QINS_BAD_MODEL, error);
    double part = qins_json_get_number_or(config, "partial_rotary_factor", 0, 1, 1, QINS_BAD_MODEL, error);
    part = qins_json_get_number_or(rope, "partial_rotary_factor", 0, 1, part, QINS_BAD_MODEL, error);
    if (part != 1 && !family->is_phi)
        qins_fail(error, QINS_BAD_MODEL, "\"partial_rotary_factor\" is %g, which %s does not have", part,
                  family->architecture);
    result->rope_dim = (size_t)((double)result->head_dim * part);
    if (result->rope != QINS_ROPE_LONG || error->status != QINS_OK) return;

    result->original_positions = original_positions(result, config, rope, family, error);
    result->attention_factor = positive_or_absent(rope, "attention_factor", error);
    result->scaling_factor = positive_or_absent(rope, "factor", error);
    if (result->rope_dim > QINS_MAX_HEAD_DIM) return; // qins_config_check will say so
    qins_config_factors(result->short_factor, result->rope_dim / 2, rope, "short_factor", error);
    qins_config_factors(result->long_factor, result->rope_dim / 2, rope, "long_factor", error);
    qins_error_context(error, "\"%s\"", name);
}

static void add_stop_id(qins_config *result, const qins_json *item, qins_error *error) {
    int64_t id;
    if (!qins_json_integer(item, &id)) {
        qins_fail(error, QINS_BAD_MODEL, "\"eos_token_id\" must be a token id or a list of them");
        return;
    }
    if (id < 0 || (uint64_t)id >= result->vocab_size) return; // no logit, so it never comes up
    for (size_t i = 0; i < result->n_stop_ids; i++) {
        if (result->stop_ids[i] == id) return;
    }
    if (result->n_stop_ids == QINS_MAX_STOP_IDS)
        qins_fail(error, QINS_BAD_MODEL, "\"eos_token_id\" has more than %d ids", QINS_MAX_STOP_IDS);
    else
        result->stop_ids[result->n_stop_ids++] = (int32_t)id;
}

// generation_config.json decides; config.json where it says nothing.
static void read_stop_ids(qins_config *result, const qins_json *eos, const struct family *family, qins_error *error) {
    if (eos == NULL) {
        if ((uint64_t)family->eos < result->vocab_size) result->stop_ids[result->n_stop_ids++] = (int32_t)family->eos;
    } else if (!qins_json_is_array(eos)) {
        add_stop_id(result, eos, error);
    }
    if (qins_json_is_array(eos)) {
        for (const qins_json *item = qins_json_first(eos); item != NULL && error->status == QINS_OK;
             item = qins_json_next(item))
            add_stop_id(result, item, error);
    }
}

qins_status qins_hf_config_read(qins_config *result, const qins_json *config, const qins_json *generation,
                                const qins_problems *problems, qins_error *error) {
    *result = (qins_config){0};
    const struct family *family = find_family(config, error);
    if (family == NULL) return qins_error_context(error, "%s/config.json", problems->folder);
    check_refusals(config, problems, error);
    read_sizes(result, config, family, error);
    read_window(result, config, family, error);
    read_rope(result, config, family, error);
    const bool is_in_config = qins_json_get(generation, "eos_token_id") == NULL;
    if (is_in_config) read_stop_ids(result, qins_json_get(config, "eos_token_id"), family, error);
    if (error->status == QINS_OK) qins_config_check(result, error);
    if (qins_error_context(error, "%s/config.json", problems->folder) != QINS_OK || is_in_config) return error->status;
    read_stop_ids(result, qins_json_get(generation, "eos_token_id"), family, error);
    return qins_error_context(error, "%s/generation_config.json", problems->folder);
}
