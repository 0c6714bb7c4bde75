// Listening; see listen.h.
#define _GNU_SOURCE // O_PATH
#include "engine/server/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 128 };

static int open_socket(int family, qins_error *error) {
    const int fd = socket(family, SOCK_STREAM, 0);
    if (fd < 0) qins_fail_errno(error, QINS_FAILED, "cannot make a socket");
    return fd;
}

static uint16_t port_of(const struct sockaddr_storage *address) {
    if (address->ss_family == AF_INET) return ntohs(((const struct sockaddr_in *)address)->sin_port);
    return ntohs(((const struct sockaddr_in6 *)address)->sin6_port);
}

static void bind_tcp(int fd, const struct addrinfo *info, const char *host, uint16_t *port, qins_error *error) {
    const int on = 1;
    struct sockaddr_storage bound = {0};
    socklen_t size = sizeof bound;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, info->ai_addr, info->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0 ||
        getsockname(fd, (struct sockaddr *)&bound, &size) != 0)
        qins_fail_errno(error, QINS_FAILED, "cannot listen at %s, port %u", host, *port);
    else
        *port = port_of(&bound);
}

// A name that does not resolve is the user's mistake; a resolver that fails is not.
static void fail_to_resolve(const char *host, int failure, qins_error *error) {
    if (failure == EAI_SYSTEM)
        qins_fail_errno(error, QINS_FAILED, "--host %s", host);
    else
        qins_fail(error, failure == EAI_MEMORY ? QINS_FAILED : QINS_USAGE, "--host %s: %s", host,
                  gai_strerror(failure));
}

int qins_listen_tcp(const char *host, uint16_t *port, qins_error *error) {
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *info = NULL;
    char service[8];
    snprintf(service, sizeof service, "%u", *port);
    const int failure = getaddrinfo(host, service, &hints, &info);
    if (failure != 0) {
        fail_to_resolve(host, failure, error);
        return -1;
    }
    int fd = open_socket(info->ai_family, error);
    if (fd >= 0) bind_tcp(fd, info, host, port, error);
    freeaddrinfo(info);
    if (error->status == QINS_OK) return fd;
    if (fd >= 0) close(fd);
    return -1;
}

// Does the path belong to a socket on which nothing listens?
static bool is_left_over(const struct sockaddr_un *address, qins_error *error) {
    struct stat status;
    if (stat(address->sun_path, &status) != 0 || !S_ISSOCK(status.st_mode)) return false;
    const int fd = open_socket(AF_UNIX, error);
    if (fd < 0) return false;
    const bool is_refused =
        connect(fd, (const struct sockaddr *)address, sizeof *address) != 0 && errno == ECONNREFUSED;
    close(fd);
    return is_refused;
}

int qins_listen_unix(const char *path, qins_socket_file *file, qins_error *error) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        qins_fail(error, QINS_USAGE, "--unix %s: a socket's path may have at most %zu bytes", path,
                  sizeof address.sun_path - 1);
        return -1;
    }
    memcpy(address.sun_path, path, strlen(path));
    if (is_left_over(&address, error)) unlink(path);
    const int fd = error->status == QINS_OK ? open_socket(AF_UNIX, error) : -1;
    if (fd < 0) return -1;
    const mode_t mask = umask(0077);
    const bool is_bound = bind(fd, (const struct sockaddr *)&address, sizeof address) == 0;
    umask(mask);
    *file = (qins_socket_file){path, is_bound ? open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC) : -1};
    if (file->fd >= 0 && listen(fd, BACKLOG) == 0) return fd;
    qins_fail_errno(error, QINS_FAILED, "cannot listen at %s", path);
    qins_socket_file_close(file);
    close(fd);
    return -1;
}

void qins_socket_file_remove(const qins_socket_file *file) {
    struct stat own, named;
    if (fstat(file->fd, &own) == 0 && lstat(file->path, &named) == 0 && own.st_dev == named.st_dev &&
        own.st_ino == named.st_ino)
        unlink(file->path);
}

void qins_socket_file_close(qins_socket_file *file) {
    if (file->fd >= 0) close(file->fd);
    file->fd = -1;
}
