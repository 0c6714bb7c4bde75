// Reading of adapter_config.json; see lora_config.h. Source: peft, tuners/lora/{config,layer,model}.py and
// utils/other.py (get_pattern_key).
#include "convert/lora_config.h"

#include <math.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>

static const int64_t DEFAULT_RANK = 8, MAX_RANK = 1 << 20;
static const double DEFAULT_ALPHA = 8, MAX_ALPHA = 1e9;

enum {
    MAX_MEMBERS = 1024,  // of the file, each looked at for each module
    MAX_PATTERN = 256,   // bytes
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

// Ways to begin training that take what the adapter starts with out of the base model.
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

// Nothing but the name of a module or its end.
static bool is_name(const char *pattern) {
    return strspn(pattern, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.") == strlen(pattern);
}

// As the expression does, in which a dot is any character.
static bool ends_with_name(const char *module, const char *name) {
    const size_t length = strlen(module), name_length = strlen(name);
    if (name_length > length) return false;
    const char *end = module + length - name_length;
    if (name_length < length && end[-1] != '.') return false;
    for (size_t i = 0; i < name_length; i++)
        if (name[i] != '.' && name[i] != end[i]) return false;
    return true;
}

// A group that is repeated, which regcomp copies: in groups in groups, without end.
static bool repeats_group(const char *pattern) {
    for (const char *close = strchr(pattern, ')'); close != NULL; close = strchr(close + 1, ')'))
        if (close[1] != '\0' && strchr("*+?", close[1]) != NULL) return true;
    return false;
}

// Does the module's whole name, or its end after a dot, match? A pattern is what Python's re and POSIX have in common.
static bool matches(const char *pattern, const char *module, qins_error *error) {
    if (is_name(pattern)) return ends_with_name(module, pattern);
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.*+?()|[]^$";
    char text[MAX_PATTERN + 16];
    regex_t regex;
    bool is_known = strlen(pattern) <= MAX_PATTERN && strstr(pattern, "(?") == NULL && !repeats_group(pattern);
    for (const char *at = pattern; *at != '\0' && is_known; at++) {
        is_known =
            strchr(allowed, *at) != NULL || (*at == '\\' && at[1] != '\0' && strchr(".*+?()|[]^$-", at[1]) != NULL);
        at += *at == '\\';
    }
    snprintf(text, sizeof text, pattern[0] == '^' ? "%s" : "^(.*\\.)?(%s)$", pattern);
    const int failure = is_known ? regcomp(&regex, text, REG_EXTENDED | REG_NOSUB) : REG_BADPAT;
    if (failure == REG_ESPACE) qins_fail(error, QINS_FAILED, "out of memory for the pattern \"%s\"", pattern);
    if (failure != 0) {
        qins_fail(error, QINS_BAD_MODEL, "the pattern \"%s\" is not understood; merge the adapter with peft", pattern);
        return false;
    }
    const bool is_match = regexec(&regex, module, 0, NULL, 0) == 0;
    regfree(&regex);
    return is_match;
}

static void check_patterns(const qins_json *patterns, const char *key, qins_error *error) {
    size_t n_expressions = 0;
    if (patterns != NULL && !qins_json_is_object(patterns))
        qins_fail(error, QINS_BAD_MODEL, "\"%s\" must be an object", key);
    for (const qins_json *item = qins_json_first(patterns); item != NULL; item = qins_json_next(item))
        n_expressions += !is_name(qins_json_key(item));
    if (qins_json_count(patterns) > MAX_PATTERNS || n_expressions > MAX_EXPRESSIONS)
        qins_fail(error, QINS_BAD_MODEL, "\"%s\" has more than %d patterns, or %d that are not names", key,
                  (int)MAX_PATTERNS, (int)MAX_EXPRESSIONS);
}

qins_status qins_lora_config_check(const qins_json *config, const qins_problems *problems, qins_error *error) {
    const char *type = qins_json_text(qins_json_get(config, "peft_type"));
    if (type == NULL || strcmp(type, "LORA") != 0)
        qins_fail(error, QINS_BAD_MODEL, "\"peft_type\" is %s; only LORA can be merged",
                  type == NULL ? "missing" : type);
    if (qins_json_count(config) > MAX_MEMBERS)
        qins_fail(error, QINS_BAD_MODEL, "it has more than %d members", (int)MAX_MEMBERS);
    check_refusals(config, error);
    check_initialization(config, error);
    check_patterns(qins_json_get(config, "rank_pattern"), "rank_pattern", error);
    check_patterns(qins_json_get(config, "alpha_pattern"), "alpha_pattern", error);
    if (is_set(qins_json_get(config, "fan_in_fan_out")))
        qins_problems_warn(problems, "\"fan_in_fan_out\" is for another kind of layers and is passed over, as in peft");
    return error->status;
}

// The value of the first pattern that fits.
static double patterned(const qins_json *config, const char *key, const char *module, double fallback, double max,
                        qins_error *error) {
    const qins_json *patterns = qins_json_get(config, key);
    for (const qins_json *item = qins_json_first(patterns); item != NULL && error->status == QINS_OK;
         item = qins_json_next(item)) {
        if (!matches(qins_json_key(item), module, error)) continue;
        const double value = qins_json_get_number_or(patterns, qins_json_key(item), 0, max, 0, QINS_BAD_MODEL, error);
        qins_error_context(error, "\"%s\"", key);
        return value;
    }
    qins_error_context(error, "\"%s\"", key);
    return fallback;
}

qins_status qins_lora_config_module(const qins_json *config, const char *module, int64_t *rank, double *scale,
                                    qins_error *error) {
    const int64_t r = qins_json_get_integer_or(config, "r", 1, MAX_RANK, DEFAULT_RANK, QINS_BAD_MODEL, error);
    const double alpha =
        qins_json_get_number_or(config, "lora_alpha", 0, MAX_ALPHA, DEFAULT_ALPHA, QINS_BAD_MODEL, error);
    const double own_rank = patterned(config, "rank_pattern", module, (double)r, (double)MAX_RANK, error);
    const double own_alpha = patterned(config, "alpha_pattern", module, alpha, MAX_ALPHA, error);
    const bool is_root = qins_json_get_bool_or(config, "use_rslora", false, QINS_BAD_MODEL, error);
    if (!(own_rank >= 1) || own_rank != floor(own_rank))
        qins_fail(error, QINS_BAD_MODEL, "the rank of %s must be a positive integer", module);
    if (error->status != QINS_OK) return error->status;
    *rank = (int64_t)own_rank;
    *scale = own_alpha / (is_root ? sqrt(own_rank) : own_rank);
    return QINS_OK;
}
