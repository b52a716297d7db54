/* SPDX-License-Identifier: Apache-2.0 */
#include "tunnel/port.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/backoff.h"
#include "base/clock.h"
#include "base/log.h"
#include "tunnel/link.h"
#include "tunnel/listener.h"

struct port {
    struct link_host host;
    struct port_surroundings around;
    struct tunnel_settings settings; /* a copy */
    struct shared_use *use;
    struct listener *listener; /* NULL while it cannot listen, and once retired */
    uv_timer_t retry;
    struct backoff backoff;
    bool retired;
    bool timer_closed;
    int64_t refusal_logged_us; /* monotonic; 0: never */
    uint64_t refusals_left_out;
    char proxy[ADDRESS_TEXT_SIZE];
};

static void on_retry(uv_timer_t *timer);

static struct port *port_of(struct link_host *host)
{
    return (struct port *)(void *)host; /* its first member */
}

/* Going. */

static void port_free(struct port *port)
{
    shared_release(port->use);
    tunnel_settings_release(&port->settings);
    free(port);
}

static void free_when_done(struct port *port)
{
    if (!port->retired || !port->timer_closed || port->host.active > 0)
        return;
    port->around.events->gone(port->around.owner, port);
    port_free(port);
}

static void on_link_gone(struct link_host *host)
{
    free_when_done(port_of(host));
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct port *port = handle->data;
    port->timer_closed = true;
    free_when_done(port);
}

void port_retire(struct port *port)
{
    if (port->retired)
        return;
    port->retired = true;
    if (port->use)
        shared_retire(port->use);
    listener_close(port->listener);
    port->listener = NULL;
    uv_close((uv_handle_t *)&port->retry, on_timer_closed);
}

void port_stop_waiting(struct port *port)
{
    link_stop_waiting(&port->host);
}

void port_close_links(struct port *port, unsigned linger_ms)
{
    link_close_all(&port->host, linger_ms);
}

/* Connections. */

static void on_connecting(struct link_host *host)
{
    shared_look(port_of(host)->use);
}

static bool is_pending(struct link_host *host)
{
    return shared_is_pending(port_of(host)->use);
}

bool port_is_pending(const struct port *port)
{
    return shared_is_pending(port->use);
}

void port_settle(struct port *port)
{
    link_settle(&port->host);
}

/* A program that is refused tends to come again at once. */
static void on_refusal(struct link_host *host, const char *message)
{
    struct port *port = port_of(host);
    int64_t now_us = clock_monotonic_us();
    if (port->refusal_logged_us != 0 &&
        now_us - port->refusal_logged_us < (int64_t)PORT_REFUSAL_LOG_MS * 1000) {
        port->refusals_left_out++;
        return;
    }
    char left_out[24];
    (void)snprintf(left_out, sizeof left_out, "%" PRIu64, port->refusals_left_out);
    log_warning("connection refused", "tunnel", host->name, "told", message, "more_like_it",
                port->refusals_left_out ? left_out : NULL, NULL);
    port->refusal_logged_us = now_us;
    port->refusals_left_out = 0;
}

static void try_later(struct port *port)
{
    uint32_t pause_ms = backoff_fail(&port->backoff);
    (void)uv_timer_start(&port->retry, on_retry, pause_ms, 0);
}

/* libuv offers nothing more until the pending connection is taken; where it cannot be (no memory),
 * only a new listener gets the port going again. */
static void restart_listener(struct port *port)
{
    listener_close(port->listener);
    port->listener = NULL;
    try_later(port);
}

static void on_pending(void *owner, uv_stream_t *handle)
{
    struct port *port = owner;
    struct error err = {0};
    bool full = port->host.active >= port->settings.max_connections;
    if (link_accept(&port->host, port->around.streams, handle, full ? REFUSAL_LIMIT : REFUSAL_NONE,
                    &err))
        return;
    log_error("cannot take a local connection", "tunnel", port->settings.name, "error", err.message,
              NULL);
    restart_listener(port);
}

/* Listening. */

