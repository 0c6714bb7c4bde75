// Merging of LoRA adapters; see lora.h.
#include "convert/lora.h"

#include "convert/hints.h"
#include "engine/base/file.h"
#include "engine/base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static const char CONFIG_NAME[] = "adapter_config.json", WEIGHTS_NAME[] = "adapter_model.safetensors";

enum { MAX_CONFIG_BYTES = 1 << 20, HASH_BYTES = 1 << 20 };

// Only the weights tell one adapter from another, so the hash of their source covers the whole file.
static void hash_weights(qins_lora *lora, qins_error *error) {
    const qins_shard *shard = &lora->weights.shards[0];
    qins_source *source = &lora->folder.sources[shard->source];
    XXH3_state_t *state = XXH3_createState();
    uint8_t *data = qins_alloc(HASH_BYTES, 1, "part of a file", error);
    if (state == NULL || XXH3_64bits_reset(state) != XXH_OK) qins_fail(error, QINS_FAILED, "out of memory for a hash");
    for (uint64_t at = 0; at < source->bytes && error->status == QINS_OK; at += HASH_BYTES) {
        const size_t n = source->bytes - at < HASH_BYTES ? (size_t)(source->bytes - at) : HASH_BYTES;
        if (qins_file_read_at(shard->fd, shard->path, data, n, at, error) == QINS_OK)
            XXH3_64bits_update(state, data, n);
    }
    if (error->status == QINS_OK) source->hash = XXH3_64bits_digest(state);
    free(data);
    XXH3_freeState(state);
}

qins_status qins_lora_open(qins_lora *lora, const qins_convert_options *options, size_t first_source,
                           qins_error *error) {
    const char *path = options->lora;
    *lora = (qins_lora){.folder.fd = -1,
                        .first_source = first_source,
                        .problems = {.folder = path, .notice = options->notice, .context = options->notice_context}};
    if (qins_hf_folder_open(&lora->folder, path, CONFIG_NAME, error) != QINS_OK) return error->status;
    const bool is_adapter =
        qins_hf_has(&lora->folder, CONFIG_NAME, error) && qins_hf_has(&lora->folder, WEIGHTS_NAME, error);
    if (error->status != QINS_OK) return error->status;
    if (!is_adapter) return qins_hint_no_adapter(path, error);
    lora->json = qins_hf_read_json(&lora->folder, CONFIG_NAME, MAX_CONFIG_BYTES, error);
    if (lora->json == NULL) return error->status;
    qins_lora_config_read(&lora->config, lora->json, &lora->problems, error);
    if (qins_error_context(error, "%s/%s", path, CONFIG_NAME) != QINS_OK) return error->status;
    if (qins_checkpoint_open_file(&lora->weights, &lora->folder, WEIGHTS_NAME, &lora->problems, error) == QINS_OK)
        hash_weights(lora, error);
    return error->status;
}

void qins_lora_close(qins_lora *lora) {
    qins_lora_config_free(&lora->config);
    qins_json_free(lora->json);
    qins_checkpoint_close(&lora->weights);
    qins_hf_folder_close(&lora->folder);
}

// The merge of an adapter into the rows of all tensors.
struct merge {
    qins_lora *lora;
    const qins_header *header;
    bool *used; // owned, [lora->weights.n_tensors]
    qins_error *error;
};

// One of the two matrices of a module.
static const qins_source_tensor *find(struct merge *merge, const char *module, const char *which) {
    char name[128];
    snprintf(name, sizeof name, "%s.%s.weight", module, which);
    const qins_source_tensor *tensor = qins_checkpoint_find(&merge->lora->weights, name);
    if (tensor != NULL) merge->used[tensor - merge->lora->weights.tensors] = true;
    return tensor;
}

static bool check_matrix(struct merge *merge, const qins_source_tensor *tensor, size_t rows, size_t cols) {
    qins_problems *problems = &merge->lora->problems;
    char found[128];
    qins_shape_print(found, sizeof found, tensor->shape, tensor->rank);
    const bool fits = tensor->rank == 2 && tensor->shape[0] == rows && tensor->shape[1] == cols;
    if (!fits)
        qins_problems_add(problems, "tensor %s: shape %s found, [%zu, %zu] expected", tensor->stored, found, rows,
                          cols);
    if (!tensor->dtype->readable)
        qins_problems_add(problems, "tensor %s: dtype %s cannot be merged (BF16, F16 and F32 can)", tensor->stored,
                          tensor->dtype->name);
    return fits && tensor->dtype->readable;
}

static qins_stored place(const struct merge *merge, const qins_source_tensor *tensor) {
    qins_stored stored = qins_checkpoint_place(&merge->lora->weights, tensor);
    stored.source += merge->lora->first_source;
    return stored;
}

// The update of a module with `rows` rows; without one, its rank is 0.
static qins_update find_update(struct merge *merge, const char *weight, size_t rows, size_t cols) {
    qins_lora *lora = merge->lora;
    qins_update update = {0};
    char module[sizeof((qins_tensor_spec){0}.name)];
    snprintf(module, sizeof module, "%.*s", (int)(strlen(weight) - strlen(".weight")), weight);
    const qins_source_tensor *a = find(merge, module, "lora_A"), *b = find(merge, module, "lora_B");
    if (a == NULL && b == NULL) return update;
    if (a == NULL || b == NULL) {
        qins_problems_add(&lora->problems, "tensor %s.%s.weight: missing", module, a == NULL ? "lora_A" : "lora_B");
        return update;
    }
    int64_t rank = 0;
    qins_lora_config_module(&lora->config, module, &rank, &update.scale, merge->error);
    if (qins_error_context(merge->error, "%s/%s", lora->folder.path, CONFIG_NAME) != QINS_OK) return update;
    if (rank > QINS_MAX_RANK)
        qins_problems_add(&lora->problems, "%s: its rank %lld is above %d", module, (long long)rank, QINS_MAX_RANK);
    else if (check_matrix(merge, a, (size_t)rank, cols) && check_matrix(merge, b, rows, (size_t)rank))
        update.rank = (size_t)rank;
    update.a = place(merge, a);
    update.b = place(merge, b);
    return update;
}

