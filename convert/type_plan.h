// The type of every tensor in the file.
#ifndef QINS_CONVERT_TYPE_PLAN_H
#define QINS_CONVERT_TYPE_PLAN_H

#include "convert/convert.h"
#include "convert/rows.h"

// Type of a tensor of this role in the file, given its type in the checkpoint. lm_head, unless it was specified: qins6
// with layers in qins4 and qins5, qins8 with qins6, F32 with F32; otherwise as in the checkpoint, but BF16 for F32.
qins_type qins_plan_type(const qins_convert_options *options, qins_role role, qins_type source);

// Does a rule fix the type of this tensor?
bool qins_plan_is_fixed(const qins_convert_options *options, const qins_config *config, const qins_tensor_spec *spec);

// Fill in the type and source type of the header's tensors, whose rows are rows[n_tensors]. A rule that matches no
// tensor is an error (QINS_USAGE).
void qins_plan_types(qins_header *header, const qins_rows *rows, const qins_convert_options *options,
                     qins_error *error);

#endif
