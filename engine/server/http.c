// HTTP by libmicrohttpd; see http.h. All of it runs in the caller's thread except on_ready, which wakes a connection
// that waits for its reply.
#define _GNU_SOURCE // POLLRDHUP
#include "engine/server/http.h"

#include "engine/base/clock.h"
#include "engine/base/memory.h"
#include "engine/server/endpoints.h"
#include "engine/server/mhd.h"
#include "engine/server/page.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    PATIENCE_MS = 100,
    BLOCK_BYTES = 16 << 10,
    MOST_RECEIVED = 2 * QINS_MAX_BODY_BYTES // of a body whose request is refused
};

struct server {
    const qins_mhd *mhd;
    struct MHD_Daemon *daemon;
    int epoll; // MHD's, of the listening socket and all connections
    int wake;  // an eventfd, raised when a connection goes on: without threads of its own, MHD does not look by itself
    qins_service *service;
    const qins_http_options *options;
    struct connection *connections; // all of them, a list
    size_t n_whole;                 // complete requests that are not fully answered
    size_t pending_bytes;           // of bodies
};

// A client's connection.
struct connection {
    struct MHD_Connection *mhd;
    int fd;
    double since; // it has been waiting for a request; 0: one is being answered
    struct exchange *exchange;
    struct connection *next, **place;
};

// A request and its reply.
struct exchange {
    struct server *server;
    struct connection *connection;
    const qins_endpoint *endpoint;
    qins_buffer body;
    size_t n_received;    // bytes of it
    qins_error error;     // of it
    qins_refusal refusal; // of the request: the rest of its body is dropped, and the refusal sent at its end
    qins_answer *answer;
    bool is_whole;     // the request is complete
    bool is_suspended; // it waits for its answer
    bool is_left;      // its client has gone
};

// --- responses ---

static const char *header_of(const struct exchange *exchange, const char *name) {
    return exchange->server->mhd->lookup_connection_value(exchange->connection->mhd, MHD_HEADER_KIND, name);
}

static enum MHD_Result count_host(void *context, enum MHD_ValueKind kind, const char *name, const char *value) {
    (void)kind, (void)value;
    *(size_t *)context += strcasecmp(name, MHD_HTTP_HEADER_HOST) == 0;
    return MHD_YES;
}

static size_t n_hosts(const struct exchange *exchange) {
    size_t n = 0;
    exchange->server->mhd->get_connection_values(exchange->connection->mhd, MHD_HEADER_KIND, count_host, &n);
    return n;
}

// Headers that every response has.
static void add_headers(const struct exchange *exchange, struct MHD_Response *response, const char *type) {
    const qins_mhd *mhd = exchange->server->mhd;
    const char *cors = exchange->server->options->cors, *origin = header_of(exchange, MHD_HTTP_HEADER_ORIGIN);
    if (type != NULL) mhd->add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    mhd->add_response_header(response, "X-Content-Type-Options", "nosniff");
    mhd->add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    mhd->add_response_header(response, "Content-Security-Policy", qins_page_policy);
    mhd->add_response_header(response, "Referrer-Policy", "no-referrer");
    if (cors == NULL) return;
    mhd->add_response_header(response, MHD_HTTP_HEADER_VARY, "Origin");
    if (origin == NULL || strcmp(origin, cors) != 0) return;
    mhd->add_response_header(response, MHD_HTTP_HEADER_ACCESS_CONTROL_ALLOW_ORIGIN, cors);
    mhd->add_response_header(response, MHD_HTTP_HEADER_ACCESS_CONTROL_EXPOSE_HEADERS, MHD_HTTP_HEADER_RETRY_AFTER);
}

static enum MHD_Result send_response(struct exchange *exchange, unsigned status, struct MHD_Response *response) {
    const qins_mhd *mhd = exchange->server->mhd;
    if (response == NULL) return MHD_NO;
    const enum MHD_Result result = mhd->queue_response(exchange->connection->mhd, status, response);
    mhd->destroy_response(response);
    return result;
}

static struct MHD_Response *new_response(const struct exchange *exchange, const void *body, size_t size,
                                         const char *type) {
    // The library copies it, and does not change it.
    struct MHD_Response *response =
        exchange->server->mhd->create_response_from_buffer(size, (void *)(uintptr_t)body, MHD_RESPMEM_MUST_COPY);
    if (response != NULL) add_headers(exchange, response, type);
    return response;
}

