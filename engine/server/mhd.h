// libmicrohttpd, which is loaded only when a server starts: other commands neither need it nor wait for it and the TLS
// library that it pulls in.
#ifndef QINS_SERVER_MHD_H
#define QINS_SERVER_MHD_H

#include "engine/base/error.h"

#include <microhttpd.h>

// Its functions, called as mhd->start_daemon(...).
typedef struct qins_mhd {
    __typeof__(MHD_start_daemon) *start_daemon;
    __typeof__(MHD_stop_daemon) *stop_daemon;
    __typeof__(MHD_quiesce_daemon) *quiesce_daemon;
    __typeof__(MHD_get_daemon_info) *get_daemon_info;
    __typeof__(MHD_get_timeout) *get_timeout;
    __typeof__(MHD_run) *run;
    __typeof__(MHD_suspend_connection) *suspend_connection;
    __typeof__(MHD_resume_connection) *resume_connection;
    __typeof__(MHD_get_connection_info) *get_connection_info;
    __typeof__(MHD_lookup_connection_value) *lookup_connection_value;
    __typeof__(MHD_get_connection_values) *get_connection_values;
    __typeof__(MHD_create_response_from_buffer) *create_response_from_buffer;
    __typeof__(MHD_create_response_from_callback) *create_response_from_callback;
    __typeof__(MHD_add_response_header) *add_response_header;
    __typeof__(MHD_queue_response) *queue_response;
    __typeof__(MHD_destroy_response) *destroy_response;
} qins_mhd;

// Load it, once. NULL and an error (QINS_FAILED) if there is none.
const qins_mhd *qins_mhd_open(qins_error *error);

#endif
