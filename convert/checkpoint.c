// Opening of single and sharded checkpoints; see checkpoint.h.
#include "convert/checkpoint.h"

#include "convert/hints.h"
#include "convert/names.h"
#include "engine/base/file.h"
#include "engine/base/memory.h"
#include "engine/base/recognize.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

static const char SINGLE_NAME[] = "model.safetensors";
static const char INDEX_NAME[] = "model.safetensors.index.json";
enum { MAX_INDEX_BYTES = 1 << 24 };

// Read the JSON header after the prefix and hand it to the parser.
static void read_header(qins_shard *shard, qins_hf_folder *folder, size_t file_bytes, size_t header_bytes,
                        qins_error *error) {
    char *json = qins_alloc(header_bytes, 1, "safetensors header", error);
    if (json == NULL) return;
    shard->data_start = QINS_SAFETENSORS_PREFIX + header_bytes;
    if (qins_file_read_at(shard->fd, shard->name, json, header_bytes, QINS_SAFETENSORS_PREFIX, error) == QINS_OK)
        qins_safetensors_parse(&shard->header, json, header_bytes, file_bytes - shard->data_start, error);
    shard->source = folder->n_sources;
    if (error->status == QINS_OK)
        qins_hf_record(folder, shard->name, file_bytes, XXH3_64bits(json, header_bytes), error);
    free(json);
}

static void open_shard(qins_shard *shard, qins_hf_folder *folder, const char *name, qins_error *error) {
    size_t file_bytes = 0;
    shard->path = qins_hf_path(folder, name, error);
    if (shard->path == NULL) return;
    shard->name = shard->path + strlen(folder->path) + 1;
    shard->fd = qins_file_open(shard->path, &file_bytes, QINS_BAD_MODEL, error);
    if (shard->fd < 0) return;
    char start[64];
    size_t n = file_bytes < sizeof start ? file_bytes : sizeof start;
    if (qins_file_read_at(shard->fd, shard->path, start, n, 0, error) != QINS_OK) return;
    if (qins_recognize_file(shard->path, start, n, error) != QINS_OK) return;
    if (n < QINS_SAFETENSORS_PREFIX) {
        qins_fail(error, QINS_BAD_MODEL, "%s: %zu bytes are too few for a safetensors file", shard->path, n);
        return;
    }
    size_t header_bytes = qins_safetensors_header_bytes((const uint8_t *)start, file_bytes, error);
    if (error->status == QINS_OK) read_header(shard, folder, file_bytes, header_bytes, error);
    qins_error_context(error, "%s", shard->path);
}

static int by_name(const void *left, const void *right) {
    return strcmp(((const qins_source_tensor *)left)->name, ((const qins_source_tensor *)right)->name);
}

// A tensor must not be stored twice, whether in one file or in two. The sort has ties only for such tensors, and then
// the conversion ends.
static void check_duplicates(const qins_checkpoint *checkpoint, qins_problems *problems) {
    for (size_t i = 1; i < checkpoint->n_tensors; i++) {
        const qins_source_tensor *a = &checkpoint->tensors[i - 1], *b = &checkpoint->tensors[i];
        if (strcmp(a->name, b->name) != 0) continue;
        size_t first = a->shard < b->shard ? a->shard : b->shard, second = a->shard < b->shard ? b->shard : a->shard;
        if (first == second)
            qins_problems_add(problems, "tensor %s: stored twice in %s", a->name, checkpoint->shards[first].name);
        else
            qins_problems_add(problems, "tensor %s: stored twice, in %s and in %s", a->name,
                              checkpoint->shards[first].name, checkpoint->shards[second].name);
    }
}

// One list of the tensors of all shards that could be opened.
static void merge_tensors(qins_checkpoint *checkpoint, qins_error *error) {
    size_t count = 0;
    for (size_t i = 0; i < checkpoint->n_shards; i++) count += checkpoint->shards[i].header.n_tensors;
    checkpoint->tensors = qins_alloc(count, sizeof *checkpoint->tensors, "list of tensors", error);
    if (checkpoint->tensors == NULL) return;
    for (size_t i = 0; i < checkpoint->n_shards; i++) {
        const qins_safetensors *header = &checkpoint->shards[i].header;
        for (size_t j = 0; j < header->n_tensors; j++) {
            qins_source_tensor *tensor = &checkpoint->tensors[checkpoint->n_tensors++];
            *tensor = header->tensors[j];
            tensor->shard = i;
        }
    }
    qsort(checkpoint->tensors, count, sizeof *checkpoint->tensors, by_name);
}