static const char *allowed_methods(const struct exchange *exchange) {
    const bool is_get = strcmp(exchange->endpoint->method, "GET") == 0;
    if (exchange->server->options->cors == NULL) return is_get ? "GET, HEAD" : "POST";
    return is_get ? "GET, HEAD, OPTIONS" : "POST, OPTIONS";
}

static enum MHD_Result send_refusal(struct exchange *exchange, const qins_refusal *refusal) {
    const qins_mhd *mhd = exchange->server->mhd;
    qins_service *service = exchange->server->service;
    qins_error error = {0};
    qins_buffer body = {.error = &error};
    qins_service_note_refusal(service, refusal->status);
    qins_refusal_print(refusal, &body);
    struct MHD_Response *response = new_response(exchange, body.data, body.size, "application/json");
    qins_buffer_free(&body);
    if (response == NULL) return MHD_NO;
    char text[16];
    snprintf(text, sizeof text, "%u", qins_service_retry_after(service));
    if (refusal->status == 429) mhd->add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, text);
    if (refusal->status == 405) mhd->add_response_header(response, MHD_HTTP_HEADER_ALLOW, allowed_methods(exchange));
    if (refusal->status == 401) mhd->add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
    return send_response(exchange, refusal->status, response);
}

static enum MHD_Result send_at_once(struct exchange *exchange) {
    qins_error error = {0};
    qins_buffer out = {.error = &error};
    qins_refusal refusal = {0};
    const qins_endpoint *endpoint = exchange->endpoint;
    endpoint->reply(exchange->server->service, (const char *)exchange->body.data, exchange->body.size, &out, &refusal);
    if (error.status != QINS_OK) qins_refuse_error(&refusal, NULL, NULL, &error);
    const enum MHD_Result result =
        refusal.status != 0
            ? send_refusal(exchange, &refusal)
            : send_response(exchange, 200, new_response(exchange, out.data, out.size, endpoint->content_type));
    qins_buffer_free(&out);
    return result;
}

// A browser asks whether another origin's page may send a request. It may, with any headers, as OpenAI's client has
// some of its own; the asterisk does not cover Authorization.
static enum MHD_Result send_preflight(struct exchange *exchange) {
    const qins_mhd *mhd = exchange->server->mhd;
    struct MHD_Response *response = new_response(exchange, "", 0, NULL);
    if (response == NULL) return MHD_NO;
    mhd->add_response_header(response, MHD_HTTP_HEADER_ACCESS_CONTROL_ALLOW_METHODS, "GET, POST");
    mhd->add_response_header(response, MHD_HTTP_HEADER_ACCESS_CONTROL_ALLOW_HEADERS, "Authorization, Content-Type, *");
    mhd->add_response_header(response, MHD_HTTP_HEADER_ACCESS_CONTROL_MAX_AGE, "600");
    return send_response(exchange, 204, response);
}

// --- answers ---

// The connection waits for its answer.
static void on_wait(void *context) {
    struct exchange *exchange = context;
    exchange->is_suspended = true;
    exchange->server->mhd->suspend_connection(exchange->connection->mhd);
}

// The answer has output: its connection goes on. Called by the scheduler's thread; the service's lock keeps the
// exchange.
static void on_ready(void *context) {
    struct exchange *exchange = context;
    exchange->server->mhd->resume_connection(exchange->connection->mhd);
    (void)eventfd_write(exchange->server->wake, 1); // fails only when 2^64 - 2 have not been read
}

// MHD calls this for the next bytes of a stream.
static ssize_t read_stream(void *context, uint64_t position, char *to, size_t capacity) {
    (void)position;
    struct exchange *exchange = context;
    size_t size;
    exchange->is_suspended = false;
    if (exchange->is_left) return MHD_CONTENT_READER_END_WITH_ERROR;
    const qins_answer_state state = qins_answer_take(exchange->answer, to, capacity, &size);
    if (state == QINS_ANSWER_WAITS) return 0;
    return state == QINS_ANSWER_ENDED ? MHD_CONTENT_READER_END_OF_STREAM : (ssize_t)size;
}

static enum MHD_Result send_stream(struct exchange *exchange) {
    struct MHD_Response *response = exchange->server->mhd->create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES,
                                                                                         read_stream, exchange, NULL);
    if (response != NULL) add_headers(exchange, response, "text/event-stream");
    return send_response(exchange, 200, response);
}

