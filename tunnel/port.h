/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One configured tunnel at work: a listener, the connections that came through it, and its use of
 * an identity and a pool. A port that cannot listen tries again for ever, with a growing pause, and
 * bothers no other.
 *
 *     prepared --port_listen--> listening <--> retrying
 *         |                         |             |
 *         +------- port_retire -----+-------------+--> retired --last connection ends--> gone
 */
#ifndef SALLYPORT_TUNNEL_PORT_H
#define SALLYPORT_TUNNEL_PORT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "tls/stream.h"
#include "tunnel/settings.h"
#include "tunnel/shared.h"

#define PORT_RETRY_LEAST_MS 1000
#define PORT_RETRY_MOST_MS  30000
/* The log tells of one refused connection in this time, and how many it left out. */
#define PORT_REFUSAL_LOG_MS 10000

struct port;

struct port_events {
    void (*listening)(void *owner);               /* it listens; from port_listen() or later */
    void (*gone)(void *owner, struct port *port); /* its memory goes when this returns */
};

struct port_surroundings {
    uv_loop_t *loop;
    struct stream_loop *streams;
    struct shared *shared;
    const struct port_events *events;
    void *owner;
};

struct port_statistics {
    uint64_t total;   /* connections so far, over reloads */
    uint64_t refused; /* answered with an ERR packet of ours */
    uint64_t retried; /* ready connections that turned out dead */
    size_t active;
    size_t ready; /* TLS connections in the pool, which other ports may share */
    struct shared_status identity;
};

/* Copies the settings and acquires identity and pool. Does not listen yet. */
bool port_create(const struct port_surroundings *around, const struct tunnel_settings *settings,
                 struct port **out, struct error *err) MUST_USE;

/*
 * Begins to listen. `former` (NULL allowed) is a port at the same address, whose listener and
 * counts are taken over without a gap. False: it does not listen yet, *err says why, and it goes on
 * trying.
 */
bool port_listen(struct port *port, struct port *former, struct error *err) MUST_USE;

bool port_is_listening(const struct port *port);
const struct tunnel_settings *port_settings(const struct port *port);
/* Where it listens: with the port that the system chose, where 0 was asked for. */
const struct address *port_address(const struct port *port);
void port_read_statistics(const struct port *port, struct port_statistics *out);

/* Whether its first identity may come any moment. */
bool port_is_pending(const struct port *port);
/* Its identity may have come, or an attempt at it has failed: whoever waits for that goes on. */
void port_settle(struct port *port);

/* Stops listening. Connections that run go on; `gone` comes after the last of them, from the loop.
 */
void port_retire(struct port *port);

/* Tells the connections that still wait for the proxy that the tunnel stops. */
void port_stop_waiting(struct port *port);

/* Ends all connections. */
void port_close_links(struct port *port, unsigned linger_ms);

#endif
