/* SPDX-License-Identifier: Apache-2.0 */
#include "tunnel/link.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/log.h"
#include "tls/hello.h"
#include "tunnel/local_client.h"

enum link_state {
    LINK_STARTING,
    LINK_JOINING, /* the bot's first certificate is on its way */
    LINK_WAITING, /* for a connection to the proxy */
    LINK_OPENING, /* the hello frame is out */
    LINK_RELAYING,
    LINK_CLOSING,
};

struct link {
    struct list node;
    struct link_host *host;
    struct stream *local;
    struct stream *remote; /* NULL until there is one */
    struct pool_wait *wait;
    uv_timer_t timer; /* the deadline of the identity, then of the greeting */
    enum link_state state;
    enum link_end end;
    bool was_ready; /* remote came out of the pool, so it may be dead: another try is due then */
    unsigned holds; /* timer and streams: what must be gone before the memory */
    int64_t started_us;
    char session[48]; /* for log lines */
};

/* transitions[from] has the bit of each state that may follow. */
static const unsigned transitions[] = {
    [LINK_STARTING] =
        1u << LINK_JOINING | 1u << LINK_WAITING | 1u << LINK_OPENING | 1u << LINK_CLOSING,
    [LINK_JOINING] = 1u << LINK_WAITING | 1u << LINK_OPENING | 1u << LINK_CLOSING,
    [LINK_WAITING] = 1u << LINK_OPENING | 1u << LINK_CLOSING,
    [LINK_OPENING] = 1u << LINK_WAITING | 1u << LINK_RELAYING | 1u << LINK_CLOSING,
    [LINK_RELAYING] = 1u << LINK_CLOSING,
    [LINK_CLOSING] = 0,
};

static const char *const end_names[] = {
    [LINK_END_NONE] = "none",
    [LINK_END_CLIENT_CLOSED] = "client_closed",
    [LINK_END_CLIENT_LOST] = "client_lost",
    [LINK_END_PROXY_CLOSED] = "proxy_closed",
    [LINK_END_PROXY_LOST] = "proxy_lost",
    [LINK_END_REFUSED] = "refused",
    [LINK_END_DRAINED] = "drained",
    [LINK_END_INTERNAL] = "internal_error",
};

static void wait_for_fresh(struct link *link);

const char *link_end_name(enum link_end end)
{
    return (size_t)end < sizeof end_names / sizeof *end_names ? end_names[end] : "unknown";
}

static bool set_state(struct link *link, enum link_state state)
{
    if (transitions[link->state] & 1u << state) {
        link->state = state;
        return true;
    }
    char move[32];
    (void)snprintf(move, sizeof move, "%d to %d", (int)link->state, (int)state);
    log_error("a connection was asked for a move that does not exist", "move", move, NULL);
    return false;
}

/* Ending. */

static void release_hold(struct link *link)
{
    if (--link->holds > 0)
        return;
    struct link_host *host = link->host;
    list_remove(&link->node);
    host->active--;
    free(link);
    host->gone(host);
}

static void on_timer_closed(uv_handle_t *handle)
{
    release_hold(handle->data);
}

static void log_end(const struct link *link)
{
    if (!log_enabled(LOG_DEBUG))
        return;
    char duration[32];
    (void)snprintf(duration, sizeof duration, "%" PRId64,
                   (clock_monotonic_us() - link->started_us) / 1000);
    const char *previous = log_enter(link->session);
    log_debug("connection ended", "tunnel", link->host->name, "reason", link_end_name(link->end),
              "milliseconds", duration, NULL);
    log_leave(previous);
}

/* The one way out; safe to enter twice. */
static void link_close(struct link *link, enum link_end end, unsigned linger_ms)
{
    if (link->state == LINK_CLOSING) {
        if (linger_ms == 0) {
            stream_close(link->local, 0);
            stream_close(link->remote, 0);
        }
        return;
    }
    (void)set_state(link, LINK_CLOSING);
    link->end = end;
    log_end(link);
    if (link->wait)
        pool_cancel(link->wait);
    link->wait = NULL;
    uv_close((uv_handle_t *)&link->timer, on_timer_closed);
    stream_close(link->local, linger_ms);
    stream_close(link->remote, linger_ms);
}