// All of an answer in one piece; one that does not fit into memory ends the connection.
static enum MHD_Result send_whole(struct exchange *exchange, const char *first, size_t size) {
    qins_error error = {0};
    qins_buffer out = {.error = &error};
    char block[BLOCK_BYTES];
    qins_buffer_append(&out, first, size);
    while (qins_answer_take(exchange->answer, block, sizeof block, &size) == QINS_ANSWER_FLOWS)
        qins_buffer_append(&out, block, size);
    enum MHD_Result result = MHD_NO;
    if (error.status == QINS_OK)
        result = send_response(exchange, qins_answer_status(exchange->answer),
                               new_response(exchange, out.data, out.size, exchange->endpoint->content_type));
    qins_buffer_free(&out);
    return result;
}

// Send an answer in one piece, or wait for it.
static enum MHD_Result continue_answer(struct exchange *exchange) {
    char block[BLOCK_BYTES];
    size_t size;
    exchange->is_suspended = false;
    if (exchange->is_left) return MHD_NO;
    if (qins_answer_take(exchange->answer, block, sizeof block, &size) == QINS_ANSWER_WAITS) return MHD_YES;
    return send_whole(exchange, block, size);
}

static enum MHD_Result begin_answer(struct exchange *exchange) {
    qins_refusal refusal = {0};
    const qins_listener listener = {on_wait, on_ready, exchange};
    exchange->answer = qins_answer_begin(exchange->server->service, exchange->endpoint->kind,
                                         (const char *)exchange->body.data, exchange->body.size, &listener, &refusal);
    if (exchange->answer == NULL) return send_refusal(exchange, &refusal);
    return qins_answer_is_stream(exchange->answer) ? send_stream(exchange) : continue_answer(exchange);
}

// --- requests ---

static void release_body(struct exchange *exchange) {
    exchange->server->pending_bytes -= exchange->body.size;
    qins_buffer_free(&exchange->body);
    exchange->body = (qins_buffer){.error = &exchange->error};
}

// Bytes of the body, as far as the headers say.
static unsigned long long announced_bytes(const struct exchange *exchange) {
    const char *length = header_of(exchange, MHD_HTTP_HEADER_CONTENT_LENGTH);
    return length != NULL ? strtoull(length, NULL, 10) : 0;
}

// Does the client send the body without being asked for it? It may not read anything before it has sent all of it.
static bool has_body_under_way(const struct exchange *exchange) {
    const bool has_body =
        announced_bytes(exchange) > 0 || header_of(exchange, MHD_HTTP_HEADER_TRANSFER_ENCODING) != NULL;
    return has_body && announced_bytes(exchange) <= MOST_RECEIVED &&
           header_of(exchange, MHD_HTTP_HEADER_EXPECT) == NULL;
}

// Checks that need only a request's headers.
static void check_headers(struct exchange *exchange, const char *path, const char *method, qins_refusal *refusal) {
    const qins_http_options *options = exchange->server->options;
    const char *host = header_of(exchange, MHD_HTTP_HEADER_HOST);
    if (n_hosts(exchange) > 1) qins_refuse(refusal, 400, NULL, NULL, "there is more than one Host header");
    if (options->checks_host && !qins_host_is_own(host, options->host))
        qins_refuse(refusal, 403, NULL, NULL, "the Host header does not name this machine's loopback interface");
    if (!qins_origin_is_allowed(header_of(exchange, MHD_HTTP_HEADER_ORIGIN), host, options->cors))
        qins_refuse(refusal, 403, NULL, NULL, "pages of this origin may not use the server (--cors)");
    if (options->cors != NULL && strcmp(method, "OPTIONS") == 0) return;
    if (refusal->status == 0)
        exchange->endpoint =
            qins_endpoint_find(path, qins_service_alias(exchange->server->service), options->has_page, refusal);
    const qins_endpoint *endpoint = exchange->endpoint;
    if (endpoint != NULL && qins_endpoint_takes(endpoint, method, refusal) && !endpoint->is_open &&
        !qins_keys_match(&options->keys, header_of(exchange, MHD_HTTP_HEADER_AUTHORIZATION)))
        qins_refuse(refusal, 401, "invalid_api_key", NULL, "the API key is missing or wrong");
    if (announced_bytes(exchange) > QINS_MAX_BODY_BYTES)
        qins_refuse(refusal, 413, NULL, NULL, "the body has more than %d bytes", QINS_MAX_BODY_BYTES);
}

