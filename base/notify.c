/* SPDX-License-Identifier: Apache-2.0 */
#include "base/notify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

/* Only an absolute path or an abstract name is a socket here; sd_notify(3) has vsock too, which
 * needs a virtual machine's manager outside. */
static bool socket_address(const char *name, struct sockaddr_un *out, socklen_t *size,
                           struct error *err)
{
    size_t length = strlen(name);
    if ((name[0] != '/' && name[0] != '@') || length < 2 || length >= sizeof out->sun_path)
        return error_set(err, ERROR_MALFORMED, "NOTIFY_SOCKET '%s' is not a socket's name", name);
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(out->sun_path, name, length);
    if (name[0] == '@')
        out->sun_path[0] = '\0';
    *size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    return true;
}

static bool send_to(const char *name, const char *message, struct error *err)
{
    struct sockaddr_un to;
    socklen_t size;
    if (!socket_address(name, &to, &size, err))
        return false;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return error_system(err, errno, "cannot make a socket for NOTIFY_SOCKET");
    size_t length = strlen(message);
    ssize_t sent = sendto(fd, message, length, MSG_NOSIGNAL, (const struct sockaddr *)&to, size);
    int why = errno;
    (void)close(fd);
    if (sent != (ssize_t)length)
        return error_system(err, why, "cannot write to NOTIFY_SOCKET '%s'", name);
    return true;
}

bool notify_send(const char *message, bool *sent, struct error *err)
{
    const char *name = getenv("NOTIFY_SOCKET");
    bool wanted = name && *name != '\0';
    if (wanted && !send_to(name, message, err))
        return false;
    if (sent)
        *sent = wanted;
    return true;
}

static void notify_quietly(const char *message)
{
    struct error err = {0};
    if (!notify_send(message, NULL, &err))
        log_debug("the service manager was not told", "error", err.message, NULL);
}

void notify_ready(void)
{
    notify_quietly("READY=1");
}

void notify_reloading(void)
{
    char message[NOTIFY_MESSAGE_SIZE];
    int length = snprintf(message, sizeof message, "RELOADING=1\nMONOTONIC_USEC=%" PRId64,
                          clock_monotonic_us());
    if (length > 0)
        notify_quietly(message);
}

void notify_stopping(void)
{
    notify_quietly("STOPPING=1");
}

void notify_status(const char *format, ...)
{
    char message[NOTIFY_MESSAGE_SIZE] = "STATUS=";
    size_t used = strlen(message);
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(message + used, sizeof message - used, format, arguments);
    va_end(arguments);
    if (length < 0)
        return;
    for (char *at = message + used; *at != '\0'; at++)
        if (*at == '\n' || *at == '\r')
            *at = ' ';
    notify_quietly(message);
}
