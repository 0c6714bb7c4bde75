// Matching of tensors by their names; see match.h.
#include "convert/match.h"

#include "engine/base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const qkv_names[] = {"q_proj", "k_proj", "v_proj"}, *const gate_up_names[] = {"gate_proj",
                                                                                                 "up_proj"};

// The parts' names stand where the tensor's own stands in the whole name.
static void name_parts(qins_part *parts, size_t n, const qins_tensor_spec *spec, const char *own,
                       const char *const *names) {
    const char *at = strstr(spec->name, own);
    for (size_t i = 0; i < n; i++)
        snprintf(parts[i].name, sizeof parts[i].name, "%.*s%s%s", (int)(at - spec->name), spec->name, names[i],
                 at + strlen(own));
    for (size_t i = 1; i < n; i++) parts[i].first = parts[i - 1].first + parts[i - 1].rows;
}

size_t qins_match_parts(qins_part parts[QINS_MAX_PIECES], const qins_config *config, const qins_tensor_spec *spec) {
    const size_t q_rows = qins_config_q_dim(config), kv_rows = config->n_kv_heads * config->head_dim;
    if (spec->role == QINS_ROLE_QKV) {
        parts[0] = (qins_part){.rows = q_rows};
        parts[1] = parts[2] = (qins_part){.rows = kv_rows};
        name_parts(parts, 3, spec, "qkv_proj", qkv_names);
        return 3;
    }
    if (spec->role == QINS_ROLE_GATE_UP) {
        parts[0] = parts[1] = (qins_part){.rows = config->ffn_dim};
        name_parts(parts, 2, spec, "gate_up_proj", gate_up_names);
        return 2;
    }
    parts[0] = (qins_part){.rows = spec->rows};
    memcpy(parts[0].name, spec->name, sizeof parts[0].name);
    return 1;
}

struct match {
    const qins_header *header;
    const qins_checkpoint *checkpoint;
    bool *used;                           // owned, [checkpoint->n_tensors]
    const qins_source_tensor *unreadable; // the first of an unreadable dtype
    size_t n_unreadable;
    qins_problems *problems;
};

static const char embedding_name[] = "model.embed_tokens.weight", head_name[] = "lm_head.weight";

static const qins_source_tensor *find(struct match *match, const char *name) {
    const qins_source_tensor *tensor = qins_checkpoint_find(match->checkpoint, name);
    if (tensor != NULL) match->used[tensor - match->checkpoint->tensors] = true;
    return tensor;
}

static void check_shape(const struct match *match, const qins_source_tensor *source, bool is_vector, size_t rows,
                        size_t cols) {
    const size_t shape[2] = {rows, cols}, rank = is_vector ? 1 : 2, *wanted = is_vector ? shape + 1 : shape;
    if (source->rank == rank && memcmp(source->shape, wanted, rank * sizeof *wanted) == 0) return;
    char found[128], expected[64];
    qins_shape_print(found, sizeof found, source->shape, source->rank);
    qins_shape_print(expected, sizeof expected, wanted, rank);
    qins_problems_add(match->problems, "tensor %s: shape %s found, %s expected", source->stored, found, expected);
}

// A tensor of the model, or a part of one, that is in the checkpoint.
static bool check_source(struct match *match, const qins_source_tensor *source, const qins_tensor_spec *spec,
                         size_t rows) {
    check_shape(match, source, spec->role == QINS_ROLE_NORM, rows, spec->cols);
    if (source->dtype->readable) return true;
    if (match->n_unreadable++ == 0) match->unreadable = source;
    return false;
}

// One line, as all tensors may have it.
static void report_unreadable(const struct match *match) {
    const qins_source_tensor *first = match->unreadable;
    if (match->n_unreadable == 1)
        qins_problems_add(match->problems, "tensor %s: dtype %s cannot be converted (BF16, F16 and F32 can)",
                          first->stored, first->dtype->name);
    else if (match->n_unreadable > 1)
        qins_problems_add(match->problems,
                          "tensor %s: dtype %s cannot be converted (BF16, F16 and F32 can), nor can those of %zu more",
                          first->stored, first->dtype->name, match->n_unreadable - 1);
}

static void add_piece(qins_rows *rows, const struct match *match, const qins_source_tensor *source, size_t first,
                      size_t n) {
    rows->pieces[rows->n_pieces++] =
        (qins_piece){.weights = qins_checkpoint_place(match->checkpoint, source), .first = first, .rows = n};
}

// Its parts are in the checkpoint by names of their own; if none is, the tensor itself is missing.
static void match_parts(struct match *match, qins_rows *rows, const qins_tensor_spec *spec, const qins_part *parts,
                        size_t n) {
    const qins_source_tensor *sources[QINS_MAX_PIECES];
    size_t n_found = 0;
    for (size_t i = 0; i < n; i++) n_found += (sources[i] = find(match, parts[i].name)) != NULL;
    if (n_found == 0) qins_problems_add(match->problems, "tensor %s: missing", spec->name);
    for (size_t i = 0; i < n && n_found > 0; i++) {
        if (sources[i] == NULL)
            qins_problems_add(match->problems, "tensor %s: missing", parts[i].name);
        else if (check_source(match, sources[i], spec, parts[i].rows))
            add_piece(rows, match, sources[i], 0, parts[i].rows);
    }
}

qins_type qins_match_type(const qins_rows *rows) {
    qins_type type = rows->pieces[0].weights.type;
    for (size_t i = 0; i < rows->n_pieces; i++)
        if (rows->pieces[i].weights.type != type || rows->pieces[i].update.rank > 0) type = QINS_F32;
    return type;
}

