// Where the model's tensors are in a checkpoint. It has them as the model does, or apart, as Llama and Mistral have
// theirs: q, k and v, gate and up. Knows nothing of types in the file.
#ifndef QINS_CONVERT_MATCH_H
#define QINS_CONVERT_MATCH_H

#include "convert/checkpoint.h"

// A tensor that others may have apart: its rows `first` to `first` + `rows`, by that name.
typedef struct qins_part {
    char name[sizeof((qins_tensor_spec){0}.name)];
    size_t first, rows;
} qins_part;

// The parts of a tensor in the order of its rows; of one that is never apart, the whole.
size_t qins_match_parts(qins_part parts[QINS_MAX_PIECES], const qins_config *config, const qins_tensor_spec *spec);

// Fill in rows[n_tensors], for each of the header's tensors a piece per part. What is missing, misshaped, of an
// unreadable dtype or unknown goes to `problems`; then rows[i].n_pieces may be 0. A tied head that is not the
// embedding's copy is warned of.
void qins_match_tensors(const qins_header *header, qins_rows *rows, const qins_checkpoint *checkpoint,
                        qins_problems *problems, qins_error *error);

// The type of what qins_rows_read gives, once the pieces are known.
qins_type qins_match_type(const qins_rows *rows);

#endif