static void now_listening(struct port *port)
{
    char where[ADDRESS_TEXT_SIZE];
    const char *bot = credentials_generation(port->host.credentials) > 0
                          ? credentials_bot(port->host.credentials)
                          : NULL; /* it is known with its certificate */
    address_format(listener_address(port->listener), where);
    log_info("tunnel listens", "tunnel", port->settings.name, "listen", where, "proxy", port->proxy,
             "database", port->settings.database, "bot", bot, NULL);
    if (!address_is_local(&port->settings.listen))
        log_warning("other machines can reach this port, and whoever reaches it acts as the bot",
                    "tunnel", port->settings.name, "listen", where, NULL);
    port->around.events->listening(port->around.owner);
}

static bool open_listener(struct port *port, struct error *err)
{
    return listener_open(port->around.loop, &port->settings.listen, port->settings.mode, on_pending,
                         port, &port->listener, err);
}

static void on_retry(uv_timer_t *timer)
{
    struct port *port = timer->data;
    struct error err = {0};
    if (open_listener(port, &err)) {
        backoff_reset(&port->backoff);
        now_listening(port);
        return;
    }
    log_debug("the tunnel still cannot listen", "tunnel", port->settings.name, "error", err.message,
              NULL);
    try_later(port);
}

static void take_over(struct port *port, struct port *former)
{
    port->host.total = former->host.total;
    port->host.refused = former->host.refused;
    port->host.retried = former->host.retried;
    port->listener = former->listener;
    former->listener = NULL;
    if (!port->listener)
        return;
    struct error err = {0};
    listener_set_owner(port->listener, on_pending, port);
    if (!listener_set_mode(port->listener, port->settings.mode, &err))
        log_warning("the socket keeps its mode", "tunnel", port->settings.name, "error",
                    err.message, NULL);
}

bool port_listen(struct port *port, struct port *former, struct error *err)
{
    if (former)
        take_over(port, former);
    if (port->listener) {
        log_debug("the listener stays", "tunnel", port->settings.name, NULL);
        port->around.events->listening(port->around.owner);
        return true;
    }
    if (!open_listener(port, err)) {
        try_later(port);
        return false;
    }
    now_listening(port);
    return true;
}

/* Looking. */

bool port_is_listening(const struct port *port)
{
    return port->listener != NULL;
}

const struct tunnel_settings *port_settings(const struct port *port)
{
    return &port->settings;
}

const struct address *port_address(const struct port *port)
{
    return port->listener ? listener_address(port->listener) : &port->settings.listen;
}

void port_read_statistics(const struct port *port, struct port_statistics *out)
{
    *out = (struct port_statistics){
        .total = port->host.total,
        .refused = port->host.refused,
        .retried = port->host.retried,
        .active = port->host.active,
        .ready = pool_ready_count(port->host.pool),
    };
    shared_read_status(port->use, &out->identity);
}

/* Making. */

static void fill_host(struct port *port)
{
    address_format(&port->settings.proxy, port->proxy);
    port->host.name = port->settings.name;
    port->host.database = port->settings.database;
    port->host.proxy = port->proxy;
    port->host.family = shared_family(port->use);
    port->host.credentials = shared_credentials(port->use);
    port->host.pool = shared_pool(port->use);
    port->host.loop = port->around.loop;
    port->host.connect_timeout_ms = port->settings.connect_timeout_ms;
    port->host.refusal = on_refusal;
    port->host.connecting = on_connecting;
    port->host.pending = is_pending;
    shared_count_with(port->use, &port->host.active);
    port->host.gone = on_link_gone;
}

bool port_create(const struct port_surroundings *around, const struct tunnel_settings *settings,
                 struct port **out, struct error *err)
{
    struct port *port = calloc(1, sizeof *port);
    if (!port)
        return error_set(err, ERROR_MEMORY, "out of memory");
    port->around = *around;
    port->backoff = (struct backoff){PORT_RETRY_LEAST_MS, PORT_RETRY_MOST_MS, 0};
    list_init(&port->host.links);
    if (!tunnel_settings_copy(settings, &port->settings, err) ||
        !shared_acquire(around->shared, &port->settings, &port->use, err)) {
        port_free(port);
        return false;
    }
    if (uv_timer_init(around->loop, &port->retry) != 0) {
        port_free(port);
        return error_set(err, ERROR_SYSTEM, "cannot make a timer");
    }
    port->retry.data = port;
    fill_host(port);
    *out = port;
    return true;
}
