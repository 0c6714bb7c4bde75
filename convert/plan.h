// What becomes of every tensor: matches the model's list of tensors with those of a checkpoint and chooses the types.
#ifndef QINS_CONVERT_PLAN_H
#define QINS_CONVERT_PLAN_H

#include "convert/checkpoint.h"

// Type of a tensor of this role in the file, given its type in the checkpoint. lm_head, unless it was asked for: qins6
// with layers in qins4 and qins5, qins8 with qins6, F32 with F32; otherwise as in the checkpoint, but BF16 for F32.
qins_type qins_plan_type(const qins_convert_options *options, qins_role role, qins_type source);

// Does a rule fix the type of this tensor?
bool qins_plan_is_fixed(const qins_convert_options *options, const qins_config *config, const qins_tensor_spec *spec);

// Fill in type and source type of the header's tensors, and sources[n_tensors], the place of each in the checkpoint.
// What is missing, misshaped, of an unreadable dtype or unknown goes to `problems`; NULL stays in `sources` where there
// is nothing. A rule that applies to no tensor is an error (QINS_USAGE).
void qins_plan_match(qins_header *header, const qins_source_tensor **sources, const qins_checkpoint *checkpoint,
                     const qins_convert_options *options, qins_problems *problems, qins_error *error);

#endif
