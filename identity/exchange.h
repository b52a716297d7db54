/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One conversation with the authority (docs/protocol/control.md): a connection, one of join,
 * join_key, renew or confirm, or a proxy's join_proxy or renew_proxy, and its end. No retries: that
 * is for identity/renewal.h and proxy/keeper.h.
 *
 *     start --> dialling --> [challenge] --> asking --> done, then the connection closes by itself
 */
#ifndef SALLYPORT_IDENTITY_EXCHANGE_H
#define SALLYPORT_IDENTITY_EXCHANGE_H

#include <stdint.h>
#include <uv.h>

#include "base/address.h"
#include "base/error.h"
#include "control/message.h"
#include "tls/context.h"
#include "tls/key.h"
#include "tls/stream.h"

#define EXCHANGE_DIAL_MS   10000 /* from the name to the end of the handshake */
#define EXCHANGE_ANSWER_MS 20000 /* for each answer */
/* The longest texts that an answer may bring. */
#define EXCHANGE_PEM_MAX  (512 * 1024)
#define EXCHANGE_NAME_MAX 64 /* bytes of a bot's name and of an instance's id */

enum exchange_kind {
    EXCHANGE_JOIN,        /* with a token */
    EXCHANGE_JOIN_KEY,    /* with the bot's registered key */
    EXCHANGE_RENEW,       /* with the certificate in the context */
    EXCHANGE_CONFIRM,     /* likewise: this certificate is saved and in use */
    EXCHANGE_JOIN_PROXY,  /* a proxy, with a token */
    EXCHANGE_RENEW_PROXY, /* a proxy, with the certificate in the context */
};

/* Everything is copied or used up before exchange_start() returns, except `bound_key`. */
struct exchange_request {
    enum exchange_kind kind;
    struct address authority;
    const char *server_name;
    struct tls_context *context; /* with TLS_ALPN_CONTROL; a reference is taken */
    const struct tls_key *key;   /* whose certificate is wanted; not for EXCHANGE_CONFIRM */
    const char *token;           /* EXCHANGE_JOIN, EXCHANGE_JOIN_PROXY */
    const char *bot;             /* EXCHANGE_JOIN_KEY */
    const struct tls_key
        *bound_key;           /* EXCHANGE_JOIN_KEY; borrowed until `done` or the cancelling */
    const char *proxy;        /* EXCHANGE_JOIN_PROXY: its name */
    const char *const *names; /* of both kinds for proxies: the DNS names and IP addresses that
                               * tunnels know it by; renewing with none keeps those it has */
    size_t name_count;
};

/* An identity as the authority gives it; borrowed, for the time of the call. */
struct exchange_identity {
    const char *certificate; /* PEM, leaf first */
    const char *ca;
    const char *name;
    const char *instance;
    uint64_t generation;
    int64_t not_after_us;
    int64_t renew_at_us;
};

/* Exactly one is set, save for EXCHANGE_CONFIRM, whose success has none. */
struct exchange_result {
    const struct exchange_identity *identity;
    const struct control_failure *failure; /* the authority refused */
    const struct error *error;             /* no answer, or none that can be read */
};

typedef void exchange_done(void *owner, const struct exchange_result *result);

struct exchange;

/* Begins. `done` comes exactly once, from the loop; the memory goes by itself afterwards. */
bool exchange_start(struct stream_loop *streams, uv_loop_t *loop,
                    const struct exchange_request *request, exchange_done *done, void *owner,
                    struct exchange **out, struct error *err) MUST_USE;

/* Gives up: `done` will not come. Not after it came. */
void exchange_cancel(struct exchange *exchange);

#endif
