// The weights of a Hugging Face folder: one safetensors file or the shards of an index, opened, with one list of all
// tensors under their plain names (names.h). Knows nothing of the tensors' meaning.
#ifndef QINS_CONVERT_CHECKPOINT_H
#define QINS_CONVERT_CHECKPOINT_H

#include "convert/hf_folder.h"
#include "convert/problems.h"
#include "convert/rows.h"
#include "convert/safetensors.h"

typedef struct qins_shard {
    char *path; // owned, with the folder
    const char *name;
    int fd;              // -1: not open
    size_t source;       // its entry in folder->sources
    uint64_t data_start; // bytes before the tensors' data
    qins_safetensors header;
} qins_shard;

typedef struct qins_checkpoint {
    qins_shard *shards; // owned, [n_shards] ordered by name
    size_t n_shards;
    qins_source_tensor *tensors; // owned, [n_tensors] ordered by name; the names in the files belong to the shards
    size_t n_tensors;
    char *names; // owned, of the tensors
} qins_checkpoint;

// Open every file and check the headers and each other; problems with single tensors or shards go to `problems`, as
// does a warning about an index that does not match. Release with qins_checkpoint_close also after a failure.
qins_status qins_checkpoint_open(qins_checkpoint *checkpoint, qins_hf_folder *folder, qins_problems *problems,
                                 qins_error *error);

// The same for one file, which must exist.
qins_status qins_checkpoint_open_file(qins_checkpoint *checkpoint, qins_hf_folder *folder, const char *name,
                                      qins_problems *problems, qins_error *error);
void qins_checkpoint_close(qins_checkpoint *checkpoint);

const qins_source_tensor *qins_checkpoint_find(const qins_checkpoint *checkpoint, const char *name); // NULL: none

// The location of its values.
qins_stored qins_checkpoint_place(const qins_checkpoint *checkpoint, const qins_source_tensor *tensor);

#endif
