// Choice of types; see type_plan.h.
#include "convert/type_plan.h"

#include "convert/safetensors.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

// Bits per weight of the layers from which on a head of 8 bits is worth its bytes: about those of qins6.
static const double BITS_OF_A_FINE_BODY = 6.0;

qins_type qins_plan_type(const qins_convert_options *options, qins_role role, qins_type source) {
    if (role == QINS_ROLE_EMBEDDING || role == QINS_ROLE_NORM) return source;
    if (role != QINS_ROLE_HEAD) return options->weight_type;
    if (options->plan_bits > 0) return options->plan_bits < BITS_OF_A_FINE_BODY ? QINS_QINS6 : QINS_QINS8;
    switch (options->weight_type) {
    case QINS_F32:
        return QINS_F32;
    case QINS_QINS6:
        return QINS_QINS8;
    case QINS_QINS5:
    case QINS_QINS4:
        return QINS_QINS6;
    default:
        return source == QINS_F32 ? QINS_BF16 : source;
    }
}

// The role that determines a tensor's type: for an embedding that is also the head, the head's.
static qins_role deciding_role(const qins_config *config, qins_role role) {
    return role == QINS_ROLE_EMBEDDING && config->tied_head ? QINS_ROLE_HEAD : role;
}

static bool fits(const qins_type_rule *rule, const qins_config *config, const qins_tensor_spec *spec) {
    const char *const names[] = {spec->name, qins_role_name(spec->role),
                                 qins_role_name(deciding_role(config, spec->role))};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (fnmatch(rule->pattern, names[i], 0) == 0) return true;
    return false;
}

bool qins_plan_is_fixed(const qins_convert_options *options, const qins_config *config, const qins_tensor_spec *spec) {
    bool is_fixed = false;
    for (size_t i = 0; i < options->n_rules; i++)
        is_fixed |= fits(&options->rules[i], config, spec) && qins_schema_allows(spec->role, options->rules[i].type);
    return is_fixed;
}

// A rule may match tensors that cannot have its type, along with others that can: the former stay as they are.
static void apply_rule(qins_header *header, const qins_type_rule *rule, qins_error *error) {
    const char *type = qins_types[rule->type].name, *refused = NULL;
    size_t n_applied = 0;
    for (size_t i = 0; i < header->n_tensors; i++) {
        qins_tensor *tensor = &header->tensors[i];
        if (!fits(rule, &header->config, &tensor->spec)) continue;
        if (qins_schema_allows(tensor->spec.role, rule->type)) {
            tensor->type = rule->type;
            n_applied++;
        } else {
            refused = tensor->spec.name;
        }
    }
    if (n_applied > 0) return;
    if (refused != NULL)
        qins_fail(error, QINS_USAGE, "%s=%s: %s cannot be %s; norms are never coded, they can be bf16 or f32",
                  rule->pattern, type, refused, type);
    else
        qins_fail(error, QINS_USAGE,
                  "%s=%s: no tensor matches; a pattern must match the whole name, such as "
                  "'model.layers.*.mlp.down_proj.weight' (--dry-run lists them), or the kind: qkv, output, gate_up, "
                  "down, head, embedding",
                  rule->pattern, type);
}

// A matrix that is both has one type.
static void check_tied_rules(const qins_header *header, const qins_convert_options *options, qins_error *error) {
    const qins_type_rule *last[2] = {NULL, NULL};
    const char *const names[2] = {qins_role_name(QINS_ROLE_EMBEDDING), qins_role_name(QINS_ROLE_HEAD)};
    for (size_t i = 0; i < options->n_rules; i++)
        for (size_t j = 0; j < 2; j++)
            if (strcmp(options->rules[i].pattern, names[j]) == 0) last[j] = &options->rules[i];
    if (header->config.tied_head && last[0] != NULL && last[1] != NULL && last[0]->type != last[1]->type)
        qins_fail(error, QINS_USAGE,
                  "the embedding of this model is its output matrix, too: it cannot be %s (--embedding) and %s "
                  "(--lm-head)",
                  qins_types[last[0]->type].name, qins_types[last[1]->type].name);
}

void qins_plan_types(qins_header *header, const qins_rows *rows, const qins_convert_options *options,
                     qins_error *error) {
    for (size_t i = 0; i < header->n_tensors; i++) {
        qins_tensor *tensor = &header->tensors[i];
        tensor->type = qins_plan_type(options, deciding_role(&header->config, tensor->spec.role), rows[i].type);
        snprintf(tensor->source_type, sizeof tensor->source_type, "%s", qins_safetensors_type_name(rows[i].type));
    }
    check_tied_rules(header, options, error);
    for (size_t i = 0; i < options->n_rules && error->status == QINS_OK; i++)
        apply_rule(header, &options->rules[i], error);
}