// The weights that the module had in training, which peft saves along with an update of the head: they replace the
// base's. No program saves those of a tensor in several pieces; they are left to be refused.
static void replace_base(struct merge *merge, qins_rows *rows, const qins_tensor_spec *spec) {
    const qins_source_tensor *tensor = qins_checkpoint_find(&merge->lora->weights, spec->name);
    if (tensor == NULL || strstr(tensor->stored, ".base_layer.") == NULL || rows->n_pieces != 1) return;
    merge->used[tensor - merge->lora->weights.tensors] = true;
    if (check_matrix(merge, tensor, spec->rows, spec->cols)) rows->pieces[0].weights = place(merge, tensor);
}

// A copy of the embedding or the head, which peft saves when the vocabulary might have changed: one that is the base
// model's is ignored. A tied head may be stored under either name.
static void ignore_copy(struct merge *merge, const qins_rows *rows, const qins_tensor_spec *spec, const char *name) {
    const qins_source_tensor *tensor = qins_checkpoint_find(&merge->lora->weights, name);
    if (tensor == NULL || rows->n_pieces != 1 || rows->pieces[0].first != 0) return;
    const qins_stored copy = place(merge, tensor);
    const bool has_shape = tensor->rank == 2 && tensor->shape[0] == spec->rows && tensor->shape[1] == spec->cols;
    if (has_shape && qins_stored_equal(&copy, &rows->pieces[0].weights, tensor->bytes, merge->error))
        merge->used[tensor - merge->lora->weights.tensors] = true;
}

// A tensor's updates: of the whole, or of its parts.
static void merge_tensor(struct merge *merge, qins_rows *rows, const qins_tensor_spec *spec) {
    qins_part parts[QINS_MAX_PIECES];
    const size_t n = qins_match_parts(parts, &merge->header->config, spec);
    const qins_update whole = find_update(merge, spec->name, spec->rows, spec->cols);
    replace_base(merge, rows, spec);
    for (size_t i = 0; i < n; i++) {
        qins_update *update = &rows->pieces[i].update;
        if (n > 1) *update = find_update(merge, parts[i].name, parts[i].rows, spec->cols);
        if (update->rank > 0 && whole.rank > 0)
            qins_problems_add(&merge->lora->problems, "%s: changed as a part and as part of the whole", parts[i].name);
        if (whole.rank == 0) continue;
        *update = whole;
        update->first = parts[i].first;
    }
    rows->type = qins_match_type(rows);
}

static void report_unused(struct merge *merge) {
    qins_kind kinds[] = {
        {.mark = "lora_magnitude_vector", .what = "DoRA is not supported; merge the adapter with peft"},
        {.mark = "lora_embedding_", .what = "an update of the embedding is not supported; merge the adapter with peft"},
        {.mark = ".bias", .what = "a bias, which this model does not have"},
        {.mark = "lm_head.lora_", .what = "the head is the embedding, too, which cannot be changed for one of them"},
        {.mark = ".lora_", .what = "changes no matrix of this model"},
        {.mark = "", .what = "a whole tensor in place of the model's is not supported; merge the adapter with peft"},
    };
    const size_t n_kinds = sizeof kinds / sizeof *kinds;
    const qins_checkpoint *weights = &merge->lora->weights;
    for (size_t i = 0; i < weights->n_tensors; i++)
        if (!merge->used[i]) qins_kinds_take(kinds, n_kinds, weights->tensors[i].stored);
    qins_kinds_report(kinds, n_kinds, &merge->lora->problems);
}

qins_status qins_lora_apply(qins_lora *lora, const qins_header *header, qins_rows *rows, qins_error *error) {
    struct merge merge = {.lora = lora, .header = header, .error = error};
    merge.used = qins_alloc(lora->weights.n_tensors, sizeof *merge.used, "list of tensors", error);
    for (size_t i = 0; i < header->n_tensors && error->status == QINS_OK; i++) {
        const qins_tensor_spec *spec = &header->tensors[i].spec;
        const qins_role role = spec->role;
        if (role == QINS_ROLE_EMBEDDING || role == QINS_ROLE_HEAD) ignore_copy(&merge, &rows[i], spec, spec->name);
        if (role == QINS_ROLE_EMBEDDING && header->config.tied_head)
            ignore_copy(&merge, &rows[i], spec, "lm_head.weight");
        if (qins_role_is_of_layers(role) || role == QINS_ROLE_HEAD) merge_tensor(&merge, &rows[i], spec);
    }
    if (error->status == QINS_OK) report_unused(&merge);
    if (lora->weights.n_tensors == 0 && error->status == QINS_OK)
        qins_problems_add(&lora->problems, "%s: no tensor in it", WEIGHTS_NAME);
    free(merge.used);
    return qins_problems_end(&lora->problems, error);
}
