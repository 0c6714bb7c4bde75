// Matching of tensors and choice of types; see plan.h.
#include "convert/plan.h"

#include "engine/base/memory.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Bits a weight of the layers from which a head of 8 bits is worth its bytes: about those of qins6.
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

static bool ends_with(const char *text, const char *suffix) {
    size_t length = strlen(text), suffix_length = strlen(suffix);
    return length >= suffix_length && strcmp(text + length - suffix_length, suffix) == 0;
}

// Tensors that checkpoints carry although the model does not need them: a copy of the embedding as a tied head, and
// the rotation's frequencies, which follow from the configuration.
static bool ignorable(const qins_config *config, const char *name) {
    return (config->tied_head && strcmp(name, "lm_head.weight") == 0) || ends_with(name, ".rotary_emb.inv_freq");
}

static void shape_problem(const qins_tensor_spec *spec, const qins_source_tensor *source, qins_problems *problems) {
    char found[128], expected[64];
    const size_t shape[2] = {spec->rows, spec->cols};
    const bool vector = spec->role == QINS_ROLE_NORM;
    qins_shape_print(found, sizeof found, source->shape, source->rank);
    qins_shape_print(expected, sizeof expected, vector ? shape + 1 : shape, vector ? 1 : 2);
    qins_problems_add(problems, "tensor %s: shape %s found, %s expected", spec->name, found, expected);
}

static bool shape_fits(const qins_tensor_spec *spec, const qins_source_tensor *source) {
    if (spec->role == QINS_ROLE_NORM) return source->rank == 1 && source->shape[0] == spec->cols;
    return source->rank == 2 && source->shape[0] == spec->rows && source->shape[1] == spec->cols;
}

// What decides on a tensor's type: of an embedding that is the head, too, that it is the head.
static qins_role deciding_role(const qins_config *config, qins_role role) {
    return role == QINS_ROLE_EMBEDDING && config->tied_head ? QINS_ROLE_HEAD : role;
}

static void match_tensor(qins_header *header, size_t index, const qins_source_tensor *source,
                         const qins_convert_options *options, qins_problems *problems) {
    qins_tensor *tensor = &header->tensors[index];
    if (source == NULL) {
        qins_problems_add(problems, "tensor %s: missing", tensor->spec.name);
        return;
    }
    if (!shape_fits(&tensor->spec, source)) shape_problem(&tensor->spec, source, problems);
    if (!source->dtype->readable) {
        qins_problems_add(problems, "tensor %s: dtype %s cannot be converted (BF16, F16 and F32 can)",
                          tensor->spec.name, source->dtype->name);
        return;
    }
    tensor->type = qins_plan_type(options, deciding_role(&header->config, tensor->spec.role), source->dtype->type);
    memcpy(tensor->source_type, source->dtype->name, strlen(source->dtype->name) + 1);
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

// A rule may fit tensors that cannot have its type beside others that can: those stay as they are.
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
        qins_fail(
            error, QINS_USAGE,
            "%s=%s: no tensor fits; a pattern is for the whole name, such as "
            "'model.layers.*.mlp.down_proj.weight' (--dry-run lists them), or for the kind: qkv, output, gate_up, "
            "down, head, embedding",
            rule->pattern, type);
}

void qins_plan_match(qins_header *header, const qins_source_tensor **sources, const qins_checkpoint *checkpoint,
                     const qins_convert_options *options, qins_problems *problems, qins_error *error) {
    bool *used = qins_alloc(checkpoint->n_tensors, sizeof *used, "list of tensors", error);
    if (used == NULL) return;
    for (size_t i = 0; i < header->n_tensors; i++) {
        sources[i] = qins_checkpoint_find(checkpoint, header->tensors[i].spec.name);
        if (sources[i] != NULL) used[sources[i] - checkpoint->tensors] = true;
        match_tensor(header, i, sources[i], options, problems);
    }
    for (size_t i = 0; i < checkpoint->n_tensors; i++) {
        const char *name = checkpoint->tensors[i].name;
        bool duplicate = i > 0 && strcmp(checkpoint->tensors[i - 1].name, name) == 0; // named by the checkpoint already
        duplicate |= i + 1 < checkpoint->n_tensors && strcmp(checkpoint->tensors[i + 1].name, name) == 0;
        if (!used[i] && !duplicate && !ignorable(&header->config, name))
            qins_problems_add(problems, "tensor %s: not part of this model (in %s)", name,
                              checkpoint->shards[checkpoint->tensors[i].shard].name);
    }
    free(used);
    for (size_t i = 0; i < options->n_rules && problems->count == 0 && error->status == QINS_OK; i++)
        apply_rule(header, &options->rules[i], error);
}
