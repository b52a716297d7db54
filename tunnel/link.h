/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One program's connection, joined to the proxy: two streams and what goes on between them.
 *
 *     JOINING, before it all, while the bot's first certificate is on its way: at most the time for
 *     connecting, then ERR with what is known
 *
 *                  no ready connection
 *     start ------------------------------> WAITING ----- no connection: ERR ----+
 *       |                                      |                                 |
 *       | ready connection                     | fresh connection                |
 *       v                                      v                                 v
 *     OPENING <--------------------------------+      lost before a byte:     CLOSING
 *       |  ^--- a ready one was dead: once more, with a fresh one    ERR -----> ^
 *       | first byte of the proxy                                               |
 *       v                                                                       |
 *     RELAYING ------------ either side ends or fails, or the drain's end ------+
 *
 * Until the proxy's first byte the program's bytes are left in its stream (a MySQL client says
 * nothing before the greeting), so that trying again loses none. From then on bytes are passed as
 * they come, each chunk read once and written once; a side whose backlog is high stops the reading
 * of the other. Nothing is parsed, so after the first byte an error cannot be put in: a connection
 * that is lost in mid-session is just closed, as a server that dies would do.
 *
 * When one side ends, what it sent is still delivered, for at most LINK_LINGER_MS, and both are
 * closed. MySQL has no use for half a connection: docs/decisions/0504-no-half-close.md.
 */
#ifndef SALLYPORT_TUNNEL_LINK_H
#define SALLYPORT_TUNNEL_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "identity/credentials.h"
#include "tls/stream.h"
#include "tunnel/list.h"
#include "tunnel/pool.h"
#include "tunnel/refusal.h"

/* From the hello frame to the proxy's first byte: the proxy dials the database in between. */
#define LINK_GREETING_MS 30000
/* How long what was written may still take to go out once a connection is closed. */
#define LINK_LINGER_MS 30000

/* Why a connection ended: each has exactly one (DESIGN.md, I12). */
enum link_end {
    LINK_END_NONE = 0, /* it has not */
    LINK_END_CLIENT_CLOSED,
    LINK_END_CLIENT_LOST,
    LINK_END_PROXY_CLOSED,
    LINK_END_PROXY_LOST,
    LINK_END_REFUSED, /* an ERR packet took the place of the greeting */
    LINK_END_DRAINED, /* the tunnel stopped */
    LINK_END_INTERNAL,
};

struct link;

/* What all connections of one tunnel share; embedded in it. Text is borrowed and may be exchanged
 * while connections run. */
struct link_host {
    const char *name;      /* of the tunnel */
    const char *database;  /* for the hello frame */
    const char *proxy;     /* "HOST:PORT", for messages */
    const uint8_t *family; /* HELLO_FAMILY_SIZE bytes, for the hello frame */
    struct credentials *credentials;
    struct pool *pool; /* NULL: stopping */
    uv_loop_t *loop;
    int64_t connect_timeout_ms;
    struct list links; /* link.node */
    size_t active;
    uint64_t total;   /* accepted so far */
    uint64_t refused; /* of these, answered with an ERR packet of ours */
    uint64_t retried; /* ready connections that turned out dead */
    void (*refusal)(struct link_host *host, const char *message); /* for the log; NULL allowed */
    void (*connecting)(struct link_host *host); /* before the identity is judged; NULL allowed */
    bool (*pending)(struct link_host *host); /* its first identity may come any moment; NULL: no */
    void (*gone)(struct link_host *host);    /* a link's memory went; may free the host */
};

/*
 * Takes a connection that is pending on `listener`, and answers it whatever happens: with the
 * proxy's greeting or with an ERR packet. `refuse`: REFUSAL_NONE for a session; else it is refused
 * at once. False only where not even that works (no memory, no descriptor).
 */
bool link_accept(struct link_host *host, struct stream_loop *shared, uv_stream_t *listener,
                 enum refusal_stage refuse, struct error *err) MUST_USE;

/* The identity may have come, or an attempt at it has failed: those that wait for it go on. */
void link_settle(struct link_host *host);

/* Ends all connections of the host that still wait for the proxy: they are told that the tunnel
 * stops. */
void link_stop_waiting(struct link_host *host);

/* Ends all connections now. */
void link_close_all(struct link_host *host, unsigned linger_ms);

/* An end's name in logs, e.g. "client_closed". */
const char *link_end_name(enum link_end end);

#endif
