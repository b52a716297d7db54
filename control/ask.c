/* SPDX-License-Identifier: Apache-2.0 */
#include "control/ask.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "control/frame.h"

/* What one system call reads. */
#define READ_ROOM (64 * 1024)

/* Between two attempts while the authority's queue of connections is full. */
#define FULL_PAUSE_MS 20

struct asking {
    const char *path;
    int fd;
    int64_t deadline_us;
    uint64_t id;
    struct control_reader reader;
    struct error *err;
};

static int left_ms(const struct asking *asking)
{
    int64_t left = (asking->deadline_us - clock_monotonic_us() + 999) / 1000;
    if (left < 0)
        return 0;
    return left < INT32_MAX ? (int)left : INT32_MAX;
}

static bool timed_out(const struct asking *asking, const char *what)
{
    return error_set(asking->err, ERROR_TIMEOUT, "the authority at %s %s", asking->path, what);
}

/* What to do about a socket that does not let us in. */
static bool cannot_connect(const struct asking *asking, int code)
{
    if (code == ENOENT || code == ECONNREFUSED || code == ENOTDIR)
        return error_system(asking->err, code,
                            "cannot reach the authority: is it running? Its socket is %s",
                            asking->path);
    if (code == EACCES || code == EPERM)
        return error_system(asking->err, code,
                            "cannot reach the authority at %s: run this as root, or as the user "
                            "that the authority runs as",
                            asking->path);
    return error_system(asking->err, code, "cannot reach the authority at %s", asking->path);
}

static bool try_connect(const struct asking *asking, const struct sockaddr_un *address)
{
    const struct timespec pause = {.tv_nsec = FULL_PAUSE_MS * 1000000L};
    for (;;) {
        if (connect(asking->fd, (const struct sockaddr *)address, sizeof *address) == 0)
            return true;
        /* A Unix socket whose queue is full says EAGAIN, and there is nothing to poll for
         * (connect(2)). */
        if (errno != EAGAIN && errno != EINTR)
            return cannot_connect(asking, errno);
        if (left_ms(asking) == 0)
            return timed_out(asking, "takes no connections");
        (void)nanosleep(&pause, NULL);
    }
}

static bool open_socket(struct asking *asking)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(asking->path);
    if (length >= sizeof address.sun_path)
        return error_set(asking->err, ERROR_LIMIT,
                         "%s: the path of a Unix socket has at most %zu bytes", asking->path,
                         sizeof address.sun_path - 1);
    memcpy(address.sun_path, asking->path, length);
    asking->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (asking->fd < 0)
        return error_system(asking->err, errno, "cannot make a socket");
    return try_connect(asking, &address);
}

/* Whether it may go on after a call that failed with errno: once `events` are there. */
static bool wait_for(const struct asking *asking, short events, const char *late)
{
    struct pollfd poll_fd = {.fd = asking->fd, .events = events};
    int code = errno;
    if (code == EINTR)
        return true;
    if (code != EAGAIN)
        return error_system(asking->err, code, "the connection to the authority at %s broke",
                            asking->path);
    int ready = poll(&poll_fd, 1, left_ms(asking));
    if (ready == 0)
        return timed_out(asking, late);
    return ready > 0 || errno == EINTR ||
           error_system(asking->err, errno, "cannot wait for the authority at %s", asking->path);
}

static bool send_all(const struct asking *asking, const struct buffer *frame)
{
    const uint8_t *at = buffer_bytes(frame);
    size_t left = buffer_length(frame);
    while (left > 0) {
        ssize_t sent = send(asking->fd, at, left, MSG_NOSIGNAL);
        if (sent < 0 && !wait_for(asking, POLLOUT, "does not read the request"))
            return false;
        if (sent > 0) {
            at += sent;
            left -= (size_t)sent;
        }
    }
    return true;
}

static bool send_request(const struct asking *asking, const cJSON *request)
{
    struct buffer frame;
    if (!control_frame_print(request, CONTROL_ADMIN_REQUEST_MAX, &frame, asking->err))
        return false;
    bool sent = send_all(asking, &frame);
    control_frame_release(&frame);
    return sent;
}

/* True: bytes came. */
static bool receive(const struct asking *asking, uint8_t *room, size_t *got)
{
    for (;;) {
        ssize_t count = recv(asking->fd, room, READ_ROOM, 0);
        if (count == 0)
            return error_set(asking->err, ERROR_CLOSED,
                             "the authority at %s closed the connection before it answered: see "
                             "its log, and whether the request was carried out",
                             asking->path);
        if (count > 0) {
            *got = (size_t)count;
            return true;
        }
        if (!wait_for(asking, POLLIN,
                      "did not answer in time: see whether the request was carried out"))
            return false;
    }
}

static bool receive_frame(struct asking *asking, struct byte_view *json)
{
    uint8_t room[READ_ROOM];
    size_t got = 0;
    size_t taken;
    enum control_progress progress = CONTROL_NEED_MORE;
    while (progress == CONTROL_NEED_MORE) {
        if (!receive(asking, room, &got))
            break;
        progress =
            control_reader_feed(&asking->reader, byte_view(room, got), &taken, json, asking->err);
    }
    explicit_bzero(room, sizeof room);
    return progress == CONTROL_FRAME;
}

/* The answer's object leaves its message. */
static bool take_answer(struct asking *asking, cJSON *message, cJSON **answer,
                        struct control_failure *failure)
{
    struct control_head head;
    if (!control_head_read(message, &head, asking->err))
        return false;
    if (head.form != CONTROL_ANSWER || (head.id != asking->id && head.id != 0))
        return error_set(asking->err, ERROR_MALFORMED, "it answers something else");
    if (!head.ok) {
        *failure = head.failure;
        return error_set(asking->err, ERROR_DENIED, "%s", head.failure.message);
    }
    *answer = cJSON_DetachItemFromObjectCaseSensitive(message, "ok");
    return true;
}

static bool read_answer(struct asking *asking, cJSON **answer, struct control_failure *failure)
{
    struct byte_view json;
    cJSON *message = NULL;
    if (!receive_frame(asking, &json))
        return false;
    bool good =
        control_parse(json, &message, asking->err) && take_answer(asking, message, answer, failure);
    control_free(message);
    if (!good && failure->code == CONTROL_NO_ERROR)
        return error_wrap(asking->err, "cannot read the answer of the authority at %s",
                          asking->path);
    return good;
}

bool control_ask(const char *socket_path, const cJSON *request, int64_t timeout_ms, cJSON **answer,
                 struct control_failure *failure, struct error *err)
{
    struct control_head head;
    struct asking asking = {
        .path = socket_path,
        .fd = -1,
        .deadline_us = clock_monotonic_us() + timeout_ms * 1000,
        .err = err,
    };
    *answer = NULL;
    *failure = (struct control_failure){0};
    if (!control_head_read(request, &head, err))
        return false;
    asking.id = head.id;
    control_reader_init(&asking.reader, CONTROL_ANSWER_MAX);
    bool good = open_socket(&asking) && send_request(&asking, request) &&
                read_answer(&asking, answer, failure);
    control_reader_release(&asking.reader);
    if (asking.fd >= 0)
        (void)close(asking.fd);
    return good;
}
