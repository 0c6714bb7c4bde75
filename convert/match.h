// Finds the model's tensors in a checkpoint, which stores them as the model does, or separately, as Llama and Mistral
// do: q, k and v, gate and up. Knows nothing of types in the file.
#ifndef QINS_CONVERT_MATCH_H
#define QINS_CONVERT_MATCH_H

#include "convert/checkpoint.h"

// A part that other layouts may store separately: rows `first` to `first` + `rows` of a tensor, by that name.
typedef struct qins_part {
    char name[sizeof((qins_tensor_spec){0}.name)];
    size_t first, rows;
} qins_part;

// The parts of a tensor in the order of its rows; for a tensor that is never split, the whole.
size_t qins_match_parts(qins_part parts[QINS_MAX_PIECES], const qins_config *config, const qins_tensor_spec *spec);

// Make a tied head one of its own if the checkpoint stores both it and the embedding, with different values. That is
// what transformers 5 does, with a warning.
void qins_match_untie(const qins_checkpoint *checkpoint, qins_config *config, const qins_problems *problems,
                      qins_error *error);

// Fill in rows[n_tensors], for each of the header's tensors a piece per part. Tensors that are missing, misshaped, of
// an unreadable dtype or unknown go to `problems`; then rows[i].n_pieces may be 0.
void qins_match_tensors(const qins_header *header, qins_rows *rows, const qins_checkpoint *checkpoint,
                        qins_problems *problems, qins_error *error);

// The type of the values that qins_rows_read gives, once the pieces are known.
qins_type qins_match_type(const qins_rows *rows);

#endif
