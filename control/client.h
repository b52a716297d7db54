/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The asking side for who lives long, tunnels and proxies: one connection that is dialled, asked
 * over, and listened to. It does not come back by itself: the owner makes another, with the pauses
 * of base/backoff.h.
 *
 *     DIALLING ── `ready` ──► OPEN ──► CLOSING ──► `closed`
 *         └────── fails ──────────────────▲
 *
 * Callbacks come from the loop only, never from inside a call of the owner. Each question has
 * exactly one outcome: at the end of the connection those that are open get its reason, before
 * `closed`. `closed` comes exactly once in every life; the memory goes when it returns.
 */
#ifndef SALLYPORT_CONTROL_CLIENT_H
#define SALLYPORT_CONTROL_CLIENT_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/address.h"
#include "base/error.h"
#include "control/message.h"
#include "tls/stream.h"

struct control_client;

struct control_client_events {
    /* TLS stands: control_client_ask() may be called. */
    void (*ready)(struct control_client *client, void *owner);
    /* Something unasked; it holds during the call. NULL: events are dropped. */
    void (*event)(struct control_client *client, void *owner, const char *name, const cJSON *event);
    /* The end, also of an attempt. ERROR_NONE: the owner's own wish. */
    void (*closed)(struct control_client *client, void *owner, const struct error *reason);
};

struct control_client_settings {
    struct address address;      /* ADDRESS_HOST */
    const char *server_name;     /* whom the certificate must name; copied */
    struct tls_context *context; /* with TLS_ALPN_CONTROL; a reference is taken */
    int64_t dial_timeout_ms;     /* from the name to the end of the handshake */
    /* Only the authority will do: a proxy has a certificate of the same CA, and the names in it are
     * its own choice. ERROR_TLS for another. */
    bool authority;
};

/* Begins to dial. Fails only without memory or descriptors; `closed` does not come then. */
bool control_client_open(struct stream_loop *shared, uv_loop_t *loop,
                         const struct control_client_settings *settings,
                         const struct control_client_events *events, void *owner,
                         struct control_client **out, struct error *err) MUST_USE;

/* How a question ended: exactly one of the three is not NULL. They hold during the call. */
struct control_outcome {
    const cJSON *ok;                       /* the answer's object */
    const struct control_failure *failure; /* it was refused */
    const struct error *error; /* no answer: ERROR_TIMEOUT, or the connection's end; it may have
                                * been carried out all the same */
};

typedef void control_answered(void *context, const struct control_outcome *outcome);

/*
 * Asks: numbers the request, sends it and takes it over (freed on failure too; NULL stands for "no
 * memory"). False, and no callback comes: before `ready` and after the end (ERROR_CLOSED), when
 * CONTROL_REQUESTS_WAITING are open or it is too long (ERROR_LIMIT).
 *
 * The answer to a question that has timed out is dropped when it comes, and counts as open until
 * then, because answers come in order.
 */
bool control_client_ask(struct control_client *client, cJSON *request, int64_t timeout_ms,
                        control_answered *answered, void *context, struct error *err) MUST_USE;

/* The most that may pass from one message of the other side to the next; 0: no limit (default).
 * For who has subscribed: an authority that lives says so every second. */
void control_client_set_idle(struct control_client *client, int64_t milliseconds);

/* Ends it; for a reason, or NULL. Safe to call twice, from any callback, and with NULL. */
void control_client_close(struct control_client *client, const struct error *reason);

/* Questions without an answer. */
unsigned control_client_open_count(const struct control_client *client);
/* Whom the certificate of the other side names; NULL before `ready`. */
const struct identity *control_client_identity(const struct control_client *client);

#endif
