// Shared by qinsrun serve and batch: the service for a model, as the options say.
#ifndef QINS_CLI_SERVING_H
#define QINS_CLI_SERVING_H

#include "engine/cli/cli.h"
#include "engine/server/service.h"

typedef struct qins_serving {
    qins_model *model;
    char name[256]; // of its file
    qins_service *service;
} qins_serving;

// Release with qins_serving_close, also after a failure.
qins_status qins_serving_open(qins_serving *serving, const qins_options *options, qins_error *error);
void qins_serving_close(qins_serving *serving);

#endif
