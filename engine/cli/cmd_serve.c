// qinsrun serve: a server with OpenAI's API, until a signal ends it.
#include "engine/base/escape.h"
#include "engine/base/helper.h"
#include "engine/cli/confine.h"
#include "engine/cli/serving.h"
#include "engine/server/http.h"
#include "engine/server/listen.h"
#include "engine/server/mhd.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char draining[] = "\nqinsrun: finishing the replies that have begun; interrupt again to end at once\n";

static qins_status prepare(const qins_server_options *options, qins_http_options *http, qins_error *error) {
    *http = (qins_http_options){.fd = -1, .host = options->host, .cors = options->cors, .has_page = !options->no_ui};
    if (options->cors != NULL && !qins_is_origin(options->cors))
        return qins_fail(error, QINS_USAGE,
                         "--cors takes one origin, such as http://localhost:3000 (no path, no final slash, no *), not "
                         "\"%s\"",
                         options->cors);
    if (options->api_key_file != NULL && qins_keys_read(&http->keys, options->api_key_file, error) != QINS_OK)
        return error->status;
    if (options->unix_path == NULL && !qins_is_loopback(options->host) && http->keys.n == 0)
        return qins_fail(error, QINS_USAGE,
                         "--host %s admits other machines; give --api-key-file FILE with a key for them",
                         options->host);
    http->checks_host = options->unix_path == NULL && qins_is_loopback(options->host);
    return QINS_OK;
}

// Listen, and load what must be loaded before the sandbox is entered. Clients that come early wait for the model.
static qins_status open_door(const qins_server_options *options, qins_http_options *http, qins_socket_file *file,
                             uint16_t *port, qins_error *error) {
    if (qins_mhd_open(error) == NULL) return error->status;
    *port = (uint16_t)options->port;
    http->fd = options->unix_path != NULL ? qins_listen_unix(options->unix_path, file, error)
                                          : qins_listen_tcp(options->host, port, error);
    return error->status;
}

struct door {
    qins_socket_file file;
    int fd;
};

// A helper's work, because files cannot be removed in the sandbox: the socket's file is removed when the server ends.
static void remove_file(int fd, void *context) {
    const struct door *door = context;
    char byte;
    close(door->fd); // clients must not wait for this process
    (void)!read(fd, &byte, 1);
    qins_socket_file_remove(&door->file);
}

static void tell_address(const qins_server_options *options, uint16_t port) {
    const bool is_v6 = strchr(options->host, ':') != NULL;
    if (options->unix_path != NULL)
        fprintf(stderr, "qinsrun: listening at %s\n", QINS_ESCAPED(options->unix_path));
    else
        fprintf(stderr, "qinsrun: listening at http://%s%s%s:%u\n", is_v6 ? "[" : "", options->host, is_v6 ? "]" : "",
                port);
}

static void tell_setup(const qins_options *options, qins_service *service) {
    const qins_scheduler *scheduler = qins_service_scheduler(service);
    if (!options->process.quiet)
        fprintf(stderr, "qinsrun: model \"%s\"; %zu replies at a time, %zu tokens of context each; %zu threads\n",
                QINS_ESCAPED(qins_service_alias(service)), options->server.parallel, qins_scheduler_n_ctx(scheduler),
                qins_scheduler_threads(scheduler));
}

static void serve(const qins_options *options, const qins_http_options *http, uint16_t port, qins_error *error) {
    qins_serving serving;
    if (qins_serving_open(&serving, options, error) == QINS_OK) {
        tell_setup(options, serving.service);
        qins_catch_interrupts(options->process.quiet ? NULL : draining);
        if (!options->process.quiet) tell_address(&options->server, port);
        qins_http_run(serving.service, http, &qins_interrupted, error);
        qins_model_check(serving.model, error);
    } else {
        close(http->fd);
    }
    qins_serving_close(&serving);
}

qins_status qins_cmd_serve(const qins_options *options, qins_error *error) {
    qins_helper remover = {.fd = -1};
    qins_http_options http;
    struct door door = {.file.fd = -1};
    uint16_t port;
    if (prepare(&options->server, &http, error) != QINS_OK ||
        open_door(&options->server, &http, &door.file, &port, error) != QINS_OK)
        return error->status;
    signal(SIGPIPE, SIG_IGN); // clients may leave
    door.fd = http.fd;
    if (options->server.unix_path != NULL) qins_helper_start(&remover, remove_file, &door, error);
    qins_socket_file_close(&door.file);
    if (error->status == QINS_OK && qins_confine(options, QINS_SERVES, error) == QINS_OK)
        serve(options, &http, port, error);
    qins_helper_end(&remover);
    return error->status;
}