static enum MHD_Result begin_request(struct exchange *exchange, const char *path, const char *method) {
    qins_refusal *refusal = &exchange->refusal;
    check_headers(exchange, path, method, refusal);
    return refusal->status == 0 || has_body_under_way(exchange) ? MHD_YES : send_refusal(exchange, refusal);
}

// Is there room for a part of the body?
static bool check_body(const struct exchange *exchange, size_t size, qins_refusal *refusal) {
    if (exchange->n_received > QINS_MAX_BODY_BYTES)
        return qins_refuse(refusal, 413, NULL, NULL, "the body has more than %d bytes", QINS_MAX_BODY_BYTES);
    if (exchange->server->pending_bytes + size > QINS_MAX_PENDING_BYTES)
        return qins_refuse(refusal, 413, NULL, NULL, "the incoming bodies exceed %d bytes in total; try again later",
                           QINS_MAX_PENDING_BYTES);
    return true;
}

// A part of the body. The library takes a response only when it is whole, so the rest of a refused one is read and
// dropped; an endless one ends the connection.
static enum MHD_Result add_body(struct exchange *exchange, const char *data, size_t *size) {
    struct server *server = exchange->server;
    qins_refusal *refusal = &exchange->refusal;
    exchange->n_received += *size;
    if (refusal->status == 0 && check_body(exchange, *size, refusal)) {
        qins_buffer_append(&exchange->body, data, *size);
        if (exchange->error.status == QINS_OK)
            server->pending_bytes += *size;
        else
            qins_refuse_error(refusal, NULL, NULL, &exchange->error);
    }
    if (refusal->status != 0) release_body(exchange);
    *size = 0;
    if (exchange->n_received <= MOST_RECEIVED) return MHD_YES;
    qins_service_note_refusal(server->service, refusal->status);
    return MHD_NO;
}

static enum MHD_Result answer_request(struct exchange *exchange) {
    exchange->is_whole = true;
    exchange->server->n_whole++;
    exchange->connection->since = 0;
    enum MHD_Result result = MHD_NO;
    if (exchange->refusal.status != 0)
        result = send_refusal(exchange, &exchange->refusal);
    else if (exchange->endpoint == NULL)
        result = send_preflight(exchange);
    else if (exchange->endpoint->kind == QINS_REQUEST_KINDS)
        result = send_at_once(exchange);
    else
        result = begin_answer(exchange);
    release_body(exchange);
    return result;
}

static struct connection *connection_of(struct server *server, struct MHD_Connection *mhd) {
    return server->mhd->get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

static struct exchange *new_exchange(struct server *server, struct MHD_Connection *mhd) {
    qins_error error = {0};
    struct connection *connection = connection_of(server, mhd);
    struct exchange *exchange = connection != NULL ? qins_alloc(1, sizeof *exchange, "exchange", &error) : NULL;
    if (exchange == NULL) return NULL;
    exchange->server = server;
    exchange->connection = connection;
    exchange->body.error = &exchange->error;
    connection->exchange = exchange;
    return exchange;
}

// MHD calls this when the headers have arrived, for each part of the body, at its end, and when an answer is ready.
static enum MHD_Result on_request(void *context, struct MHD_Connection *mhd, const char *path, const char *method,
                                  const char *version, const char *data, size_t *size, void **place) {
    (void)version;
    struct exchange *exchange = *place;
    if (exchange == NULL) {
        *place = exchange = new_exchange(context, mhd);
        return exchange != NULL ? begin_request(exchange, path, method) : MHD_NO;
    }
    if (*size > 0) return add_body(exchange, data, size);
    return exchange->is_whole ? continue_answer(exchange) : answer_request(exchange);
}

static void on_completed(void *context, struct MHD_Connection *mhd, void **place,
                         enum MHD_RequestTerminationCode code) {
    (void)mhd, (void)code;
    struct server *server = context;
    struct exchange *exchange = *place;
    if (exchange == NULL) return;
    qins_answer_free(exchange->answer);
    release_body(exchange);
    exchange->connection->exchange = NULL;
    exchange->connection->since = qins_clock();
    server->n_whole -= exchange->is_whole;
    free(exchange);
    *place = NULL;
}

// --- connections ---

static void on_connection(void *context, struct MHD_Connection *mhd, void **place,
                          enum MHD_ConnectionNotificationCode code) {
    struct server *server = context;
    struct connection *connection = *place;
    qins_error error = {0};
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        if (connection == NULL) return;
        *connection->place = connection->next;
        if (connection->next != NULL) connection->next->place = connection->place;
        free(connection);
        return;
    }
    *place = connection = qins_alloc(1, sizeof *connection, "connection", &error);
    if (connection == NULL) return; // its requests will be refused
    *connection =
        (struct connection){.mhd = mhd,
                            .fd = server->mhd->get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd,
                            .since = qins_clock(),
                            .next = server->connections,
                            .place = &server->connections};
    if (connection->next != NULL) connection->next->place = &connection->next;
    server->connections = connection;
}