/* Whom a refusal is about: the bot, or the tunnel while its bot is not known. */
static const char *subject_of(const struct link_host *host, char *room, size_t size)
{
    if (credentials_generation(host->credentials) > 0)
        return credentials_bot(host->credentials);
    (void)snprintf(room, size, "tunnel %s", host->name);
    return room;
}

/* Puts an ERR packet where the greeting is expected. */
static void link_refuse(struct link *link, enum refusal_stage stage, const struct error *err)
{
    struct link_host *host = link->host;
    struct refusal refusal;
    uint8_t room[REFUSAL_PACKET_MAX];
    struct buffer packet;
    buffer_init_fixed(&packet, room, sizeof room);
    char subject[CREDENTIALS_BOT_SIZE];
    refusal_make(stage, err, subject_of(host, subject, sizeof subject), host->proxy, &refusal);
    host->refused++;
    if (host->refusal)
        host->refusal(host, refusal.message);
    bool told = refusal_append(&refusal, &packet, NULL) &&
                stream_write(link->local, buffer_bytes(&packet), buffer_length(&packet), NULL);
    link_close(link, LINK_END_REFUSED, told ? LINK_LINGER_MS : 0);
}

/* Relaying. */

/* Passes bytes on; stops their source while their way out is full. */
static size_t pass(struct link *link, struct stream *from, struct stream *to, const uint8_t *data,
                   size_t length, enum link_end lost)
{
    if (!stream_write(to, data, length, NULL))
        link_close(link, lost, LINK_LINGER_MS);
    else if (stream_backlog(to) > STREAM_BACKLOG_HIGH)
        stream_pause(from);
    return length;
}

static void on_local_drained(struct stream *stream, void *owner)
{
    (void)stream;
    stream_resume(((struct link *)owner)->remote);
}

static void on_remote_drained(struct stream *stream, void *owner)
{
    (void)stream;
    stream_resume(((struct link *)owner)->local);
}

/* The local side. */

static size_t on_local_data(struct stream *stream, void *owner, const uint8_t *data, size_t length)
{
    struct link *link = owner;
    if (link->state == LINK_RELAYING)
        return pass(link, stream, link->remote, data, length, LINK_END_PROXY_LOST);
    stream_pause(stream); /* kept until the greeting is through */
    return 0;
}

static void on_local_ended(struct stream *stream, void *owner)
{
    (void)stream;
    link_close(owner, LINK_END_CLIENT_CLOSED, LINK_LINGER_MS);
}

static void on_local_failed(struct stream *stream, void *owner, const struct error *err)
{
    (void)stream;
    (void)err;
    link_close(owner, LINK_END_CLIENT_LOST, LINK_LINGER_MS);
}

static void on_stream_closed(struct stream *stream, void *owner)
{
    struct link *link = owner;
    if (stream == link->local)
        link->local = NULL;
    else if (stream == link->remote)
        link->remote = NULL;
    release_hold(link);
}

static const struct stream_events local_events = {
    .data = on_local_data,
    .drained = on_local_drained,
    .ended = on_local_ended,
    .failed = on_local_failed,
    .closed = on_stream_closed,
};

/* The side of the proxy. */

static void begin_relaying(struct link *link)
{
    (void)set_state(link, LINK_RELAYING);
    (void)uv_timer_stop(&link->timer);
    if (link->host->pool)
        pool_confirm(link->host->pool);
    stream_resume(link->local);
}

static size_t on_remote_data(struct stream *stream, void *owner, const uint8_t *data, size_t length)
{
    struct link *link = owner;
    if (link->state == LINK_OPENING)
        begin_relaying(link);
    if (link->state != LINK_RELAYING)
        return length;
    return pass(link, stream, link->local, data, length, LINK_END_CLIENT_LOST);
}

