/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "tls/stream_internal.h"

static void on_closed(uv_handle_t *handle)
{
    struct stream *stream = handle->data;
    if (stream->events)
        stream->events->closed(stream, stream->owner);
    stream_tls_free(stream->tls);
    buffer_release(&stream->kept_input);
    buffer_release(&stream->kept_plain);
    buffer_release(&stream->early);
    buffer_release(&stream->pending);
    buffer_release(&stream->in_flight);
    free(stream);
}

void stream_force_close(struct stream *stream)
{
    if (stream->state == STREAM_CLOSING)
        return;
    stream_set_state(stream, STREAM_CLOSING);
    stream_link_remove(&stream->wait_link);
    stream_link_remove(&stream->linger_link);
    stream_drop_output(stream);
    uv_close(&stream->uv.handle, on_closed);
}

/* Reading. */

static void on_allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    (void)suggested;
    struct stream *stream = handle->data;
    *out = uv_buf_init((char *)stream->shared->read, STREAM_READ_CHUNK);
}

/* libuv 1.44 calls it an end when a reset comes together with the last data: the socket knows
 * better. */
static int pending_error(const struct stream *stream)
{
    int code = 0;
    socklen_t size = sizeof code;
    if (getsockopt(stream_fd(stream), SOL_SOCKET, SO_ERROR, &code, &size) != 0)
        return 0;
    return uv_translate_sys_error(code);
}

static void input_ended(struct stream *stream, int code)
{
    int hidden = code == UV_EOF ? pending_error(stream) : 0;
    if (hidden != 0)
        code = hidden;
    if (stream->write_error != 0)
        stream_fail_with(stream, ERROR_SYSTEM, "the connection to %s broke: %s", stream->address,
                         uv_strerror(stream->write_error));
    else if (code != UV_EOF)
        stream_fail_with(stream, code == UV_ECONNRESET ? ERROR_CLOSED : ERROR_SYSTEM,
                         "the connection to %s broke: %s", stream->address, uv_strerror(code));
    else if (stream->peer_ended)
        return;
    else if (stream->tls)
        stream_fail_with(stream, ERROR_CLOSED, "%s closed the connection %s", stream->address,
                         stream->tls->verified ? "without TLS's close_notify"
                                               : "during the TLS handshake");
    else {
        stream->peer_ended = true;
        stream->events->ended(stream, stream->owner);
    }
}

/* A lingering stream reads to throw away: unread input would make the kernel reset the connection
 * at close, and the reset may overtake what was sent last. */
static void discard_input(struct stream *stream, ssize_t got)
{
    if (got >= 0)
        return;
    stream->peer_ended = true;
    if (stream_backlog(stream) == 0 || got != UV_EOF)
        stream_force_close(stream);
    else
        stream_update_reading(stream);
}

/* libuv reads again at once while the buffer comes back full; this bounds it. */
static void limit_burst(struct stream *stream, ssize_t got)
{
    stream->burst += (size_t)got;
    if (got < STREAM_READ_CHUNK)
        stream->burst = 0;
    if (stream->burst < STREAM_READ_BURST)
        return;
    stream->burst = 0;
    if (stream->reading && uv_read_stop(&stream->uv.stream) == 0) {
        stream->reading = false;
        stream_attend(stream, STREAM_ATTEND_INPUT);
    }
}

static void on_read(uv_stream_t *handle, ssize_t got, const uv_buf_t *buffer)
{
    struct stream *stream = handle->data;
    if (got == 0 || stream->state == STREAM_CLOSING)
        return;
    stream_loop_enter(stream->shared);
    if (stream->state == STREAM_LINGERING) {
        discard_input(stream, got);
    } else if (got < 0) {
        (void)uv_read_stop(handle);
        stream->reading = false;
        if (stream->state == STREAM_OPEN && !stream->failing)
            input_ended(stream, (int)got);
    } else {
        stream->input = (const uint8_t *)buffer->base;
        stream->input_length = (size_t)got;
        stream_pump(stream);
        stream_update_reading(stream);
    }
    if (got > 0)
        limit_burst(stream, got);
    stream_settle(stream);
    stream_loop_leave(stream->shared);
}

