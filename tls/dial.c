/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/dial.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

struct dial {
    struct stream_loop *shared;
    struct dial_request request;
    dial_done *done; /* NULL once it came or the owner gave up */
    void *owner;
    uv_getaddrinfo_t resolver;
    uv_timer_t timer;
    bool resolving;
    bool connected; /* of the stream: TCP stands, TLS is under way */
    bool finished;
    struct stream *stream;
    struct sockaddr_storage addresses[DIAL_ADDRESSES_MAX];
    size_t address_count;
    size_t next; /* the address to try next */
    int64_t deadline_us;
    struct error last;
    unsigned holds; /* timer, resolver, streams: what must be gone before the memory */
};

static void try_next(struct dial *dial);
static bool arm_timer(struct dial *dial, size_t shares, struct error *err);

static void release_hold(struct dial *dial)
{
    if (--dial->holds > 0)
        return;
    tls_context_unref(dial->request.context);
    free(dial);
}

static void on_timer_closed(uv_handle_t *handle)
{
    release_hold(handle->data);
}

static void close_parts(struct dial *dial)
{
    dial->finished = true;
    if (dial->resolving)
        (void)uv_cancel((uv_req_t *)&dial->resolver);
    stream_close(dial->stream, 0);
    dial->stream = NULL;
    uv_close((uv_handle_t *)&dial->timer, on_timer_closed);
}

/* A stream between two owners: whoever was given it may close it without becoming its owner. */
static void ignore(struct stream *stream, void *owner)
{
    (void)stream;
    (void)owner;
}

static size_t leave_data(struct stream *stream, void *owner, const uint8_t *data, size_t length)
{
    (void)owner;
    (void)data;
    (void)length;
    stream_pause(stream);
    return 0;
}

static void ignore_failure(struct stream *stream, void *owner, const struct error *err)
{
    (void)stream;
    (void)owner;
    (void)err;
}

static const struct stream_events nobody_events = {
    .connected = ignore,
    .secured = ignore,
    .data = leave_data,
    .drained = ignore,
    .ended = ignore,
    .failed = ignore_failure,
    .closed = ignore,
};

static void finish(struct dial *dial, struct stream *stream, const struct error *err)
{
    if (dial->finished)
        return;
    dial_done *done = dial->done;
    dial->done = NULL;
    dial->finished = true;
    if (stream) { /* its `closed` is no longer ours to wait for */
        stream_set_owner(stream, &nobody_events, NULL);
        dial->stream = NULL;
        dial->holds--;
    }
    done(dial->owner, stream, err);
    close_parts(dial);
}

void dial_cancel(struct dial *dial)
{
    if (!dial || dial->finished)
        return;
    dial->done = NULL;
    close_parts(dial);
}

static void fail_with(struct dial *dial, enum error_code code, const char *what)
{
    struct error err = {0};
    (void)error_set(&err, code, "%s", what);
    finish(dial, NULL, &err);
}

static void on_connected(struct stream *stream, void *owner)
{
    struct dial *dial = owner;
    struct error err = {0};
    dial->connected = true;
    if (!arm_timer(dial, 1, &err) ||
        !stream_start_tls(stream, dial->request.context, dial->request.server_name, &err))
        finish(dial, NULL, &err);
}

static void on_secured(struct stream *stream, void *owner)
{
    struct dial *dial = owner;
    const char *wanted = dial->request.alpn;
    const char *alpn = stream_alpn(stream);
    if (alpn && strcmp(alpn, wanted) == 0) {
        finish(dial, stream, NULL);
        return;
    }
    char text[128];
    (void)snprintf(text, sizeof text, "what answers there does not speak %s: is it %s?", wanted,
                   strcmp(wanted, TLS_ALPN_MYSQL) == 0
                       ? "the TLS-first listener of a Sallyport proxy"
                       : "a Sallyport authority or proxy, of this release");
    fail_with(dial, ERROR_UNSUPPORTED, text);
}

static void on_failed(struct stream *stream, void *owner, const struct error *err)
{
    struct dial *dial = owner;
    if (stream != dial->stream)
        return;
    bool refused = dial->connected; /* it spoke: other addresses would say the same */
    dial->last = *err;
    if (refused || dial->next >= dial->address_count) {
        struct error last = *err;
        finish(dial, NULL, &last);
        return;
    }
    dial->stream = NULL;
    stream_close(stream, 0);
    try_next(dial);
}

static void on_ended(struct stream *stream, void *owner)
{
    struct error err = {0};
    (void)error_set(&err, ERROR_CLOSED, "the connection was closed during the TLS handshake");
    on_failed(stream, owner, &err);
}

static void on_closed(struct stream *stream, void *owner)
{
    (void)stream;
    release_hold(owner);
}

static const struct stream_events dial_events = {
    .connected = on_connected,
    .secured = on_secured,
    .data = leave_data, /* nobody asked for bytes yet: they wait for the next owner */
    .ended = on_ended,
    .failed = on_failed,
    .closed = on_closed,
};

