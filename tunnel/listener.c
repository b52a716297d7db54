/* SPDX-License-Identifier: Apache-2.0 */
#include "tunnel/listener.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"

struct listener {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    struct address address;
    listener_pending *pending;
    void *owner;
    bool made_path; /* address.path is ours to remove, while it is device/inode */
    dev_t device;
    ino_t inode;
};

/* Unix sockets. */

static struct sockaddr_un unix_address(const char *path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    memcpy(to.sun_path, path, strlen(path) + 1); /* ADDRESS_PATH_SIZE is sun_path's size */
    return to;
}

_Static_assert(sizeof((struct sockaddr_un *)0)->sun_path == ADDRESS_PATH_SIZE,
               "an address's path fits a socket's");

/* The kernel's word on whether anyone listens there: refused means that nobody does. */
static bool is_answered(const char *path, bool *answered, struct error *err)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_system(err, errno, "cannot make a socket");
    struct sockaddr_un to = unix_address(path);
    int code = connect(fd, (const struct sockaddr *)&to, sizeof to);
    int why = errno;
    (void)close(fd);
    *answered = code == 0 || why != ECONNREFUSED;
    return true;
}

static bool remove_stale(const char *path, struct error *err)
{
    struct stat info;
    bool answered;
    if (lstat(path, &info) != 0)
        return errno == ENOENT || error_system(err, errno, "cannot listen on unix:%s", path);
    if (!S_ISSOCK(info.st_mode))
        return error_set(err, ERROR_SYSTEM,
                         "cannot listen on unix:%s: something that is not a socket stands there; "
                         "move it away or choose another path",
                         path);
    if (info.st_uid != geteuid())
        return error_set(err, ERROR_SYSTEM,
                         "cannot listen on unix:%s: the socket there belongs to user %u; remove it "
                         "if it is left over",
                         path, (unsigned)info.st_uid);
    if (!is_answered(path, &answered, err))
        return false;
    if (answered)
        return error_set(err, ERROR_SYSTEM,
                         "cannot listen on unix:%s: another process does; `ss -xlp` shows which",
                         path);
    if (unlink(path) != 0 && errno != ENOENT)
        return error_system(err, errno, "cannot remove the left-over socket %s", path);
    log_info("removed a left-over socket", "path", path, NULL);
    return true;
}

/* Nobody but us may connect until chmod(2) says who may. The mask is the process's, but no other
 * thread of a tunnel makes files. */
static int bind_private(int fd, const char *path)
{
    struct sockaddr_un to = unix_address(path);
    mode_t former = umask(0177);
    int code = bind(fd, (const struct sockaddr *)&to, sizeof to);
    int why = errno;
    (void)umask(former);
    errno = why;
    return code;
}

static bool claim_path(struct listener *listener, unsigned mode, struct error *err)
{
    const char *path = listener->address.path;
    struct stat info;
    listener->made_path = true;
    if (lstat(path, &info) != 0)
        return error_system(err, errno, "cannot see the socket %s", path);
    listener->device = info.st_dev;
    listener->inode = info.st_ino;
    return listener_set_mode(listener, mode, err);
}

static bool open_unix(struct listener *listener, unsigned mode, struct error *err)
{
    const char *path = listener->address.path;
    if (!remove_stale(path, err))
        return false;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_system(err, errno, "cannot make a socket");
    if (bind_private(fd, path) != 0) {
        (void)error_system(err, errno, "cannot listen on unix:%s", path);
        (void)close(fd);
        return false;
    }
    int code = uv_pipe_open(&listener->uv.pipe, fd);
    if (code != 0) {
        (void)close(fd);
        (void)unlink(path);
        return error_set(err, ERROR_SYSTEM, "cannot listen on unix:%s: %s", path,
                         uv_strerror(code));
    }
    return claim_path(listener, mode, err);
}

bool listener_set_mode(struct listener *listener, unsigned mode, struct error *err)
{
    if (listener->address.kind != ADDRESS_UNIX)
        return true;
    return chmod(listener->address.path, (mode_t)mode) == 0 ||
           error_system(err, errno, "cannot set the mode of %s", listener->address.path);
}

static void remove_path(const struct listener *listener)
{
    struct stat info;
    if (listener->made_path && lstat(listener->address.path, &info) == 0 &&
        info.st_dev == listener->device && info.st_ino == listener->inode &&
        unlink(listener->address.path) != 0)
        log_warning("cannot remove the socket", "path", listener->address.path, NULL);
}