// Has the other side closed the connection? Or only its own direction: a reply in one piece, which sends nothing until
// it is whole, could not tell the two apart.
static bool has_left(int fd) {
    struct pollfd state = {.fd = fd, .events = POLLRDHUP};
    return poll(&state, 1, 0) > 0 && (state.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

// MHD looks after connections that read and write, but neither after those that wait for an answer nor after those that
// send their request a byte at a time.
static void look_after_connections(struct server *server) {
    const double now = qins_clock();
    for (struct connection *connection = server->connections; connection != NULL; connection = connection->next) {
        struct exchange *exchange = connection->exchange;
        if (connection->since > 0 && now - connection->since > QINS_REQUEST_SECONDS) {
            shutdown(connection->fd, SHUT_RDWR);
            connection->since = 0;
        } else if (exchange != NULL && exchange->is_suspended && !exchange->is_left && has_left(connection->fd)) {
            exchange->is_left = true;
            qins_answer_wake(exchange->answer);
        }
    }
}

// --- the server ---

static void refuse_to_log(void *context, const char *format, va_list arguments) {
    (void)context, (void)format, (void)arguments;
}

static qins_status start(struct server *server, qins_error *error) {
    server->mhd = qins_mhd_open(error);
    if (server->mhd == NULL) return error->status;
    server->daemon = server->mhd->start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, server, MHD_OPTION_EXTERNAL_LOGGER,
        refuse_to_log, NULL, MHD_OPTION_LISTEN_SOCKET, server->options->fd, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)QINS_MAX_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)QINS_WRITE_SECONDS,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)QINS_MAX_HEADER_BYTES, MHD_OPTION_NOTIFY_COMPLETED, on_completed,
        server, MHD_OPTION_NOTIFY_CONNECTION, on_connection, server, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1,
        MHD_OPTION_END);
    if (server->daemon == NULL) return qins_fail(error, QINS_FAILED, "the HTTP library cannot start a server");
    server->epoll = server->mhd->get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    return QINS_OK;
}

// Wait until a connection, an answer or the library has something to do, or for PATIENCE_MS.
static void wait_for_work(struct server *server) {
    struct pollfd sources[] = {{.fd = server->epoll, .events = POLLIN}, {.fd = server->wake, .events = POLLIN}};
    MHD_UNSIGNED_LONG_LONG timeout;
    eventfd_t count;
    if (server->mhd->get_timeout(server->daemon, &timeout) != MHD_YES || timeout > PATIENCE_MS) timeout = PATIENCE_MS;
    if (poll(sources, 2, (int)timeout) > 0 && sources[1].revents != 0) (void)eventfd_read(server->wake, &count);
}

static void run(struct server *server, const volatile sig_atomic_t *stop) {
    bool is_draining = false;
    while (!is_draining || server->n_whole > 0) {
        if (*stop && !is_draining) {
            qins_scheduler_drain(qins_service_scheduler(server->service));
            const int fd = server->mhd->quiesce_daemon(server->daemon);
            if (fd >= 0) close(fd);
            is_draining = true;
        }
        wait_for_work(server);
        server->mhd->run(server->daemon);
        look_after_connections(server);
    }
}

qins_status qins_http_run(qins_service *service, const qins_http_options *options, const volatile sig_atomic_t *stop,
                          qins_error *error) {
    struct server server = {.service = service, .options = options, .wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    if (server.wake < 0) qins_fail(error, QINS_FAILED, "cannot create an event: %s", strerror(errno));
    if (error->status == QINS_OK && start(&server, error) == QINS_OK) {
        run(&server, stop);
        server.mhd->stop_daemon(server.daemon);
    } else {
        close(options->fd);
    }
    if (server.wake >= 0) close(server.wake);
    return error->status;
}