static bool wants_input(const struct stream *stream)
{
    if (stream->state == STREAM_LINGERING)
        return !stream->peer_ended;
    return stream_can_read(stream) && !stream->peer_ended &&
           !(stream->attention & STREAM_ATTEND_INPUT);
}

void stream_update_reading(struct stream *stream)
{
    bool wanted = wants_input(stream);
    if (wanted == stream->reading || stream->state == STREAM_CLOSING)
        return;
    if (!wanted) {
        (void)uv_read_stop(&stream->uv.stream);
        stream->reading = false;
        return;
    }
    int code = uv_read_start(&stream->uv.stream, on_allocate, on_read);
    if (code == 0)
        stream->reading = true;
    else
        stream_fail_with(stream, ERROR_SYSTEM, "cannot read from %s: %s", stream->address,
                         uv_strerror(code));
}

/* Closing. */

static void on_shut(uv_shutdown_t *request, int status)
{
    struct stream *stream = request->handle->data;
    if (status < 0)
        stream_force_close(stream);
}

void stream_finish_linger(struct stream *stream)
{
    if (stream->shut || stream->state != STREAM_LINGERING || stream_backlog(stream) > 0)
        return;
    stream->shut = true;
    if (stream->peer_ended ||
        uv_shutdown(&stream->request.shutdown, &stream->uv.stream, on_shut) != 0)
        stream_force_close(stream);
}

void stream_begin_linger(struct stream *stream, unsigned linger_ms)
{
    /* The cached time may be that of a long callback ago. */
    uv_update_time(stream->shared->loop);
    stream->linger_until = uv_now(stream->shared->loop) + linger_ms;
    stream_link_remove(&stream->wait_link);
    stream->attention = 0;
    stream_link_append(&stream->shared->lingering, &stream->linger_link);
    stream_start_linger_timer(stream->shared);
    stream_update_reading(stream);
    stream_finish_linger(stream);
}

/* Beginning. */

static struct stream *stream_new(struct stream_loop *shared, bool pipe, struct error *err)
{
    struct stream *stream = calloc(1, sizeof *stream);
    if (!stream) {
        error_set(err, ERROR_MEMORY, "out of memory for a connection");
        return NULL;
    }
    int code = pipe ? uv_pipe_init(shared->loop, &stream->uv.pipe, 0)
                    : uv_tcp_init(shared->loop, &stream->uv.tcp);
    if (code != 0) {
        error_set(err, ERROR_SYSTEM, "cannot make a socket: %s", uv_strerror(code));
        free(stream);
        return NULL;
    }
    stream->uv.handle.data = stream;
    stream->write_request.data = stream;
    stream->shared = shared;
    stream_link_init(&stream->wait_link);
    stream_link_init(&stream->linger_link);
    buffer_init(&stream->kept_input, STREAM_READ_CHUNK);
    buffer_init(&stream->kept_plain, STREAM_READ_CHUNK);
    buffer_init(&stream->early, STREAM_BACKLOG_MAX);
    buffer_init(&stream->pending, STREAM_BACKLOG_MAX);
    buffer_init(&stream->in_flight, STREAM_BACKLOG_MAX);
    (void)snprintf(stream->address, sizeof stream->address, "unix");
    return stream;
}

static void print_address(const struct sockaddr *address, char *out, size_t size)
{
    char host[INET6_ADDRSTRLEN] = "?";
    unsigned port = 0;
    if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *)address;
        (void)uv_ip6_name(in6, host, sizeof host);
        port = ntohs(in6->sin6_port);
    } else if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)address;
        (void)uv_ip4_name(in, host, sizeof host);
        port = ntohs(in->sin_port);
    }
    (void)snprintf(out, size, address->sa_family == AF_INET6 ? "[%s]:%u" : "%s:%u", host, port);
}