static void match_tensor(struct match *match, qins_rows *rows, const qins_tensor_spec *spec) {
    qins_part parts[QINS_MAX_PIECES];
    const size_t n = qins_match_parts(parts, &match->header->config, spec);
    const qins_source_tensor *whole = find(match, spec->name);
    if (whole == NULL && spec->role == QINS_ROLE_EMBEDDING && match->header->config.tied_head)
        whole = find(match, head_name); // which is stored for both
    *rows = (qins_rows){.rows = spec->rows, .cols = spec->cols};
    if (whole == NULL)
        match_parts(match, rows, spec, parts, n);
    else if (check_source(match, whole, spec, spec->rows))
        for (size_t i = 0; i < n; i++) add_piece(rows, match, whole, parts[i].first, parts[i].rows);
    if (rows->n_pieces > 0) rows->type = qins_match_type(rows);
}

static bool ends_with(const char *text, const char *suffix) {
    size_t length = strlen(text), suffix_length = strlen(suffix);
    return length >= suffix_length && strcmp(text + length - suffix_length, suffix) == 0;
}

// The head that trl adds to a model for reinforcement learning; it has no part in the model's output.
static bool is_of_value_head(const char *name) {
    return strncmp(name, "v_head.", strlen("v_head.")) == 0;
}

// Tensors that checkpoints carry although the model does not need them: a copy of the embedding as a tied head, and
// the rotation's frequencies, which follow from the configuration.
static bool ignorable(const qins_config *config, const char *name) {
    return (config->tied_head && strcmp(name, head_name) == 0) || ends_with(name, ".rotary_emb.inv_freq") ||
           is_of_value_head(name);
}

static void report_unknown(struct match *match) {
    qins_kind kinds[] = {
        {.mark = ".bias", .what = "a bias, which this model does not have"},
        {.mark = ".lora_",
         .what =
             "part of a LoRA adapter that is not merged; merge it (peft: merge_and_unload), and save the model again"},
    };
    const size_t n_kinds = sizeof kinds / sizeof *kinds;
    const qins_checkpoint *checkpoint = match->checkpoint;
    bool has_value_head = false;
    for (size_t i = 0; i < checkpoint->n_tensors; i++) {
        const qins_source_tensor *tensor = &checkpoint->tensors[i];
        has_value_head |= is_of_value_head(tensor->name);
        bool is_known = match->used[i] || ignorable(&match->header->config, tensor->name);
        is_known |= i > 0 && strcmp(tensor[-1].name, tensor->name) == 0; // stored twice, which has been reported
        is_known |= i + 1 < checkpoint->n_tensors && strcmp(tensor[1].name, tensor->name) == 0;
        if (!is_known && !qins_kinds_take(kinds, n_kinds, tensor->stored))
            qins_problems_add(match->problems, "tensor %s: not part of this model (in %s)", tensor->stored,
                              checkpoint->shards[tensor->shard].name);
    }
    qins_kinds_report(kinds, n_kinds, match->problems);
    if (has_value_head) qins_problems_warn(match->problems, "the value head of trl (v_head) is ignored");
}

void qins_match_untie(const qins_checkpoint *checkpoint, qins_config *config, const qins_problems *problems,
                      qins_error *error) {
    const qins_source_tensor *head = qins_checkpoint_find(checkpoint, head_name);
    const qins_source_tensor *embedding = qins_checkpoint_find(checkpoint, embedding_name);
    if (!config->tied_head || head == NULL || embedding == NULL) return;
    const qins_stored a = qins_checkpoint_place(checkpoint, head), b = qins_checkpoint_place(checkpoint, embedding);
    config->tied_head = head->bytes == embedding->bytes && qins_stored_equal(&a, &b, head->bytes, error);
    if (!config->tied_head && error->status == QINS_OK)
        qins_problems_warn(problems,
                           "%s differs from %s, so both are kept, as transformers 5 does, although config.json ties "
                           "them",
                           head->stored, embedding->stored);
}

// Are the layers there under other names altogether? One line says so, in place of one for every tensor.
static bool report_strangers(struct match *match) {
    static const char first_norm[] = "layers.0.input_layernorm.weight";
    const qins_checkpoint *checkpoint = match->checkpoint;
    const char *prefixed = NULL;
    for (size_t i = 0; i < checkpoint->n_tensors; i++) {
        const char *name = checkpoint->tensors[i].name;
        if (strncmp(name, "model.layers.", 13) == 0) return false;
        if (ends_with(name, first_norm)) prefixed = name;
    }
    if (prefixed != NULL)
        qins_problems_add(
            match->problems,
            "the names of all tensors of the layers begin with \"%.*s\", where \"model.\" is expected (such as "
            "%s); save the model itself with transformers' save_pretrained, without what is around it",
            (int)(strlen(prefixed) - sizeof first_norm + 1), prefixed, prefixed);
    else
        qins_problems_add(match->problems,
                          "none of the layers is here; the names of the tensors are those of another model or "
                          "program (such as %s)",
                          checkpoint->n_tensors > 0 ? checkpoint->tensors[0].stored : "none");
    return true;
}

void qins_match_tensors(const qins_header *header, qins_rows *rows, const qins_checkpoint *checkpoint,
                        qins_problems *problems, qins_error *error) {
    struct match match = {.header = header, .checkpoint = checkpoint, .problems = problems};
    if (report_strangers(&match)) return;
    match.used = qins_alloc(checkpoint->n_tensors, sizeof *match.used, "list of tensors", error);
    if (match.used == NULL) return;
    for (size_t i = 0; i < header->n_tensors; i++) match_tensor(&match, &rows[i], &header->tensors[i].spec);
    report_unknown(&match);
    report_unreadable(&match);
    free(match.used);
}