// The tensors under their plain names.
static void name_plainly(qins_checkpoint *checkpoint, qins_error *error) {
    size_t size = 1;
    for (size_t i = 0; i < checkpoint->n_tensors; i++)
        size += strlen(checkpoint->tensors[i].stored) + QINS_NAME_GROWTH + 1;
    char *at = checkpoint->names = qins_alloc(size, 1, "names of tensors", error);
    for (size_t i = 0; i < checkpoint->n_tensors && at != NULL; i++) {
        checkpoint->tensors[i].name = at;
        at = qins_plain_name(at, checkpoint->tensors[i].stored) + 1;
    }
    qsort(checkpoint->tensors, checkpoint->n_tensors, sizeof *checkpoint->tensors, by_name);
}

static int compare_texts(const void *left, const void *right) {
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

// The file of a tensor according to the index; NULL: not a string.
static const char *file_name(const qins_json *item) {
    const char *name = qins_json_text(item);
    while (name != NULL && strncmp(name, "./", 2) == 0) name += 2;
    return name;
}

// The distinct values of the index's weight_map into names[n], sorted; they stay owned by the index.
static size_t shard_names(const char **names, const qins_json *weight_map, qins_error *error) {
    size_t n = 0, n_distinct = 0;
    for (const qins_json *item = qins_json_first(weight_map); item != NULL; item = qins_json_next(item)) {
        const char *name = file_name(item);
        if (name == NULL || name[0] == '\0' || strchr(name, '/') != NULL) {
            qins_fail(error, QINS_BAD_MODEL, "the file of tensor %s must be a plain file name, not %s%s%s",
                      qins_json_key(item), name == NULL ? "" : "\"", name == NULL ? "a non-text" : name,
                      name == NULL ? "" : "\"");
            return 0;
        }
        names[n++] = name;
    }
    qsort(names, n, sizeof *names, compare_texts);
    for (size_t i = 0; i < n; i++) {
        if (n_distinct == 0 || strcmp(names[n_distinct - 1], names[i]) != 0) names[n_distinct++] = names[i];
    }
    if (n_distinct == 0) qins_fail(error, QINS_BAD_MODEL, "\"weight_map\" lists no tensors");
    return n_distinct;
}

static qins_status make_shards(qins_checkpoint *checkpoint, size_t count, qins_error *error) {
    checkpoint->shards = qins_alloc(count, sizeof *checkpoint->shards, "list of shards", error);
    if (checkpoint->shards == NULL) return error->status;
    for (size_t i = 0; i < count; i++) checkpoint->shards[i].fd = -1;
    checkpoint->n_shards = count;
    return QINS_OK;
}

// Every missing shard is named before the conversion gives up.
static void open_shards(qins_checkpoint *checkpoint, qins_hf_folder *folder, const char *const *names,
                        qins_problems *problems, qins_error *error) {
    for (size_t i = 0; i < checkpoint->n_shards && error->status == QINS_OK; i++) {
        if (qins_hf_has(folder, names[i], error))
            open_shard(&checkpoint->shards[i], folder, names[i], error);
        else if (error->status == QINS_OK)
            qins_problems_add(problems, "file %s: missing; the index names it", names[i]);
    }
}

// The index only lists the files. A tensor that it puts in the wrong file causes only a warning: one that the model
// needs and that no file contains is reported as missing later.
static void check_index(const qins_checkpoint *checkpoint, const qins_json *weight_map, qins_problems *problems) {
    size_t n_wrong = 0;
    const char *first = NULL, *first_file = NULL;
    for (const qins_json *item = qins_json_first(weight_map); item != NULL; item = qins_json_next(item)) {
        const qins_source_tensor *tensor = qins_checkpoint_find(checkpoint, qins_json_key(item));
        if (tensor != NULL && strcmp(checkpoint->shards[tensor->shard].name, file_name(item)) == 0) continue;
        if (n_wrong++ > 0) continue;
        first = qins_json_key(item);
        first_file = file_name(item);
    }
    if (n_wrong > 0)
        qins_problems_warn(
            problems,
            "%s names the wrong file for %zu tensor%s (harmless): it places %s in %s, which does not contain it",
            INDEX_NAME, n_wrong, n_wrong == 1 ? "" : "s", first, first_file);
}

// The steps common to one file and to several.
static qins_status finish(qins_checkpoint *checkpoint, qins_problems *problems, qins_error *error) {
    if (error->status == QINS_OK && checkpoint->tensors != NULL) name_plainly(checkpoint, error);
    if (error->status == QINS_OK) check_duplicates(checkpoint, problems);
    return error->status;
}

static void open_indexed(qins_checkpoint *checkpoint, qins_hf_folder *folder, qins_problems *problems,
                         qins_error *error) {
    qins_json *index = qins_hf_read_json(folder, INDEX_NAME, MAX_INDEX_BYTES, error);
    if (index == NULL) return;
    const qins_json *weight_map = qins_json_get(index, "weight_map");
    const char **names = qins_alloc(qins_json_count(weight_map), sizeof *names, "list of shards", error);
    size_t n_names = names == NULL ? 0 : shard_names(names, weight_map, error);
    qins_error_context(error, "%s/%s", folder->path, INDEX_NAME);
    if (error->status == QINS_OK && make_shards(checkpoint, n_names, error) == QINS_OK) {
        open_shards(checkpoint, folder, names, problems, error);
        if (error->status == QINS_OK && problems->count == 0) merge_tensors(checkpoint, error);
        if (error->status == QINS_OK && problems->count == 0) check_index(checkpoint, weight_map, problems);
    }
    free(names);
    qins_json_free(index);
}

qins_status qins_checkpoint_open_file(qins_checkpoint *checkpoint, qins_hf_folder *folder, const char *name,
                                      qins_problems *problems, qins_error *error) {
    *checkpoint = (qins_checkpoint){0};
    if (make_shards(checkpoint, 1, error) == QINS_OK) open_shard(checkpoint->shards, folder, name, error);
    if (error->status == QINS_OK) merge_tensors(checkpoint, error);
    return finish(checkpoint, problems, error);
}

qins_status qins_checkpoint_open(qins_checkpoint *checkpoint, qins_hf_folder *folder, qins_problems *problems,
                                 qins_error *error) {
    *checkpoint = (qins_checkpoint){0};
    if (qins_hf_has(folder, SINGLE_NAME, error)) // as in Hugging Face, the single file takes precedence
        return qins_checkpoint_open_file(checkpoint, folder, SINGLE_NAME, problems, error);
    if (error->status == QINS_OK && !qins_hf_has(folder, INDEX_NAME, error) && error->status == QINS_OK)
        qins_hint_no_weights(folder->path, error);
    if (error->status == QINS_OK) open_indexed(checkpoint, folder, problems, error);
    return finish(checkpoint, problems, error);
}

void qins_checkpoint_close(qins_checkpoint *checkpoint) {
    for (size_t i = 0; i < checkpoint->n_shards; i++) {
        qins_shard *shard = &checkpoint->shards[i];
        if (shard->fd >= 0) close(shard->fd);
        qins_safetensors_free(&shard->header);
        free(shard->path);
    }
    free(checkpoint->shards);
    free(checkpoint->tensors);
    free(checkpoint->names);
    *checkpoint = (qins_checkpoint){0};
}

const qins_source_tensor *qins_checkpoint_find(const qins_checkpoint *checkpoint, const char *name) {
    const qins_source_tensor wanted = {.name = name};
    return bsearch(&wanted, checkpoint->tensors, checkpoint->n_tensors, sizeof wanted, by_name);
}

qins_stored qins_checkpoint_place(const qins_checkpoint *checkpoint, const qins_source_tensor *tensor) {
    const qins_shard *shard = &checkpoint->shards[tensor->shard];
    return (qins_stored){.fd = shard->fd,
                         .path = shard->path,
                         .name = tensor->stored,
                         .offset = shard->data_start + tensor->offset,
                         .type = tensor->dtype->type,
                         .source = shard->source};
}
