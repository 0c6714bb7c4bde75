// Reading of adapter_config.json; see lora_config.h. Source: peft, tuners/lora/{config,layer,model}.py and
// utils/other.py (get_pattern_key).
#include "convert/lora_config.h"

#include "engine/base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const int64_t DEFAULT_RANK = 8, MAX_RANK = 1 << 20;
static const double DEFAULT_ALPHA = 8, MAX_ALPHA = 1e9;

enum {
    MAX_PATTERNS = 8192, // in a list: one for each module of 1024 layers
    MAX_EXPRESSIONS = 64 // of them those that are more than a name
};

static bool is_set(const qins_json *item) {
    const bool is_container = qins_json_is_object(item) || qins_json_is_array(item);
    return item != NULL && !qins_json_is_false(item) && (!is_container || qins_json_first(item) != NULL);
}

static void check_refusals(const qins_json *config, qins_error *error) {
    static const char *const refused[] = {"use_dora",         "kasa_config",       "monteclora_config",
                                          "velora_config",    "use_qalora",        "use_bdlora",
                                          "lora_bias",        "modules_to_save",   "trainable_token_indices",
                                          "arrow_config",     "target_parameters", "alora_invocation_tokens",
                                          "layer_replication"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (is_set(qins_json_get(config, refused[i])))
            qins_fail(error, QINS_BAD_MODEL,
                      "\"%s\" is set, which is not supported; merge the adapter with peft (merge_and_unload, then "
                      "save_pretrained), and convert that",
                      refused[i]);
    const char *bias = qins_json_text(qins_json_get(config, "bias"));
    if (bias != NULL && strcmp(bias, "none") != 0)
        qins_fail(error, QINS_BAD_MODEL, "\"bias\" is \"%s\"; this model has no biases", bias);
}

// Initializations that subtract the adapter's initial update from the base model.
static void check_initialization(const qins_json *config, qins_error *error) {
    static const char *const changing[] = {"pissa", "olora", "corda", "loftq", "lora_ga", "kasa"};
    const char *way = qins_json_text(qins_json_get(config, "init_lora_weights"));
    for (size_t i = 0; i < sizeof changing / sizeof *changing && way != NULL; i++)
        if (strncmp(way, changing[i], strlen(changing[i])) == 0)
            qins_fail(error, QINS_BAD_MODEL,
                      "\"init_lora_weights\" is \"%s\": the adapter is for a base model that this has changed; save it "
                      "with peft's path_initial_model_for_weight_conversion",
                      way);
}

static qins_status read_patterns(qins_lora_patterns *patterns, const qins_json *list, double max, qins_error *error) {
    size_t n_expressions = 0;
    if (list == NULL) return QINS_OK;
    if (!qins_json_is_object(list)) return qins_fail(error, QINS_BAD_MODEL, "it must be an object");
    for (const qins_json *item = qins_json_first(list); item != NULL; item = qins_json_next(item))
        n_expressions += !qins_lora_pattern_is_name(qins_json_key(item));
    const size_t n = qins_json_count(list);
    if (n > MAX_PATTERNS || n_expressions > MAX_EXPRESSIONS)
        return qins_fail(error, QINS_BAD_MODEL, "it has more than %d patterns, or %d that are not names",
                         (int)MAX_PATTERNS, (int)MAX_EXPRESSIONS);
    patterns->items = qins_alloc(n, sizeof *patterns->items, "patterns", error);
    for (const qins_json *item = qins_json_first(list); item != NULL && error->status == QINS_OK;
         item = qins_json_next(item)) {
        qins_lora_pattern *pattern = &patterns->items[patterns->n++];
        if (qins_lora_pattern_compile(pattern, qins_json_key(item), error) != QINS_OK) break;
        if (!qins_json_number(item, &pattern->value) || !(pattern->value >= 0 && pattern->value <= max))
            qins_fail(error, QINS_BAD_MODEL, "\"%.80s\" must be a number from 0 to %g", pattern->text, max);
    }
    return error->status;
}

static void free_patterns(qins_lora_patterns *patterns) {
    for (size_t i = 0; i < patterns->n; i++) qins_lora_pattern_free(&patterns->items[i]);
    free(patterns->items);
    *patterns = (qins_lora_patterns){0};
}

static void read_pattern_member(qins_lora_patterns *patterns, const qins_json *json, const char *key, double max,
                                qins_error *error) {
    if (error->status != QINS_OK || read_patterns(patterns, qins_json_get(json, key), max, error) == QINS_OK) return;
    qins_error_context(error, "\"%s\"", key);
}

qins_status qins_lora_config_read(qins_lora_config *config, const qins_json *json, const qins_problems *problems,
                                  qins_error *error) {
    *config = (qins_lora_config){0};
    const char *type = qins_json_text(qins_json_get(json, "peft_type"));
    if (type == NULL || strcmp(type, "LORA") != 0)
        qins_fail(error, QINS_BAD_MODEL, "\"peft_type\" is %s; only LORA can be merged",
                  type == NULL ? "missing" : type);
    check_refusals(json, error);
    check_initialization(json, error);
    config->rank = (double)qins_json_get_integer_or(json, "r", 1, MAX_RANK, DEFAULT_RANK, QINS_BAD_MODEL, error);
    config->alpha = qins_json_get_number_or(json, "lora_alpha", 0, MAX_ALPHA, DEFAULT_ALPHA, QINS_BAD_MODEL, error);
    config->is_rslora = qins_json_get_bool_or(json, "use_rslora", false, QINS_BAD_MODEL, error);
    read_pattern_member(&config->ranks, json, "rank_pattern", (double)MAX_RANK, error);
    read_pattern_member(&config->alphas, json, "alpha_pattern", MAX_ALPHA, error);
    if (error->status == QINS_OK && is_set(qins_json_get(json, "fan_in_fan_out")))
        qins_problems_warn(problems, "\"fan_in_fan_out\" applies to another kind of layer and is ignored, as in peft");
    return error->status;
}

void qins_lora_config_free(qins_lora_config *config) {
    free_patterns(&config->ranks);
    free_patterns(&config->alphas);
}

// The value of the first pattern that matches.
static double patterned(const qins_lora_patterns *patterns, const char *module, double fallback) {
    for (size_t i = 0; i < patterns->n; i++)
        if (qins_lora_pattern_matches(&patterns->items[i], module)) return patterns->items[i].value;
    return fallback;
}

qins_status qins_lora_config_module(const qins_lora_config *config, const char *module, int64_t *rank, double *scale,
                                    qins_error *error) {
    const double own_rank = patterned(&config->ranks, module, config->rank);
    const double own_alpha = patterned(&config->alphas, module, config->alpha);
    if (!(own_rank >= 1) || own_rank != floor(own_rank))
        return qins_fail(error, QINS_BAD_MODEL, "the rank of %s must be a positive integer", module);
    *rank = (int64_t)own_rank;
    *scale = own_alpha / (config->is_rslora ? sqrt(own_rank) : own_rank);
    return QINS_OK;
}