/* A connection that had been kept ready may have died unnoticed; the program need not know. */
static bool try_again(struct link *link)
{
    if (!link->was_ready || !link->host->pool)
        return false;
    stream_close(link->remote, 0);
    link->remote = NULL;
    (void)uv_timer_stop(&link->timer);
    link->host->retried++;
    wait_for_fresh(link);
    return true;
}

static void remote_lost(struct link *link, enum link_end end, const struct error *err)
{
    if (link->state == LINK_RELAYING)
        link_close(link, end, LINK_LINGER_MS);
    else if (link->state == LINK_OPENING && !try_again(link))
        link_refuse(link, REFUSAL_GREETING, err);
}

static void on_remote_ended(struct stream *stream, void *owner)
{
    (void)stream;
    struct error err = {0};
    (void)error_set(&err, ERROR_CLOSED, "the proxy closed it");
    remote_lost(owner, LINK_END_PROXY_CLOSED, &err);
}

static void on_remote_failed(struct stream *stream, void *owner, const struct error *err)
{
    (void)stream;
    remote_lost(owner, LINK_END_PROXY_LOST, err);
}

static const struct stream_events remote_events = {
    .data = on_remote_data,
    .drained = on_remote_drained,
    .ended = on_remote_ended,
    .failed = on_remote_failed,
    .closed = on_stream_closed,
};

/* Opening. */

static void on_greeting_late(uv_timer_t *timer)
{
    link_refuse(timer->data, REFUSAL_TIMEOUT, NULL);
}

static bool send_hello(struct link *link, struct error *err)
{
    struct hello hello = {0};
    uint8_t room[HELLO_FRAME_MAX];
    struct buffer frame;
    buffer_init_fixed(&frame, room, sizeof room);
    (void)snprintf(hello.database, sizeof hello.database, "%s", link->host->database);
    hello.has_family = true;
    memcpy(hello.family, link->host->family, sizeof hello.family);
    local_client_describe(link->local, &hello.local);
    return hello_append(&frame, &hello, err) &&
           stream_write(link->remote, buffer_bytes(&frame), buffer_length(&frame), err);
}

static void open_remote(struct link *link, struct stream *stream, bool was_ready)
{
    struct error err = {0};
    link->remote = stream;
    link->holds++;
    link->was_ready = was_ready;
    stream_set_owner(stream, &remote_events, link);
    if (!set_state(link, LINK_OPENING)) {
        link_close(link, LINK_END_INTERNAL, 0);
        return;
    }
    if (!send_hello(link, &err)) {
        if (!try_again(link))
            link_refuse(link, REFUSAL_GREETING, &err);
        return;
    }
    stream_resume(stream);
    (void)uv_timer_start(&link->timer, on_greeting_late, LINK_GREETING_MS, 0);
}

static void on_fresh(void *owner, struct stream *stream, const struct error *err)
{
    struct link *link = owner;
    link->wait = NULL;
    if (stream)
        open_remote(link, stream, false);
    else
        link_refuse(link, err->code == ERROR_DENIED ? REFUSAL_IDENTITY : REFUSAL_DIAL, err);
}

static void wait_for_fresh(struct link *link)
{
    struct error err = {0};
    struct link_host *host = link->host;
    if (!set_state(link, LINK_WAITING))
        link_close(link, LINK_END_INTERNAL, 0);
    else if (!pool_wait(host->pool, host->connect_timeout_ms, on_fresh, link, &link->wait, &err))
        link_refuse(link, err.code == ERROR_LIMIT ? REFUSAL_LIMIT : REFUSAL_INTERNAL, &err);
}

static void link_dial(struct link *link)
{
    struct stream *ready = pool_take(link->host->pool);
    if (ready)
        open_remote(link, ready, true);
    else
        wait_for_fresh(link);
}

static bool has_identity(const struct link *link, struct error *err)
{
    struct tls_context *context;
    return credentials_context(link->host->credentials, clock_wall_us(), &context, err);
}

