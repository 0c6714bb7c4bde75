// The fields of a request, one row of a table for each. For request.c.
#ifndef QINS_SERVER_REQUEST_FIELDS_H
#define QINS_SERVER_REQUEST_FIELDS_H

#include "engine/server/request.h"

// Read the members of request->json. False: one is refused.
bool qins_fields_read(qins_request *request, const qins_request_reader *reader, qins_refusal *refusal);

// Is every member of an object one of names (which end with NULL)?
bool qins_fields_check(const qins_json *object, const char *const *names, qins_refusal *refusal);

// Append the ids of a JSON array.
bool qins_ids_read(qins_ids *ids, const qins_json *array, const char *name, const qins_model *model,
                   qins_refusal *refusal);

#endif