/* TCP. */

static bool tcp_error(const struct address *address, int code, struct error *err)
{
    char text[ADDRESS_TEXT_SIZE];
    address_format(address, text);
    if (code == UV_EADDRINUSE)
        return error_set(
            err, ERROR_SYSTEM,
            "cannot listen on %s: another process does; `ss -ltnp 'sport = :%u'` shows "
            "which",
            text, address->port);
    if (code == UV_EACCES)
        return error_set(err, ERROR_SYSTEM,
                         "cannot listen on %s: ports below 1024 need the capability "
                         "CAP_NET_BIND_SERVICE; choose another port",
                         text);
    if (code == UV_EADDRNOTAVAIL)
        return error_set(err, ERROR_SYSTEM,
                         "cannot listen on %s: this machine does not have that address; `ip addr` "
                         "shows those it has",
                         text);
    return error_set(err, ERROR_SYSTEM, "cannot listen on %s: %s", text, uv_strerror(code));
}

static bool open_tcp(struct listener *listener, struct error *err)
{
    struct sockaddr_storage to = {0};
    const struct address *address = &listener->address;
    unsigned flags = 0;
    if (uv_ip4_addr(address->host, address->port, (struct sockaddr_in *)&to) != 0) {
        flags = UV_TCP_IPV6ONLY;
        if (uv_ip6_addr(address->host, address->port, (struct sockaddr_in6 *)&to) != 0)
            return tcp_error(address, UV_EINVAL, err);
    }
    int code = uv_tcp_bind(&listener->uv.tcp, (const struct sockaddr *)&to, flags);
    return code == 0 || tcp_error(address, code, err);
}

/* Where port 0 was asked for. */
static void learn_port(struct listener *listener)
{
    struct sockaddr_storage name;
    int size = sizeof name;
    if (listener->address.kind != ADDRESS_HOST ||
        uv_tcp_getsockname(&listener->uv.tcp, (struct sockaddr *)&name, &size) != 0)
        return;
    listener->address.port =
        ntohs(name.ss_family == AF_INET ? ((const struct sockaddr_in *)&name)->sin_port
                                        : ((const struct sockaddr_in6 *)&name)->sin6_port);
}

/* Both. */

static void on_pending(uv_stream_t *handle, int status)
{
    struct listener *listener = handle->data;
    if (status == 0)
        listener->pending(listener->owner, handle);
    else
        log_warning("cannot take a local connection", "error", uv_strerror(status), NULL);
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void listener_close(struct listener *listener)
{
    if (!listener)
        return;
    remove_path(listener);
    uv_close(&listener->uv.handle, on_closed);
}

static bool init_handle(uv_loop_t *loop, struct listener *listener, struct error *err)
{
    int code = listener->address.kind == ADDRESS_UNIX ? uv_pipe_init(loop, &listener->uv.pipe, 0)
                                                      : uv_tcp_init(loop, &listener->uv.tcp);
    listener->uv.handle.data = listener;
    return code == 0 || error_set(err, ERROR_SYSTEM, "cannot make a socket: %s", uv_strerror(code));
}

static bool begin(struct listener *listener, unsigned mode, struct error *err)
{
    bool opened = listener->address.kind == ADDRESS_UNIX ? open_unix(listener, mode, err)
                                                         : open_tcp(listener, err);
    if (!opened)
        return false;
    int code = uv_listen(&listener->uv.stream, LISTENER_BACKLOG, on_pending);
    if (code != 0)
        return tcp_error(&listener->address, code, err);
    learn_port(listener);
    return true;
}

bool listener_open(uv_loop_t *loop, const struct address *address, unsigned mode,
                   listener_pending *pending, void *owner, struct listener **out, struct error *err)
{
    struct listener *listener = calloc(1, sizeof *listener);
    if (!listener)
        return error_set(err, ERROR_MEMORY, "out of memory");
    listener->address = *address;
    listener->pending = pending;
    listener->owner = owner;
    if (!init_handle(loop, listener, err)) {
        free(listener);
        return false;
    }
    if (!begin(listener, mode, err)) {
        listener_close(listener);
        return false;
    }
    *out = listener;
    return true;
}

const struct address *listener_address(const struct listener *listener)
{
    return &listener->address;
}

void listener_set_owner(struct listener *listener, listener_pending *pending, void *owner)
{
    listener->pending = pending;
    listener->owner = owner;
}
