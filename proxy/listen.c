/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/listen.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/address.h"

static int open_socket(const struct addrinfo *address, struct error *err)
{
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        error_system(err, errno, "cannot make a socket");
        return -1;
    }
    const int on = 1;
    /* SO_REUSEPORT lets each worker listen for itself, and the kernel spread the connections. */
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0 &&
        (address->ai_family != AF_INET6 ||
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0) &&
        bind(fd, address->ai_addr, address->ai_addrlen) == 0)
        return fd;
    error_system(err, errno, "cannot bind");
    close(fd);
    return -1;
}

/*
 * With SO_REUSEPORT a second proxy of the same user would silently share the port: a first bind
 * without it finds out.
 */
static bool probe_port(const struct addrinfo *address, struct error *err)
{
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_system(err, errno, "cannot make a socket");
    const int on = 1;
    bool free_port = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
                     (address->ai_family != AF_INET6 ||
                      setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0) &&
                     bind(fd, address->ai_addr, address->ai_addrlen) == 0;
    if (!free_port)
        error_system(err, errno, "cannot bind");
    close(fd);
    return free_port;
}

static bool resolve(const struct address *address, struct addrinfo **out, struct error *err)
{
    char port[8];
    snprintf(port, sizeof port, "%u", address->port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    int status = getaddrinfo(address->host, port, &hints, out);
    return status == 0 || error_set(err, ERROR_SYSTEM, "cannot resolve %s: %s", address->host,
                                    gai_strerror(status));
}

/* One socket for each worker, into sockets[worker][listener]. */
static bool bind_listener(const struct proxy_settings *proxy, unsigned workers, size_t listener,
                          int *sockets, struct error *err)
{
    const struct listener_settings *settings = &proxy->listeners[listener];
    struct address address;
    struct addrinfo *resolved = NULL;
    bool good = address_parse(settings->address, &address, err) &&
                resolve(&address, &resolved, err) && probe_port(resolved, err);
    for (unsigned i = 0; good && i < workers; i++) {
        int fd = open_socket(resolved, err);
        sockets[i * proxy->listener_count + listener] = fd;
        good = fd >= 0;
    }
    if (resolved)
        freeaddrinfo(resolved);
    return good || error_wrap(err, "listener %s", settings->address);
}

bool listen_bind(const struct proxy_settings *proxy, unsigned workers, int *sockets,
                 struct error *err)
{
    for (size_t i = 0; i < workers * proxy->listener_count; i++)
        sockets[i] = -1;
    for (size_t i = 0; i < proxy->listener_count; i++)
        if (!bind_listener(proxy, workers, i, sockets, err))
            return false;
    return true;
}