/* Neither is worth a failure: the connection works without them. */
static void tune_tcp(struct stream *stream)
{
    (void)uv_tcp_nodelay(&stream->uv.tcp, 1);
    (void)uv_tcp_keepalive(&stream->uv.tcp, 1, STREAM_KEEPALIVE_SECONDS);
}

bool stream_accept(struct stream_loop *shared, uv_stream_t *listener,
                   const struct stream_events *events, void *owner, struct stream **out,
                   struct error *err)
{
    struct stream *stream = stream_new(shared, listener->type == UV_NAMED_PIPE, err);
    if (!stream)
        return false;
    stream->state = STREAM_OPEN;
    int code = uv_accept(listener, &stream->uv.stream);
    if (code != 0) {
        stream_force_close(stream);
        return error_set(err, ERROR_SYSTEM, "cannot accept a connection: %s", uv_strerror(code));
    }
    if (stream->uv.handle.type == UV_TCP) {
        struct sockaddr_storage peer = {0};
        int length = sizeof peer;
        tune_tcp(stream);
        /* Fails for a peer that is gone already, which reading will tell. */
        (void)uv_tcp_getpeername(&stream->uv.tcp, (struct sockaddr *)&peer, &length);
        print_address((struct sockaddr *)&peer, stream->address, sizeof stream->address);
    }
    stream->events = events;
    stream->owner = owner;
    stream_update_reading(stream);
    *out = stream;
    return true;
}

static void on_connected(uv_connect_t *request, int status)
{
    struct stream *stream = request->handle->data;
    if (stream->state != STREAM_CONNECTING)
        return;
    stream_loop_enter(stream->shared);
    if (status < 0) {
        stream->connect_error = status;
        stream_fail_with(stream, ERROR_SYSTEM, "cannot connect to %s: %s", stream->address,
                         uv_strerror(status));
    } else {
        if (stream->uv.handle.type == UV_TCP)
            tune_tcp(stream);
        stream_set_state(stream, STREAM_OPEN);
        stream->events->connected(stream, stream->owner);
        stream_pump(stream);
        stream_update_reading(stream);
    }
    stream_settle(stream);
    stream_loop_leave(stream->shared);
}

bool stream_connect(struct stream_loop *shared, const struct sockaddr *address,
                    const struct stream_events *events, void *owner, struct stream **out,
                    struct error *err)
{
    struct stream *stream = stream_new(shared, false, err);
    if (!stream)
        return false;
    print_address(address, stream->address, sizeof stream->address);
    int code = uv_tcp_connect(&stream->request.connect, &stream->uv.tcp, address, on_connected);
    if (code != 0) {
        error_set(err, ERROR_SYSTEM, "cannot connect to %s: %s", stream->address,
                  uv_strerror(code));
        stream_force_close(stream);
        return false;
    }
    stream->events = events;
    stream->owner = owner;
    *out = stream;
    return true;
}

bool stream_connect_unix(struct stream_loop *shared, const char *path,
                         const struct stream_events *events, void *owner, struct stream **out,
                         struct error *err)
{
    /* libuv 1.44 cuts a longer path and connects to another socket. */
    if (strlen(path) >= sizeof((struct sockaddr_un *)0)->sun_path)
        return error_set(err, ERROR_LIMIT, "%s: the path of a Unix socket has at most %zu bytes",
                         path, sizeof((struct sockaddr_un *)0)->sun_path - 1);
    struct stream *stream = stream_new(shared, true, err);
    if (!stream)
        return false;
    stream->events = events;
    stream->owner = owner;
    uv_pipe_connect(&stream->request.connect, &stream->uv.pipe, path, on_connected);
    *out = stream;
    return true;
}