static void on_identity_late(uv_timer_t *timer)
{
    struct link *link = timer->data;
    struct error why = {0}, err = {0};
    if (has_identity(link, &why)) {
        link_dial(link);
        return;
    }
    (void)error_set(&err, ERROR_DENIED, "%.400s, and has not come within %.1f s; connect again",
                    why.message, (double)link->host->connect_timeout_ms / 1000);
    link_refuse(link, REFUSAL_IDENTITY, &err);
}

/* Refuses a connection, unless what it lacks may come any moment. */
static void wait_for_identity(struct link *link, const struct error *err)
{
    struct link_host *host = link->host;
    if (!host->pending || !host->pending(host)) {
        link_refuse(link, REFUSAL_IDENTITY, err);
        return;
    }
    if (link->state == LINK_JOINING)
        return;
    if (set_state(link, LINK_JOINING))
        (void)uv_timer_start(&link->timer, on_identity_late, (uint64_t)host->connect_timeout_ms, 0);
    else
        link_close(link, LINK_END_INTERNAL, 0);
}

/* The certificate is judged here, by wall clock, at each connect. */
static void link_begin(struct link *link)
{
    struct link_host *host = link->host;
    struct error err = {0};
    if (host->connecting)
        host->connecting(host);
    if (credentials_check(host->credentials))
        pool_refresh(host->pool);
    if (has_identity(link, &err))
        link_dial(link);
    else
        wait_for_identity(link, &err);
}

void link_settle(struct link_host *host)
{
    struct list *next;
    for (struct list *at = host->links.next; at != &host->links; at = next) {
        next = at->next;
        struct link *link = LIST_OF(at, struct link, node);
        struct error err = {0};
        if (link->state != LINK_JOINING)
            continue;
        bool ready = has_identity(link, &err);
        const char *previous = log_enter(link->session);
        if (ready) {
            (void)uv_timer_stop(&link->timer);
            link_dial(link);
        } else {
            wait_for_identity(link, &err);
        }
        log_leave(previous);
    }
}

/* Starting. */

static bool link_create(struct link_host *host, struct link **out, struct error *err)
{
    struct link *link = calloc(1, sizeof *link);
    if (!link)
        return error_set(err, ERROR_MEMORY, "out of memory");
    if (uv_timer_init(host->loop, &link->timer) != 0) {
        free(link);
        return error_set(err, ERROR_SYSTEM, "cannot make a timer");
    }
    link->timer.data = link;
    link->holds = 1;
    link->host = host;
    link->started_us = clock_monotonic_us();
    (void)snprintf(link->session, sizeof link->session, "%.32s/%" PRIu64, host->name,
                   ++host->total);
    list_append(&host->links, &link->node);
    host->active++;
    *out = link;
    return true;
}

bool link_accept(struct link_host *host, struct stream_loop *shared, uv_stream_t *listener,
                 enum refusal_stage refuse, struct error *err)
{
    struct link *link;
    if (!link_create(host, &link, err))
        return false;
    if (!stream_accept(shared, listener, &local_events, link, &link->local, err)) {
        link->local = NULL;
        link_close(link, LINK_END_INTERNAL, 0);
        return false;
    }
    link->holds++;
    const char *previous = log_enter(link->session);
    log_debug("connection accepted", "tunnel", host->name, "client",
              stream_peer_address(link->local), NULL);
    if (refuse != REFUSAL_NONE)
        link_refuse(link, refuse, NULL);
    else
        link_begin(link);
    log_leave(previous);
    return true;
}

void link_stop_waiting(struct link_host *host)
{
    struct list *next;
    for (struct list *at = host->links.next; at != &host->links; at = next) {
        next = at->next;
        struct link *link = LIST_OF(at, struct link, node);
        if (link->state == LINK_WAITING || link->state == LINK_JOINING)
            link_refuse(link, REFUSAL_STOPPING, NULL);
    }
}

void link_close_all(struct link_host *host, unsigned linger_ms)
{
    struct list *next;
    for (struct list *at = host->links.next; at != &host->links; at = next) {
        next = at->next;
        link_close(LIST_OF(at, struct link, node), LINK_END_DRAINED, linger_ms);
    }
}