/* The share of this address, or the end of all. */
static void on_timeout(uv_timer_t *timer)
{
    struct dial *dial = timer->data;
    if (!dial->connected && dial->stream && dial->next < dial->address_count) {
        stream_close(dial->stream, 0);
        dial->stream = NULL;
        try_next(dial);
        return;
    }
    char text[96];
    (void)snprintf(text, sizeof text, "no answer within %.1f s%s",
                   (double)dial->request.timeout_ms / 1000,
                   dial->resolving   ? " from the resolver"
                   : dial->connected ? ": the TLS handshake did not end"
                                     : "");
    fail_with(dial, ERROR_TIMEOUT, text);
}

static bool arm_timer(struct dial *dial, size_t shares, struct error *err)
{
    int64_t left_ms = (dial->deadline_us - clock_monotonic_us()) / 1000;
    if (left_ms < 1)
        left_ms = 1;
    uint64_t share = (uint64_t)left_ms / (shares ? shares : 1);
    int code = uv_timer_start(&dial->timer, on_timeout, share ? share : 1, 0);
    return code == 0 || error_set(err, ERROR_SYSTEM, "%s", uv_strerror(code));
}

/* True: an attempt is under way. */
static bool begin_connect(struct dial *dial, struct error *err)
{
    size_t shares = dial->address_count - dial->next;
    const struct sockaddr *address = (const struct sockaddr *)&dial->addresses[dial->next++];
    dial->connected = false;
    if (!arm_timer(dial, shares, err) ||
        !stream_connect(dial->shared, address, &dial_events, dial, &dial->stream, err))
        return false;
    dial->holds++;
    return true;
}

static void try_next(struct dial *dial)
{
    while (dial->next < dial->address_count)
        if (begin_connect(dial, &dial->last))
            return;
    struct error last = dial->last;
    finish(dial, NULL, &last);
}

static void keep_addresses(struct dial *dial, const struct addrinfo *list)
{
    for (; list && dial->address_count < DIAL_ADDRESSES_MAX; list = list->ai_next)
        if (list->ai_addrlen <= sizeof dial->addresses[0])
            memcpy(&dial->addresses[dial->address_count++], list->ai_addr, list->ai_addrlen);
}

static void on_resolved(uv_getaddrinfo_t *resolver, int status, struct addrinfo *list)
{
    struct dial *dial = resolver->data;
    dial->resolving = false;
    if (!dial->finished && status == 0) {
        keep_addresses(dial, list);
        (void)error_set(&dial->last, ERROR_SYSTEM, "the name has no address");
        try_next(dial);
    } else if (!dial->finished) {
        char text[ADDRESS_HOST_SIZE + 96];
        (void)snprintf(text, sizeof text, "cannot resolve '%s': %s", dial->request.address.host,
                       uv_strerror(status));
        fail_with(dial, ERROR_SYSTEM, text);
    }
    uv_freeaddrinfo(list);
    release_hold(dial);
}

/* Addresses in numbers need no resolver and so no other thread. */
static bool take_numeric(struct dial *dial)
{
    const struct address *wanted = &dial->request.address;
    struct sockaddr_storage *slot = &dial->addresses[0];
    if (uv_ip4_addr(wanted->host, wanted->port, (struct sockaddr_in *)slot) != 0 &&
        uv_ip6_addr(wanted->host, wanted->port, (struct sockaddr_in6 *)slot) != 0)
        return false;
    dial->address_count = 1;
    return true;
}

static bool begin_resolve(struct dial *dial, uv_loop_t *loop, struct error *err)
{
    char port[8];
    (void)snprintf(port, sizeof port, "%u", dial->request.address.port);
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    dial->resolver.data = dial;
    int code = uv_getaddrinfo(loop, &dial->resolver, on_resolved, dial->request.address.host, port,
                              &hints);
    if (code != 0)
        return error_set(err, ERROR_SYSTEM, "cannot resolve '%s': %s", dial->request.address.host,
                         uv_strerror(code));
    dial->resolving = true;
    dial->holds++;
    return arm_timer(dial, 1, err);
}

static bool begin(struct dial *dial, uv_loop_t *loop, struct error *err)
{
    if (!take_numeric(dial))
        return begin_resolve(dial, loop, err);
    return begin_connect(dial, err);
}

bool dial_start(struct stream_loop *shared, uv_loop_t *loop, const struct dial_request *request,
                dial_done *done, void *owner, struct dial **out, struct error *err)
{
    struct dial *dial = calloc(1, sizeof *dial);
    if (!dial)
        return error_set(err, ERROR_MEMORY, "out of memory");
    dial->shared = shared;
    dial->request = *request;
    dial->done = done;
    dial->owner = owner;
    dial->holds = 1;
    dial->deadline_us = clock_monotonic_us() + request->timeout_ms * 1000;
    if (uv_timer_init(loop, &dial->timer) != 0) {
        free(dial);
        return error_set(err, ERROR_SYSTEM, "cannot make a timer");
    }
    dial->timer.data = dial;
    (void)tls_context_ref(request->context);
    if (!begin(dial, loop, err)) {
        dial_cancel(dial);
        return false;
    }
    *out = dial;
    return true;
}
